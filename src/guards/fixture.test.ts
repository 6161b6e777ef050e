// What the tests of the guards share: guards over a real store in memory, on a clock that stands still until told.

import assert from 'node:assert/strict';
import { DomainError, type ErrorCode } from '../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import type { AuditEntry } from '../store/rows.ts';
import { openSqliteInProcess } from '../store/sqlite/in-process.ts';
import type { Store } from '../store/store.ts';
import type { AuthRequest } from './authentication.ts';
import { createGuards, type GuardOptions, type Guards } from './guards.ts';
import { bodySha256, type SigningScheme, sign, stringToSign } from './hmac.ts';

export const SECOND = 1_000;
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const ACME = 'acme' as TenantId;
export const NOON = Date.UTC(2026, 0, 15, 12);
export const MASTER_KEY = Buffer.alloc(32, 7);
export const JWT_SECRET = 'a secret of the tests, 32 bytes or more';
export const BOOTSTRAP = { id: 'admin', secret: 'the administrator’s secret' };
export const AUDIT_KEY = 'audit key';

/** Stands still until `pass`; then what was due is called back in order. */
export class StillClock implements Clock {
  #now = NOON;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter(one => one !== timer);
    };
  }

  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter(one => one !== next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = end;
  }

  set(now: number): void {
    this.#now = now;
  }
}

export interface Bundle {
  readonly clock: StillClock;
  readonly store: Store;
  readonly guards: Guards;
  /** Another node on the same store. */
  node(options?: Partial<GuardOptions>): Promise<Guards>;
  /** What the audit of a tenant holds, everything recorded included. */
  audit(tenant?: TenantId): Promise<readonly AuditEntry[]>;
}

export async function setup(options: Partial<GuardOptions> = {}): Promise<Bundle> {
  const clock = new StillClock();
  const random = systemRandom;
  const store = openSqliteInProcess({ path: ':memory:', clock, random, auditKey: AUDIT_KEY });
  const node = async (more: Partial<GuardOptions> = {}): Promise<Guards> => {
    const made = createGuards(silentLog, clock, random, store, {
      masterKey: MASTER_KEY,
      bootstrap: BOOTSTRAP,
      jwtKeys: [{ kid: 'configured', algorithm: 'HS256', material: JWT_SECRET }],
      ...options,
      ...more,
    });
    await made.start();
    return made;
  };
  const guards = await node();
  const audit = async (tenant = DEFAULT_TENANT): Promise<readonly AuditEntry[]> => {
    await guards.audit.flush();
    return store.audit({ tenant, limit: 10_000 });
  };
  return { clock, store, guards, node, audit };
}

/** A request with no credential, unless given. */
export function request(given: Partial<AuthRequest> = {}): AuthRequest {
  return {
    method: 'GET',
    path: '/api/v2/task-status/t1',
    query: '',
    headers: {},
    body: null,
    sourceAddress: '203.0.113.7',
    requestId: 'req-1',
    ...given,
  };
}

export function withKey(id: string, secret: string, given: Partial<AuthRequest> = {}): AuthRequest {
  return request({ ...given, headers: { ...given.headers, 'x-api-key': id, 'x-api-secret': secret } });
}

export function withToken(token: string, given: Partial<AuthRequest> = {}): AuthRequest {
  return request({ ...given, headers: { ...given.headers, authorization: `Bearer ${token}` } });
}

export interface Signing {
  readonly id: string;
  readonly secret: string;
  readonly timestamp: number;
  readonly nonce?: string;
  readonly scheme?: SigningScheme;
  /** Headers sent but left out of the signature. */
  readonly unsigned?: readonly string[];
}

/** The request signed over all headers it bears, unless told otherwise. */
export function signed(key: Signing, given: Partial<AuthRequest> = {}): AuthRequest {
  const plain = request(given);
  const { scheme = 'HMAC-SHA256', nonce, unsigned = [] } = key;
  const headers: Record<string, string | readonly string[] | undefined> = {
    host: 'batuta.example',
    'x-timestamp': String(key.timestamp),
    ...(plain.body === null ? {} : { 'content-type': 'application/json' }),
    ...(nonce === undefined ? {} : { 'x-nonce': nonce }),
    ...plain.headers,
  };
  const signedHeaders = Object.keys(headers)
    .filter(name => !unsigned.includes(name))
    .sort();
  const { method, path, query } = plain;
  const digest = bodySha256(plain.body ?? new Uint8Array());
  const text = stringToSign({ scheme, method, path, query, headers, signedHeaders, bodySha256: digest });
  const signature = sign(scheme, key.secret, text);
  const authorization = `${scheme} Credential=${key.id}, SignedHeaders=${signedHeaders.join(';')}, Signature=${signature}`;
  return { ...plain, headers: { ...headers, authorization } };
}

/** Rejects with that code; answers the error. */
export async function refusedWith(code: ErrorCode, promise: Promise<unknown>): Promise<DomainError> {
  const error = await promise.then(
    () => assert.fail(`expected ${code}, but it was accepted`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof DomainError, String(error));
  assert.equal(error.code, code);
  return error;
}
