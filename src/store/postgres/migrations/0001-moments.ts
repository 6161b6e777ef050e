// What all other functions stand on: the instant, the order of transactions, the parts of the event log, and counts in slots.

/** Makes the functions that name instants and transactions, and those that keep partitions and counts. */
export const MOMENTS = `
-- The database's clock in epoch milliseconds, unless a test brings its own.
CREATE FUNCTION batuta.moment(given bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;

-- The place of this transaction among all of this database: grows with every one, restored dumps included.
CREATE FUNCTION batuta.txn() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT txn_base + pg_current_xact_id()::text::bigint FROM batuta.meta
$$;

-- Every transaction below this place has ended.
CREATE FUNCTION batuta.settled_txn() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT txn_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM batuta.meta
$$;

-- Makes the partitions of the week of an instant and of the one after it. What finds none goes to the rest.
CREATE FUNCTION batuta.partition_ahead(moment bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  week_ms constant bigint := 604800000;
  week bigint;
BEGIN
  FOR week IN SELECT moment / week_ms + ahead FROM generate_series(0, 1) ahead LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relnamespace = 'batuta'::regnamespace AND relname = 'event_' || week);
    PERFORM pg_advisory_xact_lock(7000, 2);
    -- Asked of the table, not of a cache that may not have heard of it yet.
    CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relnamespace = 'batuta'::regnamespace AND relname = 'event_' || week);
    BEGIN
      EXECUTE format('CREATE TABLE batuta.event_%s PARTITION OF batuta.event FOR VALUES FROM (%s) TO (%s)',
        week, week * week_ms, (week + 1) * week_ms);
    EXCEPTION WHEN check_violation THEN
      -- Its rows went to the rest already, and may stay there.
      NULL;
    END;
  END LOOP;
END
$$;

-- Adds to a tenant's count of waiting tasks, in a slot that no other connection is likely to be writing.
CREATE FUNCTION batuta.count_waiting(of_tenant text, difference bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO batuta.waiting (tenant, slot, tasks) VALUES (of_tenant, pg_backend_pid() & 63, difference)
  ON CONFLICT (tenant, slot) DO UPDATE SET tasks = waiting.tasks + excluded.tasks
$$;

CREATE FUNCTION batuta.waiting_of(of_tenant text) RETURNS bigint LANGUAGE sql AS $$
  SELECT coalesce(sum(tasks), 0)::bigint FROM batuta.waiting WHERE tenant = of_tenant
$$;

-- Ids of queues by name, made where there were none, in the order asked.
CREATE FUNCTION batuta.intern(names json) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO batuta.queue (name, tenant, work_type)
  SELECT n.name, n.tenant, n.work_type FROM json_to_recordset(names) n(name text, tenant text, work_type text)
  ORDER BY n.name ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT q.id FROM json_array_elements(names) WITH ORDINALITY n(body, pos)
    JOIN batuta.queue q ON md5(q.name) = md5(n.body ->> 'name') ORDER BY n.pos;
END
$$;
`;
