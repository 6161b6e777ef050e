// Plans that are kept. A function of plain SQL is planned anew at every call, which for the long statements of the hot verbs costs
// as much as a third of running them; one of PL/pgSQL keeps its plans for as long as its connection lives.

import { LOOKUPS_ONCE } from './lookups.ts';

/** Makes PL/pgSQL of the hot verbs' functions that answer rows, their statements as they are. */
export const KEPT_PLANS = `
DO $do$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT p.oid::regprocedure AS name, p.proname, p.prosrc AS statement, pg_get_function_arguments(p.oid) AS arguments,
      pg_get_function_result(p.oid) AS result
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = 'batuta'::regnamespace AND l.lanname = 'sql'
      AND p.proname IN ('submit', 'submit_plain', 'commit_round', 'lease_all') LOOP
    EXECUTE format('CREATE OR REPLACE FUNCTION batuta.%I(%s) RETURNS %s LANGUAGE plpgsql ${LOOKUPS_ONCE} AS %L',
      f.proname, f.arguments, f.result,
      format(E'#variable_conflict use_column\\nBEGIN\\n  RETURN QUERY %s;\\nEND', f.statement));
  END LOOP;
END
$do$;
`;
