// What a test needs and this machine lacks.

import { environment } from '../src/app/config.ts';

/** The reason to skip, said aloud; throws in CI, where everything that tests need is installed. */
export function absent(reason: string): string {
  if (environment.CI === 'true') throw new Error(`CI must have it: ${reason}`);
  console.error(`\n*** SKIPPED, ${reason} ***\n`);
  return reason;
}
