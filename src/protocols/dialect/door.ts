// The door: one envelope after another is read, judged and handed to the mailroom, whether it came by HTTP or through a socket. What is
// refused leaves no trace but in the audit, the figures and, as it came, among the dead letters.

import { asDomainError, DomainError } from '../../domain/errors.ts';
import { ruleOf } from '../../domain/guardrails.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Message, MessageId } from '../../domain/message.ts';
import { allows } from '../../domain/principal.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Sending } from '../../engine/mailroom/packing.ts';
import type { AuditRecorder } from '../../guards/audit.ts';
import type { GuardrailBook } from '../../guards/guardrails.ts';
import { mask } from '../../guards/mask.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Random } from '../../runtime/random.ts';
import { fingerprintOf } from '../fingerprint.ts';
import type { Call } from '../protocol.ts';
import { mayShow, WITHHOLD } from './clear-text.ts';
import type { Caller, Dialect, EnvelopeScene } from './dialect.ts';
import type { Figures } from './figures.ts';
import { MESSAGE_BYTES_MAX, sizeOf } from './media.ts';
import type { Pace } from './pace.ts';
import { cleanEnvelope, refuseOffence } from './policy.ts';
import { logRefusal } from './rendered.ts';
import type { Seals } from './seals.ts';
import type { Accepted, Taken } from './taken.ts';

/** What a door is made of. */
export interface DoorParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly mailroom: Mailroom;
  readonly audit: AuditRecorder;
  readonly figures: Figures;
  readonly pace: Pace;
  readonly guardrails: Pick<GuardrailBook, 'of' | 'count' | 'counts'>;
  readonly seals: Seals;
}

/** How an envelope came. */
export interface Arrival {
  readonly caller: Caller;
  readonly headers: EnvelopeScene['headers'];
  readonly traceId: string;
  readonly requestId: string;
  /** Where it came from. */
  readonly address: string;
  readonly isPrivate: boolean;
}

const RAW_MAX = MESSAGE_BYTES_MAX;

/** The way into the mailroom for one dialect. */
export class Door {
  readonly #dialect: Dialect;
  readonly #parts: DoorParts;

  constructor(dialect: Dialect, parts: DoorParts) {
    this.#dialect = dialect;
    this.#parts = parts;
  }

  /** Takes envelopes in, answering each in order; a bad one neither stops nor undoes another. */
  async take(envelopes: readonly unknown[], arrival: Arrival): Promise<readonly Taken[]> {
    const began = this.#parts.clock.monotonic();
    const read = await Promise.all(envelopes.map(one => this.#read(one, arrival)));
    const sendings = read.flatMap(one => ('error' in one ? [] : [one.sending]));
    const outcomes = sendings.length === 0 ? [] : await this.#parts.mailroom.send(sendings);
    let next = 0;
    const taken = read.map((one, index): Taken => {
      const id = this.#dialect.idOf(envelopes[index]);
      if ('error' in one) return { status: 'rejected', id, error: one.error };
      const outcome = outcomes[next++];
      if (outcome === undefined) throw new Error('the mailroom answered fewer messages than it was handed');
      if (outcome.status === 'refused') return { status: 'rejected', id, error: outcome.error };
      const { message, status } = outcome;
      return { status, id: message.id, message, senderInbox: one.senderInbox };
    });
    await this.#note(taken, envelopes, arrival);
    this.#parts.figures.count(arrival.caller.tenant, taken, this.#parts.clock.monotonic() - began);
    return taken;
  }

  /** Notes that something came that was no envelope at all. */
  async refuseBytes(bytes: Uint8Array, thrown: unknown, arrival: Arrival): Promise<void> {
    const error = asDomainError(thrown);
    if (error.code === 'internal') return;
    const raw = mask(Buffer.from(bytes.subarray(0, RAW_MAX)).toString('utf8'));
    await this.#bury([{ raw, error }], arrival);
    this.#log(arrival, null, error);
    this.#audit(arrival, null, error);
    this.#parts.figures.count(arrival.caller.tenant, [{ status: 'rejected', id: null, error }], 0);
  }

  /** The answer to a message, waiting for it if need be; acknowledged by this. One that may not go over the connection stays in the inbox. */
  async reply(
    taken: Accepted,
    waitMs: number,
    call: Pick<Call, 'isPrivate' | 'signal'>,
  ): Promise<Message | null> {
    const { mailroom, random } = this.#parts;
    const { tenant, id, dialect } = taken.message;
    if (taken.status === 'duplicate') {
      const [known] = await mailroom.messages({ tenant, dialect, replyTo: id, limit: 1, newestFirst: true });
      if (known !== undefined) return mayShow(known, call) ? known : null;
    }
    const reader = `wait:${random.uuid()}`;
    const inboxes = [taken.senderInbox].flat();
    const replyTo = id as MessageId;
    const request = { tenant, reader, inboxes, limit: 1, visibilityMs: 30_000, waitMs, replyTo };
    const [handout] = await mailroom.read({ ...request, signal: call.signal });
    if (handout === undefined) return null;
    const holder = { tenant, name: reader, agentId: null, inboxes };
    const isGiven = mayShow(handout.message, call);
    await mailroom.settle(holder, [{ id: handout.id, verdict: isGiven ? { outcome: 'ack' } : WITHHOLD }]);
    return isGiven ? handout.message : null;
  }

  async #read(
    received: unknown,
    arrival: Arrival,
  ): Promise<
    | { readonly sending: Sending; readonly senderInbox: Accepted['senderInbox'] }
    | { readonly error: DomainError }
  > {
    const { caller } = arrival;
    const { clock, random, pace, seals, guardrails } = this.#parts;
    try {
      if (!allows(caller.principal, 'message:send'))
        throw new DomainError('forbidden', 'this needs the permission message:send', {
          details: { required: 'message:send' },
        });
      if (!isJsonObject(received)) throw new DomainError('invalid_request', 'a message is an object');
      if (sizeOf(received) > MESSAGE_BYTES_MAX)
        throw new DomainError('payload_too_large', `a message is at most ${MESSAGE_BYTES_MAX} bytes`);
      pace.charge(caller);
      const envelope = cleanEnvelope(received, this.#dialect);
      const scene: EnvelopeScene = {
        ...{ caller, now: clock.now(), headers: arrival.headers, traceId: arrival.traceId },
        isPrivate: arrival.isPrivate,
        newId: () => random.uuid(),
      };
      const { senderInbox, fingerprint, ...decoded } = await this.#dialect.decode(envelope, scene);
      const { principal } = caller;
      const { draft } = decoded;
      const { address, requestId } = arrival;
      await seals.verify(this.#dialect, { envelope, draft, senderInbox, principal, address, requestId });
      refuseOffence(draft.meaning, this.#dialect, guardrails.of(caller.tenant));
      return { sending: { ...decoded, fingerprint: fingerprint ?? fingerprintOf(envelope) }, senderInbox };
    } catch (thrown) {
      const error = asDomainError(thrown);
      if (error.code === 'internal') throw thrown;
      return { error };
    }
  }

  async #note(taken: readonly Taken[], envelopes: readonly unknown[], arrival: Arrival): Promise<void> {
    const refused: { raw: string; error: DomainError }[] = [];
    taken.forEach((one, index) => {
      if (one.status === 'rejected') refused.push({ raw: this.#rawOf(envelopes[index]), error: one.error });
      if (one.status === 'rejected') {
        this.#log(arrival, envelopes[index], one.error);
        this.#audit(arrival, envelopes[index], one.error);
      } else if (one.message.taskId !== null) this.#audit(arrival, envelopes[index], null, one.message);
    });
    if (refused.length > 0) await this.#bury(refused, arrival);
  }

  #rawOf(envelope: unknown): string {
    const kept = this.#dialect.keepable?.(envelope) ?? envelope;
    return JSON.stringify(kept)?.slice(0, RAW_MAX) ?? '';
  }

  async #bury(
    refused: readonly { readonly raw: string; readonly error: DomainError }[],
    { caller }: Arrival,
  ): Promise<void> {
    await this.#parts.mailroom.bury(
      refused.map(({ raw, error }) => ({
        ...{ tenant: caller.tenant, dialect: this.#dialect.name, raw, sender: caller.principal.id },
        ...{ reason: 'invalid' as const, error: `${error.code}: ${error.message}` },
      })),
    );
  }

  #log({ caller, requestId, traceId }: Arrival, envelope: unknown, error: DomainError): void {
    const type = isJsonObject(envelope) && typeof envelope.type === 'string' ? envelope.type : null;
    logRefusal(this.#parts.log, this.#dialect, error, {
      ...{ traceId, requestId, tenant: caller.tenant, principal: caller.principal.id },
      ...{ message_id: this.#dialect.idOf(envelope), type },
    });
  }

  #audit(
    { caller, requestId }: Arrival,
    envelope: unknown,
    error: DomainError | null,
    message?: Message,
  ): void {
    const type =
      isJsonObject(envelope) && typeof envelope.type === 'string' ? envelope.type : (message?.type ?? null);
    const rule = error === null ? null : ruleOf(error);
    if (rule !== null) this.#parts.guardrails.count(caller.tenant, rule);
    const detail: JsonObject = {
      ...{ dialect: this.#dialect.name, type, outcome: error === null ? 'accepted' : error.code },
      ...(error === null ? {} : { reason: error.message }),
      ...(rule === null ? {} : { rule }),
    };
    this.#parts.audit.record({
      tenant: caller.tenant,
      action: error === null ? 'message.accepted' : 'message.refused',
      principal: caller.principal.id,
      object: message?.taskId ?? this.#dialect.idOf(envelope) ?? this.#dialect.name,
      ...{ detail, requestId },
    });
  }
}
