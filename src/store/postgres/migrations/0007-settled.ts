// Which transactions have ended, as the statement that asks sees it.

/**
 * Makes `settled_txn` tell of the moment whose rows its statement sees. Volatile, it told of a later one: what committed between the two was
 * passed by, for its transaction had ended and its rows were not seen.
 */
export const SETTLED = `
ALTER FUNCTION batuta.settled_txn() STABLE;
`;
