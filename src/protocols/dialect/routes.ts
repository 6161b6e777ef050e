// The HTTP doors that every dialect has under `/protocols/<name>`: messages in, inboxes out, dead letters, schemas, health, and a front
// page that says what is spoken here.

import Type, { type TSchema } from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import type { Message } from '../../domain/message.ts';
import { requirePermission } from '../../guards/permissions.ts';
import type { Call, Reply, Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import { callerOf } from './callers.ts';
import { deliverable } from './clear-text.ts';
import { deadHandout } from './dead-handout.ts';
import type { Dialect, ErrorBodyScene } from './dialect.ts';
import type { Arrival, Door, DoorParts } from './door.ts';
import { ackItem } from './frames.ts';
import { answer, BATCH_MAX, BODY_BYTES_MAX, MESSAGE_BYTES_MAX, readBody } from './media.ts';
import type { Taken } from './taken.ts';

/** What a dialect's routes are made of. */
export interface DialectRouteParts extends DoorParts {
  readonly dialect: Dialect;
  readonly door: Door;
}

const VISIBILITY_S = 30;
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
    ...pages(parts, prefix),
  ];
}

/** One verdict as it is sent. */
export interface AckItem {
  readonly delivery_id: string;
  readonly outcome: 'ack' | 'nack' | 'extend' | 'reject';
  readonly delay_ms?: number;
  readonly visibility_s?: number;
  readonly reason?: string;
}

function pages(
  { dialect, mailroom, figures, guardrails }: DialectRouteParts,
  prefix: string,
): readonly Route[] {
  const common = { method: 'GET', tag: dialect.name, rate: 'standard' } as const;
  return [
    route({
      ...common,
      path: prefix,
      summary: `What is spoken here: versions, types, limits of ${dialect.title}`,
      access: 'public',
      rate: 'free',
      answers: { 200: anything },
      async handle() {
        return json(200, frontPage(dialect));
      },
    }),
    route({
      ...common,
      path: `${prefix}/schemas/:type`,
      summary: 'The JSON Schema of a message type',
      access: 'public',
      rate: 'free',
      params: Type.Object({ type: Type.String({ maxLength: 200 }) }),
      answers: { 200: anything },
      async handle({ params: { type } }) {
        const schema: TSchema | undefined = Object.hasOwn(dialect.types, type)
          ? dialect.types[type]
          : undefined;
        if (schema === undefined)
          throw new DomainError('not_found', `there is no message type ${type}`, {
            details: { types: Object.keys(dialect.types) },
          });
        return json(200, { $schema: 'https://json-schema.org/draft/2020-12/schema', title: type, ...schema });
      },
    }),
    route({
      ...common,
      path: `${prefix}/health`,
      summary: 'Messages by type and outcome, handling time, depth of the inboxes',
      access: 'message:receive',
      rate: 'free',
      answers: { 200: anything },
      async handle({ principal }) {
        const inboxes = await mailroom.depths(principal.tenant);
        return json(200, {
          status: 'healthy',
          ...figures.show(),
          guardrails: guardrails.counts(principal.tenant),
          inboxes: inboxes.map(({ inbox, waiting, held, oldestAt }) => ({
            ...{ inbox, waiting, held },
            oldest_at: oldestAt === null ? null : new Date(oldestAt).toISOString(),
          })),
        });
      },
    }),
  ];
}

/** What a dialect says of itself. */
export function frontPage(dialect: Dialect): object {
  return {
    protocol: dialect.name,
    title: dialect.title,
    versions: dialect.versions.map(({ version, deprecatedAt, sunsetAt }) => ({
      version,
      ...(deprecatedAt === undefined ? {} : { deprecated_at: deprecatedAt }),
      ...(sunsetAt === undefined ? {} : { sunset_at: sunsetAt }),
    })),
    types: Object.keys(dialect.types),
    schemas: Object.fromEntries(
      Object.keys(dialect.types).map(type => [
        type,
        `/protocols/${dialect.name}/schemas/${encodeURIComponent(type)}`,
      ]),
    ),
    error_codes: Object.fromEntries(
      Object.entries(dialect.codes).map(([code, { code: word }]) => [code, word]),
    ),
    limits: { message_bytes: MESSAGE_BYTES_MAX, batch_items: BATCH_MAX, nesting: 64, wait_seconds: 60 },
    ...dialect.about(),
  };
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
    throw error;
  }
  const more = versionHeaders(dialect, body);
  if (Array.isArray(body)) {
    const taken = await door.take(body, arrival);
    const results = taken.map(one => resultOf(one, call, dialect));
    return answer(207, { results }, headers, more);
  }
  const [taken] = await door.take([body], arrival);
  if (taken === undefined) throw new Error('the door answered nothing');
  if (taken.status === 'rejected') throw naming(taken.error, taken.id);
  const reply =
    query.wait === undefined || query.wait === 0
      ? null
      : await door.reply(taken, query.wait * 1_000, call.signal);
  const status = taken.status === 'duplicate' ? 200 : 202;
  const told = reply === null ? {} : { reply: dialect.encode(reply) };
  return answer(status, { message_id: taken.id, status: taken.status, ...told }, headers, more);
}

function refuseLength(body: unknown): void {
  if (!Array.isArray(body)) return;
  if (body.length === 0) throw new DomainError('invalid_request', 'an array of messages holds at least one');
  if (body.length > BATCH_MAX)
    throw new DomainError('payload_too_large', `an array of messages holds at most ${BATCH_MAX}`);
}

/** The error, saying which message it is about, for whoever words it. */
function naming(error: DomainError, id: string | null): DomainError {
  if (id === null) return error;
  const { code, message, details, retryAfterMs, cause } = error;
  return new DomainError(code, message, {
    details: { ...details, message_id: id },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** What came of one envelope among several. */
export function resultOf(taken: Taken, call: Call, dialect: Dialect): object {
  if (taken.status !== 'rejected') return { message_id: taken.id, status: taken.status };
  return {
    message_id: taken.id,
    status: 'rejected',
    error: dialect.errorBody(taken.error, sceneOf(call, taken.id)),
  };
}

/** What an error's body is made from, for a call. */
export function sceneOf(
  call: Pick<Call, 'traceId' | 'requestId' | 'receivedAt' | 'origin'>,
  about: string | null,
): ErrorBodyScene {
  const { traceId, requestId, receivedAt, origin } = call;
  return { about, traceId, requestId, now: receivedAt, origin };
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

/** An old version's end is told with every answer to one who speaks it. */
function versionHeaders(dialect: Dialect, body: unknown): Readonly<Record<string, string>> {
  const spoken = dialect.versionOf(Array.isArray(body) ? body[0] : body);
  const old = dialect.versions.find(({ version }) => version === spoken);
  if (old?.deprecatedAt === undefined) return {};
  return {
    deprecation: `@${Math.floor(Date.parse(old.deprecatedAt) / 1_000)}`,
    ...(old.sunsetAt === undefined ? {} : { sunset: new Date(old.sunsetAt).toUTCString() }),
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
  const { dialect, mailroom } = parts;
  const { wait: waitS = 0, max = 10, visibility = VISIBILITY_S } = call.query;
  const { caller } = await arrivalOf(call, parts);
  const { inboxes, worker, reader, isDead } = await openInbox(call.params.name, caller, dialect);
  if (isDead === true) {
    const letters = await mailroom.deadLetters({ tenant: caller.tenant, dialect: dialect.name, limit: max });
    const messages = letters.map(letter => deadHandout(letter, message => encoded(message, dialect)));
    return answer(200, { messages }, call.headers);
  }
  const read = await mailroom.read({
    ...{ tenant: caller.tenant, reader, inboxes, limit: max, signal: call.signal },
    ...{ visibilityMs: visibility * 1_000, waitMs: waitS * 1_000 },
    ...(worker === null ? {} : { worker: { agentId: worker, dialect: dialect.name } }),
  });
  const { tenant } = caller;
  const holder = { tenant, name: reader, agentId: worker, inboxes: ownInboxes(inboxes, worker) };
  const handouts = await deliverable(read, call, holder, mailroom);
  const messages = handouts.map(({ id, attempt, visibleUntil, message }) => ({
    delivery_id: id,
    attempt,
    visible_until: new Date(visibleUntil).toISOString(),
    message: encoded(message, dialect),
  }));
  return answer(200, { messages }, call.headers);
}

/** The message in the dialect's words; what it has no words for is said to be there. */
export function encoded(message: Message, dialect: Dialect): object {
  try {
    return dialect.encode(message);
  } catch (error) {
    if (!(error instanceof DomainError) || error.code !== 'unprocessable') throw error;
    return {
      untranslatable: {
        message_id: message.id,
        protocol: message.dialect,
        type: message.type,
        from: message.from,
      },
    };
  }
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

function ownInboxes(
  inboxes: Awaited<ReturnType<Dialect['inbox']>>['inboxes'],
  worker: string | null,
): typeof inboxes {
  return worker === null
    ? inboxes
    : [...new Set([...inboxes, `agent:${worker}` as (typeof inboxes)[number]])];
}

/** A verdict as the mailroom takes it; without a delay it comes back at once. */
export function verdictOf(item: AckItem): Parameters<DialectRouteParts['mailroom']['settle']>[1][number] {
  const id = item.delivery_id;
  switch (item.outcome) {
    case 'ack':
      return { id, verdict: { outcome: 'ack' } };
    case 'nack':
      return { id, verdict: { outcome: 'nack', delayMs: item.delay_ms ?? 0 } };
    case 'extend':
      return {
        id,
        verdict: { outcome: 'extend', visibilityMs: (item.visibility_s ?? VISIBILITY_S) * 1_000 },
      };
    case 'reject':
      return { id, verdict: { outcome: 'reject', reason: item.reason ?? '' } };
  }
}
