// The order of the schema's steps. Forward only: a step, once released, is never edited, and a function, once released, keeps
// meaning what it meant, so that programs of adjacent versions run side by side.

import { CLAIM } from './0001-claim.ts';
import { COMMIT } from './0001-commit.ts';
import { DELIVERIES } from './0001-deliveries.ts';
import { MOMENTS } from './0001-moments.ts';
import { WRITES } from './0001-records.ts';
import { SUBMIT } from './0001-submit.ts';
import { RECORDS, TABLES } from './0001-tables.ts';
import { BLOBS } from './0002-blobs.ts';
import { MAIL_ENDS } from './0003-mail-ends.ts';
import { MAIL_LINES } from './0003-mail-lines.ts';
import { MAIL_TABLES } from './0003-mail-tables.ts';
import { MAIL_VERBS } from './0003-mail-verbs.ts';
import { MEMORY } from './0004-memory.ts';
import { HEIRS } from './0005-heirs.ts';
import { COMMIT_KEEPING } from './0006-commit-keeping.ts';
import { SETTLED } from './0007-settled.ts';
import { KEPT_PLANS } from './0008-kept-plans.ts';

/** One step of the schema. */
export interface Migration {
  readonly sql: string;
  /** The number of steps a program must know at least to work on the schema after this one. */
  readonly programMin: number;
}

/** Schema version n is the first n steps applied in order. */
export const MIGRATIONS: readonly Migration[] = [
  { sql: [TABLES, RECORDS, MOMENTS, SUBMIT, COMMIT, DELIVERIES, CLAIM, WRITES].join('\n'), programMin: 1 },
  { sql: BLOBS, programMin: 1 },
  { sql: [MAIL_TABLES, MAIL_LINES, MAIL_VERBS, MAIL_ENDS].join('\n'), programMin: 1 },
  { sql: MEMORY, programMin: 1 },
  { sql: HEIRS, programMin: 1 },
  { sql: COMMIT_KEEPING, programMin: 1 },
  { sql: SETTLED, programMin: 1 },
  { sql: KEPT_PLANS, programMin: 1 },
];
