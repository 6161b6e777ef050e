// The far end of agents' webhooks: believes what one of an agent's secrets signed, writes it down with its delegation before it
// answers, once for each delivery, and tells the agent what else is wanted of it (`SAM-95` to `SAM-97`).

import { createHash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { EngineApi } from '../../engine/api.ts';
import { createDocument, type Documents, oneDocument } from '../../guards/documents.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Delegation, Delegations, KnownDelegation } from './delegation.ts';
import type { AgentRef, Enrolment, Enrolments } from './enrolment.ts';
import { fold, readWebhook } from './event.ts';
import { assertStamped, isSignedBy, type SignedRequest } from './signature.ts';

/** A webhook as it came, and as what it was parsed. */
export interface ReceivedWebhook extends SignedRequest {
  readonly payload: unknown;
}

/** The answer to a webhook that was believed. */
export interface Acknowledgement {
  readonly acknowledged: true;
  /** The delivery came before, and changed nothing now. */
  readonly duplicate?: true;
  readonly next_instructions?: { readonly action: 'cancel' | 'pause' };
}

/** What the receiver is built from. */
export interface ReceiverDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'task'>;
  readonly store: Documents;
  readonly enrolments: Enrolments;
  readonly delegations: Delegations;
  /** Called after something about a delegation was stored. */
  onStored(delegation: AgentRef & { readonly remoteId: string }): void;
}

const KIND = 'webhook_received';
const REMEMBERED_MS = 86_400_000;

/** Receives webhooks. */
export class WebhookReceiver {
  readonly #deps: ReceiverDeps;

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  /**
   * Stores and acknowledges. Throws `invalid_request` for missing proof, proof over 300 s off, or a body that is no webhook,
   * `unauthenticated` for a signature by no secret of the agent, `conflict` for another body under a delivery id of the last 24 h.
   */
  async receive(webhook: ReceivedWebhook): Promise<Acknowledgement> {
    assertStamped(webhook, this.#deps.clock.now());
    const body = isJsonObject(webhook.payload) ? webhook.payload : {};
    const remoteId = typeof body.task_id === 'string' ? body.task_id : '';
    const known = await this.#deps.delegations.find(remoteId);
    const sender = await this.#senderOf(webhook, known);
    assertWebhook(webhook.headers, body);
    const delivery = deliveryOf(webhook, sender);
    const earlier = delivery === null ? null : await oneDocument(this.#deps.store, delivery.ref);
    const isRepeated = earlier !== null;
    if (isRepeated) assertSame(earlier.body, delivery?.digest);
    // Signed by one agent, a webhook says nothing of another's task.
    const open = known !== null && isSameAgent(known, sender) ? known.open : null;
    const told = isRepeated ? open : await this.#store(open, body);
    if (delivery !== null && !isRepeated) await this.#remember(delivery);
    return {
      acknowledged: true,
      ...(isRepeated ? { duplicate: true } : {}),
      ...(told === null ? {} : await this.#instructions(told)),
    };
  }

  /**
   * Agents of the name in `X-SAM-Agent-ID`, and the one that was given the task: an agent is free to sign in the name of whichever
   * worker of its own ran it.
   */
  async #senderOf(webhook: ReceivedWebhook, known: KnownDelegation | null): Promise<Enrolment> {
    const { enrolments, log } = this.#deps;
    const name = webhook.headers['x-sam-agent-id'] ?? '';
    const [owner, named] = await Promise.all([
      known === null ? null : enrolments.find(known),
      name === '' ? [] : enrolments.named(name),
    ]);
    const sender = [...(owner === null ? [] : [owner]), ...named].find(one =>
      isSignedBy(webhook, one.webhookSecrets),
    );
    if (sender !== undefined) return sender;
    log.warn('a webhook was refused: no secret of its agent matches', { agent: name.slice(0, 200) });
    throw new DomainError('unauthenticated', 'no secret of the agent matches the signature');
  }

  /** The delegation after the event; one of a task nobody delegated, or of a kind nobody knows, changes nothing. */
  async #store(open: Delegation | null, body: JsonObject): Promise<Delegation | null> {
    const event = readWebhook(body);
    if (event === null || open === null) return open;
    const { clock, delegations, onStored } = this.#deps;
    const changed = await delegations.change(open, one => fold(one, event, clock.now()));
    if (changed !== null) onStored(open);
    return changed;
  }

  /** After the event itself was stored: a crash between makes the delivery new again, and its event is known then. */
  async #remember({ ref, digest }: Delivery): Promise<void> {
    const { store, clock } = this.#deps;
    if (await createDocument(store, ref, { digest }, clock.now() + REMEMBERED_MS)) return;
    const earlier = await oneDocument(store, ref);
    if (earlier !== null) assertSame(earlier.body, digest);
  }

  /** What is to be done about an attempt that goes on at the agent though the task has moved on here. */
  async #instructions({ tenant, taskId, token, end }: Delegation): Promise<Partial<Acknowledgement>> {
    if (end !== null) return {};
    const task = await this.#deps.engine.task(tenant, taskId);
    if (task.lease?.token === token) return {};
    return { next_instructions: { action: task.state === 'paused' ? 'pause' : 'cancel' } };
  }
}

interface Delivery {
  readonly ref: { readonly tenant: AgentRef['tenant']; readonly kind: string; readonly id: string };
  readonly digest: string;
}

/** A delivery's name is its agent's; only its digest is kept, whatever the name is made of. */
function deliveryOf({ headers, body }: ReceivedWebhook, sender: AgentRef): Delivery | null {
  const name = headers['x-delivery-id'] ?? headers['webhook-id'];
  if (name === undefined || name === '') return null;
  const id = createHash('sha256').update(`${sender.agentId}\n${name}`).digest('hex');
  const digest = createHash('sha256').update(body).digest('hex');
  return { ref: { tenant: sender.tenant, kind: KIND, id }, digest };
}

function assertSame(earlier: JsonObject, digest: string | undefined): void {
  if (earlier.digest === digest) return;
  throw new DomainError('conflict', 'another webhook came under this delivery id');
}

function assertWebhook(headers: ReceivedWebhook['headers'], body: JsonObject): void {
  const { task_id: taskId, event_type: event } = body;
  const claimed = headers['x-webhook-event'];
  const errors = [
    ...(typeof taskId === 'string' && taskId !== '' ? [] : [{ field: 'task_id', message: 'is required' }]),
    ...(typeof event === 'string' && event !== '' ? [] : [{ field: 'event_type', message: 'is required' }]),
    ...(claimed === undefined || claimed === event
      ? []
      : [{ field: 'X-Webhook-Event', message: 'must equal event_type' }]),
  ];
  const [first] = errors;
  if (first === undefined) return;
  throw new DomainError('invalid_request', `${first.field} ${first.message}`, { details: { errors } });
}

function isSameAgent(one: AgentRef, other: AgentRef): boolean {
  return one.tenant === other.tenant && one.agentId === other.agentId;
}
