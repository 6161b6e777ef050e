#!/usr/bin/env node
// npm run example -- <name> [--url URL] [arguments]: runs an example to its end. Starts a server for it, on a free port and in a temporary
// directory that are both gone afterwards; with --url the example meets the server there.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The examples, by the name of their folder. */
const EXAMPLES: Readonly<
  Record<
    string,
    {
      readonly script: string;
      readonly shows: string;
      readonly settings?: Readonly<Record<string, string>>;
    }
  >
> = {
  'hello-worker': { script: 'hello.ts', shows: 'a task type of your own' },
  'nightly-report': { script: 'nightly.ts', shows: 'a CSV in, a report out' },
  'press-release': { script: 'release.ts', shows: 'a model writes, a human approves, a page is published' },
  'ticket-triage': { script: 'triage.ts', shows: 'fans out over 1,000 tickets and joins what came of them' },
  'crm-sync': { script: 'sync.ts', shows: 'brings what changed from one API to another, night after night' },
  watchtower: { script: 'watch.ts', shows: 'watches over services and tells when they change' },
  'research-team': { script: 'team.ts', shows: 'four agents, each a process, write a report by messages' },
  blog: { script: 'post.ts', shows: 'plans, writes, reviews and publishes a post by messages' },
  pipeline: {
    script: 'pipeline.ts',
    shows: 'streams a log through three processes, one of them killed',
    // Whoever is killed is missed after so long.
    settings: { BATUTA_LEASE_MS: '2500' },
  },
  'shop-prices': { script: 'prices.ts', shows: 'scrapes a shop page by page into Parquet and adds it up' },
};

/** What the far ends that examples bring along need of a server: they are on this machine, and one of them is a model. */
const SETTINGS = {
  BATUTA_ALLOW_PRIVATE_TARGETS: '127.0.0.1',
  BATUTA_MODEL_BY_TENANTS: 'true',
  BATUTA_RATE_LIMITS: 'off',
  BATUTA_LOG_LEVEL: 'error',
};
const SERVER = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const STOP_MS_MAX = 10_000;

const [name = '', ...given] = process.argv.slice(2);
const { url, args } = withoutUrl(given);
const example = EXAMPLES[name];
if (example === undefined) {
  const lines = Object.entries(EXAMPLES).map(([one, { shows }]) => `  ${one.padEnd(18)}${shows}`);
  console.error(
    ['npm run example -- <name> [--url URL] [arguments]', '', ...lines, '', 'The demo: npm run demo'].join(
      '\n',
    ),
  );
  process.exit(2);
}

await using resources = new AsyncDisposableStack();
let running: ChildProcess | null = null;
// Whoever has had enough of the example has had enough of its server, but not before it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (running !== null) running.kill(signal);
    else void resources.disposeAsync().finally(() => process.exit(codeOf(signal)));
  });
const environment = url === null ? await ownServer(resources, example.settings) : serverAt(url, resources);
const script = fileURLToPath(new URL(`${name}/${example.script}`, import.meta.url));
running = spawn(process.execPath, [script, ...args], {
  env: { ...process.env, ...environment },
  stdio: 'inherit',
});
const [exitCode, signal] = await once(running, 'exit');
process.exitCode = exitCode ?? codeOf(signal);

/** As a shell tells of who was ended by a signal. */
function codeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** What tells an example of the server there, whose key is in the environment or was left in a data directory. */
function serverAt(there: string, started: AsyncDisposableStack): Readonly<Record<string, string>> {
  const { BATUTA_API_KEY: key, BATUTA_API_SECRET: secret } = process.env;
  if (key === undefined || secret === undefined) return { BATUTA_URL: there };
  const dataDir = temporaryDirectory(started);
  const login = JSON.stringify({ url: there, api_key: key, api_secret: secret });
  writeFileSync(join(dataDir, 'credentials.json'), login, { mode: 0o600 });
  return { BATUTA_URL: there, BATUTA_DATA: dataDir };
}

function temporaryDirectory(started: AsyncDisposableStack): string {
  const path = mkdtempSync(join(tmpdir(), 'batuta-example-'));
  started.defer(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** Starts a server that is stopped with the resources; answers what tells an example of it. */
async function ownServer(
  started: AsyncDisposableStack,
  settings: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, string>>> {
  const dataDir = temporaryDirectory(started);
  const inherited = Object.entries(process.env).filter(([setting]) => !setting.startsWith('BATUTA_'));
  const server = spawn(process.execPath, [SERVER, 'serve', '--json'], {
    env: {
      ...{ ...Object.fromEntries(inherited), ...SETTINGS, ...settings },
      ...{ BATUTA_PORT: '0', BATUTA_DATA: dataDir },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(server, 'exit');
  started.defer(async () => {
    const late = setTimeout(() => server.kill('SIGKILL'), STOP_MS_MAX);
    server.kill();
    await exited;
    clearTimeout(late);
  });
  const [said] = await Promise.race([once(createInterface({ input: server.stdout }), 'line'), exited]);
  if (typeof said !== 'string') throw new Error('the server did not start');
  const { api_key: key, api_secret: secret } = JSON.parse(
    readFileSync(join(dataDir, 'credentials.json'), 'utf8'),
  );
  return {
    BATUTA_URL: JSON.parse(said).url,
    BATUTA_API_KEY: key,
    BATUTA_API_SECRET: secret,
    BATUTA_DATA: dataDir,
  };
}

/** The arguments without `--url`, and what it says. */
function withoutUrl(all: readonly string[]): {
  readonly url: string | null;
  readonly args: readonly string[];
} {
  const at = all.indexOf('--url');
  if (at < 0) return { url: null, args: all };
  const value = all[at + 1];
  if (value === undefined) throw new Error('--url needs an address, as http://127.0.0.1:8400');
  return { url: value, args: all.toSpliced(at, 2) };
}
