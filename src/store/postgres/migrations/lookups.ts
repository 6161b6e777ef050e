// How the functions of the hot verbs are planned. Their plans are kept for as long as a connection lives and may be made while the
// tables are empty, when reading all of one looks as cheap as looking up a few rows, and stay so when there are a million.

/**
 * Leaves the planner nothing but to look up each row by its key: a bitmap scan needs a condition on the index, so no plan can read
 * all of a table. What is no table may be joined by hash.
 */
export const LOOKUPS = `SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off
  SET enable_mergejoin = off SET jit = off`;

/** Leaves the planner nothing but to read in the order of an index. */
export const ORDERED = `SET enable_seqscan = off SET enable_indexscan = on SET enable_bitmapscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off`;

/** The same for functions whose statements are many and small, planned once whatever they are asked: to plan one anew costs more than to run it. */
export const ORDERED_ONCE = `${ORDERED} SET plan_cache_mode = force_generic_plan`;

/** Leaves the planner nothing but lookups, once for whatever is asked. */
export const LOOKUPS_ONCE = `${LOOKUPS} SET plan_cache_mode = force_generic_plan`;
