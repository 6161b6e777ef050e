// Leases that pass from one holder to another in a change: the attempt goes on, its token is new.

import { LOOKUPS } from './lookups.ts';

/** Lets changes name an heir; what names none means what it meant. */
export const HEIRS = `
ALTER TYPE batuta.change ADD ATTRIBUTE heir text, ADD ATTRIBUTE heir_ms bigint;

-- Changes in order, in so many rounds; answers for those that were not stale.
CREATE OR REPLACE FUNCTION batuta.commit(wanted json, rounds integer, given bigint) RETURNS SETOF batuta.committed LANGUAGE plpgsql
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
  has_heirs boolean;
BEGIN
  SELECT array_agg(c ORDER BY c.pos) INTO every FROM json_populate_recordset(NULL::batuta.change, wanted) c;
  DELETE FROM batuta.timer WHERE id IN (SELECT fired FROM unnest(every) WHERE fired IS NOT NULL);
  PERFORM batuta.lock_tasks((SELECT array_agg(DISTINCT key) FROM unnest(every)));
  -- After the locks: what waited for another's change happened after it.
  moment := batuta.moment(given);
  changes := every;
  SELECT EXISTS (SELECT FROM unnest(every) WHERE heir IS NOT NULL) INTO has_heirs;
  FOR number IN 1..rounds LOOP
    IF rounds > 1 THEN
      SELECT array_agg(c ORDER BY c.pos) INTO changes FROM unnest(every) c WHERE c.round = number;
    END IF;
    SELECT array_agg(a ORDER BY a.pos) INTO answers FROM batuta.commit_round(changes, moment) a;
    IF has_heirs THEN
      UPDATE batuta.lease l SET token = nextval('batuta.token'), agent = c.heir, expires_at = moment + c.heir_ms
      FROM unnest(changes) c JOIN unnest(answers) a ON a.pos = c.pos WHERE c.heir IS NOT NULL AND l.task = c.key;
    END IF;
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
