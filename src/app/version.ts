// What this is called and which version it is, read from the package itself.

import { readFileSync } from 'node:fs';

/** The package's version. */
export const VERSION: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version;
