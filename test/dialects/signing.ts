// How an agent signs, verifies, encrypts and opens, with node's cryptography and jose alone, so that nothing under test checks itself.

import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { GeneralEncrypt, generalDecrypt, importJWK, type JWK } from 'jose';
import type { JsonObject } from '../../src/domain/json.ts';
import { type MemberPath, memberAt, withMember, withoutMember } from '../../src/guards/messages/envelope.ts';
import type { Loose } from '../serve.ts';
import type { Bench } from './setup.ts';

/** A key of an agent, as it is registered and used. */
export interface TestKey {
  readonly kid: string;
  readonly jwk: JsonObject;
  readonly privateKey: KeyObject | Buffer;
}

/** A key that no agent has yet. */
export function newKey(kid: string, kind: 'ed25519' | 'x25519' | 'secret'): TestKey {
  if (kind === 'secret') {
    const privateKey = Buffer.from(kid.padEnd(32, '+'));
    return { kid, jwk: { kty: 'oct', k: privateKey.toString('base64url'), kid }, privateKey };
  }
  const { publicKey, privateKey } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
  return { kid, jwk: { ...(publicKey.export({ format: 'jwk' }) as JsonObject), kid }, privateKey };
}

/** The message, written now, signed by the key; `header` says otherwise than it does. */
export function signed(
  { sealing }: Bench,
  message: JsonObject,
  { kid, privateKey }: TestKey,
  { header = {}, ageMs = 0 }: { readonly header?: JsonObject; readonly ageMs?: number } = {},
): JsonObject {
  const written = withMember(message, sealing.timestampAt, new Date(Date.now() - ageMs).toISOString());
  const unsigned = withoutMember(written, sealing.signatureAt);
  const alg = Buffer.isBuffer(privateKey) ? 'HS256' : 'EdDSA';
  const head = base64url(JSON.stringify({ alg, kid, ...header }));
  const input = Buffer.from(`${head}.${base64url(canonical(unsigned))}`);
  const bytes = Buffer.isBuffer(privateKey)
    ? createHmac('sha256', privateKey).update(input).digest()
    : sign(null, input, privateKey);
  return withMember(unsigned, sealing.signatureAt, `${head}..${bytes.toString('base64url')}`);
}

/** Whether one of the published keys signed the message. */
export function isSignedByServer(message: JsonObject, at: MemberPath, keys: readonly Loose[]): boolean {
  const [head = '', , signature = ''] = String(memberAt(message, at)).split('.');
  const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString());
  const jwk = keys.find(key => key.kid === kid && key.use === 'sig');
  if (jwk === undefined) return false;
  const input = Buffer.from(`${head}.${base64url(canonical(withoutMember(message, at)))}`);
  return verify(
    null,
    input,
    createPublicKey({ key: jwk, format: 'jwk' }),
    Buffer.from(signature, 'base64url'),
  );
}

/** The message with its confidential member encrypted to the keys. */
export async function encrypted(
  { sealing }: Bench,
  clear: JsonObject,
  keys: readonly Loose[],
): Promise<JsonObject> {
  const message = { ...clear, ...sealing.marks };
  const jwe = new GeneralEncrypt(Buffer.from(JSON.stringify(message[sealing.confidential])))
    .setProtectedHeader({ enc: 'A256GCM' })
    .setAdditionalAuthenticatedData(boundTo(message, sealing));
  for (const jwk of keys)
    jwe
      .addRecipient(await importJWK(jwk as JWK, 'ECDH-ES+A256KW'))
      .setUnprotectedHeader({ alg: 'ECDH-ES+A256KW', kid: jwk.kid });
  return { ...message, [sealing.confidential]: { jwe: (await jwe.encrypt()) as unknown as JsonObject } };
}

/** What its confidential member says to the holder of the key. */
export async function opened({ sealing }: Bench, message: Loose, { privateKey }: TestKey): Promise<unknown> {
  const { jwe } = message[sealing.confidential];
  const aad = Buffer.from(boundTo(message, sealing)).toString('base64url');
  const { plaintext } = await generalDecrypt({ ...jwe, aad }, privateKey as KeyObject);
  return JSON.parse(Buffer.from(plaintext).toString());
}

function boundTo(message: JsonObject, { confidential, signatureAt }: Bench['sealing']): Buffer {
  return Buffer.from(canonical(withoutMember(withoutMember(message, [confidential]), signatureAt)));
}

/** RFC 8785, for what tests send: no number needs another spelling than JSON's own. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  members.sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join()}}`;
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
