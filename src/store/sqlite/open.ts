// The two ways to open the SQLite store: for serving, with group commit, and with each verb a commit of its own, for simulation and tests.

export { openSqliteInProcess } from './in-process.ts';
export { openSqlite, type SqliteOptions } from './serving.ts';
