// Tokens of every kind, for the tests that verify them.

import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { CompactEncrypt, CompactSign } from 'jose';
import type { JsonObject } from '../domain/json.ts';
import { JWT_SECRET, NOON, refusedWith, SECOND, setup, withToken } from './fixture.test.ts';
import type { GuardOptions, Guards } from './guards.ts';

export const NOW = NOON / SECOND;
/** The claims of the protocol document's own client. */
export const CLAIMS: JsonObject = {
  agent_id: 'manus_orchestrator_001',
  permissions: ['task_execution'],
  iat: NOW,
  exp: NOW + 3_600,
};

export const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
export const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const ed25519 = generateKeyPairSync('ed25519');

export function pem(key: KeyObject): string {
  return String(key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' }));
}

export function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

export function hs256(
  claims: JsonObject,
  secret: string | Buffer = JWT_SECRET,
  header: JsonObject = {},
): string {
  const input = `${encoded({ alg: 'HS256', typ: 'JWT', ...header })}.${encoded(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

export function signedBy(
  alg: string,
  key: KeyObject,
  claims: JsonObject = CLAIMS,
  header = {},
): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg, ...header })
    .sign(key);
}

/** A bundle whose tokens are shown in one line. */
export async function setUp(options: Partial<GuardOptions> = {}) {
  const bundle = await setup(options);
  const enter = (token: string, guards: Guards = bundle.guards) =>
    guards.authenticator.authenticate(withToken(token));
  const refused = (token: string) => refusedWith('unauthenticated', enter(token));
  const lastReason = async (): Promise<unknown> =>
    (await bundle.audit()).findLast(({ action }) => action === 'auth.refused')?.detail.reason;
  return { ...bundle, enter, refused, lastReason };
}

/** The token in an envelope of the algorithm, with A256GCM unless the header says otherwise. */
export async function encrypted(
  token: string,
  alg: string,
  key: KeyObject | Buffer,
  header = {},
): Promise<string> {
  return new CompactEncrypt(Buffer.from(token))
    .setProtectedHeader({ alg, enc: 'A256GCM', cty: 'JWT', ...header })
    .encrypt(key);
}
