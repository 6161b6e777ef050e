// What `batuta doctor` learns of this machine: whether a server with these settings would start here, and what it could run. Looks
// and tries, changes nothing; what works is found out by doing it, not concluded from names and versions.

import { constants, existsSync, statSync } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { DomainError } from '../domain/errors.ts';
import { parsePrivateTargets } from '../guards/outbound.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { type Config, type ConfigSources, loadConfig } from './config.ts';
import { CREDENTIALS_FILE, KEYS_FILE } from './credentials.ts';
import { examineDatabase } from './examine-database.ts';
import { examineTaskTypes, type Finding, wordsOf } from './examine-types.ts';
import { embedded } from './registry.ts';
import { VERSION } from './version.ts';

/** Where settings come from, in the words of the command line. */
export interface ExamineSources {
  readonly environment: ConfigSources['environment'];
  readonly flags: ConfigSources['flags'] & { readonly configFile?: string };
}

const NODE_MAJOR = 26;
const MB = 1_048_576;
const FREE_MB = { failed: 100, warning: 1_024 };
const ANSWER_MS = 2_000;
/** No server of this program ever ran before. */
const CLOCK_LEAST = Date.UTC(2026, 0, 1);
const CLOCK_BEHIND_MS = 60_000;

/** Looks at everything a server of these settings needs, and tries what it could run; never throws for what it finds. */
export async function examineHost(sources: ExamineSources): Promise<readonly Finding[]> {
  const installation = await examineInstallation(sources);
  return [...installation, ...(await examineTaskTypes(settings(sources).config))];
}

/** Looks at settings, files, clock and port alone: quick, and without starting anything. */
export async function examineInstallation(
  sources: ExamineSources,
  clock: Clock = systemClock,
): Promise<readonly Finding[]> {
  const { config, findings } = settings(sources);
  return [
    node(),
    ...findings,
    ...(await dataDirectory(config.dataDir)),
    ...keys(config.dataDir),
    ...(await database(config, clock.now())),
    await port(config, clock),
  ];
}

function node(): Finding {
  const version = process.versions.node;
  const isOld = Number(version.split('.')[0]) < NODE_MAJOR;
  return {
    name: 'node',
    state: isOld ? 'failed' : 'ok',
    detail: `Node ${version}, Batuta ${VERSION}`,
    ...(isOld ? { hint: `Node ${NODE_MAJOR} or later is needed; npm ci brings one on Linux` } : {}),
  };
}

/** Tries every setting by itself, so that all wrong ones are told; answers the configuration of the right ones. */
function settings({ environment, flags: { configFile, ...flags } }: ExamineSources) {
  const named = Object.entries(environment).filter(([name]) => name.startsWith('BATUTA_'));
  const wrong = new Map(
    named.flatMap(([name, value]) => {
      const fault = faultOf(() => check({ environment: { [name]: value } }));
      return fault === null ? [] : [[name, fault] as const];
    }),
  );
  const right = Object.fromEntries(named.filter(([name]) => !wrong.has(name)));
  const file = configFile === undefined ? {} : { file: configFile };
  const attempts: readonly ConfigSources[] = [
    { environment: right, flags, ...file },
    { environment: right, flags },
    { environment: right },
  ];
  const faults = [...wrong.values()];
  for (const sources of attempts) {
    const fault = faultOf(() => check(sources));
    if (fault !== null) faults.push(fault);
    else
      return { config: loadConfig(sources), findings: faults.length > 0 ? faults : [allRight(named.length)] };
  }
  return { config: loadConfig({ environment: {} }), findings: faults };
}

function check(sources: ConfigSources): void {
  parsePrivateTargets(loadConfig(sources).allowPrivateTargets);
}

function allRight(count: number): Finding {
  return { name: 'settings', state: 'ok', detail: `${count} from the environment, all valid` };
}

function faultOf(load: () => void): Finding | null {
  try {
    load();
    return null;
  } catch (error) {
    const suggestion = error instanceof DomainError ? error.details.suggestion : undefined;
    const hint = typeof suggestion === 'string' ? `rename it to ${suggestion}` : 'mend it, or leave it out';
    return { name: 'settings', state: 'failed', detail: wordsOf(error), hint };
  }
}

async function dataDirectory(dataDir: string): Promise<readonly Finding[]> {
  const name = 'data directory';
  let existing = dataDir;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const elsewhere = 'choose another with --data or BATUTA_DATA, or give this user the right to write it';
  if (!statSync(existing).isDirectory())
    return [{ name, state: 'failed', detail: `${existing} is not a directory`, hint: elsewhere }];
  const isWritable = await access(existing, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isWritable)
    return [{ name, state: 'failed', detail: `${existing} cannot be written`, hint: elsewhere }];
  const isThere = existing === dataDir;
  const isOpen = isThere && (statSync(dataDir).mode & 0o066) !== 0;
  const detail = isThere ? `${dataDir} is writable` : `${dataDir} will be made at the first start`;
  const found: Finding = isOpen
    ? { name, state: 'warning', detail: `${dataDir} is open to other users`, hint: `chmod go-rw ${dataDir}` }
    : { name, state: 'ok', detail };
  const { bavail, bsize } = await statfs(existing);
  return [found, room(Math.floor((bavail * bsize) / MB))];
}

function room(freeMb: number): Finding {
  const state = freeMb < FREE_MB.failed ? 'failed' : freeMb < FREE_MB.warning ? 'warning' : 'ok';
  const hint = 'free some space, or move the data directory to a larger disk';
  return { name: 'disk', state, detail: `${freeMb} MB free`, ...(state === 'ok' ? {} : { hint }) };
}

function keys(dataDir: string): readonly Finding[] {
  return [KEYS_FILE, CREDENTIALS_FILE].flatMap((file): Finding[] => {
    const path = join(dataDir, file);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      if ((stat.mode & 0o077) === 0) return [{ name: file, state: 'ok', detail: `mode ${mode}` }];
      const detail = `mode ${mode}: other users can read it`;
      return [{ name: file, state: 'failed', detail, hint: `chmod 600 ${path}` }];
    }
    if (file !== KEYS_FILE || !existsSync(join(dataDir, embedded.file))) return [];
    const hint = 'put it back from a backup before the next start, which would make new keys';
    const detail = 'missing: stored secrets cannot be opened and the audit cannot be checked';
    return [{ name: file, state: 'failed', detail, hint }];
  });
}

async function database(config: Config, now: number): Promise<readonly Finding[]> {
  const { dataDir, databaseUrl } = config;
  if (databaseUrl !== null) return [...(await examineDatabase({ ...config, databaseUrl })), time(now, null)];
  const name = 'database';
  const path = join(dataDir, embedded.file);
  if (!existsSync(path)) {
    return [{ name, state: 'ok', detail: 'none yet: the first start makes it' }, time(now, null)];
  }
  try {
    const { schemaVersion, schemaKnown, lastEventAt } = embedded.glance(path);
    const isOlder = schemaVersion < schemaKnown;
    const detail = `schema ${schemaVersion}${isOlder ? `, the next start brings it to ${schemaKnown}` : ''}`;
    return [{ name, state: 'ok', detail }, time(now, lastEventAt)];
  } catch (error) {
    const hint = 'restore a backup, or use the program that wrote it';
    return [{ name, state: 'failed', detail: wordsOf(error), hint }, time(now, null)];
  }
}

function time(now: number, lastEventAt: number | null): Finding {
  const name = 'clock';
  const hint = 'set the clock and keep it by NTP: leases, timers and signatures depend on it';
  const detail = new Date(now).toISOString();
  if (now < CLOCK_LEAST) return { name, state: 'failed', detail: `${detail} cannot be`, hint };
  const behindMs = (lastEventAt ?? 0) - now;
  if (behindMs <= CLOCK_BEHIND_MS) return { name, state: 'ok', detail };
  const behind = `${detail} is ${Math.round(behindMs / 1_000)} s behind the last event in the database`;
  return { name, state: 'failed', detail: behind, hint };
}

async function port({ host, port: number }: Config, clock: Clock): Promise<Finding> {
  const name = 'port';
  const refusal = await whyNotListen(host, number);
  if (refusal === null) {
    return { name, state: 'ok', detail: number === 0 ? 'any free one' : `${number} is free on ${host}` };
  }
  if (refusal !== 'EADDRINUSE') {
    const hint = 'choose another with --host and --port; ports below 1024 are for privileged users';
    return { name, state: 'failed', detail: `${host}:${number} cannot be listened on (${refusal})`, hint };
  }
  const version = await versionAt(host, number, clock);
  if (version !== null) return { name, state: 'ok', detail: `Batuta ${version} serves on ${host}:${number}` };
  const hint = 'stop that program, or choose another port with --port or BATUTA_PORT';
  return { name, state: 'failed', detail: `another program listens on ${host}:${number}`, hint };
}

/** The code of the error that listening ends with, or null where it can be done. */
function whyNotListen(host: string, number: number): Promise<string | null> {
  return new Promise(resolve => {
    const probe = createServer();
    probe.once('error', error => resolve('code' in error ? String(error.code) : error.message));
    probe.listen({ host, port: number, exclusive: true }, () => probe.close(() => resolve(null)));
  });
}

/** The version of the Batuta that answers there, or null for anything else. */
async function versionAt(host: string, number: number, clock: Clock): Promise<string | null> {
  const anyAddress: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const address = anyAddress[host] ?? host;
  const authority = `${address.includes(':') ? `[${address}]` : address}:${number}`;
  const patience = new AbortController();
  const cancel = clock.after(ANSWER_MS, () => patience.abort());
  try {
    const answer = await fetch(`http://${authority}/api/v2/health`, { signal: patience.signal });
    const { version, dependencies } = (await answer.json()) as {
      readonly version?: unknown;
      readonly dependencies?: { readonly file_system?: unknown };
    };
    return typeof version === 'string' && typeof dependencies?.file_system === 'string' ? version : null;
  } catch {
    return null;
  } finally {
    cancel();
  }
}
