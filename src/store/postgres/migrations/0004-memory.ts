// Records, the text they are found by, and what embedders made of it.

import { LOOKUPS } from './lookups.ts';

/** Creates the tables of records and the functions that write them. */
export const MEMORY = `
-- Numbers records and their changes. Those of one tenant are drawn under its lock, so that they are committed in their order.
CREATE SEQUENCE batuta.memory_position;

CREATE TABLE batuta.memory (
  id bigint PRIMARY KEY,
  tenant text NOT NULL,
  collection text NOT NULL,
  key text NOT NULL,
  version bigint NOT NULL,
  position bigint NOT NULL,
  owner text NOT NULL,
  user_id text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  expires_at bigint,
  chunks bigint NOT NULL,
  bytes bigint NOT NULL,
  tags text NOT NULL,
  metadata text NOT NULL,
  value text NOT NULL
);
-- A key may be longer than an index can hold.
CREATE UNIQUE INDEX memory_key ON batuta.memory (md5(key), collection, tenant);
CREATE INDEX memory_tenant ON batuta.memory (tenant, id);
CREATE INDEX memory_changes ON batuta.memory (tenant, position);
CREATE INDEX memory_user ON batuta.memory (user_id, tenant) WHERE user_id IS NOT NULL;
CREATE INDEX memory_expires ON batuta.memory (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE batuta.memory_chunk (
  memory bigint NOT NULL,
  number bigint NOT NULL,
  id text NOT NULL,
  content text NOT NULL,
  PRIMARY KEY (memory, number)
);

CREATE TABLE batuta.memory_vector (
  memory bigint NOT NULL,
  number bigint NOT NULL,
  embedder text NOT NULL,
  vector text NOT NULL,
  PRIMARY KEY (memory, number, embedder)
);

CREATE TABLE batuta.memory_usage (
  tenant text NOT NULL,
  owner text NOT NULL,
  records bigint NOT NULL,
  chunks bigint NOT NULL,
  bytes bigint NOT NULL,
  PRIMARY KEY (tenant, owner)
) WITH (fillfactor = 50);

-- What is gone, for whoever keeps an index.
CREATE TABLE batuta.memory_gone (
  tenant text NOT NULL,
  position bigint NOT NULL,
  memory bigint NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (tenant, position)
);
CREATE INDEX memory_gone_at ON batuta.memory_gone (at);

CREATE TABLE batuta.memory_embedder (one integer PRIMARY KEY CHECK (one = 1), name text NOT NULL);

-- Whoever changes records of tenants holds this to the end of the transaction; in an order of its own, so that none waits for another.
CREATE FUNCTION batuta.lock_memory(tenants text[]) RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(7010, hashed) FROM (SELECT DISTINCT hashtext(t) AS hashed FROM unnest(tenants) t ORDER BY 1) l
$$;

CREATE FUNCTION batuta.count_memory(of_tenant text, of_owner text, more_records bigint, more_chunks bigint, more_bytes bigint)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO batuta.memory_usage AS u (tenant, owner, records, chunks, bytes)
  VALUES (of_tenant, of_owner, more_records, more_chunks, more_bytes)
  ON CONFLICT (tenant, owner) DO UPDATE SET records = u.records + excluded.records, chunks = u.chunks + excluded.chunks,
    bytes = u.bytes + excluded.bytes
$$;

-- Deletes records, each leaving only its number where it is not about to be replaced; their tenants are locked.
CREATE FUNCTION batuta.remove_memory(ids bigint[], leave_number boolean, moment bigint) RETURNS integer LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  gone record;
  many integer := 0;
BEGIN
  DELETE FROM batuta.memory_chunk WHERE memory = ANY (ids);
  DELETE FROM batuta.memory_vector WHERE memory = ANY (ids);
  FOR gone IN DELETE FROM batuta.memory WHERE id = ANY (ids) RETURNING id, tenant, owner, chunks, bytes LOOP
    PERFORM batuta.count_memory(gone.tenant, gone.owner, -1, -gone.chunks, -gone.bytes);
    IF leave_number THEN
      INSERT INTO batuta.memory_gone (tenant, position, memory, at)
      VALUES (gone.tenant, nextval('batuta.memory_position'), gone.id, moment);
    END IF;
    many := many + 1;
  END LOOP;
  RETURN many;
END
$$;

-- What would be broken by a write: 'agent', 'tenant' or nothing; a write that adds nothing breaks nothing.
CREATE FUNCTION batuta.memory_limit_broken(used batuta.memory_usage, more batuta.memory_usage, most json)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT (more.records > 0 AND coalesce(used.records, 0) + more.records > (most ->> 'records')::bigint)
    OR (more.chunks > 0 AND coalesce(used.chunks, 0) + more.chunks > (most ->> 'chunks')::bigint)
    OR (more.bytes > 0 AND coalesce(used.bytes, 0) + more.bytes > (most ->> 'bytes')::bigint)
$$;

CREATE TYPE batuta.new_memory AS (
  pos integer, tenant text, collection text, key text, expected bigint, owner text, user_id text, ttl_ms bigint, tags text,
  metadata text, value text, bytes bigint, chunks json, of_agent json, of_tenant json
);

-- Writes or, without a value, removes each record whose expectation holds, in order.
CREATE FUNCTION batuta.put_memory(writes json, given bigint, OUT pos integer, OUT status text, OUT version bigint, OUT id bigint,
  OUT created_at bigint, OUT updated_at bigint, OUT expires_at bigint, OUT full_of text, OUT records bigint, OUT chunks bigint,
  OUT bytes bigint) RETURNS SETOF record LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  moment bigint := batuta.moment(given);
  one batuta.new_memory;
  old batuta.memory;
  used batuta.memory_usage;
  more batuta.memory_usage;
  many bigint;
BEGIN
  PERFORM batuta.lock_memory(ARRAY(SELECT w.tenant FROM json_to_recordset(writes) w(tenant text)));
  FOR one IN SELECT * FROM json_populate_recordset(NULL::batuta.new_memory, writes) w ORDER BY w.pos LOOP
    pos := one.pos; id := NULL; full_of := NULL; created_at := NULL; updated_at := NULL; expires_at := NULL;
    SELECT m.* INTO old FROM batuta.memory m WHERE md5(m.key) = md5(one.key) AND m.key = one.key
      AND m.collection = one.collection AND m.tenant = one.tenant;
    version := CASE WHEN old.id IS NULL OR old.expires_at <= moment THEN 0 ELSE old.version END;
    IF one.expected IS NOT NULL AND one.expected <> version THEN
      status := 'conflict';
      RETURN NEXT;
      CONTINUE;
    END IF;
    IF one.value IS NULL THEN
      PERFORM batuta.remove_memory(ARRAY[old.id], true, moment);
      status := 'removed';
      RETURN NEXT;
      CONTINUE;
    END IF;
    many := json_array_length(one.chunks);
    more := ROW(one.tenant, one.owner, 1, many, one.bytes);
    SELECT u.* INTO used FROM batuta.memory_usage u WHERE u.tenant = one.tenant AND u.owner = one.owner;
    IF old.owner = one.owner THEN
      more.records := 0; more.chunks := many - old.chunks; more.bytes := one.bytes - old.bytes;
    END IF;
    IF batuta.memory_limit_broken(used, more, one.of_agent) THEN
      full_of := 'agent';
    ELSE
      SELECT one.tenant, '', sum(u.records), sum(u.chunks), sum(u.bytes) INTO used FROM batuta.memory_usage u
        WHERE u.tenant = one.tenant;
      IF old.id IS NOT NULL THEN
        more.records := 0; more.chunks := many - old.chunks; more.bytes := one.bytes - old.bytes;
      END IF;
      IF batuta.memory_limit_broken(used, more, one.of_tenant) THEN full_of := 'tenant'; END IF;
    END IF;
    IF full_of IS NOT NULL THEN
      status := 'full'; records := coalesce(used.records, 0); chunks := coalesce(used.chunks, 0); bytes := coalesce(used.bytes, 0);
      RETURN NEXT;
      CONTINUE;
    END IF;
    IF old.id IS NOT NULL THEN PERFORM batuta.remove_memory(ARRAY[old.id], false, moment); END IF;
    id := coalesce(old.id, nextval('batuta.memory_position'));
    created_at := CASE WHEN version = 0 THEN moment ELSE old.created_at END;
    updated_at := moment;
    expires_at := moment + one.ttl_ms;
    version := version + 1;
    INSERT INTO batuta.memory (id, tenant, collection, key, version, position, owner, user_id, created_at, updated_at, expires_at,
      chunks, bytes, tags, metadata, value)
    VALUES (put_memory.id, one.tenant, one.collection, one.key, put_memory.version, nextval('batuta.memory_position'), one.owner,
      one.user_id, put_memory.created_at, put_memory.updated_at, put_memory.expires_at, many, one.bytes, one.tags, one.metadata,
      one.value);
    INSERT INTO batuta.memory_chunk (memory, number, id, content)
      SELECT put_memory.id, c.number, c.id, c.content
      FROM json_to_recordset(one.chunks) c(number bigint, id text, content text);
    INSERT INTO batuta.memory_vector (memory, number, embedder, vector)
      SELECT put_memory.id, c.number, v.key, v.value
      FROM json_to_recordset(one.chunks) c(number bigint, vectors json), json_each_text(c.vectors) v;
    PERFORM batuta.count_memory(one.tenant, one.owner, 1, many, one.bytes);
    status := 'stored';
    RETURN NEXT;
  END LOOP;
END
$$;

-- What changed in a tenant after a position, in order, at most so many.
CREATE FUNCTION batuta.memory_feed(of_tenant text, after bigint, most integer, of_embedder text)
RETURNS TABLE (change bigint, "position" bigint, live boolean, chunks json) LANGUAGE sql STABLE
SET enable_seqscan = off SET jit = off AS $$
  SELECT f.change, f.position, f.live, CASE WHEN f.live THEN (
    SELECT coalesce(json_agg(json_build_array(c.content, v.vector) ORDER BY c.number), '[]') FROM batuta.memory_chunk c
    LEFT JOIN batuta.memory_vector v ON v.memory = c.memory AND v.number = c.number AND v.embedder = of_embedder
    WHERE c.memory = f.change) END
  FROM (
    (SELECT m.id AS change, m.position, true AS live FROM batuta.memory m WHERE m.tenant = of_tenant AND m.position > after
      ORDER BY m.position LIMIT most)
    UNION ALL
    (SELECT g.memory, g.position, false FROM batuta.memory_gone g WHERE g.tenant = of_tenant AND g.position > after
      ORDER BY g.position LIMIT most)
    ORDER BY 2 LIMIT most
  ) f ORDER BY f.position
$$;

-- Keeps vectors of chunks whose text is still the same; indexes hear of it where the embedder is in force.
CREATE FUNCTION batuta.put_memory_vectors(of_embedder text, vectors json) RETURNS void LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  touched bigint[];
BEGIN
  PERFORM batuta.lock_memory(ARRAY(SELECT DISTINCT m.tenant FROM json_to_recordset(vectors) w(id bigint)
    JOIN batuta.memory m ON m.id = w.id));
  WITH put AS (
    INSERT INTO batuta.memory_vector (memory, number, embedder, vector)
    SELECT c.memory, c.number, of_embedder, w.vector
    FROM json_to_recordset(vectors) w(id bigint, chunk bigint, content text, vector text)
    JOIN batuta.memory_chunk c ON c.memory = w.id AND c.number = w.chunk AND c.content = w.content
    ON CONFLICT (memory, number, embedder) DO UPDATE SET vector = excluded.vector RETURNING memory
  ) SELECT array_agg(DISTINCT memory) INTO touched FROM put;
  IF of_embedder IS NOT DISTINCT FROM (SELECT name FROM batuta.memory_embedder) THEN
    UPDATE batuta.memory SET position = nextval('batuta.memory_position') WHERE id = ANY (touched);
  END IF;
END
$$;

CREATE FUNCTION batuta.enforce_embedder(wanted text, expected text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  present text;
BEGIN
  PERFORM pg_advisory_xact_lock(7011, 1);
  SELECT name INTO present FROM batuta.memory_embedder;
  IF present IS DISTINCT FROM expected THEN RETURN present; END IF;
  INSERT INTO batuta.memory_embedder (one, name) VALUES (1, wanted) ON CONFLICT (one) DO UPDATE SET name = excluded.name;
  RETURN wanted;
END
$$;

-- Deletes what has expired, and forgets what is gone for so long.
CREATE FUNCTION batuta.sweep_memory(gone_ms bigint, most integer, given bigint) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
  moment bigint := batuta.moment(given);
  over bigint[];
  tenants text[];
  many integer;
  forgotten integer;
BEGIN
  SELECT array_agg(id), array_agg(tenant) INTO over, tenants FROM (
    SELECT id, tenant FROM batuta.memory WHERE expires_at <= moment ORDER BY expires_at LIMIT most) m;
  PERFORM batuta.lock_memory(tenants);
  -- Somebody may have stored it anew before the lock was ours.
  over := ARRAY(SELECT id FROM batuta.memory WHERE id = ANY (over) AND expires_at <= moment);
  many := batuta.remove_memory(over, true, moment);
  DELETE FROM batuta.memory_gone WHERE (tenant, position) IN
    (SELECT tenant, position FROM batuta.memory_gone WHERE at <= moment - gone_ms ORDER BY at LIMIT most);
  GET DIAGNOSTICS forgotten = ROW_COUNT;
  RETURN many + forgotten;
END
$$;

CREATE FUNCTION batuta.erase_memory(of_tenant text, about text, most integer, given bigint) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
  PERFORM batuta.lock_memory(ARRAY[of_tenant]);
  RETURN batuta.remove_memory(ARRAY(SELECT id FROM batuta.memory WHERE user_id = about AND tenant = of_tenant LIMIT most), true,
    batuta.moment(given));
END
$$;
`;
