// The HTTP doors that every dialect has under `/protocols/<name>`: messages in, inboxes out, verdicts on deliveries.

import Type from 'typebox';
import { asDomainError, DomainError } from '../../domain/errors.ts';
import { requirePermission } from '../../guards/permissions.ts';
import type { Call, Reply, Route } from '../protocol.ts';
import { route } from '../route.ts';
import { callerOf } from './callers.ts';
import { deliverable } from './clear-text.ts';
import { deadHandout, keepable } from './dead-handout.ts';
import type { Dialect, ErrorBodyScene } from './dialect.ts';
import type { Arrival, Door, DoorParts } from './door.ts';
import { encoded } from './encoded.ts';
import { ackItem } from './frames.ts';
import { headersBeside } from './headed.ts';
import { answer, answerIn, BATCH_MAX, BODY_BYTES_MAX, readBody } from './media.ts';
import { rendered } from './rendered.ts';
import type { Taken } from './taken.ts';
import { type AckItem, ownInboxes, VISIBILITY_S, verdictOf } from './verdicts.ts';
import { versionHeaders } from './versions.ts';

/** What a dialect's routes are made of. */
export interface DialectRouteParts extends DoorParts {
  readonly dialect: Dialect;
  readonly door: Door;
}

const anything = Type.Object({}, { additionalProperties: true });
const wait = Type.Optional(
  Type.Number({ minimum: 0, maximum: 60, description: 'Seconds to wait; 0 when absent.' }),
);

/** The routes through which messages come and go. */
export function messageRoutes(parts: DialectRouteParts): readonly Route[] {
  const { dialect } = parts;
  const prefix = `/protocols/${dialect.name}`;
  const common = { tag: dialect.name, rate: 'standard' } as const;
  return [
    route({
      ...common,
      method: 'POST',
      path: `${prefix}/messages`,
      summary: `Send one ${dialect.title} message, or up to 1,000 as an array`,
      access: 'message:send',
      rate: 'free',
      idempotency: 'own',
      bodyAs: 'bytes',
      bodyBytesMax: BODY_BYTES_MAX,
      query: Type.Object({ wait }),
      answers: { 200: anything, 202: anything, 207: anything },
      handle: call => send(call, parts),
    }),
    route({
      ...common,
      method: 'GET',
      path: `${prefix}/inbox/:name`,
      summary: 'Messages for an agent or role, waiting for some where there are none',
      access: 'message:receive',
      rate: 'free',
      params: Type.Object({ name: Type.String({ minLength: 1, maxLength: 400 }) }),
      query: Type.Object({
        wait,
        max: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: '10 when absent.' })),
        visibility: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 43_200,
            description: 'Seconds until what is not acknowledged comes again; 30 when absent.',
          }),
        ),
      }),
      answers: { 200: anything },
      handle: call => readInbox(call, parts),
    }),
    route({
      ...common,
      method: 'POST',
      path: `${prefix}/inbox/:name/ack`,
      summary: 'Say what became of deliveries',
      access: 'message:receive',
      rate: 'free',
      idempotency: 'own',
      params: Type.Object({ name: Type.String({ minLength: 1, maxLength: 400 }) }),
      body: Type.Object({
        items: Type.Array(ackItem, { minItems: 1, maxItems: BATCH_MAX }),
      }),
      answers: { 200: anything },
      handle: call => acknowledge(call, parts),
    }),
  ];
}

async function send(
  call: Call<unknown, { readonly wait?: number }>,
  parts: DialectRouteParts,
): Promise<Reply> {
  const { dialect, door } = parts;
  const { headers, query } = call;
  const arrival = await arrivalOf(call, parts);
  const bytes = call.rawBody ?? new Uint8Array();
  let body: unknown;
  try {
    body = await readBody(bytes, headers);
    refuseLength(body);
  } catch (error) {
    await door.refuseBytes(bytes, error, arrival);
    const version = headers['protocol-version'] ?? null;
    return refused(dialect, asDomainError(error), { scene: sceneOf(call, null, version), headers });
  }
  const envelopes = Array.isArray(body) ? body : [body];
  const versions = envelopes.map(one => dialect.versionOf(one) ?? headers['protocol-version'] ?? null);
  const more = versionHeaders(dialect, versions);
  const allTaken = await door.take(envelopes, arrival);
  if (Array.isArray(body)) {
    const results = allTaken.map((one, index) => resultOf(one, call, dialect, versions[index]));
    return answer(207, { results }, headers, more);
  }
  const [taken] = allTaken;
  if (taken === undefined) throw new Error('the door answered nothing');
  if (taken.status === 'rejected') {
    return refused(dialect, taken.error, { scene: sceneOf(call, taken.id, versions[0]), headers, more });
  }
  const reply =
    query.wait === undefined || query.wait === 0 ? null : await door.reply(taken, query.wait * 1_000, call);
  const status = taken.status === 'duplicate' ? 200 : 202;
  const told = reply === null ? {} : { reply: dialect.encode(reply) };
  return answer(status, { message_id: taken.id, status: taken.status, ...told }, headers, more);
}

/** The door has noted it already; what is left is to say it as the caller reads. */
function refused(
  dialect: Dialect,
  error: DomainError,
  {
    scene,
    headers,
    more = {},
  }: {
    readonly scene: ErrorBodyScene;
    readonly headers: Call['headers'];
    readonly more?: Readonly<Record<string, string>>;
  },
): Reply {
  const { status, body, headers: own } = rendered(dialect, error, scene);
  return answer(status, body, headers, { ...more, ...own });
}

function refuseLength(body: unknown): void {
  if (!Array.isArray(body)) return;
  if (body.length === 0) throw new DomainError('invalid_request', 'an array of messages holds at least one');
  if (body.length > BATCH_MAX)
    throw new DomainError('payload_too_large', `an array of messages holds at most ${BATCH_MAX}`);
}

/** What came of one envelope among several. */
export function resultOf(taken: Taken, call: Call, dialect: Dialect, version: string | null = null): object {
  if (taken.status !== 'rejected') return { message_id: taken.id, status: taken.status };
  return {
    message_id: taken.id,
    status: 'rejected',
    error: dialect.errorBody(taken.error, sceneOf(call, taken.id, version)),
  };
}

/** What an error's body is made from, for a call. */
export function sceneOf(
  call: Pick<Call, 'traceId' | 'requestId' | 'receivedAt' | 'origin'>,
  about: string | null,
  version: string | null = null,
): ErrorBodyScene {
  const { traceId, requestId, receivedAt, origin } = call;
  return { about, version, traceId, requestId, now: receivedAt, origin };
}

/** How a call came, for the door. */
export async function arrivalOf(
  call: Call,
  { mailroom }: Pick<DialectRouteParts, 'mailroom'>,
): Promise<Arrival> {
  const { headers, traceId, requestId, isPrivate, sourceAddress } = call;
  return {
    caller: await callerOf(call.principal, mailroom.directory),
    ...{ headers, traceId, requestId, isPrivate, address: sourceAddress },
  };
}

async function readInbox(
  call: Call<
    unknown,
    { readonly wait?: number; readonly max?: number; readonly visibility?: number },
    { readonly name: string }
  >,
  parts: DialectRouteParts,
): Promise<Reply> {
  const { dialect, mailroom, figures } = parts;
  const { wait: waitS = 0, max = 10, visibility = VISIBILITY_S } = call.query;
  const { caller } = await arrivalOf(call, parts);
  const { inboxes, worker, reader, isDead } = await openInbox(call.params.name, caller, dialect);
  if (isDead === true) {
    const letters = await mailroom.deadLetters({ tenant: caller.tenant, dialect: dialect.name, limit: max });
    const messages = letters.map(letter => deadHandout(letter, message => keepable(message, dialect)));
    return answer(200, { messages }, call.headers);
  }
  const read = await mailroom.read({
    ...{ tenant: caller.tenant, reader, inboxes, limit: max, signal: call.signal },
    ...{ visibilityMs: visibility * 1_000, waitMs: waitS * 1_000 },
    ...(worker === null ? {} : { worker: { agentId: worker, dialect: dialect.name } }),
  });
  const holder = {
    tenant: caller.tenant,
    name: reader,
    agentId: worker,
    inboxes: ownInboxes(inboxes, worker),
  };
  const handouts = await deliverable(read, call, holder, mailroom);
  figures.handedOut(caller.tenant, handouts);
  const shown = handouts.map(handout => ({ ...handout, encoded: encoded(handout.message, dialect) }));
  const messagesIn = (mediaType: string): readonly object[] =>
    shown.map(({ id, attempt, visibleUntil, message, encoded: said }) => ({
      ...{ delivery_id: id, attempt, visible_until: new Date(visibleUntil).toISOString() },
      ...headersBeside(message, dialect, mediaType),
      message: said,
    }));
  return answerIn(200, mediaType => ({ messages: messagesIn(mediaType) }), call.headers);
}

/** An inbox the caller may read, and under which name it holds what it takes; throws `forbidden`, `not_found`. */
export async function openInbox(
  name: string,
  caller: Arrival['caller'],
  dialect: Dialect,
): Promise<Awaited<ReturnType<Dialect['inbox']>> & { readonly reader: string }> {
  const named = await dialect.inbox(name, caller);
  requirePermission(caller.principal, named.isOwn ? 'message:receive' : 'delivery:manage');
  return { ...named, reader: caller.agentId ?? named.worker ?? caller.principal.id };
}

async function acknowledge(
  call: Call<{ readonly items: readonly AckItem[] }, unknown, { readonly name: string }>,
  parts: DialectRouteParts,
): Promise<Reply> {
  const { dialect, mailroom } = parts;
  const { caller } = await arrivalOf(call, parts);
  const { inboxes, worker, reader } = await openInbox(call.params.name, caller, dialect);
  const holder = {
    tenant: caller.tenant,
    name: reader,
    agentId: worker,
    inboxes: ownInboxes(inboxes, worker),
  };
  const outcomes = await mailroom.settle(holder, call.body.items.map(verdictOf));
  const results = outcomes.map((outcome, index) => {
    const deliveryId = call.body.items[index]?.delivery_id;
    if (outcome.status === 'refused')
      return {
        delivery_id: deliveryId,
        status: 'rejected',
        error: dialect.errorBody(outcome.error, sceneOf(call, null)),
      };
    return {
      ...{ delivery_id: deliveryId, status: 'done' },
      ...(outcome.visibleUntil === null
        ? {}
        : { visible_until: new Date(outcome.visibleUntil).toISOString() }),
    };
  });
  return answer(200, { results }, call.headers);
}
