// What the first start makes and keeps in the data directory: the keys of the house. Existing ones are never replaced.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../domain/errors.ts';
import type { Random } from '../runtime/random.ts';
import type { Config } from './config.ts';

/** What a client needs to be let in, as `credentials.json` says it. */
export interface Credentials {
  readonly api_key: string;
  readonly api_secret: string;
  readonly jwt_secret: string;
  readonly url: string;
}

/** The secrets of the house itself; they never leave the data directory. */
export interface HouseKeys {
  /** Seals stored secrets. */
  readonly masterKey: Uint8Array;
  /** Chains the audit. */
  readonly auditKey: Uint8Array;
}

/** What a client needs to be let in, unless all of it is configured. */
export const CREDENTIALS_FILE = 'credentials.json';
/** The house's own keys. */
export const KEYS_FILE = 'house-keys.json';
const KEY_BYTES = 32;

/** The credentials in force: configured ones, else those kept, else new ones; written with mode 0600 unless all are configured. */
export function loadCredentials(config: Config, random: Random, url: string): Credentials {
  const kept = readJson(join(config.dataDir, CREDENTIALS_FILE));
  const secret = (): string => Buffer.from(random.bytes(KEY_BYTES)).toString('base64url');
  const credentials = {
    api_key: config.adminKey ?? textOf(kept.api_key) ?? `bk_${Buffer.from(random.bytes(12)).toString('hex')}`,
    api_secret: config.adminSecret ?? textOf(kept.api_secret) ?? `bs_${secret()}`,
    jwt_secret: config.jwtSecret ?? textOf(kept.jwt_secret) ?? secret(),
    url,
  };
  const allConfigured = config.adminKey !== null && config.adminSecret !== null && config.jwtSecret !== null;
  if (!allConfigured) writeJson(join(config.dataDir, CREDENTIALS_FILE), credentials);
  return credentials;
}

/** The credentials a server left in a data directory, or null where there are none. */
export function readCredentials(dataDir: string): Credentials | null {
  const kept = readJson(join(dataDir, CREDENTIALS_FILE));
  const { api_key, api_secret, jwt_secret, url } = kept;
  if (typeof api_key !== 'string' || typeof api_secret !== 'string') return null;
  return { api_key, api_secret, jwt_secret: textOf(jwt_secret) ?? '', url: textOf(url) ?? '' };
}

/** The house's own keys: configured ones, else those kept, made at the first start. */
export function loadHouseKeys(config: Config, random: Random): HouseKeys {
  const { masterKey, auditKey } = config;
  if (masterKey !== null && auditKey !== null) return { masterKey, auditKey };
  const path = join(config.dataDir, KEYS_FILE);
  const kept = readJson(path);
  const made = {
    master_key: textOf(kept.master_key) ?? Buffer.from(random.bytes(KEY_BYTES)).toString('base64'),
    audit_key: textOf(kept.audit_key) ?? Buffer.from(random.bytes(KEY_BYTES)).toString('base64'),
  };
  if (kept.master_key === undefined || kept.audit_key === undefined) writeJson(path, made);
  return {
    masterKey: masterKey ?? Buffer.from(made.master_key, 'base64'),
    auditKey: auditKey ?? Buffer.from(made.audit_key, 'base64'),
  };
}

/** Makes the data directory, readable by its owner alone; throws `unavailable` where it cannot be used. */
export function ensureDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new DomainError('unavailable', `the data directory ${dataDir} cannot be made: ${String(cause)}`, {
      cause,
      details: { hint: 'choose another with --data or BATUTA_DATA' },
    });
  }
}

function readJson(path: string): Readonly<Record<string, unknown>> {
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new DomainError('unavailable', `${path} cannot be read: ${String(cause)}`, { cause });
  }
}

function writeJson(path: string, value: object): void {
  const partial = `${path}.new`;
  try {
    writeFileSync(partial, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
    renameSync(partial, path);
  } catch (cause) {
    throw new DomainError('unavailable', `${path} cannot be written: ${String(cause)}`, {
      cause,
      details: { hint: 'the data directory must be writable' },
    });
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
