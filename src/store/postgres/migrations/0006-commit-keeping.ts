// Guarded changes with a record each: the task and the record change together, or neither does.

/** Makes `commit_keeping`. */
export const COMMIT_KEEPING = `
CREATE TYPE batuta.committed_keeping AS (
  pos integer, version bigint, at bigint, woken bigint, queue bigint, rank bigint, key bigint,
  refused text, record_version bigint, full_of text, records bigint, chunks bigint, bytes bigint
);

-- Changes in order, one by one, each with what it writes to the memory, if anything; answers for those that were not stale. What is
-- refused takes back all of its change, and of that alone.
CREATE FUNCTION batuta.commit_keeping(wanted json, given bigint) RETURNS SETOF batuta.committed_keeping LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
  one record;
  done batuta.committed;
  kept record;
  answer batuta.committed_keeping;
BEGIN
  -- In the order in which every change takes its locks: timers, tasks, then memories.
  DELETE FROM batuta.timer WHERE id IN (
    SELECT (w.change ->> 'fired')::bigint FROM json_to_recordset(wanted) w(change json) WHERE w.change ->> 'fired' IS NOT NULL);
  PERFORM batuta.lock_tasks(ARRAY(
    SELECT DISTINCT (w.change ->> 'key')::bigint FROM json_to_recordset(wanted) w(change json)));
  PERFORM batuta.lock_memory(ARRAY(
    SELECT w.write ->> 'tenant' FROM json_to_recordset(wanted) w(write json) WHERE w.write IS NOT NULL));
  FOR one IN SELECT * FROM json_to_recordset(wanted) w(change json, write json) ORDER BY (w.change ->> 'pos')::integer LOOP
    answer := NULL;
    kept := NULL;
    BEGIN
      SELECT c.* INTO done FROM batuta.commit(json_build_array(one.change), 1, given) c;
      CONTINUE WHEN done.pos IS NULL;
      IF one.write IS NOT NULL THEN
        SELECT p.* INTO kept FROM batuta.put_memory(json_build_array(one.write), given) p;
        IF kept.status NOT IN ('stored', 'removed') THEN
          RAISE EXCEPTION USING ERRCODE = 'BA003', MESSAGE = 'the record of a change cannot be kept';
        END IF;
      END IF;
      answer.pos := done.pos; answer.version := done.version; answer.at := done.at; answer.woken := done.woken;
      answer.queue := done.queue; answer.rank := done.rank; answer.key := done.key;
    EXCEPTION WHEN SQLSTATE 'BA003' THEN
      -- What was read into variables stays, though what was written is gone.
      answer.pos := done.pos; answer.refused := kept.status; answer.record_version := kept.version;
      answer.full_of := kept.full_of; answer.records := kept.records; answer.chunks := kept.chunks; answer.bytes := kept.bytes;
    END;
    RETURN NEXT answer;
  END LOOP;
END
$$;
`;
