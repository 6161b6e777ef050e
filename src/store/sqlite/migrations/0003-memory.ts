// Records, the text they are found by, and what embedders made of it.

/** Creates the tables of records. */
export const MEMORY = `
CREATE TABLE memory (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  collection TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  position INTEGER NOT NULL,
  owner TEXT NOT NULL,
  user_id TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER,
  chunks INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  tags TEXT NOT NULL,
  metadata TEXT NOT NULL,
  value TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX memory_key ON memory (key, collection, tenant);
CREATE INDEX memory_tenant ON memory (tenant, id);
CREATE INDEX memory_changes ON memory (tenant, position);
CREATE INDEX memory_user ON memory (user_id, tenant) WHERE user_id IS NOT NULL;
CREATE INDEX memory_expires ON memory (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE memory_chunk (
  memory INTEGER NOT NULL,
  number INTEGER NOT NULL,
  id TEXT NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY (memory, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE memory_vector (
  memory INTEGER NOT NULL,
  number INTEGER NOT NULL,
  embedder TEXT NOT NULL,
  vector TEXT NOT NULL,
  PRIMARY KEY (memory, number, embedder)
) STRICT, WITHOUT ROWID;

CREATE TABLE memory_usage (
  tenant TEXT NOT NULL,
  owner TEXT NOT NULL,
  records INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (tenant, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE memory_gone (
  tenant TEXT NOT NULL,
  position INTEGER NOT NULL,
  memory INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (tenant, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_gone_at ON memory_gone (at);

CREATE TABLE memory_embedder (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL) STRICT;
`;
