// The order of the schema's steps. Forward only: a step, once released, is never edited.

import { FOUNDATION } from './0001-foundation.ts';
import { MAIL } from './0002-mail.ts';
import { MEMORY } from './0003-memory.ts';

/** SQL of each schema version; version n is the first n steps applied in order. */
export const MIGRATIONS: readonly string[] = [FOUNDATION, MAIL, MEMORY];
