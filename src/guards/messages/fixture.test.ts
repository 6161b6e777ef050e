// What the tests of messages' guards share: envelopes of two forms, and agents that sign and open with node's own cryptography, so
// that nothing under test checks itself.

import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type AgentId, DEFAULT_TENANT } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { type Bundle, NOON, setup } from '../fixture.test.ts';
import { canonicalJson } from './canonical-json.ts';
import { type EnvelopeForm, withMember, withoutMember } from './envelope.ts';
import type { ArrivedMessage } from './signatures.ts';

/** As army's envelopes are. */
export const FLAT: EnvelopeForm = {
  signature: ['signature'],
  timestamp: ['timestamp'],
  confidential: ['payload'],
};
/** As blog's are. */
export const NESTED: EnvelopeForm = {
  signature: ['metadata', 'signature'],
  timestamp: ['metadata', 'timestamp'],
  confidential: ['payload'],
};
/** As the task dialect's are. */
export const FIELDWISE: EnvelopeForm = {
  signature: ['signature'],
  timestamp: ['timestamp'],
  confidential: ['metadata', 'metrics', 'result', 'state', 'reason', 'checkpoint'],
};

export const ANA = 'ana' as AgentId;
export const BEN = 'ben' as AgentId;
export const SECRET = Buffer.alloc(32, 9).toString('base64url');

export interface Signer {
  readonly kid: string;
  readonly jwk: JsonObject;
  readonly privateKey: KeyObject;
}

export function signer(kid: string): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return { kid, jwk: { ...(publicKey.export({ format: 'jwk' }) as JsonObject), kid }, privateKey };
}

export function receiver(kid: string): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return { kid, jwk: { ...(publicKey.export({ format: 'jwk' }) as JsonObject), kid }, privateKey };
}

export function envelope(more: JsonObject = {}): JsonObject {
  return {
    id: 'm1',
    type: 'task_request',
    from: 'ana',
    to: ['coordinator'],
    timestamp: new Date(NOON).toISOString(),
    metadata: { timestamp: new Date(NOON).toISOString(), priority: 'high' },
    payload: { text: 'añb 😀', n: 1.5, list: [1, null] },
    ...more,
  };
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A detached JWS over the envelope as RFC 7515 appendix F writes it. */
export function jws(header: JsonObject, bytes: string, make: (input: string) => Buffer): string {
  const input = `${part(header)}.${Buffer.from(bytes).toString('base64url')}`;
  return `${part(header)}..${make(input).toString('base64url')}`;
}

export const eddsa =
  (key: KeyObject) =>
  (input: string): Buffer =>
    sign(null, Buffer.from(input), key);
export const hmac =
  (secret: string | Buffer) =>
  (input: string): Buffer =>
    createHmac('sha256', typeof secret === 'string' ? Buffer.from(secret, 'base64url') : secret)
      .update(input)
      .digest();

export function signedWith(
  { kid, privateKey }: Signer,
  given: JsonObject = envelope(),
  form: EnvelopeForm = FLAT,
): JsonObject {
  const bytes = canonicalJson(withoutMember(given, form.signature));
  return withMember(given, form.signature, jws({ alg: 'EdDSA', kid }, bytes, eddsa(privateKey)));
}

export function signedByHmac(kid: string, secret: string | Buffer, given = envelope()): JsonObject {
  return {
    ...given,
    signature: jws({ alg: 'HS256', kid }, canonicalJson(withoutMember(given, FLAT.signature)), hmac(secret)),
  };
}

/** A bundle where Ana has the key `a1` and the secret `s1`, and Ben the key `b1`. */
export async function setUp() {
  const bundle = await setup();
  const { guards } = bundle;
  const tenant = DEFAULT_TENANT;
  const [a1, b1] = [signer('a1'), signer('b1')];
  const ana = { tenant, agentId: ANA };
  const ben = { tenant, agentId: BEN };
  await guards.messages.agentKeys.add(ana, { jwk: a1.jwk });
  await guards.messages.agentKeys.add(ana, { jwk: { kty: 'oct', k: SECRET, kid: 's1' } });
  await guards.messages.agentKeys.add(ben, { jwk: b1.jwk });
  const arrive = (message: JsonObject, more: Partial<ArrivedMessage> = {}): ArrivedMessage => ({
    envelope: message,
    form: FLAT,
    kind: { dialect: 'army', type: 'task_request', isCritical: false },
    principal: { tenant, id: 'key:ana' },
    sender: ANA,
    address: '203.0.113.7',
    requestId: 'req-1',
    ...more,
  });
  const check = (message: JsonObject, more: Partial<ArrivedMessage> = {}) =>
    guards.messages.signatures.check(arrive(message, more));
  return { ...bundle, a1, b1, ana, ben, arrive, check, lastRefusal: () => lastRefusal(bundle) };
}

async function lastRefusal({ audit }: Bundle): Promise<unknown> {
  return (await audit()).findLast(({ action }) => action === 'auth.refused')?.detail.reason;
}
