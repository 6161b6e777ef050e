// Messages: a cold row for each that was accepted, a narrow row for each copy that waits in an inbox, and what is remembered of
// those that do so no more.

/** Creates the tables of messages; `inbox_turn` is the order of taking and has of each lane and priority only the first that waits. */
export const MAIL_TABLES = `
CREATE SEQUENCE batuta.mail_position;
CREATE SEQUENCE batuta.inbox_entry;

CREATE TABLE batuta.mail (
  position bigint PRIMARY KEY,
  -- Its place among the transactions; a tenant's log is in order of it and shown only below every one under way.
  txn bigint NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  name text NOT NULL,
  fingerprint text NOT NULL,
  dialect text NOT NULL,
  type text NOT NULL,
  sender text NOT NULL,
  correlation text COLLATE "C" NOT NULL,
  reply_to text COLLATE "C",
  task_id text COLLATE "C",
  priority integer NOT NULL,
  expires_at bigint,
  accepted_at bigint NOT NULL,
  refusal text,
  addressed text NOT NULL,
  content text NOT NULL
);
CREATE INDEX mail_tenant ON batuta.mail (tenant, txn, position);
CREATE INDEX mail_id ON batuta.mail (id, tenant);
CREATE INDEX mail_correlation ON batuta.mail (correlation, tenant);
CREATE INDEX mail_reply_to ON batuta.mail (reply_to, tenant) WHERE reply_to IS NOT NULL;
CREATE INDEX mail_task ON batuta.mail (task_id, tenant) WHERE task_id IS NOT NULL;
CREATE INDEX mail_accepted ON batuta.mail (accepted_at, position);

CREATE TABLE batuta.mail_name (
  name text COLLATE "C" PRIMARY KEY,
  fingerprint text NOT NULL,
  mail bigint NOT NULL,
  at bigint NOT NULL
);
CREATE INDEX mail_name_mail ON batuta.mail_name (mail);
CREATE INDEX mail_name_at ON batuta.mail_name (at);

CREATE TABLE batuta.mail_copy (
  mail bigint NOT NULL,
  inbox text COLLATE "C" NOT NULL,
  cause text COLLATE "C" NOT NULL,
  PRIMARY KEY (mail, inbox, cause)
);

CREATE TABLE batuta.mail_box (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  tenant text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX mail_box_name ON batuta.mail_box (name, tenant);

-- Inboxes in which something has come due that no sweep has told of yet.
CREATE TABLE batuta.mail_due (box bigint PRIMARY KEY);

CREATE TABLE batuta.inbox (
  entry bigint PRIMARY KEY,
  box bigint NOT NULL,
  lane text COLLATE "C" NOT NULL,
  priority integer NOT NULL,
  mail bigint NOT NULL,
  cause text COLLATE "C",
  attempt integer NOT NULL,
  since bigint NOT NULL,
  not_before bigint,
  expires_at bigint,
  reader text COLLATE "C",
  visible_until bigint,
  turn text COLLATE "C"
) WITH (fillfactor = 70);
CREATE INDEX inbox_line ON batuta.inbox (box, lane, priority, entry) WHERE visible_until IS NULL;
CREATE INDEX inbox_turn ON batuta.inbox (box, turn, priority, entry) WHERE turn IS NOT NULL;
CREATE INDEX inbox_mail ON batuta.inbox (mail);
CREATE INDEX inbox_held ON batuta.inbox (box, lane) WHERE visible_until IS NOT NULL;
CREATE INDEX inbox_reader ON batuta.inbox (reader) WHERE visible_until IS NOT NULL;
CREATE INDEX inbox_overdue ON batuta.inbox (visible_until) WHERE visible_until IS NOT NULL;
CREATE INDEX inbox_not_before ON batuta.inbox (not_before) WHERE not_before IS NOT NULL;
CREATE INDEX inbox_expires ON batuta.inbox (expires_at) WHERE expires_at IS NOT NULL AND visible_until IS NULL;
CREATE INDEX inbox_tried ON batuta.inbox (attempt) WHERE attempt > 0 AND visible_until IS NULL;

CREATE TABLE batuta.mail_verdict (
  entry bigint NOT NULL,
  attempt integer NOT NULL,
  box bigint NOT NULL,
  reader text COLLATE "C" NOT NULL,
  outcome text NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (entry, attempt)
);
CREATE INDEX mail_verdict_at ON batuta.mail_verdict (at);

CREATE TABLE batuta.dead_letter (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  tenant text COLLATE "C" NOT NULL,
  dialect text NOT NULL,
  inbox text COLLATE "C",
  lane text COLLATE "C",
  cause text COLLATE "C",
  reason text NOT NULL,
  error text NOT NULL,
  mail bigint,
  raw text,
  sender text NOT NULL,
  attempts integer NOT NULL,
  died_at bigint NOT NULL,
  told boolean NOT NULL DEFAULT false
);
CREATE INDEX dead_letter_tenant ON batuta.dead_letter (tenant, id);
CREATE INDEX dead_letter_mail ON batuta.dead_letter (mail) WHERE mail IS NOT NULL;
CREATE INDEX dead_letter_untold ON batuta.dead_letter (id) WHERE NOT told AND mail IS NOT NULL;
CREATE INDEX dead_letter_died ON batuta.dead_letter (died_at);
`;
