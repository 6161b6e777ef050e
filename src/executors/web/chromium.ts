// Where Chromium is, how it can be confined on this host, and the arguments it runs with.

import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { BrowserLaunch } from './driver/messages.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const DIRECTORIES = ['/usr/bin', '/usr/local/bin', '/bin', '/snap/bin', '/opt/google/chrome'];
const MAC = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const FEATURES_OFF = [
  'AimEnabled',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'HttpsFirstBalancedModeAutoEnable',
  'HttpsUpgrades',
  'MediaRouter',
  'NetworkTimeServiceQuerying',
  'OptimizationHints',
  'PaintHolding',
  'PreconnectToSearch',
  'Translate',
];

/** How a browser is kept apart from the server, strongest first: Chromium's own sandbox, a user of its own, both, or neither. */
export type Confinement = 'user_and_sandbox' | 'sandbox' | 'user' | 'none';

/** Whether the browser runs under a user id of its own. */
export function hasUser(confinement: Confinement): boolean {
  return confinement === 'user_and_sandbox' || confinement === 'user';
}

/** What a browser is given of this host. */
export interface BrowserPlace {
  readonly profile: string;
  readonly downloads: string;
  /** A user id that is its alone, where it has a user of its own. */
  readonly uid: number;
  /** An entry of its environment, as `NAME=value`. */
  readonly mark: string;
}

/** The browser to use: as configured, else the first of the usual names on the path; null where there is none that can be run. */
export async function findChromium(configured: string | null, path: string): Promise<string | null> {
  if (configured !== null) return (await isExecutable(configured)) ? configured : null;
  const directories = [
    ...new Set([...path.split(delimiter).filter(part => part.startsWith('/')), ...DIRECTORIES]),
  ];
  const places = NAMES.flatMap(name => directories.map(directory => join(directory, name)));
  for (const place of [...places, ...(process.platform === 'darwin' ? MAC : [])])
    if (await isExecutable(place)) return place;
  return null;
}

/**
 * The ways to confine a browser here, to be tried in order. Without its own sandbox and without a user of its own a browser could read
 * what the server can, so that way is taken only where the operator allows it.
 */
export function confinements(options: {
  readonly isRoot: boolean;
  readonly hasSetpriv: boolean;
  readonly allowNone: boolean;
}): readonly Confinement[] {
  const { isRoot, hasSetpriv, allowNone } = options;
  const none: readonly Confinement[] = allowNone ? ['none'] : [];
  if (!isRoot) return ['sandbox', ...none];
  return hasSetpriv ? ['user_and_sandbox', 'user'] : none;
}

/** The command that starts the browser, all of its traffic bound for a proxy that only a context can name. */
export function launchOf(
  executable: string,
  setpriv: string | null,
  confinement: Confinement,
  place: BrowserPlace,
): BrowserLaunch {
  const browser = browserArguments(place, confinement === 'user_and_sandbox' || confinement === 'sandbox');
  const [name = '', value = ''] = place.mark.split('=');
  const common = {
    environment: {
      HOME: place.profile,
      TMPDIR: place.profile,
      PATH: DIRECTORIES.slice(0, 3).join(delimiter),
      LANG: 'C.UTF-8',
      [name]: value,
    },
    downloads: place.downloads,
  };
  if (setpriv === null) return { executable, arguments: browser, ...common };
  const user = [`--reuid=${place.uid}`, `--regid=${place.uid}`, '--clear-groups', '--bounding-set=-all'];
  // A server that is killed takes its browsers with it, as does a thread that ends.
  const rights = [
    '--pdeathsig=KILL',
    '--inh-caps=-all',
    '--no-new-privs',
    ...(hasUser(confinement) ? user : []),
  ];
  return { executable: setpriv, arguments: [...rights, '--', executable, ...browser], ...common };
}

/** Where setpriv (util-linux) is, or null. */
export async function findSetpriv(): Promise<string | null> {
  for (const directory of DIRECTORIES.slice(0, 3)) {
    const path = join(directory, 'setpriv');
    if (await isExecutable(path)) return path;
  }
  return null;
}

function browserArguments({ profile }: BrowserPlace, sandboxed: boolean): readonly string[] {
  return [
    '--headless',
    ...(sandboxed ? [] : ['--no-sandbox']),
    // Nothing of its own over the network, and nothing past the proxy: a job's context names the real one, port 9 is nobody.
    '--proxy-server=http://127.0.0.1:9',
    '--proxy-bypass-list=<-loopback>',
    '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
    '--force-webrtc-ip-handling-policy=disable_non_proxied_udp',
    '--webrtc-ip-handling-policy=disable_non_proxied_udp',
    '--disable-quic',
    '--dns-prefetch-disable',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-default-apps',
    '--disable-domain-reliability',
    '--disable-sync',
    '--metrics-recording-only',
    '--no-pings',
    // As Playwright starts it.
    '--allow-pre-commit-input',
    '--disable-back-forward-cache',
    '--disable-background-timer-throttling',
    '--disable-backgrounding-occluded-windows',
    '--disable-breakpad',
    '--disable-crash-reporter',
    '--disable-component-extensions-with-background-pages',
    '--disable-dev-shm-usage',
    '--disable-extensions',
    `--disable-features=${FEATURES_OFF.join(',')}`,
    '--disable-field-trial-config',
    '--disable-gpu',
    '--disable-hang-monitor',
    '--disable-infobars',
    '--disable-popup-blocking',
    '--disable-prompt-on-repost',
    '--disable-renderer-backgrounding',
    '--disable-search-engine-choice-screen',
    '--force-color-profile=srgb',
    '--hide-scrollbars',
    '--mute-audio',
    '--no-default-browser-check',
    '--no-first-run',
    '--no-service-autorun',
    '--password-store=basic',
    '--use-mock-keychain',
    `--user-data-dir=${profile}`,
    '--remote-debugging-pipe',
    '--no-startup-window',
  ];
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
