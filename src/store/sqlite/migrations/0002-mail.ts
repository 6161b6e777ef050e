// Messages: a cold row for each that was accepted, a narrow row for each copy that waits in an inbox, and what is remembered of
// those that do so no more.

/**
 * Creates the tables of schema 2. The table `inbox` is its lanes in order; `inbox_turn` is the order of taking and has of each
 * lane and priority only the first entry, which nothing keeps from being taken but its lane's holder.
 */
export const MAIL = `
CREATE TABLE mail (
  position INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  dialect TEXT NOT NULL,
  type TEXT NOT NULL,
  sender TEXT NOT NULL,
  correlation TEXT NOT NULL,
  reply_to TEXT,
  task_id TEXT,
  priority INTEGER NOT NULL,
  expires_at INTEGER,
  accepted_at INTEGER NOT NULL,
  refusal TEXT,
  addressed TEXT NOT NULL,
  content TEXT NOT NULL
) STRICT;
CREATE INDEX mail_tenant ON mail (tenant, position);
CREATE INDEX mail_id ON mail (id, tenant);
CREATE INDEX mail_correlation ON mail (correlation, tenant);
CREATE INDEX mail_reply_to ON mail (reply_to, tenant) WHERE reply_to IS NOT NULL;
CREATE INDEX mail_task ON mail (task_id, tenant) WHERE task_id IS NOT NULL;

CREATE TABLE mail_name (
  name TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  mail INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_name_mail ON mail_name (mail);

CREATE TABLE mail_copy (
  mail INTEGER NOT NULL,
  inbox TEXT NOT NULL,
  cause TEXT NOT NULL,
  PRIMARY KEY (mail, inbox, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE mail_box (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX mail_box_name ON mail_box (name, tenant);

CREATE TABLE inbox (
  box INTEGER NOT NULL,
  lane TEXT NOT NULL,
  priority INTEGER NOT NULL,
  entry INTEGER NOT NULL,
  mail INTEGER NOT NULL,
  cause TEXT,
  attempt INTEGER NOT NULL,
  since INTEGER NOT NULL,
  not_before INTEGER,
  expires_at INTEGER,
  reader TEXT,
  visible_until INTEGER,
  turn TEXT,
  PRIMARY KEY (box, lane, priority, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_turn ON inbox (box, turn, priority, entry) WHERE turn IS NOT NULL;
CREATE INDEX inbox_mail ON inbox (mail);
CREATE INDEX inbox_not_before ON inbox (not_before) WHERE not_before IS NOT NULL;
CREATE INDEX inbox_expires ON inbox (expires_at) WHERE expires_at IS NOT NULL AND visible_until IS NULL;
CREATE INDEX inbox_tried ON inbox (attempt, entry) WHERE attempt > 0 AND visible_until IS NULL;

CREATE TABLE mail_verdict (
  entry INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  box INTEGER NOT NULL,
  reader TEXT NOT NULL,
  outcome TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (entry, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_verdict_at ON mail_verdict (at);

CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  dialect TEXT NOT NULL,
  inbox TEXT,
  lane TEXT,
  cause TEXT,
  reason TEXT NOT NULL,
  error TEXT NOT NULL,
  mail INTEGER,
  raw TEXT,
  sender TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  died_at INTEGER NOT NULL,
  told INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letter_tenant ON dead_letter (tenant, id);
CREATE INDEX dead_letter_mail ON dead_letter (mail) WHERE mail IS NOT NULL;
CREATE INDEX dead_letter_untold ON dead_letter (id) WHERE told = 0 AND mail IS NOT NULL;
`;
