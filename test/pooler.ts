// A PgBouncer for tests.

import { existsSync } from 'node:fs';
import { absent } from './absent.ts';

/** Where Debian puts it. */
export const POOLER = '/usr/sbin/pgbouncer';

/** Why there is no PgBouncer for tests here, or false. */
export const poolerMissing: string | false = existsSync(POOLER) ? false : absent('no PgBouncer here');
