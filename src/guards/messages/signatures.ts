// Signatures of messages: a detached compact JWS over the canonical bytes of the envelope without it. One that is there is always
// verified, whoever demands it; one that is demanded must be there. Of its header only `alg` and `kid` are used.

import { createHmac } from 'node:crypto';
import { compactVerify, errors, FlattenedSign } from 'jose';
import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Principal } from '../../domain/principal.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { AttemptLog } from '../attempts.ts';
import { sameBytes } from '../constant-time.ts';
import { readBytes, readJson } from '../jose-parts.ts';
import { Refusal } from '../refusal.ts';
import type { Tenants } from '../tenants.ts';
import type { AgentKeys, VerificationKey } from './agent-keys.ts';
import { canonicalBytes } from './canonical-json.ts';
import { isDemanded, type MessageKind, NO_DEMANDS } from './demands.ts';
import { type EnvelopeForm, memberAt, withMember, withoutMember } from './envelope.ts';
import type { ServerKeys } from './server-keys.ts';

/** A message as it arrived: nothing filled in, left out or normalized. */
export interface ArrivedMessage {
  readonly envelope: JsonObject;
  readonly form: EnvelopeForm;
  readonly kind: MessageKind;
  /** Who sent it by their credentials. */
  readonly principal: Pick<Principal, 'tenant' | 'id'>;
  /** The agent its `from` names, which the credentials may speak for; null for people, who have no keys. */
  readonly sender: AgentId | null;
  readonly address: string;
  readonly requestId: string;
}

/** What signatures are checked and made with. */
export interface SignatureParts {
  readonly clock: Clock;
  readonly agentKeys: Pick<AgentKeys, 'forVerifying'>;
  readonly serverKeys: Pick<ServerKeys, 'signer'>;
  readonly tenants: Pick<Tenants, 'options'>;
  readonly attempts: Pick<AttemptLog, 'record'>;
}

const CHARACTERS_MAX = 2_048;
const OFF_MS_MAX = 300_000;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)$/i;

/** Checks and makes the signatures of all wires. */
export class MessageSignatures {
  readonly #parts: SignatureParts;

  constructor(parts: SignatureParts) {
    this.#parts = parts;
  }

  /** Whether the message is signed; throws `unauthenticated`, and leaves it in the audit, where it should be otherwise. */
  async check(message: ArrivedMessage): Promise<boolean> {
    try {
      const signature = memberAt(message.envelope, message.form.signature);
      if (signature !== undefined) {
        await this.#verify(message, signature);
        return true;
      }
      const { signatures = NO_DEMANDS } = await this.#parts.tenants.options(message.principal.tenant);
      if (isDemanded(signatures, message.kind)) throw new Refusal('signature_missing');
      return false;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#record(message, error.reason);
      throw refused(error.reason);
    }
  }

  /** The envelope with our signature, to be sent as it is; one that was there is replaced. */
  async sign(tenant: TenantId, envelope: JsonObject, form: EnvelopeForm): Promise<JsonObject> {
    const unsigned = withoutMember(envelope, form.signature);
    const { kid, privateKey } = await this.#parts.serverKeys.signer(tenant);
    const signed = await new FlattenedSign(canonicalBytes(unsigned))
      .setProtectedHeader({ alg: 'EdDSA', kid })
      .sign(privateKey);
    return withMember(unsigned, form.signature, `${signed.protected}..${signed.signature}`);
  }

  async #verify({ envelope, form, principal, sender }: ArrivedMessage, given: unknown): Promise<void> {
    const signature = readSignature(given);
    this.#requireFresh(memberAt(envelope, form.timestamp));
    if (sender === null) throw new Refusal('key_unknown');
    const agent = { tenant: principal.tenant, agentId: sender };
    const key = await this.#parts.agentKeys.forVerifying(agent, signature.kid);
    if (key === null) throw new Refusal('key_unknown');
    if (key.algorithm !== signature.algorithm) throw new Refusal('algorithm');
    if (!(await isSignedBy(key, signature, canonicalBytes(withoutMember(envelope, form.signature)))))
      throw new Refusal('signature');
  }

  #requireFresh(timestamp: unknown): void {
    const at = typeof timestamp === 'string' && INSTANT.test(timestamp) ? Date.parse(timestamp) : Number.NaN;
    // Written so that what is no number fails too.
    if (!(Math.abs(this.#parts.clock.now() - at) <= OFF_MS_MAX)) throw new Refusal('timestamp');
  }

  #record({ principal, address, requestId }: ArrivedMessage, reason: string): void {
    this.#parts.attempts.record({
      ...{ tenant: principal.tenant, principal: principal.id, address, requestId, reason },
      action: 'auth.refused',
      method: 'message_signature',
    });
  }
}

interface ReadSignature {
  readonly algorithm: VerificationKey['algorithm'];
  readonly kid: string;
  readonly header: string;
  readonly signature: string;
}

function readSignature(given: unknown): ReadSignature {
  if (typeof given !== 'string' || given.length > CHARACTERS_MAX) throw new Refusal('malformed');
  const parts = given.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3 || payload !== '') throw new Refusal('malformed');
  readBytes(signature);
  const { alg, kid, crit, b64 } = readJson(header);
  if (crit !== undefined || b64 !== undefined) throw new Refusal('header');
  if (alg !== 'EdDSA' && alg !== 'HS256') throw new Refusal('algorithm');
  if (typeof kid !== 'string') throw new Refusal('key_unknown');
  return { algorithm: alg, kid, header, signature };
}

async function isSignedBy(
  { algorithm, key }: VerificationKey,
  { header, signature }: ReadSignature,
  bytes: Buffer,
): Promise<boolean> {
  const signingInput = `${header}.${bytes.toString('base64url')}`;
  if (algorithm === 'HS256') {
    const expected = createHmac('sha256', key).update(signingInput).digest();
    return sameBytes(readBytes(signature), expected);
  }
  try {
    await compactVerify(`${signingInput}.${signature}`, key, { algorithms: [algorithm] });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) return false;
    throw error;
  }
}

/** The caller learns that a signature is wanted, or that theirs does not hold, never why (`SAM-8`); the audit knows. */
function refused(reason: string): DomainError {
  if (reason === 'signature_missing')
    return new DomainError('unauthenticated', 'this message must be signed', {
      details: { rule: 'signature_missing' },
    });
  return new DomainError('unauthenticated', 'the signature of the message does not hold', {
    details: { rule: 'signature' },
  });
}
