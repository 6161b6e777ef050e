// Subscriptions over HTTP: made, listed, streamed from where they were left, ended; each only by its owner or who manages deliveries.

import Type from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { allows } from '../../domain/principal.ts';
import type { Subscription, SubscriptionTarget } from '../../domain/subscription.ts';
import type { Call, Route, SseItem } from '../protocol.ts';
import { json, route } from '../route.ts';
import { callerOf } from './callers.ts';
import { mayShow } from './clear-text.ts';
import type { Caller } from './dialect.ts';
import { type DialectRouteParts, openInbox } from './routes.ts';
import { messagesAfter, newestPosition, streamed } from './streams.ts';

const anything = Type.Object({}, { additionalProperties: true });
const params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 200 }) });

const patterns = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: 100 });

const order = Type.Object({
  id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' })),
  types: Type.Optional(patterns),
  eventTypes: Type.Optional(patterns),
  filter: Type.Optional(
    Type.Union([Type.Object({}, { additionalProperties: true }), Type.String({ maxLength: 4_000 })]),
  ),
  deliver: Type.Optional(Type.Enum(['sse', 'inbox', 'webhook'], { description: 'sse when absent.' })),
  inbox: Type.Optional(
    Type.String({ minLength: 1, maxLength: 400, description: 'For inbox; the own one when absent.' }),
  ),
  url: Type.Optional(Type.String({ format: 'uri', maxLength: 2_000 })),
  backup_urls: Type.Optional(
    Type.Array(Type.String({ format: 'uri', maxLength: 2_000 }), {
      maxItems: 5,
      description: 'Called in this order while those before them cannot be reached.',
    }),
  ),
  qos: Type.Optional(
    Type.Enum([0, 1], { description: '0: told once it was handed over; 1 when absent: until acknowledged.' }),
  ),
  secret: Type.Optional(
    Type.String({ minLength: 16, maxLength: 200, description: 'What calls are signed with; kept sealed.' }),
  ),
});

/** What subscriptions need beside what all routes have. */
export interface SubscriptionParts extends DialectRouteParts {
  /** Judges a webhook's address; throws where it may not be called. */
  readonly checkTarget: (url: string) => Promise<void>;
  readonly sealSecret: (tenant: Caller['tenant'], secret: string) => Promise<string> | string;
}

/** The routes of subscriptions. */
export function subscriptionRoutes(parts: SubscriptionParts): readonly Route[] {
  const { dialect, mailroom } = parts;
  const path = `/protocols/${dialect.name}/subscriptions`;
  const common = { tag: dialect.name, rate: 'standard', access: 'message:receive' } as const;
  return [
    route({
      ...common,
      method: 'POST',
      path,
      summary: 'Be told of messages from now on',
      body: order,
      answers: { 201: anything },
      async handle(call) {
        const caller = await callerOf(call.principal, mailroom.directory);
        const subscription = await subscriptionOf(call.body as Order, caller, parts);
        await mailroom.subscriptions.create(subscription);
        return json(201, shown(subscription));
      },
    }),
    route({
      ...common,
      method: 'GET',
      path,
      summary: 'The caller’s subscriptions',
      answers: { 200: anything },
      async handle({ principal }) {
        const caller = await callerOf(principal, mailroom.directory);
        const all = await mailroom.subscriptions.list(principal.tenant, dialect.name);
        return json(200, { subscriptions: all.filter(one => isTheirs(one, caller)).map(shown) });
      },
    }),
    route({
      ...common,
      method: 'DELETE',
      path: `${path}/:id`,
      summary: 'Be told no more',
      params,
      answers: { 204: Type.Null() },
      async handle(call) {
        const { tenant, id } = await own(call, parts);
        await mailroom.subscriptions.remove(tenant, id);
        return { kind: 'empty', status: 204 };
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${path}/:id/stream`,
      summary: 'What a subscription is told, from where it was left',
      rate: 'free',
      params,
      answers: { 200: Type.String({ contentMediaType: 'text/event-stream' }) },
      handle: async call => ({ kind: 'sse', items: stream(await ownStream(call, parts), call, parts) }),
    }),
  ];
}

interface Order {
  readonly id?: string;
  readonly types?: readonly string[];
  /** Another word for the same. */
  readonly eventTypes?: readonly string[];
  readonly filter?: JsonObject | string;
  readonly deliver?: 'sse' | 'inbox' | 'webhook';
  readonly inbox?: string;
  readonly url?: string;
  readonly backup_urls?: readonly string[];
  readonly qos?: 0 | 1;
  readonly secret?: string;
}

async function subscriptionOf(order: Order, caller: Caller, parts: SubscriptionParts): Promise<Subscription> {
  const { dialect, mailroom, clock, random } = parts;
  const { types = order.eventTypes, filter = null } = order;
  if (types === undefined)
    throw new DomainError('invalid_request', 'types is required', {
      details: { errors: [{ field: 'types', message: 'is required' }] },
    });
  dialect.checkSubscription(types, filter);
  return {
    id: order.id ?? random.uuid(),
    tenant: caller.tenant,
    dialect: dialect.name,
    owner: ownerOf(caller),
    types,
    filter,
    target: await targetOf(order, caller, parts),
    ...(order.qos === undefined ? {} : { qos: order.qos }),
    watchesAll: allows(caller.principal, 'delivery:manage') || dialect.mayWatch(caller),
    createdAt: clock.now(),
    cursor: await newestPosition(mailroom, caller),
  };
}

async function targetOf(
  { deliver = 'sse', inbox, url, backup_urls: backups = [], secret }: Order,
  caller: Caller,
  { dialect, checkTarget, sealSecret }: SubscriptionParts,
): Promise<SubscriptionTarget> {
  if (deliver === 'sse') return { by: 'sse' };
  if (deliver === 'webhook') {
    if (url === undefined)
      throw new DomainError('invalid_request', 'a webhook has a url', { details: { field: 'url' } });
    for (const one of [url, ...backups]) await checkTarget(one);
    return {
      by: 'webhook',
      url,
      ...(backups.length === 0 ? {} : { backups }),
      ...(secret === undefined ? {} : { secretSealed: await sealSecret(caller.tenant, secret) }),
    };
  }
  const name = inbox ?? caller.agentId;
  if (name === null)
    throw new DomainError('invalid_request', 'say which inbox', { details: { field: 'inbox' } });
  const { inboxes } = await openInbox(name, caller, dialect);
  const [first] = inboxes;
  if (first === undefined) throw new DomainError('not_found', `there is no inbox ${name}`);
  return { by: 'inbox', inbox: first, name };
}

async function own(
  call: Call<unknown, unknown, { readonly id: string }>,
  { dialect, mailroom }: DialectRouteParts,
): Promise<Subscription> {
  const { tenant } = call.principal;
  const found = await mailroom.subscriptions.find(tenant, dialect.name, call.params.id);
  if (found === null || !isTheirs(found, await callerOf(call.principal, mailroom.directory)))
    throw new DomainError('not_found', `there is no subscription ${call.params.id}`);
  return found;
}

async function ownStream(call: Parameters<typeof own>[0], parts: DialectRouteParts): Promise<Subscription> {
  const subscription = await own(call, parts);
  if (subscription.target.by === 'sse') return subscription;
  throw new DomainError('invalid_request', `this subscription is told by ${subscription.target.by}`);
}

function isTheirs(subscription: Subscription, caller: Caller): boolean {
  return subscription.owner === ownerOf(caller) || allows(caller.principal, 'delivery:manage');
}

function ownerOf({ agentId, principal }: Caller): string {
  return agentId ?? principal.id;
}

/** What was handed over is noted as told: whoever comes back without saying how far it got goes on after that. */
async function* stream(
  subscription: Subscription,
  { headers, signal, isPrivate }: Pick<Call, 'headers' | 'signal' | 'isPrivate'>,
  parts: DialectRouteParts,
): AsyncIterable<SseItem> {
  const { mailroom, dialect } = parts;
  const from = headers['last-event-id'] ?? subscription.cursor;
  const log = { mailroom, clock: parts.clock, caller: subscription, dialect };
  for await (const message of messagesAfter(log, from, signal)) {
    if (!dialect.wants(message, subscription) || !mayShow(message, { isPrivate })) continue;
    yield streamed(message, parts);
    await mailroom.subscriptions.advance(subscription.tenant, subscription.id, message.position);
  }
}

function shown({ id, types, filter, target, qos = 1, createdAt }: Subscription): JsonObject {
  return {
    ...{ id, types: [...types], deliver: target.by, qos },
    ...(filter === null ? {} : { filter: isJsonObject(filter) ? filter : String(filter) }),
    ...(target.by === 'inbox' ? { inbox: target.name } : {}),
    ...(target.by === 'webhook' ? { url: target.url, backup_urls: [...(target.backups ?? [])] } : {}),
    created_at: new Date(createdAt).toISOString(),
  };
}
