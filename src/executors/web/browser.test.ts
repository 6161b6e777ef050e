// Whether the tests of this machine have a browser; CI must.

import { findChromium } from './chromium.ts';

/** Where tests look for one. */
export const BROWSER_PATH = '/usr/bin:/usr/local/bin';

const chromium = await findChromium(null, BROWSER_PATH);

/** Why tests of the browser cannot run here. */
export const withoutBrowser: string | false =
  chromium === null && process.env.CI !== 'true' ? 'Chromium is not installed' : false;
