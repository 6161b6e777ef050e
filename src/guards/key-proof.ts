// Proves API keys: by their secret (`SAM-18`), or by a signature made with it (`SAM-22` – `SAM-27`). Unknown keys, wrong secrets and
// wrong signatures take the same way and the same time.

import type { TenantId } from '../domain/ids.ts';
import { type ApiKey, principalOf, refusalOf, type Scene } from './api-key.ts';
import type { ApiKeyRecord, ApiKeys, SecretAge } from './api-keys.ts';
import { sameBytes } from './constant-time.ts';
import type { Factor } from './factors.ts';
import {
  bodySha256,
  canonicalValue,
  EMPTY_BODY_SHA256,
  type HeaderSet,
  parseSignatureHeader,
  type SignatureHeader,
  sign,
  stringToSign,
} from './hmac.ts';
import type { ReplayGuard } from './hmac-replay.ts';
import { Refusal, type RefusalTerms } from './refusal.ts';
import type { TenantOptions } from './tenants.ts';

/** What a signature covers of a request. */
export interface SignedParts {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: HeaderSet;
  readonly body: Uint8Array | null;
  readonly bodySha256?: string;
}

/** Where tenants' options are read. */
export interface OptionsReader {
  options(id: TenantId): Promise<TenantOptions>;
}

const MS = 1_000;
const NONCE_CHARACTERS_MAX = 200;

/** Proves the keys of all tenants. */
export class KeyProof {
  readonly #keys: ApiKeys;
  readonly #tenants: OptionsReader;
  readonly #replays: ReplayGuard;

  constructor(keys: ApiKeys, tenants: OptionsReader, replays: ReplayGuard) {
    this.#keys = keys;
    this.#tenants = tenants;
    this.#replays = replays;
  }

  /** The key if it may be used here and now, its secret aside; throws a `Refusal`. */
  async usable(keyId: string, scene: Scene): Promise<ApiKeyRecord> {
    const record = await this.#keys.find(keyId);
    if (record === null) throw new Refusal('key_unknown', this.#named(keyId));
    await this.#assertUsable(record, scene);
    return record;
  }

  /** Throws a `Refusal`. */
  async bySecret(keyId: string, secret: string, scene: Scene): Promise<Factor> {
    const record = await this.#keys.find(keyId);
    const matched = this.#keys.match(record, secret);
    if (record === null) throw new Refusal('key_unknown', this.#named(keyId));
    if (matched === null) throw new Refusal('secret', known(record.key));
    await this.#assertUsable(record, scene);
    return factorOf(record, 'api_key', matched);
  }

  /** Throws a `Refusal`; a good signature is remembered, so that it is good once. */
  async bySignature(authorization: string, parts: SignedParts, scene: Scene): Promise<Factor> {
    const header = parseSignatureHeader(authorization);
    if (header === null) throw new Refusal('authorization_malformed');
    const record = await this.#keys.find(header.keyId);
    const timestamp = timestampOf(parts.headers);
    assertCovers(header, parts);
    const matched = this.#matchSignature(record, header, parts);
    if (record === null) throw new Refusal('key_unknown', this.#named(header.keyId));
    if (matched === null) throw new Refusal('signature', known(record.key));
    if (!record.key.algorithms.includes(header.scheme)) throw new Refusal('algorithm', known(record.key));
    await this.#assertUsable(record, scene);
    await this.#assertNew(record.key, header, parts, { timestamp, now: scene.now });
    return factorOf(record, 'hmac', matched);
  }

  #matchSignature(
    record: ApiKeyRecord | null,
    header: SignatureHeader,
    parts: SignedParts,
  ): SecretAge | null {
    const text = textOf(header, parts);
    const given = Buffer.from(header.signature);
    let matched: SecretAge | null = null;
    for (const { age, secret } of this.#keys.signingSecrets(record))
      if (sameBytes(given, Buffer.from(sign(header.scheme, secret, text)))) matched = age;
    return matched;
  }

  async #assertUsable({ key, ranges }: ApiKeyRecord, scene: Scene): Promise<void> {
    const { apiKeyAgeMaxDays } = await this.#tenants.options(key.tenant);
    const refusal = refusalOf(key, ranges, scene, apiKeyAgeMaxDays);
    if (refusal !== null) throw refusal;
  }

  async #assertNew(
    key: ApiKey,
    { signature }: SignatureHeader,
    { method, headers }: SignedParts,
    { timestamp, now }: { readonly timestamp: number; readonly now: number },
  ): Promise<void> {
    const { hmacWindowSeconds } = await this.#tenants.options(key.tenant);
    if (Math.abs(now / MS - timestamp) > hmacWindowSeconds) throw new Refusal('timestamp', known(key));
    const nonce = headers['x-nonce'] === undefined ? null : canonicalValue(headers['x-nonce']);
    if (nonce !== null && (nonce === '' || nonce.length > NONCE_CHARACTERS_MAX))
      throw new Refusal('nonce', known(key));
    const isRead = method === 'GET' || method === 'HEAD';
    if (nonce === null && isRead) return;
    const { tenant, id: keyId } = key;
    const isFirst = await this.#replays.claim({ tenant, keyId, nonce, signature, timestamp });
    if (!isFirst) throw new Refusal('replayed', known(key));
  }

  #named(keyId: string): RefusalTerms {
    return this.#keys.isId(keyId) ? { principal: `key:${keyId}` } : {};
  }
}

function factorOf(record: ApiKeyRecord, method: 'api_key' | 'hmac', matched: SecretAge): Factor {
  const principal = principalOf(record.key, method);
  return { method, principal, record, jti: null, quotas: {}, note: `secret=${matched}` };
}

function known({ id, tenant }: ApiKey): RefusalTerms {
  return { tenant, principal: `key:${id}`, keyId: id };
}

function timestampOf(headers: HeaderSet): number {
  const value = headers['x-timestamp'];
  if (typeof value !== 'string' || !/^[1-9]\d{0,11}$/.test(value)) throw new Refusal('timestamp');
  return Number(value);
}

/** What leaves room for a change unseen is refused: a signature covers host, time, and the type and nonce that go with it. */
function assertCovers({ signedHeaders }: SignatureHeader, parts: SignedParts): void {
  const mustCover = ['host', 'x-timestamp'];
  if (digestOf(parts) !== EMPTY_BODY_SHA256) mustCover.push('content-type');
  if (parts.headers['x-nonce'] !== undefined) mustCover.push('x-nonce');
  for (const name of mustCover)
    if (!signedHeaders.includes(name)) throw new Refusal(`unsigned_${name.replace('-', '_')}`);
  if (typeof parts.headers.host !== 'string') throw new Refusal('host');
}

function textOf({ scheme, signedHeaders }: SignatureHeader, parts: SignedParts): string {
  const headers = Object.fromEntries(signedHeaders.map(name => [name, asSent(parts.headers[name])]));
  try {
    return stringToSign({
      scheme,
      method: parts.method,
      path: decoded(parts.path),
      query: decoded(parts.query),
      headers,
      signedHeaders,
      bodySha256: digestOf(parts),
    });
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal('unsignable');
  }
}

function digestOf({ headers, body, bodySha256: digest }: SignedParts): string {
  if (digest !== undefined) return digest;
  if (body !== null) return bodySha256(body);
  // A body that comes but was not handed in would be obeyed unsigned.
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
  if (length !== '0' || encoding !== undefined) throw new Refusal('body_unread');
  return EMPTY_BODY_SHA256;
}

function asSent(value: string | readonly string[] | undefined): string | readonly string[] | undefined {
  return typeof value === 'string' ? decoded(value) : value?.map(decoded);
}

/** The text whose UTF-8 the peer sent: an HTTP parser hands out bytes as Latin-1. Bytes that are no UTF-8 would be ambiguous. */
function decoded(text: string): string {
  if (/^[\x20-\x7e\t]*$/.test(text)) return text;
  const bytes = Buffer.from(text, 'latin1');
  const isBytes = bytes.toString('latin1') === text;
  const utf8 = bytes.toString('utf8');
  if (!isBytes || !Buffer.from(utf8, 'utf8').equals(bytes)) throw new Refusal('unsignable');
  return utf8;
}
