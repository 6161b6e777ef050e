// The two ways to open the SQLite store: in a thread of its own, for serving, and in the caller's, for simulation and tests.

export { openSqliteInProcess } from './in-process.ts';
export { openSqlite, type SqliteOptions } from './thread.ts';
