// Notifications on their way out. All open deliveries of one task to one endpoint form a lane, and `next_at` is set on exactly
// those of them that may be sent. Who changes a task's lanes holds the task's advisory lock to the end of the transaction.

/** Makes the functions that queue, hand out and settle deliveries. */
export const DELIVERIES = `
CREATE FUNCTION batuta.lock_lanes(of_task bigint) RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(7001, (of_task % 2147483647)::integer)
$$;

-- Works out anew who of a lane may be sent: while one is under way only that one, once its sender is overdue; else all that
-- were tried before and the first that was not.
CREATE FUNCTION batuta.arrange(of_task bigint, to_endpoint text) RETURNS void LANGUAGE sql AS $$
  UPDATE batuta.delivery d SET next_at = w.next_at FROM (
    SELECT key, CASE WHEN bool_or(status = 'sending') OVER () THEN CASE status WHEN 'sending' THEN due_at END
      WHEN attempts <> '[]' OR row_number() OVER (PARTITION BY attempts = '[]' ORDER BY sequence, key) = 1 THEN due_at
      END AS next_at
    FROM batuta.delivery WHERE task = of_task AND endpoint = to_endpoint AND status IN ('pending', 'sending')
  ) w WHERE d.key = w.key AND d.next_at IS DISTINCT FROM w.next_at
$$;

CREATE FUNCTION batuta.is_end(event text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT event IN ('task_completed', 'task_failed', 'task_timeout', 'task_cancelled')
$$;

-- Queues a change's notifications, dropping unsent progress they overtake.
CREATE FUNCTION batuta.add_deliveries(of_task bigint, of_tenant text, version_before bigint, news json, moment bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  one record;
BEGIN
  PERFORM batuta.lock_lanes(of_task);
  FOR one IN
    SELECT coalesce(id, gen_random_uuid()::text) AS id, channel, endpoint, event,
      version_before + "eventIndex" + 1 AS sequence, coalesce("dueAt", moment) AS due_at
    FROM json_to_recordset(news) n(id text, channel text, endpoint text, event text, "eventIndex" bigint, "dueAt" bigint)
  LOOP
    IF one.event = 'task_progress' OR batuta.is_end(one.event) THEN
      UPDATE batuta.delivery SET status = 'dropped', next_at = NULL WHERE task = of_task AND endpoint = one.endpoint
        AND sequence < one.sequence AND status = 'pending' AND event = 'task_progress' AND redelivery_of IS NULL;
    END IF;
    INSERT INTO batuta.delivery (id, tenant, task, channel, endpoint, event, sequence, created_at, due_at)
    VALUES (one.id, of_tenant, of_task, one.channel, one.endpoint, one.event, one.sequence, moment, one.due_at);
    PERFORM batuta.arrange(of_task, one.endpoint);
  END LOOP;
END
$$;

-- Takes due deliveries for sending; of one lane at most one a call. Lanes that others are changing wait for the next call.
CREATE FUNCTION batuta.due_deliveries(limit_count integer, lease_ms bigint, given bigint) RETURNS SETOF bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
  moment bigint := batuta.moment(given);
  one record;
  mine batuta.delivery;
BEGIN
  FOR one IN
    SELECT key, task FROM batuta.delivery WHERE next_at IS NOT NULL AND next_at <= moment ORDER BY next_at, key LIMIT limit_count
  LOOP
    CONTINUE WHEN NOT pg_try_advisory_xact_lock(7001, (one.task % 2147483647)::integer);
    SELECT * INTO mine FROM batuta.delivery WHERE key = one.key AND next_at <= moment FOR UPDATE;
    CONTINUE WHEN mine.key IS NULL;
    IF NOT EXISTS (SELECT FROM batuta.event e JOIN batuta.task t ON t.key = e.task
      WHERE e.task = mine.task AND t.purged = 0 AND e.seq <= mine.sequence AND e.seq + e.count > mine.sequence) THEN
      UPDATE batuta.delivery SET status = 'dropped', next_at = NULL WHERE key = mine.key;
      PERFORM batuta.arrange(mine.task, mine.endpoint);
      CONTINUE;
    END IF;
    UPDATE batuta.delivery SET status = 'sending', due_at = moment + lease_ms WHERE key = mine.key;
    PERFORM batuta.arrange(mine.task, mine.endpoint);
    RETURN NEXT mine.key;
  END LOOP;
END
$$;

-- Records what came of sending; a delivery that has ended keeps its end.
CREATE FUNCTION batuta.settle_delivery(of_id text, attempt text, next_status text, due_in_ms bigint, moment bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  mine batuta.delivery;
  done text;
BEGIN
  SELECT * INTO mine FROM batuta.delivery WHERE id = of_id;
  IF mine.key IS NULL THEN RETURN; END IF;
  PERFORM batuta.lock_lanes(mine.task);
  SELECT * INTO mine FROM batuta.delivery WHERE id = of_id FOR UPDATE;
  IF mine.key IS NULL THEN RETURN; END IF;
  done := mine.attempts;
  IF attempt IS NOT NULL THEN
    done := CASE done WHEN '[]' THEN '[' || attempt || ']' ELSE left(done, -1) || ',' || attempt || ']' END;
  END IF;
  IF mine.status NOT IN ('pending', 'sending') THEN
    UPDATE batuta.delivery SET attempts = done, next_at = NULL WHERE key = mine.key;
    RETURN;
  END IF;
  IF next_status = 'pending' AND mine.event = 'task_progress' AND mine.redelivery_of IS NULL AND EXISTS (
    SELECT FROM batuta.delivery WHERE task = mine.task AND endpoint = mine.endpoint AND sequence > mine.sequence
      AND redelivery_of IS NULL AND (event = 'task_progress' OR batuta.is_end(event))) THEN
    next_status := 'dropped';
  END IF;
  UPDATE batuta.delivery SET status = next_status, attempts = done, next_at = NULL,
    due_at = CASE next_status WHEN 'pending' THEN moment + due_in_ms ELSE due_at END WHERE key = mine.key;
  PERFORM batuta.arrange(mine.task, mine.endpoint);
END
$$;

-- Settlements in order, each with the change that goes with it.
CREATE FUNCTION batuta.settle_deliveries(settlements json, given bigint) RETURNS SETOF batuta.committed LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
  moment bigint := batuta.moment(given);
  one record;
BEGIN
  FOR one IN SELECT * FROM json_to_recordset(settlements) s(id text, attempt text, status text, due_in_ms bigint, change json)
  LOOP
    PERFORM batuta.settle_delivery(one.id, one.attempt, one.status, one.due_in_ms, moment);
    IF one.change IS NOT NULL THEN
      RETURN QUERY SELECT * FROM batuta.commit(json_build_array(one.change), 1, given);
    END IF;
  END LOOP;
END
$$;

-- Queues copies, due at once, that remember the first delivery they go back to.
CREATE FUNCTION batuta.redeliver(copies json, given bigint) RETURNS void LANGUAGE plpgsql SET jit = off AS $$
DECLARE
  moment bigint := batuta.moment(given);
  one record;
  source batuta.delivery;
BEGIN
  FOR one IN SELECT * FROM json_to_recordset(copies) c(tenant text, "of" text, id text) LOOP
    SELECT * INTO source FROM batuta.delivery WHERE id = one.of AND tenant = one.tenant;
    CONTINUE WHEN source.key IS NULL;
    PERFORM batuta.lock_lanes(source.task);
    INSERT INTO batuta.delivery (id, tenant, task, channel, endpoint, event, sequence, created_at, due_at, redelivery_of)
    VALUES (one.id, source.tenant, source.task, source.channel, source.endpoint, source.event, source.sequence, moment,
      moment, coalesce(source.redelivery_of, source.id));
    PERFORM batuta.arrange(source.task, source.endpoint);
  END LOOP;
END
$$;
`;
