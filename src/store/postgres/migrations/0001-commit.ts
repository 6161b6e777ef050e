// Guarded changes: who may still change a task, and what one change writes. A round holds changes of tasks that differ.

import { LOOKUPS } from './lookups.ts';

/** Makes `commit` and what it is made of. */
export const COMMIT = `
CREATE TYPE batuta.change AS (
  pos integer, round integer, key bigint, token bigint, version bigint, event_count integer, events text, state text, outcome text,
  placement text, result text, progress text, checkpoint text, notification text, starts json, timers json,
  deliveries json, fired bigint
);
CREATE TYPE batuta.committed AS (
  pos integer, version bigint, at bigint, woken bigint, queue bigint, rank bigint, key bigint
);

-- True, or an error that takes the transaction back: a bug of whoever asked.
CREATE FUNCTION batuta.assert(holds boolean, claim text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF holds THEN RETURN true; END IF;
  RAISE EXCEPTION USING ERRCODE = 'BA002', MESSAGE = claim;
END
$$;

-- A specification with another notification plan in it.
CREATE FUNCTION batuta.with_plan(spec text, plan text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF plan IS NULL THEN RETURN spec; END IF;
  RETURN (SELECT '{' || string_agg(to_json(key)::text || ':' || value::text, ',') || '}' FROM (
    SELECT key, value FROM json_each(spec::json) WHERE key <> 'notification'
    UNION ALL SELECT 'notification', plan::json) fields);
END
$$;

-- Locks all that changes of these tasks may read or write, so that what the next statement sees stays true until the end:
-- of a leased task its lease, of any other its row and, against claims, its place in line.
CREATE FUNCTION batuta.lock_tasks(keys bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  leased bigint[];
BEGIN
  LOOP
    SELECT coalesce(array_agg(task), '{}') INTO leased FROM (
      SELECT task FROM batuta.lease WHERE task = ANY (keys) ORDER BY task FOR UPDATE) l;
    EXIT WHEN cardinality(leased) = cardinality(keys);
    PERFORM FROM batuta.task WHERE key = ANY (keys) AND key <> ALL (leased) ORDER BY key FOR NO KEY UPDATE;
    PERFORM FROM batuta.ready r WHERE (r.queue, r.rank, r.task) IN (
        SELECT t.queue, t.rank, t.key FROM batuta.task t WHERE t.key = ANY (keys) AND t.key <> ALL (leased))
      ORDER BY r.task FOR UPDATE;
    EXIT WHEN NOT EXISTS (SELECT FROM batuta.lease WHERE task = ANY (keys) AND task <> ALL (leased));
  END LOOP;
END
$$;

-- Applies the changes of one round whose guards hold; the tasks must be locked.
CREATE FUNCTION batuta.commit_round(changes batuta.change[], moment bigint) RETURNS SETOF batuta.committed
LANGUAGE sql AS $$
  WITH c AS MATERIALIZED (
    SELECT * FROM unnest(changes)
  ), held AS MATERIALIZED (
    SELECT c.*, t.tenant, l.version AS version_before, l.attempt, l.agent, l.token AS lease_token, l.claimed_at, l.queue, l.rank,
      l.memory_mb, l.cpu_cores, l.disk_mb, l.network_mbps, l.progress AS last_progress, l.checkpoint AS last_checkpoint,
      greatest(l.txn, (SELECT batuta.txn())) AS at_txn
    FROM c JOIN batuta.lease l ON l.task = c.key JOIN batuta.task t ON t.key = c.key
    WHERE c.token = l.token OR c.version = l.version
  ), resting AS MATERIALIZED (
    SELECT c.*, t.tenant, t.version AS version_before, t.queue, t.rank, t.memory_mb, t.cpu_cores, t.disk_mb, t.network_mbps,
      batuta.assert(c.outcome IS NULL OR t.outcome IS NULL, 'an outcome never changes'),
      greatest(t.txn, (SELECT batuta.txn())) AS at_txn
    FROM c JOIN batuta.task t ON t.key = c.key
    WHERE c.version = t.version AND NOT EXISTS (SELECT FROM batuta.lease l WHERE l.task = c.key)
  ), reported AS (
    UPDATE batuta.lease l SET version = version_before + event_count, updated_at = moment, txn = at_txn,
      progress = coalesce(h.progress, l.progress), checkpoint = coalesce(h.checkpoint, l.checkpoint)
    FROM held h WHERE l.task = h.key AND h.placement IS NULL
      AND batuta.assert(h.outcome IS NULL, 'a leased task ends only by leaving its lease')
  ), noted AS (
    UPDATE batuta.task t SET result = coalesce(h.result, t.result), starts = coalesce(h.starts, t.starts),
      spec = batuta.with_plan(t.spec, h.notification)
    FROM held h WHERE t.key = h.key AND h.placement IS NULL AND (h.result IS NOT NULL OR h.notification IS NOT NULL)
  ), freed AS (
    DELETE FROM batuta.lease l USING held h WHERE l.task = h.key AND h.placement IS NOT NULL
  ), rested AS (
    UPDATE batuta.task t SET state = h.state, outcome = h.outcome, version = version_before + event_count,
      attempt = h.attempt, started_at = coalesce(started_at, claimed_at),
      ended_at = CASE WHEN h.outcome IS NOT NULL THEN moment END, updated_at = moment,
      ran_ms = ran_ms + moment - claimed_at, agent = h.agent, last_token = lease_token, txn = at_txn,
      progress = coalesce(h.progress, last_progress), result = coalesce(h.result, t.result),
      checkpoint = coalesce(h.checkpoint, last_checkpoint, t.checkpoint), starts = coalesce(h.starts, t.starts),
      spec = batuta.with_plan(t.spec, h.notification)
    FROM held h WHERE t.key = h.key AND h.placement IS NOT NULL
  ), changed AS (
    UPDATE batuta.task t SET state = coalesce(r.state, t.state), outcome = coalesce(r.outcome, t.outcome),
      version = version_before + event_count,
      ended_at = coalesce(t.ended_at, CASE WHEN r.outcome IS NOT NULL THEN moment END), updated_at = moment, txn = at_txn,
      progress = coalesce(r.progress, t.progress), result = coalesce(r.result, t.result),
      checkpoint = coalesce(r.checkpoint, t.checkpoint), starts = coalesce(r.starts, t.starts),
      spec = batuta.with_plan(t.spec, r.notification)
    FROM resting r WHERE t.key = r.key
  ), gone AS (
    DELETE FROM batuta.ready w USING resting r WHERE w.queue = r.queue AND w.rank = r.rank AND w.task = r.key
      AND (r.outcome IS NOT NULL OR r.placement = 'nowhere')
  ), placed AS (
    INSERT INTO batuta.ready (queue, rank, task, since, memory_mb, cpu_cores, disk_mb, network_mbps)
    SELECT queue, rank, key, moment, memory_mb, cpu_cores, disk_mb, network_mbps FROM held WHERE placement = 'ready'
    UNION ALL
    SELECT queue, rank, key, moment, memory_mb, cpu_cores, disk_mb, network_mbps FROM resting
    WHERE placement = 'ready' AND queue IS NOT NULL
    ON CONFLICT DO NOTHING
  ), done AS MATERIALIZED (
    SELECT pos, key, tenant, version_before, event_count, events, timers, at_txn, queue, rank, placement FROM held
    UNION ALL
    SELECT pos, key, tenant, version_before, event_count, events, timers, at_txn, queue, rank, placement FROM resting
  ), told AS (
    INSERT INTO batuta.event (task, tenant, txn, seq, count, at, body)
    SELECT key, tenant, at_txn, version_before + 1, event_count, moment, events FROM done WHERE event_count > 0 ORDER BY pos
  ), timed AS (
    INSERT INTO batuta.timer (due, kind, task)
    SELECT moment + t."dueInMs", t.kind, key FROM done, json_to_recordset(timers) t(kind text, "dueInMs" bigint)
    WHERE timers IS NOT NULL
  ), ended AS (
    INSERT INTO batuta.ended (at, task)
    SELECT moment, key FROM held WHERE placement IS NOT NULL AND outcome IS NOT NULL
    UNION ALL SELECT moment, key FROM resting WHERE outcome IS NOT NULL
  ), counted AS (
    INSERT INTO batuta.waiting (tenant, slot, tasks)
    SELECT tenant, pg_backend_pid() & 63, sum(difference) FROM (
      SELECT tenant, 1 AS difference FROM held WHERE placement IS NOT NULL AND outcome IS NULL
      UNION ALL SELECT tenant, -1 FROM resting WHERE outcome IS NOT NULL) d GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant, slot) DO UPDATE SET tasks = waiting.tasks + excluded.tasks
  )
  SELECT pos, version_before + event_count, moment, 0::bigint, CASE placement WHEN 'ready' THEN queue END, rank, key FROM done
$$;

-- Changes in order, in so many rounds; answers for those that were not stale.
CREATE FUNCTION batuta.commit(wanted json, rounds integer, given bigint) RETURNS SETOF batuta.committed LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  moment bigint;
  every batuta.change[];
  changes batuta.change[];
  answers batuta.committed[];
  answer batuta.committed;
  one batuta.change;
  place integer;
  has_more boolean;
BEGIN
  SELECT array_agg(c ORDER BY c.pos) INTO every FROM json_populate_recordset(NULL::batuta.change, wanted) c;
  DELETE FROM batuta.timer WHERE id IN (SELECT fired FROM unnest(every) WHERE fired IS NOT NULL);
  PERFORM batuta.lock_tasks((SELECT array_agg(DISTINCT key) FROM unnest(every)));
  -- After the locks: what waited for another's change happened after it.
  moment := batuta.moment(given);
  changes := every;
  FOR number IN 1..rounds LOOP
    IF rounds > 1 THEN
      SELECT array_agg(c ORDER BY c.pos) INTO changes FROM unnest(every) c WHERE c.round = number;
    END IF;
    SELECT array_agg(a ORDER BY a.pos) INTO answers FROM batuta.commit_round(changes, moment) a;
    SELECT EXISTS (SELECT FROM unnest(changes) c JOIN batuta.edge e ON e.dependency = c.key WHERE c.outcome IS NOT NULL)
      OR EXISTS (SELECT FROM unnest(changes) c WHERE c.deliveries IS NOT NULL) INTO has_more;
    place := 1;
    FOREACH one IN ARRAY CASE WHEN has_more THEN changes ELSE '{}'::batuta.change[] END LOOP
      answer := answers[place];
      CONTINUE WHEN answer.pos IS DISTINCT FROM one.pos;
      IF one.deliveries IS NOT NULL THEN
        PERFORM batuta.add_deliveries(one.key, (SELECT tenant FROM batuta.task WHERE key = one.key),
          answer.version - one.event_count, one.deliveries, moment);
      END IF;
      IF one.outcome IS NOT NULL THEN
        answer.woken := batuta.wake(one.key, moment);
        answers[place] := answer;
      END IF;
      place := place + 1;
    END LOOP;
    RETURN QUERY SELECT * FROM unnest(answers);
  END LOOP;
END
$$;
`;
