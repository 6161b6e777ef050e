// The two ways to open the SQLite store: in threads of its own, for serving, and in the caller's, for simulation and tests.

export { openSqliteInProcess } from './in-process.ts';
export { openSqlite, type SqliteOptions } from './threaded.ts';
