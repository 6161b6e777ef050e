// Confidential members of messages: General JSON JWE with one entry per receiver, bound to all that stays readable beside them. Opens
// what is encrypted to this server's participants; what is meant for others it never touches.

import { type FlattenedJWE, flattenedDecrypt, GeneralEncrypt } from 'jose';
import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { CONTENT_ENCRYPTION, KEY_WRAPPING, publicKeyOf } from './agent-key.ts';
import type { AgentKeys, ReceiverKey } from './agent-keys.ts';
import { canonicalBytes } from './canonical-json.ts';
import { type EnvelopeForm, memberAt, withoutMember } from './envelope.ts';
import type { ServerKey, ServerKeys } from './server-keys.ts';

/** What became of an envelope that was to be opened. */
export type Opened =
  /** Nothing in it was encrypted. */
  | { readonly status: 'clear' }
  /** With plain values where the encrypted ones stood; still to be validated like anything that arrives. */
  | { readonly status: 'opened'; readonly envelope: JsonObject }
  | { readonly status: 'undecryptable' };

/** What is encrypted and opened with. */
export interface ConfidenceParts {
  readonly agentKeys: Pick<AgentKeys, 'forReceiving'>;
  readonly serverKeys: Pick<ServerKeys, 'openers'>;
}

const RECIPIENTS_MAX = 100;
const TRIES_MAX = 8;
/** What a message may weigh at most, in Base64. */
const CIPHERTEXT_CHARACTERS_MAX = 1_400_000;
const OPENED_WITH = {
  keyManagementAlgorithms: [KEY_WRAPPING],
  contentEncryptionAlgorithms: [CONTENT_ENCRYPTION],
  // Compression would let a small message unfold into a huge one.
  maxDecompressedLength: 0,
};

/** Encrypts and opens the messages of all wires. */
export class MessageConfidence {
  readonly #parts: ConfidenceParts;

  constructor(parts: ConfidenceParts) {
    this.#parts = parts;
  }

  /**
   * The envelope with the given members, those that are there, encrypted to the newest keys of all receivers; to be signed afterwards.
   * Throws `unprocessable` naming the receivers that have no key.
   */
  async encrypt(
    envelope: JsonObject,
    form: EnvelopeForm,
    terms: {
      readonly tenant: TenantId;
      readonly receivers: readonly AgentId[];
      readonly members: readonly string[];
    },
  ): Promise<JsonObject> {
    const keys = await this.#receiverKeys(terms.tenant, terms.receivers);
    const members = terms.members.filter(name => Object.hasOwn(envelope, name));
    const bound = boundTo(envelope, form, [...members, ...encryptedMembers(envelope, form)]);
    const encrypted = { ...envelope };
    for (const member of members)
      encrypted[member] = { jwe: await jweOf(envelope[member] ?? null, { keys, bound, member }) };
    return encrypted;
  }

  /** Opens whatever is encrypted, with this server's keys of the tenant: all of it or nothing. Throws like the store alone. */
  async open(tenant: TenantId, envelope: JsonObject, form: EnvelopeForm): Promise<Opened> {
    const members = encryptedMembers(envelope, form);
    if (members.length === 0) return { status: 'clear' };
    const keys = await this.#parts.serverKeys.openers(tenant);
    const bound = boundTo(envelope, form, members);
    const opened = { ...envelope };
    for (const member of members) {
      const value = await openedValue(memberAt(envelope, [member, 'jwe']), { keys, bound, member });
      if (value === undefined) return { status: 'undecryptable' };
      opened[member] = value;
    }
    return { status: 'opened', envelope: opened };
  }

  async #receiverKeys(tenant: TenantId, receivers: readonly AgentId[]): Promise<readonly ReceiverKey[]> {
    const found = await Promise.all(
      receivers.map(agentId => this.#parts.agentKeys.forReceiving({ tenant, agentId })),
    );
    const without = receivers.filter((_, at) => found[at] === null);
    if (without.length > 0 || receivers.length === 0 || receivers.length > RECIPIENTS_MAX)
      throw new DomainError('unprocessable', 'each of 1–100 receivers needs a key to encrypt to', {
        details: { without_key: without },
      });
    return found.filter(key => key !== null);
  }
}

/** Which of the members that may be encrypted are. */
export function encryptedMembers(envelope: JsonObject, form: EnvelopeForm): readonly string[] {
  return form.confidential.filter(name => {
    const value = memberAt(envelope, [name]);
    return isJsonObject(value) && Object.hasOwn(value, 'jwe') && Object.keys(value).length === 1;
  });
}

interface Encryption<Key> {
  readonly keys: readonly Key[];
  readonly bound: Buffer;
  readonly member: string;
}

/** What encrypted members are bound to: everything else but the signature. */
function boundTo(envelope: JsonObject, form: EnvelopeForm, members: readonly string[]): Buffer {
  const readable = members.reduce((rest, name) => withoutMember(rest, [name]), envelope);
  return canonicalBytes(withoutMember(readable, form.signature));
}

/** The header names the member, so that of two in one message neither passes for the other. */
async function jweOf(value: Json, { keys, bound, member }: Encryption<ReceiverKey>): Promise<JsonObject> {
  const jwe = new GeneralEncrypt(Buffer.from(JSON.stringify(value)))
    .setProtectedHeader({ enc: CONTENT_ENCRYPTION, member })
    .setAdditionalAuthenticatedData(bound);
  for (const { kid, publicJwk } of keys)
    jwe.addRecipient(publicKeyOf(publicJwk)).setUnprotectedHeader({ alg: KEY_WRAPPING, kid });
  return (await jwe.encrypt()) as unknown as JsonObject;
}

/** The value, or undefined where none of our keys opens it to valid JSON. */
async function openedValue(
  jwe: Json | undefined,
  { keys, bound, member }: Encryption<ServerKey>,
): Promise<Json | undefined> {
  if (!isJsonObject(jwe) || !Array.isArray(jwe.recipients) || jwe.recipients.length > RECIPIENTS_MAX)
    return undefined;
  const { recipients, ...shared } = jwe;
  if (typeof shared.ciphertext !== 'string' || shared.ciphertext.length > CIPHERTEXT_CHARACTERS_MAX)
    return undefined;
  const tries = recipients.filter(isJsonObject).flatMap(recipient => {
    const kid = memberAt(recipient, ['header', 'kid']);
    return keys.filter(key => kid === undefined || kid === key.kid).map(key => ({ recipient, key }));
  });
  for (const { recipient, key } of tries.slice(0, TRIES_MAX)) {
    const aad = bound.toString('base64url');
    const { header, encrypted_key } = recipient;
    const flat = { ...shared, header, encrypted_key, aad } as unknown as FlattenedJWE;
    const value = await plainOf(flat, key, member);
    if (value !== undefined) return value;
  }
  return undefined;
}

async function plainOf(jwe: FlattenedJWE, key: ServerKey, member: string): Promise<Json | undefined> {
  try {
    const { plaintext, protectedHeader } = await flattenedDecrypt(jwe, key.privateKey, OPENED_WITH);
    if (protectedHeader?.member !== undefined && protectedHeader.member !== member) return undefined;
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext));
  } catch {
    // Whatever is wrong with what somebody else made, to us it is something that does not open; nothing of ours can fail here.
    return undefined;
  }
}
