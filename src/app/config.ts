// Settings: where they come from, what they may be, what they are when nobody says. Parsed once into one frozen object; the only
// file that reads the environment. Later sources win: defaults, configuration file, environment, command line.

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { availableParallelism, hostname } from 'node:os';
import { resolve } from 'node:path';
import { DomainError } from '../domain/errors.ts';
import { isCallerId } from '../domain/ids.ts';
import { isMailAddress } from '../domain/mail-address.ts';
import type { Verbosity } from '../runtime/log.ts';
import { type BlockedPhrase, type ModelPrices, readBlocked, readPrices } from './config-models.ts';

/** The process's environment, for those who are handed it. */
export const environment: Readonly<Record<string, string | undefined>> = process.env;

/** Requests or notifications an hour, by class; null where there is no limit (`SAM-53`, `SAM-54`). */
export interface RateLimits {
  readonly standard: number;
  readonly status: number;
  readonly webhooks: number;
}

/** Everything that can be set; durations in milliseconds. */
export interface Config {
  readonly port: number;
  readonly host: string;
  readonly dataDir: string;
  readonly databaseUrl: string | null;
  /** Connections to a PostgreSQL at most; one more listens. */
  readonly databaseConnections: number;
  /** Whether a pooler like PgBouncer in transaction mode stands before it: no prepared statements, no settings of sessions, no LISTEN. */
  readonly databasePooled: boolean;
  /** Where the bytes of artifacts lie; null: in the database where there is a URL of one, else in files below the data directory. */
  readonly blobs: 'database' | 'files' | null;
  readonly jwtSecret: string | null;
  readonly adminKey: string | null;
  readonly adminSecret: string | null;
  /** Seals stored secrets; nodes of one database need the same. */
  readonly masterKey: Uint8Array | null;
  /** Chains the audit; nodes of one database need the same. */
  readonly auditKey: Uint8Array | null;
  /** `true`, or a list of hosts and CIDRs that requests and webhooks may reach though they are private. */
  readonly allowPrivateTargets: string;
  /** Waiting tasks a tenant may have. */
  readonly queueMax: number;
  /** Records an agent may keep in the memory, and megabytes of them. */
  readonly memoryRecordsMax: number;
  readonly memoryMbMax: number;
  /** Megabytes the search indexes of this process may take; a tenant may keep as many passages as fit. */
  readonly searchMb: number;
  readonly rateLimits: RateLimits | null;
  readonly drainMs: number;
  /** How long to serve on once readiness has said no, so that load balancers look elsewhere first; null: 5 s where nodes may share a database, else 0. */
  readonly leaveMs: number | null;
  readonly leaseMs: number;
  readonly archiveDelayMs: number;
  readonly serverId: string;
  /** Where this process runs; tasks may be bound to a region (`SAM-225`). */
  readonly region: string | null;
  /** Words about this process; `canary` lets it run a share of the tasks alone (`SAM-228`). */
  readonly labels: readonly string[];
  /** Tasks of one type this process runs at once. */
  readonly slots: number;
  /** How callers reach us, where a proxy stands in front. */
  readonly publicUrl: string | null;
  /** Addresses and CIDRs of balancers whose word on who is calling is believed. */
  readonly trustedProxies: readonly string[];
  /** Files in PEM: the certificate to serve under TLS 1.3 with, its key, and whose certificates callers may show; null: in clear. */
  readonly tlsCertificate: string | null;
  readonly tlsKey: string | null;
  readonly tlsClientAuthorities: string | null;
  /** Whether the network between machines is one that nobody else reads. */
  readonly allowClearText: boolean;
  /** Whether untrusted Python and shell may run with resource limits alone, where bubblewrap is missing. */
  readonly allowRlimits: boolean;
  /** The browser of web automation, where it is not one of the usual ones on the path. */
  readonly chromium: string | null;
  readonly logLevel: Verbosity;
  /** The server that mails go through, by `smtps:` or `smtp:`; null: no mail is sent. */
  readonly smtpUrl: string | null;
  /** A file in PEM: whose certificates the mail server may show beside the usual ones; null: those alone. */
  readonly smtpAuthorities: string | null;
  readonly mailFrom: string | null;
  /** Domains mails may go to; null: any. */
  readonly mailDomains: readonly string[] | null;
  /** Where the API of the model provider begins; null where there is none (`SAM-154`). */
  readonly modelUrl: string | null;
  readonly modelKey: string | null;
  /** Language models callers may name, the default first; `*` for any. */
  readonly model: readonly string[];
  readonly modelImage: string | null;
  readonly modelModeration: string | null;
  readonly modelPrices: ModelPrices;
  /** What may neither be asked of a model nor answered by one (`SAM-156`). */
  readonly modelBlocked: readonly BlockedPhrase[];
  /** Whether tasks may bring a provider of their tenant's, set up in a secret. */
  readonly modelByTenants: boolean;
  /** The provider to ask where the first is out or asked too often. */
  readonly modelFallbackUrl: string | null;
  readonly modelFallbackKey: string | null;
  readonly modelFallback: readonly string[];
}

type Reader<Value> = (text: string) => Value;

interface Setting<Value> {
  readonly variable: string;
  readonly read: Reader<Value>;
  readonly fallBack: () => Value;
}

const DEFAULT_RATES: RateLimits = { standard: 1_000, status: 10_000, webhooks: 500 };
const VERBOSITIES: readonly Verbosity[] = ['debug', 'info', 'warn', 'error', 'silent'];

const SETTINGS: { readonly [Name in keyof Config]: Setting<Config[Name]> } = {
  port: { variable: 'BATUTA_PORT', read: integer(0, 65_535), fallBack: () => 8_400 },
  host: { variable: 'BATUTA_HOST', read: text => text, fallBack: () => '127.0.0.1' },
  dataDir: { variable: 'BATUTA_DATA', read: text => resolve(text), fallBack: () => resolve('.batuta') },
  databaseUrl: { variable: 'BATUTA_DATABASE_URL', read: text => text, fallBack: () => null },
  databaseConnections: {
    variable: 'BATUTA_DATABASE_CONNECTIONS',
    read: integer(3, 1_000),
    fallBack: () => 10,
  },
  databasePooled: { variable: 'BATUTA_DATABASE_POOLED', read: yesOrNo, fallBack: () => false },
  blobs: { variable: 'BATUTA_BLOBS', read: oneOf(['database', 'files'] as const), fallBack: () => null },
  jwtSecret: { variable: 'BATUTA_JWT_SECRET', read: text => text, fallBack: () => null },
  adminKey: { variable: 'BATUTA_ADMIN_KEY', read: text => text, fallBack: () => null },
  adminSecret: { variable: 'BATUTA_ADMIN_SECRET', read: text => text, fallBack: () => null },
  masterKey: { variable: 'BATUTA_MASTER_KEY', read: key32, fallBack: () => null },
  auditKey: { variable: 'BATUTA_AUDIT_KEY', read: key32, fallBack: () => null },
  allowPrivateTargets: { variable: 'BATUTA_ALLOW_PRIVATE_TARGETS', read: text => text, fallBack: () => '' },
  queueMax: { variable: 'BATUTA_QUEUE_MAX', read: integer(1, 1_000_000_000), fallBack: () => 1_000_000 },
  memoryRecordsMax: {
    variable: 'BATUTA_MEMORY_RECORDS_MAX',
    read: integer(1, 1_000_000_000),
    fallBack: () => 100_000,
  },
  memoryMbMax: { variable: 'BATUTA_MEMORY_MB_MAX', read: integer(1, 1_000_000), fallBack: () => 256 },
  searchMb: { variable: 'BATUTA_SEARCH_MB', read: integer(8, 16_384), fallBack: () => 512 },
  rateLimits: { variable: 'BATUTA_RATE_LIMITS', read: readRates, fallBack: () => DEFAULT_RATES },
  drainMs: { variable: 'BATUTA_DRAIN_MS', read: integer(0, 3_600_000), fallBack: () => 25_000 },
  leaveMs: { variable: 'BATUTA_LEAVE_MS', read: integer(0, 600_000), fallBack: () => null },
  leaseMs: { variable: 'BATUTA_LEASE_MS', read: integer(500, 3_600_000), fallBack: () => 30_000 },
  archiveDelayMs: {
    variable: 'BATUTA_ARCHIVE_DELAY_MS',
    read: integer(0, 86_400_000),
    fallBack: () => 10_000,
  },
  serverId: { variable: 'BATUTA_SERVER_ID', read: callerId, fallBack: defaultServerId },
  region: { variable: 'BATUTA_REGION', read: callerId, fallBack: () => null },
  labels: { variable: 'BATUTA_LABELS', read: text => list(text).map(callerId), fallBack: () => [] },
  slots: {
    variable: 'BATUTA_SLOTS',
    read: integer(0, 100),
    fallBack: () => Math.max(2, availableParallelism()),
  },
  publicUrl: { variable: 'BATUTA_PUBLIC_URL', read: httpUrl, fallBack: () => null },
  trustedProxies: { variable: 'BATUTA_TRUSTED_PROXIES', read: networks, fallBack: () => [] },
  tlsCertificate: { variable: 'BATUTA_TLS_CERT', read: text => resolve(text), fallBack: () => null },
  tlsKey: { variable: 'BATUTA_TLS_KEY', read: text => resolve(text), fallBack: () => null },
  tlsClientAuthorities: {
    variable: 'BATUTA_TLS_CLIENT_CA',
    read: text => resolve(text),
    fallBack: () => null,
  },
  allowClearText: { variable: 'BATUTA_ALLOW_CLEAR_TEXT', read: yesOrNo, fallBack: () => false },
  allowRlimits: { variable: 'BATUTA_ALLOW_RLIMITS', read: yesOrNo, fallBack: () => false },
  chromium: { variable: 'BATUTA_CHROMIUM', read: text => resolve(text), fallBack: () => null },
  logLevel: { variable: 'BATUTA_LOG_LEVEL', read: oneOf(VERBOSITIES), fallBack: () => 'info' },
  smtpUrl: { variable: 'BATUTA_SMTP_URL', read: smtpUrl, fallBack: () => null },
  smtpAuthorities: { variable: 'BATUTA_SMTP_CA', read: text => resolve(text), fallBack: () => null },
  mailFrom: { variable: 'BATUTA_MAIL_FROM', read: mailAddress, fallBack: () => null },
  mailDomains: {
    variable: 'BATUTA_MAIL_DOMAINS',
    read: text => list(text).map(domain => domain.toLowerCase()),
    fallBack: () => null,
  },
  modelUrl: { variable: 'BATUTA_MODEL_URL', read: httpUrl, fallBack: () => null },
  modelKey: { variable: 'BATUTA_MODEL_KEY', read: text => text, fallBack: () => null },
  model: { variable: 'BATUTA_MODEL', read: list, fallBack: () => [] },
  modelImage: { variable: 'BATUTA_MODEL_IMAGE', read: text => text, fallBack: () => null },
  modelModeration: { variable: 'BATUTA_MODEL_MODERATION', read: text => text, fallBack: () => null },
  modelPrices: { variable: 'BATUTA_MODEL_PRICES', read: readPrices, fallBack: () => ({}) },
  modelBlocked: { variable: 'BATUTA_MODEL_BLOCKED', read: readBlocked, fallBack: () => [] },
  modelByTenants: { variable: 'BATUTA_MODEL_BY_TENANTS', read: yesOrNo, fallBack: () => false },
  modelFallbackUrl: { variable: 'BATUTA_MODEL_FALLBACK_URL', read: httpUrl, fallBack: () => null },
  modelFallbackKey: { variable: 'BATUTA_MODEL_FALLBACK_KEY', read: text => text, fallBack: () => null },
  modelFallback: { variable: 'BATUTA_MODEL_FALLBACK', read: list, fallBack: () => [] },
};

/** Variables that belong to clients and tests; a server has no use for them but must not stumble over them. */
const FOREIGN = /^BATUTA_(URL|API_KEY|API_SECRET|TOKEN|TEST_.*)$/;

/** Where settings come from besides defaults. */
export interface ConfigSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Given on the command line, in the words of the environment: `port`, `dataDir` … */
  readonly flags?: Partial<Record<keyof Config, string>>;
  /** A JSON file of settings by the same names. */
  readonly file?: string;
}

/** The settings; throws `invalid_request` naming the one that is wrong, with a suggestion for a misspelt one (`SAM-223`). */
export function loadConfig({ environment: variables, flags = {}, file }: ConfigSources): Config {
  const fromFile = file === undefined ? {} : readFile(file);
  refuseUnknown(variables);
  const entries = settingNames().map(name => {
    const { variable, read, fallBack } = SETTINGS[name];
    const flag = flags[name];
    const given = flag ?? nonEmpty(variables[variable]) ?? fromFile[name];
    if (given === undefined) return [name, fallBack()];
    try {
      return [name, read(given)];
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const source = flag === undefined ? variable : `--${name}`;
      throw new DomainError('invalid_request', `${source} is wrong: ${why}`, {
        details: { setting: source },
        cause,
      });
    }
  });
  return Object.freeze(Object.fromEntries(entries)) as Config;
}

/** The name closest to a misspelt one, if any is close. */
export function nearest(name: string, known: readonly string[]): string | null {
  const ranked = known
    .map(candidate => ({ candidate, far: distance(name, candidate) }))
    .sort((a, b) => a.far - b.far);
  const [best] = ranked;
  return best !== undefined && best.far <= Math.max(2, Math.floor(name.length / 4)) ? best.candidate : null;
}

function settingNames(): readonly (keyof Config)[] {
  return Object.keys(SETTINGS) as (keyof Config)[];
}

function refuseUnknown(variables: ConfigSources['environment']): void {
  const known = settingNames().map(name => SETTINGS[name].variable);
  for (const variable of Object.keys(variables)) {
    if (!variable.startsWith('BATUTA_') || known.includes(variable) || FOREIGN.test(variable)) continue;
    throw unknownSetting(variable, nearest(variable, known));
  }
}

function readFile(path: string): Partial<Record<keyof Config, string>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new DomainError(
      'invalid_request',
      `the configuration file ${path} cannot be read: ${String(cause)}`,
      { cause },
    );
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new DomainError('invalid_request', `the configuration file ${path} must hold one JSON object`);
  }
  const known: readonly string[] = settingNames();
  const unknown = Object.keys(parsed).find(name => !known.includes(name));
  if (unknown !== undefined) throw unknownSetting(unknown, nearest(unknown, known));
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, String(value)]));
}

function unknownSetting(name: string, suggestion: string | null): DomainError {
  const hint = suggestion === null ? '' : `; did you mean ${suggestion}?`;
  return new DomainError('invalid_request', `unknown setting ${name}${hint}`, {
    details: { setting: name, suggestion },
  });
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function integer(least: number, most: number): Reader<number> {
  return text => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new Error(`it must be a whole number from ${least} to ${most}, not "${text}"`);
    }
    return value;
  };
}

function oneOf<Word extends string>(words: readonly Word[]): Reader<Word> {
  return text => {
    const word = words.find(candidate => candidate === text);
    if (word === undefined) throw new Error(`it must be one of ${words.join(', ')}, not "${text}"`);
    return word;
  };
}

function yesOrNo(text: string): boolean {
  return oneOf(['true', 'false'])(text) === 'true';
}

function list(text: string): readonly string[] {
  const entries = text
    .split(',')
    .map(entry => entry.trim())
    .filter(entry => entry !== '');
  if (entries.length === 0) throw new Error('it must be a comma-separated list');
  return entries;
}

function networks(text: string): readonly string[] {
  const wrong = list(text).find(entry => {
    const [address = '', bits = '0', ...rest] = entry.split('/');
    const most = isIP(address) === 4 ? 32 : 128;
    return isIP(address) === 0 || rest.length > 0 || !/^\d+$/.test(bits) || Number(bits) > most;
  });
  if (wrong !== undefined)
    throw new Error(`it must be addresses and CIDRs such as 10.0.0.0/8, not "${wrong}"`);
  return list(text);
}

function key32(text: string): Uint8Array {
  const key = Buffer.from(text, 'base64');
  if (key.length !== 32)
    throw new Error('it must be 32 bytes in base64, as `openssl rand -base64 32` makes them');
  return key;
}

function callerId(text: string): string {
  if (!isCallerId(text)) throw new Error('it must be 1–200 characters of A-Z a-z 0-9 . _ : -');
  return text;
}

function httpUrl(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new Error(`it must be an http(s) URL, not "${text}"`);
  return text.replace(/\/+$/, '');
}

/** Never shown in what is wrong with it: it may hold a password. */
function smtpUrl(text: string): string {
  if (!/^smtps?:\/\/./.test(text) || !URL.canParse(text))
    throw new Error('it must be like smtps://user:password@mail.example.com');
  return text;
}

function mailAddress(text: string): string {
  if (!isMailAddress(text)) throw new Error('it must be a mail address, as batuta@example.com');
  return text;
}

function readRates(text: string): RateLimits | null {
  if (text === 'off') return null;
  const rates: Record<string, number> = { ...DEFAULT_RATES };
  for (const part of text.split(',')) {
    const [name = '', value = ''] = part.split('=').map(piece => piece.trim());
    if (!Object.hasOwn(DEFAULT_RATES, name)) {
      throw new Error(`it must be "off" or like "standard=1000,status=10000,webhooks=500", not "${text}"`);
    }
    rates[name] = integer(1, 1_000_000_000)(value);
  }
  return { ...DEFAULT_RATES, ...rates };
}

function defaultServerId(): string {
  return `batuta-${hostname().replace(/[^A-Za-z0-9._:-]/g, '-')}`.slice(0, 200);
}

/** Edits between two words, by the usual table. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
