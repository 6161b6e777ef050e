// Whether the tests of this machine have a browser; CI must.

import { absent } from '../../../test/absent.ts';
import { findChromium } from './chromium.ts';

/** Where tests look for one. */
export const BROWSER_PATH = '/usr/bin:/usr/local/bin';

const chromium = await findChromium(null, BROWSER_PATH);

/** Why tests of the browser cannot run here. */
export const withoutBrowser: string | false = chromium === null ? absent('Chromium is not installed') : false;
