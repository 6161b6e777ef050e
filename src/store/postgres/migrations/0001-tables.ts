// The first schema: a cold task row, narrow hot rows for what moves, and the logs of what happened.

/** Creates every table of schema 1; `docs/decisions/0008-postgres.md` says why they look like this. */
export const TABLES = `
CREATE SEQUENCE batuta.task_key;
CREATE SEQUENCE batuta.token;
CREATE SEQUENCE batuta.event_id;
CREATE SEQUENCE batuta.delivery_key;

CREATE TABLE batuta.task (
  key bigint PRIMARY KEY,
  tenant text NOT NULL,
  id text NOT NULL,
  execution_id text NOT NULL,
  state text NOT NULL,
  outcome text,
  version bigint NOT NULL,
  attempt bigint NOT NULL DEFAULT 0,
  created_at bigint NOT NULL,
  queued_at bigint,
  started_at bigint,
  ended_at bigint,
  updated_at bigint NOT NULL,
  ran_ms bigint NOT NULL DEFAULT 0,
  agent text,
  last_token bigint,
  queue bigint,
  rank bigint NOT NULL,
  work_type text NOT NULL,
  requester text NOT NULL,
  session text,
  user_id text,
  correlation text,
  fingerprint text NOT NULL,
  idempotency_key text,
  timeout_ms bigint NOT NULL,
  attempt_timeout_ms bigint,
  starts json,
  memory_mb float8,
  cpu_cores float8,
  disk_mb float8,
  network_mbps float8,
  purged integer NOT NULL DEFAULT 0,
  txn bigint NOT NULL,
  progress text,
  spec text NOT NULL,
  result text,
  checkpoint text
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX task_id ON batuta.task (id, tenant);
CREATE UNIQUE INDEX task_idempotency_key ON batuta.task (idempotency_key, tenant) WHERE idempotency_key IS NOT NULL;
CREATE INDEX task_tenant ON batuta.task (tenant, key);
CREATE INDEX task_session ON batuta.task (session, tenant) WHERE session IS NOT NULL;
CREATE INDEX task_user ON batuta.task (user_id, tenant) WHERE user_id IS NOT NULL;
CREATE INDEX task_correlation ON batuta.task (correlation, tenant) WHERE correlation IS NOT NULL;

-- Ended tasks that are not purged, by their end. An index of the task itself would have every end write all of its indexes anew.
CREATE TABLE batuta.ended (
  at bigint NOT NULL,
  task bigint NOT NULL,
  PRIMARY KEY (at, task)
);

CREATE TABLE batuta.queue (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  name text NOT NULL,
  tenant text NOT NULL,
  work_type text NOT NULL
);
CREATE UNIQUE INDEX queue_name ON batuta.queue (md5(name));
CREATE INDEX queue_tenant ON batuta.queue (tenant, work_type);

CREATE TABLE batuta.waiting (
  tenant text NOT NULL,
  slot integer NOT NULL,
  tasks bigint NOT NULL,
  PRIMARY KEY (tenant, slot)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE batuta.ready (
  queue bigint NOT NULL,
  rank bigint NOT NULL,
  task bigint NOT NULL,
  since bigint NOT NULL,
  memory_mb float8,
  cpu_cores float8,
  disk_mb float8,
  network_mbps float8,
  PRIMARY KEY (queue, rank, task)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE batuta.lease (
  task bigint PRIMARY KEY,
  token bigint NOT NULL,
  agent text NOT NULL,
  queue bigint NOT NULL,
  rank bigint NOT NULL,
  claimed_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  deadline_at bigint NOT NULL,
  version bigint NOT NULL,
  attempt bigint NOT NULL,
  updated_at bigint NOT NULL,
  memory_mb float8,
  cpu_cores float8,
  disk_mb float8,
  network_mbps float8,
  txn bigint NOT NULL,
  progress text,
  checkpoint text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0);
CREATE INDEX lease_token ON batuta.lease (token);

CREATE TABLE batuta.timer (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  due bigint NOT NULL,
  kind text NOT NULL,
  task bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX timer_due ON batuta.timer (due, id);

CREATE TABLE batuta.edge (
  dependency bigint NOT NULL,
  dependent bigint NOT NULL,
  PRIMARY KEY (dependency, dependent)
);
CREATE INDEX edge_dependent ON batuta.edge (dependent);

CREATE TABLE batuta.event (
  id bigint NOT NULL DEFAULT nextval('batuta.event_id'),
  task bigint NOT NULL,
  tenant text NOT NULL,
  txn bigint NOT NULL,
  seq bigint NOT NULL,
  count integer NOT NULL,
  at bigint NOT NULL,
  body text NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX event_task ON batuta.event (task, seq);
CREATE INDEX event_tenant ON batuta.event (tenant, txn, id);
CREATE TABLE batuta.event_rest PARTITION OF batuta.event DEFAULT;

CREATE TABLE batuta.delivery (
  key bigint PRIMARY KEY DEFAULT nextval('batuta.delivery_key'),
  id text NOT NULL,
  tenant text NOT NULL,
  task bigint NOT NULL,
  channel text NOT NULL,
  endpoint text NOT NULL,
  event text NOT NULL,
  sequence bigint NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  attempts text NOT NULL DEFAULT '[]',
  created_at bigint NOT NULL,
  due_at bigint NOT NULL,
  next_at bigint,
  redelivery_of text
);
CREATE UNIQUE INDEX delivery_id ON batuta.delivery (id);
CREATE INDEX delivery_task ON batuta.delivery (task, sequence);
CREATE INDEX delivery_open ON batuta.delivery (task) WHERE status IN ('pending', 'sending');
CREATE INDEX delivery_tenant ON batuta.delivery (tenant, key);
CREATE INDEX delivery_next ON batuta.delivery (next_at, key) WHERE next_at IS NOT NULL;
`;

/** Creates the tables that stand beside the tasks: logs, artifacts, documents and the audit. */
export const RECORDS = `
CREATE TABLE batuta.log (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  task bigint NOT NULL,
  tenant text NOT NULL,
  at bigint NOT NULL,
  level integer NOT NULL,
  component text NOT NULL,
  attempt bigint NOT NULL,
  agent text,
  message text NOT NULL,
  folded text NOT NULL,
  metadata text
);
CREATE INDEX log_task ON batuta.log (task, id);
CREATE INDEX log_at ON batuta.log (at);

CREATE TABLE batuta.sample (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  task bigint NOT NULL,
  tenant text NOT NULL,
  attempt bigint NOT NULL,
  at bigint NOT NULL,
  cpu_percent float8,
  memory_mb float8,
  bytes_sent float8,
  bytes_received float8,
  disk_operations float8
);
CREATE INDEX sample_task ON batuta.sample (task, at);
CREATE INDEX sample_at ON batuta.sample (at);

CREATE TABLE batuta.artifact (
  key bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  tenant text NOT NULL,
  id text NOT NULL,
  task_id text,
  attempt bigint,
  type text NOT NULL,
  name text NOT NULL,
  media_type text NOT NULL,
  size_bytes bigint NOT NULL,
  sha256 text NOT NULL,
  created_at bigint NOT NULL,
  quarantined boolean NOT NULL
);
CREATE UNIQUE INDEX artifact_id ON batuta.artifact (id, tenant);
CREATE INDEX artifact_task ON batuta.artifact (task_id, tenant) WHERE task_id IS NOT NULL;
CREATE INDEX artifact_name ON batuta.artifact (md5(name), tenant);
CREATE INDEX artifact_sha256 ON batuta.artifact (sha256);
CREATE INDEX artifact_created ON batuta.artifact (created_at);

CREATE TABLE batuta.document (
  kind text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  expires_at bigint,
  body text NOT NULL,
  PRIMARY KEY (kind, tenant, id)
);
CREATE INDEX document_expires ON batuta.document (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE batuta.audit (
  tenant text NOT NULL,
  sequence bigint NOT NULL,
  at bigint NOT NULL,
  action text NOT NULL,
  principal text NOT NULL,
  object text,
  detail text NOT NULL,
  request_id text,
  hash text NOT NULL,
  PRIMARY KEY (tenant, sequence)
);
`;
