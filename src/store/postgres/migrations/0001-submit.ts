// Accepting tasks: many new ones in one statement; those that may have come before, or must wait, one after the other.

import { LOOKUPS } from './lookups.ts';

/** Makes `submit` and what it is made of. */
export const SUBMIT = `
CREATE TYPE batuta.new_task AS (
  pos integer, tenant text, id text, execution_id text, state text, fingerprint text, idempotency_key text,
  queue bigint, rank_shift bigint, work_type text, requester text, session text, user_id text, correlation text,
  timeout_ms bigint, attempt_timeout_ms bigint, starts json,
  memory_mb float8, cpu_cores float8, disk_mb float8, network_mbps float8,
  depends_on text[], timers json, waiting_max bigint, event_count integer, events text, spec text, result text
);
CREATE TYPE batuta.submitted AS (pos integer, status text, key bigint, at bigint, unknown text[]);

-- Tasks that name no dependency, no idempotency key and each another id; answers only for those that were new.
CREATE FUNCTION batuta.submit_plain(tasks json, moment bigint) RETURNS SETOF batuta.submitted
LANGUAGE sql AS $$
  WITH source AS MATERIALIZED (
    SELECT nextval('batuta.task_key') AS key, t.* FROM (
      SELECT * FROM json_populate_recordset(NULL::batuta.new_task, tasks) ORDER BY pos) t
  ), written AS (
    INSERT INTO batuta.task (key, tenant, id, execution_id, state, outcome, version, created_at, updated_at, queued_at,
      ended_at, queue, rank, work_type, requester, session, user_id, correlation, fingerprint, idempotency_key,
      timeout_ms, attempt_timeout_ms, starts, memory_mb, cpu_cores, disk_mb, network_mbps, txn, spec, result)
    SELECT key, tenant, id, execution_id, state, CASE state WHEN 'rejected' THEN 'rejected' END, event_count,
      moment, moment, CASE WHEN state <> 'rejected' THEN moment END, CASE state WHEN 'rejected' THEN moment END,
      CASE WHEN state <> 'rejected' THEN queue END, moment + rank_shift, work_type, requester, session, user_id,
      correlation, fingerprint, idempotency_key, timeout_ms, attempt_timeout_ms, starts, memory_mb, cpu_cores, disk_mb,
      network_mbps, (SELECT batuta.txn()), spec, result
    FROM source ORDER BY key ON CONFLICT DO NOTHING RETURNING key
  ), made AS MATERIALIZED (
    SELECT s.* FROM source s JOIN written USING (key)
  ), told AS (
    INSERT INTO batuta.event (task, tenant, txn, seq, count, at, body)
    SELECT key, tenant, (SELECT batuta.txn()), 1, event_count, moment, events FROM made WHERE event_count > 0 ORDER BY key
  ), timed AS (
    INSERT INTO batuta.timer (due, kind, task)
    SELECT moment + t."dueInMs", t.kind, key FROM made, json_to_recordset(timers) t(kind text, "dueInMs" bigint)
    WHERE timers IS NOT NULL
  ), placed AS (
    INSERT INTO batuta.ready (queue, rank, task, since, memory_mb, cpu_cores, disk_mb, network_mbps)
    SELECT queue, moment + rank_shift, key, moment, memory_mb, cpu_cores, disk_mb, network_mbps FROM made
    WHERE state <> 'rejected' AND coalesce(cardinality(depends_on), 0) = 0
      AND (timers IS NULL OR NOT EXISTS (SELECT FROM json_array_elements(timers) t WHERE t ->> 'kind' = 'ready'))
    ORDER BY key
  ), ended AS (
    INSERT INTO batuta.ended (at, task) SELECT moment, key FROM made WHERE state = 'rejected'
  ), counted AS (
    INSERT INTO batuta.waiting (tenant, slot, tasks)
    SELECT tenant, pg_backend_pid() & 63, count(*) FROM made WHERE state <> 'rejected' GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant, slot) DO UPDATE SET tasks = waiting.tasks + excluded.tasks
  )
  SELECT pos, 'created', key, moment, NULL::text[] FROM made
$$;

-- Who came before under the task's id or idempotency key. A rejected one's key goes to the request that is judged afresh.
CREATE FUNCTION batuta.known_task(wanted batuta.new_task) RETURNS batuta.task LANGUAGE plpgsql AS $$
DECLARE
  by_id batuta.task;
  by_key batuta.task;
BEGIN
  SELECT * INTO by_id FROM batuta.task WHERE id = wanted.id AND tenant = wanted.tenant FOR UPDATE;
  IF wanted.idempotency_key IS NULL OR (by_id.key IS NOT NULL AND by_id.outcome IS DISTINCT FROM 'rejected') THEN
    RETURN by_id;
  END IF;
  SELECT * INTO by_key FROM batuta.task
    WHERE idempotency_key = wanted.idempotency_key AND tenant = wanted.tenant FOR UPDATE;
  IF by_key.key IS NULL THEN RETURN by_id; END IF;
  IF by_key.outcome = 'rejected' AND by_key.id <> wanted.id THEN
    UPDATE batuta.task SET idempotency_key = NULL WHERE key = by_key.key;
    RETURN by_id;
  END IF;
  RETURN by_key;
END
$$;

-- One task, whatever it names.
CREATE FUNCTION batuta.submit_one(wanted batuta.new_task, moment bigint) RETURNS batuta.submitted LANGUAGE plpgsql AS $$
DECLARE
  is_full boolean := wanted.state <> 'rejected' AND batuta.waiting_of(wanted.tenant) >= wanted.waiting_max;
  known batuta.task := batuta.known_task(wanted);
  needed bigint[];
  missing text[];
  answer batuta.submitted;
BEGIN
  FOR tries IN 1..3 LOOP
    IF known.key IS NOT NULL AND known.outcome IS DISTINCT FROM 'rejected' THEN
      RETURN ROW(wanted.pos, CASE WHEN known.fingerprint = wanted.fingerprint THEN 'same' ELSE 'different' END,
        known.key, moment, NULL::text[])::batuta.submitted;
    END IF;
    IF is_full THEN RETURN ROW(wanted.pos, 'full', NULL, moment, NULL)::batuta.submitted; END IF;
    -- A rejected task waits for nothing, whatever it named.
    IF wanted.state = 'rejected' THEN wanted.depends_on := NULL; END IF;
    -- Whoever ends one of them meanwhile must see that this task waits.
    PERFORM FROM batuta.task WHERE id = ANY (wanted.depends_on) AND tenant = wanted.tenant ORDER BY key FOR SHARE;
    SELECT array_agg(t.key ORDER BY d.pos) FILTER (WHERE t.key IS NOT NULL),
      array_agg(d.id ORDER BY d.pos) FILTER (WHERE t.key IS NULL) INTO needed, missing
    FROM unnest(wanted.depends_on) WITH ORDINALITY d(id, pos)
    LEFT JOIN batuta.task t ON t.id = d.id AND t.tenant = wanted.tenant;
    IF missing IS NOT NULL THEN
      RETURN ROW(wanted.pos, 'unknown_dependency', NULL, moment, missing)::batuta.submitted;
    END IF;
    IF known.key IS NOT NULL THEN DELETE FROM batuta.task WHERE key = known.key; END IF;
    SELECT * INTO answer FROM batuta.submit_plain(json_build_array(wanted), moment);
    IF answer.key IS NOT NULL THEN
      PERFORM batuta.wait_for(answer.key, needed, moment);
      IF known.key IS NOT NULL THEN PERFORM batuta.take_place_of(known.key, known.ended_at, answer.key, moment); END IF;
      RETURN answer;
    END IF;
    -- Someone else was faster.
    known := batuta.known_task(wanted);
  END LOOP;
  RAISE EXCEPTION 'task % was neither new nor known', wanted.id;
END
$$;

-- Makes a task wait for others; it is looked at at once, as they may all have ended.
CREATE FUNCTION batuta.wait_for(waiter bigint, needed bigint[], moment bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF needed IS NULL THEN RETURN; END IF;
  INSERT INTO batuta.edge (dependency, dependent) SELECT unnest(needed), waiter ON CONFLICT DO NOTHING;
  INSERT INTO batuta.timer (due, kind, task) VALUES (moment, 'dependency', waiter);
END
$$;

-- Wakes the unfinished tasks that wait for this one; answers how many.
CREATE FUNCTION batuta.wake(ended bigint, moment bigint) RETURNS bigint LANGUAGE sql AS $$
  WITH woken AS (
    INSERT INTO batuta.timer (due, kind, task)
    SELECT moment, 'dependency', e.dependent FROM batuta.edge e JOIN batuta.task t ON t.key = e.dependent
    WHERE e.dependency = ended AND t.outcome IS NULL ORDER BY e.dependent RETURNING 1
  ) SELECT count(*) FROM woken
$$;

-- The new task takes the rejected one's dependents; the rejected one's events go.
CREATE FUNCTION batuta.take_place_of(old bigint, old_at bigint, new bigint, moment bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM batuta.event WHERE task = old;
  DELETE FROM batuta.ended WHERE task = old AND at = old_at;
  UPDATE batuta.edge SET dependency = new WHERE dependency = old;
  PERFORM batuta.wake(new, moment);
END
$$;

-- All tasks or none, should one of them not be accepted.
CREATE FUNCTION batuta.submit_atomic(tasks batuta.new_task[], moment bigint) RETURNS SETOF batuta.submitted
LANGUAGE plpgsql AS $$
DECLARE
  task batuta.new_task;
  answers batuta.submitted[] := '{}';
BEGIN
  BEGIN
    FOREACH task IN ARRAY tasks LOOP
      answers := answers || batuta.submit_one(task, moment);
    END LOOP;
    IF EXISTS (SELECT FROM unnest(answers) a WHERE a.status NOT IN ('created', 'same')) THEN
      RAISE EXCEPTION USING ERRCODE = 'BA001', MESSAGE = 'taken back';
    END IF;
  EXCEPTION WHEN SQLSTATE 'BA001' THEN
    RETURN QUERY SELECT a.pos, CASE WHEN a.status = 'created' OR a.status = 'same' AND t.key IS NULL
      THEN 'aborted' ELSE a.status END, a.key, a.at, a.unknown
      FROM unnest(answers) a LEFT JOIN batuta.task t ON t.key = a.key;
    RETURN;
  END;
  RETURN QUERY SELECT * FROM unnest(answers);
END
$$;

-- One group of tasks in order; of what kind it is says how it must be accepted.
CREATE FUNCTION batuta.submit_group(kind text, tasks json, moment bigint) RETURNS SETOF batuta.submitted LANGUAGE plpgsql
AS $$
DECLARE
  answers batuta.submitted[] := '{}';
  task batuta.new_task;
BEGIN
  IF kind = 'atomic' THEN
    RETURN QUERY SELECT * FROM batuta.submit_atomic(
      (SELECT array_agg(t ORDER BY t.pos) FROM json_populate_recordset(NULL::batuta.new_task, tasks) t), moment);
    RETURN;
  END IF;
  IF kind = 'plain' THEN
    SELECT array_agg(a) INTO answers FROM batuta.submit_plain(tasks, moment) a;
    RETURN QUERY SELECT * FROM unnest(answers);
    IF cardinality(answers) = json_array_length(tasks) THEN RETURN; END IF;
  END IF;
  FOR task IN SELECT t.* FROM json_populate_recordset(NULL::batuta.new_task, tasks) t
    WHERE NOT EXISTS (SELECT FROM unnest(answers) a WHERE a.pos = t.pos) ORDER BY t.pos LOOP
    RETURN NEXT batuta.submit_one(task, moment);
  END LOOP;
END
$$;

-- One group, which is what most calls come to.
CREATE FUNCTION batuta.submit(kind text, tasks json, given bigint) RETURNS SETOF batuta.submitted LANGUAGE sql
${LOOKUPS} AS $$
  SELECT * FROM batuta.submit_group(kind, tasks, batuta.moment(given))
$$;

-- Several groups, one after the other, at one instant.
CREATE FUNCTION batuta.submit_groups(groups json, given bigint) RETURNS SETOF batuta.submitted LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  moment bigint := batuta.moment(given);
  part record;
BEGIN
  FOR part IN SELECT value ->> 'kind' AS kind, value -> 'tasks' AS tasks FROM json_array_elements(groups) LOOP
    RETURN QUERY SELECT * FROM batuta.submit_group(part.kind, part.tasks, moment);
  END LOOP;
END
$$;
`;
