// What stands beside the tasks: documents, logs, the audit and retention.

/** Makes the functions that write records and delete what is past its term. */
export const WRITES = `
-- Writes or deletes each document whose expectation holds, in order; null where it does not.
CREATE FUNCTION batuta.put_documents(writes json, given bigint, OUT pos integer, OUT version bigint) RETURNS SETOF record
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
  moment bigint := batuta.moment(given);
  one record;
  found_version bigint;
BEGIN
  -- In an order of their own, so that two calls never wait for one another; a document that is absent has no row to lock.
  PERFORM pg_advisory_xact_lock(7003, hashed) FROM (SELECT DISTINCT hashtext(w.kind || '/' || w.tenant || '/' || w.id) AS hashed
    FROM json_to_recordset(writes) w(kind text, tenant text, id text) ORDER BY 1) l;
  FOR one IN SELECT * FROM json_to_recordset(writes) w(pos integer, kind text, tenant text, id text, body text,
    expected bigint, expires_at bigint) ORDER BY w.pos LOOP
    pos := one.pos;
    SELECT d.version INTO found_version FROM batuta.document d WHERE d.kind = one.kind AND d.tenant = one.tenant
      AND d.id = one.id AND (d.expires_at IS NULL OR d.expires_at > moment);
    version := NULL;
    IF one.expected IS NULL OR one.expected = coalesce(found_version, 0) THEN
      IF one.body IS NULL THEN
        DELETE FROM batuta.document d WHERE d.kind = one.kind AND d.tenant = one.tenant AND d.id = one.id;
        version := 0;
      ELSE
        version := coalesce(found_version, 0) + 1;
        INSERT INTO batuta.document AS d (kind, tenant, id, version, expires_at, body)
        VALUES (one.kind, one.tenant, one.id, put_documents.version, one.expires_at, one.body)
        ON CONFLICT ON CONSTRAINT document_pkey DO UPDATE
          SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;

CREATE FUNCTION batuta.record(lines json, samples json) RETURNS void LANGUAGE sql AS $$
  INSERT INTO batuta.log (task, tenant, at, level, component, attempt, agent, message, folded, metadata)
  SELECT key, tenant, at, level, component, attempt, agent, message, folded, metadata
  FROM json_to_recordset(lines) l(pos integer, key bigint, tenant text, at bigint, level integer, component text,
    attempt bigint, agent text, message text, folded text, metadata text) ORDER BY pos;
  INSERT INTO batuta.sample (task, tenant, attempt, at, cpu_percent, memory_mb, bytes_sent, bytes_received, disk_operations)
  SELECT key, tenant, attempt, at, "cpuPercent", "memoryMb", "bytesSent", "bytesReceived", "diskOperations"
  FROM json_to_recordset(samples) s(key bigint, tenant text, attempt bigint, at bigint, "cpuPercent" float8,
    "memoryMb" float8, "bytesSent" float8, "bytesReceived" float8, "diskOperations" float8);
$$;

CREATE FUNCTION batuta.put_artifacts(artifacts json) RETURNS void LANGUAGE sql AS $$
  INSERT INTO batuta.artifact (tenant, id, task_id, attempt, type, name, media_type, size_bytes, sha256, created_at,
    quarantined)
  SELECT DISTINCT ON (id, tenant) tenant, id, "taskId", attempt, type, name, "mediaType", "sizeBytes", sha256, "createdAt",
    quarantined
  FROM json_to_recordset(artifacts) a(pos integer, tenant text, id text, "taskId" text, attempt bigint, type text,
    name text, "mediaType" text, "sizeBytes" bigint, sha256 text, "createdAt" bigint, quarantined boolean)
  ORDER BY id, tenant, pos DESC
  ON CONFLICT (id, tenant) DO UPDATE SET task_id = excluded.task_id, attempt = excluded.attempt, type = excluded.type,
    name = excluded.name, media_type = excluded.media_type, size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
    quarantined = excluded.quarantined
$$;

-- Forgets artifacts; answers the digests nothing refers to any more.
CREATE FUNCTION batuta.drop_artifacts(tenants text[], ids text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  digests text[];
BEGIN
  WITH gone AS (
    DELETE FROM batuta.artifact a USING unnest(tenants, ids) w(tenant, id) WHERE a.id = w.id AND a.tenant = w.tenant
    RETURNING a.sha256
  ) SELECT array_agg(DISTINCT sha256) INTO digests FROM gone;
  RETURN QUERY SELECT d FROM unnest(digests) d WHERE NOT EXISTS (SELECT FROM batuta.artifact a WHERE a.sha256 = d);
END
$$;

-- Deletes what is past its term, at most so many of each kind. A purged task's events are no longer shown; they go with their
-- week.
CREATE FUNCTION batuta.purge(results_ms bigint, logs_ms bigint, samples_ms bigint, artifacts_ms bigint, most integer,
  given bigint, OUT tasks bigint, OUT logs bigint, OUT samples bigint, OUT artifacts bigint, OUT documents bigint,
  OUT freed text[]) LANGUAGE plpgsql SET jit = off AS $$
DECLARE
  moment bigint := batuta.moment(given);
  past bigint[];
  old record;
BEGIN
  WITH old AS (
    DELETE FROM batuta.ended WHERE (at, task) IN (SELECT at, task FROM batuta.ended WHERE at < moment - results_ms
      ORDER BY at LIMIT most FOR UPDATE SKIP LOCKED) RETURNING task
  ) SELECT array_agg(task) INTO past FROM old;
  UPDATE batuta.task t SET purged = 1, spec = batuta.stub(t.spec), result = NULL, progress = NULL, checkpoint = NULL,
    session = NULL, user_id = NULL, correlation = NULL, starts = NULL WHERE key = ANY (past);
  DELETE FROM batuta.delivery WHERE task = ANY (past);
  DELETE FROM batuta.edge WHERE dependent = ANY (past);
  DELETE FROM batuta.event WHERE tableoid = 'batuta.event_rest'::regclass AND task = ANY (past);
  tasks := coalesce(cardinality(past), 0);
  DELETE FROM batuta.log WHERE id IN (SELECT id FROM batuta.log WHERE at < moment - logs_ms ORDER BY at LIMIT most);
  GET DIAGNOSTICS logs = ROW_COUNT;
  DELETE FROM batuta.sample WHERE id IN (SELECT id FROM batuta.sample WHERE at < moment - samples_ms ORDER BY at LIMIT most);
  GET DIAGNOSTICS samples = ROW_COUNT;
  DELETE FROM batuta.document WHERE (kind, tenant, id) IN (SELECT d.kind, d.tenant, d.id FROM batuta.document d
    WHERE d.expires_at IS NOT NULL AND d.expires_at <= moment LIMIT most);
  GET DIAGNOSTICS documents = ROW_COUNT;
  SELECT count(*) AS many, array_agg(tenant) AS tenants, array_agg(id) AS ids INTO old FROM (
    SELECT tenant, id FROM batuta.artifact WHERE created_at < moment - artifacts_ms ORDER BY created_at LIMIT most) a;
  artifacts := old.many;
  freed := ARRAY(SELECT batuta.drop_artifacts(old.tenants, old.ids));
END
$$;

-- What of a specification says nothing about its content.
CREATE FUNCTION batuta.stub(spec text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT '{' || CASE WHEN s -> 'typeName' IS NOT NULL THEN '"typeName":' || (s -> 'typeName')::text || ',' ELSE '' END
    || substr(json_build_object('description', '', 'payload', '{}'::json,
    'requester', json_build_object('agentId', s -> 'requester' -> 'agentId'), 'resources', '{}'::json,
    'variables', '{}'::json, 'secretNames', '[]'::json, 'dependencies', '[]'::json, 'dependsOn', '[]'::json,
    'type', s -> 'type', 'priority', s -> 'priority', 'timeoutMs', s -> 'timeoutMs', 'retry', s -> 'retry',
    'traceId', s -> 'traceId', 'depth', s -> 'depth')::text, 2)
  FROM (SELECT spec::json AS s) p
$$;

-- The weeks of events before an instant that hold nothing anyone may still read.
CREATE FUNCTION batuta.weeks_to_drop(before bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  part record;
  needed boolean;
BEGIN
  FOR part IN SELECT c.oid::regclass::text AS name, substring(c.relname FROM 7)::bigint AS week
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'batuta.event'::regclass AND c.relname ~ '^event_[0-9]+$' ORDER BY 2
  LOOP
    CONTINUE WHEN (part.week + 1) * 604800000 > before;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s e JOIN batuta.task t ON t.key = e.task WHERE t.purged = 0)', part.name)
      INTO needed;
    IF NOT needed THEN RETURN NEXT part.name; END IF;
  END LOOP;
END
$$;

-- Drops a week of events unless others are reading; answers whether it is gone.
CREATE FUNCTION batuta.drop_week(name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('lock_timeout', '1000', true);
  EXECUTE format('DROP TABLE IF EXISTS %s', name::regclass);
  RETURN true;
EXCEPTION WHEN lock_not_available OR undefined_table THEN
  RETURN false;
END
$$;
`;
