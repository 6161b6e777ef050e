// The first schema: a cold task row, narrow hot rows for what moves, and the logs of what happened.

/** Creates every table of schema 1; `docs/decisions/0003-sqlite-rows.md` says why they look like this. */
export const FOUNDATION = `
CREATE TABLE sequence (name TEXT PRIMARY KEY, reserved INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE task (
  key INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  execution_id TEXT NOT NULL,
  state TEXT NOT NULL,
  outcome TEXT,
  version INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  queued_at INTEGER,
  started_at INTEGER,
  ended_at INTEGER,
  updated_at INTEGER NOT NULL,
  ran_ms INTEGER NOT NULL DEFAULT 0,
  agent TEXT,
  last_token INTEGER,
  queue INTEGER,
  rank INTEGER NOT NULL,
  work_type TEXT NOT NULL,
  requester TEXT NOT NULL,
  session TEXT,
  user TEXT,
  correlation TEXT,
  fingerprint TEXT NOT NULL,
  idempotency_key TEXT,
  timeout_ms INTEGER NOT NULL,
  attempt_timeout_ms INTEGER,
  notification TEXT,
  purged INTEGER NOT NULL DEFAULT 0,
  progress TEXT,
  spec TEXT NOT NULL,
  result TEXT,
  checkpoint TEXT
) STRICT;
CREATE UNIQUE INDEX task_id ON task (id, tenant);
CREATE UNIQUE INDEX task_idempotency_key ON task (idempotency_key, tenant) WHERE idempotency_key IS NOT NULL;
CREATE INDEX task_tenant ON task (tenant, key);
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL AND purged = 0;
CREATE INDEX task_session ON task (session, tenant) WHERE session IS NOT NULL;
CREATE INDEX task_user ON task (user, tenant) WHERE user IS NOT NULL;
CREATE INDEX task_correlation ON task (correlation, tenant) WHERE correlation IS NOT NULL;

CREATE TABLE queue (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  work_type TEXT NOT NULL,
  capabilities TEXT NOT NULL,
  region TEXT,
  requester TEXT NOT NULL
) STRICT;
CREATE TABLE waiting (tenant TEXT PRIMARY KEY, tasks INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE ready (
  queue INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  task INTEGER NOT NULL,
  since INTEGER NOT NULL,
  memory_mb REAL,
  cpu_cores REAL,
  disk_mb REAL,
  network_mbps REAL,
  PRIMARY KEY (queue, rank, task)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
  task INTEGER PRIMARY KEY,
  token INTEGER NOT NULL,
  agent TEXT NOT NULL,
  queue INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  claimed_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  deadline_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  memory_mb REAL,
  cpu_cores REAL,
  disk_mb REAL,
  network_mbps REAL,
  progress TEXT,
  checkpoint TEXT
) STRICT;

CREATE TABLE timer (
  due INTEGER NOT NULL,
  id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  task INTEGER NOT NULL,
  PRIMARY KEY (due, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE edge (
  dependency INTEGER NOT NULL,
  dependent INTEGER NOT NULL,
  PRIMARY KEY (dependency, dependent)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_dependent ON edge (dependent);

CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  task INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  seq INTEGER NOT NULL,
  count INTEGER NOT NULL,
  at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX event_task ON event (task, seq);
CREATE INDEX event_tenant ON event (tenant, id);

CREATE TABLE delivery (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  task INTEGER NOT NULL,
  channel TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  event TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  status TEXT NOT NULL,
  attempts TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  next_at INTEGER,
  redelivery_of TEXT
) STRICT;
CREATE UNIQUE INDEX delivery_id ON delivery (id);
CREATE INDEX delivery_task ON delivery (task, endpoint, sequence);
CREATE INDEX delivery_tenant ON delivery (tenant, key);
CREATE INDEX delivery_next ON delivery (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  task INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  at INTEGER NOT NULL,
  level INTEGER NOT NULL,
  component TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  agent TEXT,
  message TEXT NOT NULL,
  metadata TEXT
) STRICT;
CREATE INDEX log_task ON log (task, id);
CREATE INDEX log_at ON log (at);

CREATE TABLE sample (
  id INTEGER PRIMARY KEY,
  task INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at INTEGER NOT NULL,
  cpu_percent REAL,
  memory_mb REAL,
  bytes_sent REAL,
  bytes_received REAL,
  disk_operations REAL
) STRICT;
CREATE INDEX sample_task ON sample (task, at);
CREATE INDEX sample_at ON sample (at);

CREATE TABLE artifact (
  key INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  task_id TEXT,
  attempt INTEGER,
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  quarantined INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX artifact_id ON artifact (id, tenant);
CREATE INDEX artifact_task ON artifact (task_id, tenant) WHERE task_id IS NOT NULL;
CREATE INDEX artifact_name ON artifact (name, tenant);
CREATE INDEX artifact_sha256 ON artifact (sha256);
CREATE INDEX artifact_created ON artifact (created_at);

CREATE TABLE document (
  kind TEXT NOT NULL,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_at INTEGER,
  body TEXT NOT NULL,
  PRIMARY KEY (kind, tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_expires ON document (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE audit (
  tenant TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  principal TEXT NOT NULL,
  object TEXT,
  detail TEXT NOT NULL,
  request_id TEXT,
  hash TEXT NOT NULL,
  PRIMARY KEY (tenant, sequence)
) STRICT, WITHOUT ROWID;
`;
