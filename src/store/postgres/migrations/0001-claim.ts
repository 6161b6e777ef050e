// Claims: taking tasks out of line and leasing them. Whoever holds the advisory lock of a queue's shard reads its line in order;
// who does not get it at once steps over the rows that others are taking.

import { LOOKUPS, ORDERED } from './lookups.ts';

/** Makes `claim` and what it is made of. */
export const CLAIM = `
CREATE TYPE batuta.pick AS (
  agent text, limit_count integer, lease_ms bigint, events text, tenant text,
  queues bigint[], requesters text[], from_ranks bigint[], from_tasks bigint[],
  memory_mb float8, cpu_cores float8, disk_mb float8, network_mbps float8, held json
);
CREATE TYPE batuta.candidate AS (
  queue bigint, requester text, rank bigint, task bigint, since bigint,
  memory_mb float8, cpu_cores float8, disk_mb float8, network_mbps float8, is_last boolean
);
CREATE TYPE batuta.chosen AS (pick integer, queue bigint, rank bigint, task bigint, overtook boolean);

-- The first tasks of each of a pick's queues, at most so many a queue, as one line. Alone, rows are only read; else each is
-- locked, and those that others have locked are stepped over.
CREATE FUNCTION batuta.line_of(p batuta.pick, page integer, alone boolean) RETURNS SETOF batuta.candidate
LANGUAGE plpgsql ${ORDERED} AS $$
BEGIN
  IF alone THEN
    RETURN QUERY SELECT q.queue, q.requester, r.rank, r.task, r.since, r.memory_mb, r.cpu_cores, r.disk_mb,
        r.network_mbps, row_number() OVER (PARTITION BY q.queue ORDER BY r.rank, r.task) = page
      FROM unnest(p.queues, p.requesters, p.from_ranks, p.from_tasks) q(queue, requester, from_rank, from_task)
      CROSS JOIN LATERAL (SELECT * FROM batuta.ready r WHERE r.queue = q.queue
        AND (r.rank, r.task) >= (q.from_rank, q.from_task) ORDER BY r.rank, r.task LIMIT page) r
      ORDER BY r.rank, r.task;
  ELSE
    RETURN QUERY SELECT q.queue, q.requester, r.rank, r.task, r.since, r.memory_mb, r.cpu_cores, r.disk_mb,
        r.network_mbps, row_number() OVER (PARTITION BY q.queue ORDER BY r.rank, r.task) = page
      FROM unnest(p.queues, p.requesters, p.from_ranks, p.from_tasks) q(queue, requester, from_rank, from_task)
      CROSS JOIN LATERAL (SELECT * FROM batuta.ready r WHERE r.queue = q.queue
        AND (r.rank, r.task) >= (q.from_rank, q.from_task) ORDER BY r.rank, r.task LIMIT page
        FOR UPDATE SKIP LOCKED) r
      ORDER BY r.rank, r.task;
  END IF;
END
$$;

-- Which of a line a pick gets: in order, what fits, nothing overtaken for over a minute, no requester with over half of the
-- busy slots while another waits. Null where the page was too short to know.
CREATE FUNCTION batuta.choose(p batuta.pick, line batuta.candidate[], shares jsonb, moment bigint, OUT places integer[],
  OUT passed integer, OUT shares_after jsonb) LANGUAGE plpgsql AS $$
DECLARE
  c batuta.candidate;
  at integer := 0;
  size integer := coalesce(cardinality(line), 0);
  next_of integer[];
  heads integer[];
  busy bigint;
  modest integer;
  foremost integer;
  h integer;
BEGIN
  places := '{}';
  passed := 0;
  shares_after := shares;
  IF shares IS NOT NULL THEN
    SELECT array_agg(n ORDER BY pos), array_agg(pos::integer ORDER BY pos) FILTER (WHERE is_first) INTO next_of, heads FROM (
      SELECT pos, lead(pos::integer) OVER w AS n, row_number() OVER w = 1 AS is_first
      FROM unnest(line) WITH ORDINALITY l(queue, requester, rank, task, since, m, cc, d, n, is_last, pos)
      WINDOW w AS (PARTITION BY requester ORDER BY pos)) s;
    SELECT coalesce(sum(value::bigint), 0) INTO busy FROM jsonb_each_text(shares);
  END IF;
  WHILE cardinality(places) < p.limit_count LOOP
    IF shares IS NULL THEN
      at := at + 1;
      EXIT WHEN at > size;
    ELSE
      modest := NULL;
      foremost := NULL;
      FOR i IN 1..coalesce(cardinality(heads), 0) LOOP
        h := heads[i];
        CONTINUE WHEN h IS NULL;
        IF foremost IS NULL OR h < heads[foremost] THEN foremost := i; END IF;
        IF coalesce((shares_after ->> line[h].requester)::bigint, 0) * 2 <= busy AND (modest IS NULL OR h < heads[modest])
          THEN modest := i; END IF;
      END LOOP;
      EXIT WHEN foremost IS NULL;
      foremost := coalesce(modest, foremost);
      at := heads[foremost];
      heads[foremost] := next_of[at];
    END IF;
    c := line[at];
    IF coalesce(c.memory_mb, 0) <= coalesce(p.memory_mb, 'Infinity') AND coalesce(c.cpu_cores, 0) <= coalesce(p.cpu_cores, 'Infinity')
      AND coalesce(c.disk_mb, 0) <= coalesce(p.disk_mb, 'Infinity')
      AND coalesce(c.network_mbps, 0) <= coalesce(p.network_mbps, 'Infinity') THEN
      p.memory_mb := p.memory_mb - coalesce(c.memory_mb, 0);
      p.cpu_cores := p.cpu_cores - coalesce(c.cpu_cores, 0);
      p.disk_mb := p.disk_mb - coalesce(c.disk_mb, 0);
      p.network_mbps := p.network_mbps - coalesce(c.network_mbps, 0);
      places := places || at;
      IF shares IS NOT NULL THEN
        shares_after := jsonb_set(shares_after, ARRAY[c.requester],
          to_jsonb(coalesce((shares_after ->> c.requester)::bigint, 0) + 1));
        busy := busy + 1;
      END IF;
    ELSE
      passed := passed + 1;
      EXIT WHEN passed >= 1000 OR moment - c.since > 60000;
    END IF;
    IF c.is_last AND cardinality(places) < p.limit_count THEN
      places := NULL;
      RETURN;
    END IF;
  END LOOP;
END
$$;

-- Takes a pick's tasks out of line.
CREATE FUNCTION batuta.take(p batuta.pick, number integer, alone boolean, moment bigint, INOUT shares jsonb,
  OUT taken batuta.chosen[]) LANGUAGE plpgsql AS $$
DECLARE
  page integer := p.limit_count + 1;
  line batuta.candidate[];
  choice record;
BEGIN
  LOOP
    SELECT array_agg(l) INTO line FROM batuta.line_of(p, page, alone) l;
    IF line IS NULL THEN RETURN; END IF;
    SELECT * INTO choice FROM batuta.choose(p, line, shares, moment);
    EXIT WHEN choice.places IS NOT NULL;
    page := page * 8;
  END LOOP;
  shares := choice.shares_after;
  WITH wanted AS (
    SELECT pos, (line[place]).queue, (line[place]).rank, (line[place]).task
    FROM unnest(choice.places) WITH ORDINALITY w(place, pos)
  ), gone AS (
    DELETE FROM batuta.ready r USING wanted w WHERE r.queue = w.queue AND r.rank = w.rank AND r.task = w.task
    RETURNING w.pos, r.queue, r.rank, r.task
  )
  SELECT array_agg(ROW(number, queue, rank, task, choice.passed > 0 OR NOT alone)::batuta.chosen ORDER BY pos) INTO taken FROM gone;
END
$$;

CREATE TYPE batuta.claimed AS (
  pick integer, queue bigint, rank bigint, overtook boolean, key bigint, tenant text, id text, execution_id text,
  version bigint, attempt bigint, created_at bigint, queued_at bigint, started_at bigint, ran_ms bigint, last_token bigint,
  spec text, result text, checkpoint text, token bigint, agent text, claimed_at bigint, expires_at bigint,
  deadline_at bigint, lease_version bigint
);

-- Leases what was taken out of line.
CREATE FUNCTION batuta.lease_all(taken batuta.chosen[], picks batuta.pick[], event_count integer, moment bigint)
RETURNS SETOF batuta.claimed LANGUAGE sql AS $$
  WITH source AS MATERIALIZED (
    SELECT nextval('batuta.token') AS token, s.* FROM (
      SELECT c.pick, c.queue, c.rank, c.overtook, p.agent, p.events, t.key, t.tenant, t.id, t.execution_id,
        t.version, t.attempt, t.created_at, t.queued_at, t.started_at, t.ran_ms, t.last_token, t.spec, t.result,
        t.checkpoint, t.memory_mb, t.cpu_cores, t.disk_mb, t.network_mbps, greatest(t.txn, (SELECT batuta.txn())) AS at_txn,
        moment + p.lease_ms AS expires_at,
        moment + least(greatest(0, t.timeout_ms - t.ran_ms), t.attempt_timeout_ms) AS deadline_at
      FROM unnest(taken) WITH ORDINALITY c(pick, queue, rank, task, overtook, pos)
      JOIN batuta.task t ON t.key = c.task
      JOIN unnest(picks) WITH ORDINALITY p(agent, limit_count, lease_ms, events, tenant, queues, requesters, from_ranks,
        from_tasks, memory_mb, cpu_cores, disk_mb, network_mbps, held, number) ON p.number = c.pick
      ORDER BY c.pos
    ) s
  ), leased AS (
    INSERT INTO batuta.lease (task, token, agent, queue, rank, claimed_at, expires_at, deadline_at, version, attempt,
      updated_at, memory_mb, cpu_cores, disk_mb, network_mbps, txn)
    SELECT key, token, agent, queue, rank, moment, expires_at, deadline_at, version + event_count, attempt + 1, moment,
      memory_mb, cpu_cores, disk_mb, network_mbps, at_txn
    FROM source
  ), told AS (
    INSERT INTO batuta.event (task, tenant, txn, seq, count, at, body)
    SELECT key, tenant, at_txn, version + 1, event_count, moment, replace(events, '"attempt":0', '"attempt":' || attempt + 1)
    FROM source ORDER BY token
  ), counted AS (
    INSERT INTO batuta.waiting (tenant, slot, tasks)
    SELECT tenant, pg_backend_pid() & 63, -count(*) FROM source GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant, slot) DO UPDATE SET tasks = waiting.tasks + excluded.tasks
  )
  SELECT pick, s.queue, s.rank, overtook, key, tenant, id, execution_id, s.version, attempt, created_at, queued_at, started_at,
    ran_ms, last_token, spec, result, checkpoint, token, agent, moment, expires_at, deadline_at, version + event_count
  FROM source s ORDER BY token
$$;

-- Takes tasks out of line for each pick, in turn, and leases them.
CREATE FUNCTION batuta.claim(wanted json, event_count integer, given bigint) RETURNS SETOF batuta.claimed LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  moment bigint := batuta.moment(given);
  picks batuta.pick[];
  alone boolean;
  shares jsonb := '{}';
  taken batuta.chosen[] := '{}';
  got record;
  told record;
BEGIN
  SELECT array_agg(p) INTO picks FROM json_populate_recordset(NULL::batuta.pick, wanted) p;
  SELECT bool_and(pg_try_advisory_xact_lock(7002, shard)) INTO alone FROM (
    SELECT DISTINCT (q % 64)::integer AS shard FROM unnest(picks) p, unnest(p.queues) q ORDER BY 1) s;
  FOR number IN 1..cardinality(picks) LOOP
    SELECT * INTO got FROM batuta.take(picks[number], number, alone, moment, CASE
      WHEN picks[number].held IS NOT NULL THEN coalesce(shares -> picks[number].tenant, picks[number].held::jsonb) END);
    IF got.shares IS NOT NULL THEN
      shares := jsonb_set(shares, ARRAY[picks[number].tenant], got.shares);
    END IF;
    taken := taken || coalesce(got.taken, '{}');
  END LOOP;
  IF cardinality(taken) = 0 THEN RETURN; END IF;
  RETURN QUERY SELECT * FROM batuta.lease_all(taken, picks, event_count, moment);
  -- Lanes are locked in one order by all, whatever the order of the line.
  PERFORM batuta.lock_lanes(l.key) FROM (SELECT t.key FROM unnest(taken) c JOIN batuta.task t ON t.key = c.task
    WHERE t.starts IS NOT NULL ORDER BY t.key) l;
  FOR told IN
    SELECT t.key, t.tenant, t.version, CASE t.attempt WHEN 0 THEN t.starts -> 'first' ELSE t.starts -> 'later' END AS news
    FROM unnest(taken) WITH ORDINALITY c(pick, queue, rank, task, overtook, pos) JOIN batuta.task t ON t.key = c.task
    WHERE t.starts IS NOT NULL ORDER BY c.pos
  LOOP
    PERFORM batuta.add_deliveries(told.key, told.tenant, told.version, told.news, moment);
  END LOOP;
END
$$;

-- Prolongs leases from now; answers each in order, null where the lease is lost.
CREATE FUNCTION batuta.renew(wanted json, given bigint) RETURNS SETOF bigint LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  moment bigint := batuta.moment(given);
BEGIN
  PERFORM FROM batuta.lease l WHERE l.task IN (SELECT (value ->> 'key')::bigint FROM json_array_elements(wanted))
    ORDER BY l.task FOR UPDATE;
  RETURN QUERY WITH w AS MATERIALIZED (
      SELECT pos, (value ->> 'key')::bigint AS key, (value ->> 'token')::bigint AS token,
        moment + (value ->> 'leaseMs')::bigint AS until, coalesce((value ->> 'deadlineMoreMs')::bigint, 0) AS more
      FROM json_array_elements(wanted) WITH ORDINALITY r(value, pos)
    ), summed AS (
      SELECT key, token, (array_agg(until ORDER BY pos DESC))[1] AS until, sum(more) AS more FROM w GROUP BY key, token
    ), kept AS (
      UPDATE batuta.lease l SET expires_at = w.until, deadline_at = l.deadline_at + w.more FROM summed w WHERE l.task = w.key AND l.token = w.token
      RETURNING l.task, l.token
    )
    SELECT CASE WHEN k.task IS NOT NULL THEN w.until END FROM w LEFT JOIN kept k ON k.task = w.key AND k.token = w.token
    ORDER BY w.pos;
END
$$;
`;
