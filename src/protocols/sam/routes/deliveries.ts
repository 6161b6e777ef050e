// Deliveries: which notifications went where, how that went, and sending one again (`SAM-90`, `SAM-92`).

import Type, { type Static } from 'typebox';
import type { Delivery } from '../../../domain/delivery.ts';
import { DomainError } from '../../../domain/errors.ts';
import type { DeliveryId, TaskId, TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { EndpointView, EngineApi } from '../../../engine/api.ts';
import type { Random } from '../../../runtime/random.ts';
import type { DeliveryQuery } from '../../../store/rows.ts';
import type { Store } from '../../../store/store.ts';
import type { Route } from '../../protocol.ts';
import { instantOf } from '../../validation.ts';
import { json, PREFIX, route } from '../route.ts';
import { pageOf } from '../schema/answers.ts';
import { anyObject, callerId, instant, paging } from '../vocabulary.ts';

/** What the deliveries' routes need. */
export interface DeliveryDeps {
  readonly random: Random;
  readonly engine: Pick<EngineApi, 'endpoints' | 'wakeOutbox'>;
  readonly store: Pick<Store, 'deliveries' | 'redeliver'>;
}

const time = Type.Optional(Type.String({ format: 'date-time' }));

const listQuery = Type.Object({
  task_id: Type.Optional(callerId),
  endpoint: Type.Optional(Type.String()),
  status: Type.Optional(Type.Enum(['pending', 'sending', 'delivered', 'failed', 'dropped'])),
  since: time,
  until: time,
  ...paging,
});

const params = Type.Object({ delivery_id: Type.String({ pattern: '^[0-9a-f-]{36}$' }) });

const deliveryAnswer = Type.Object(
  {
    delivery_id: Type.String(),
    task_id: Type.String(),
    event_type: Type.String(),
    endpoint: Type.String(),
    channel: Type.String(),
    status: Type.String(),
    attempts: Type.Array(anyObject),
    created_at: Type.String({ format: 'date-time' }),
  },
  { description: 'A delivery and every try of it.' },
);

const common = { tag: 'deliveries', access: 'delivery:manage', rate: 'standard' } as const;

/** The routes that show and repeat deliveries. */
export function deliveryRoutes(deps: DeliveryDeps): readonly Route[] {
  const { store, engine, random } = deps;
  return [
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/deliveries`,
      summary: 'Notifications and how they went, newest first',
      query: listQuery,
      answers: { 200: pageOf('deliveries') },
      async handle({ principal, query }) {
        const { items, total } = await store.deliveries(queryOf(principal.tenant, query));
        const { limit, offset } = query;
        return json(200, { deliveries: items.map(wireDelivery), total, limit, offset });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/deliveries/endpoints`,
      summary: 'How the endpoints are that notifications go to',
      query: Type.Object(paging),
      answers: { 200: pageOf('endpoints') },
      async handle({ principal, query: { limit, offset } }) {
        const all = engine.endpoints(principal.tenant);
        const shown = all.slice(offset, offset + limit).map(wireEndpoint);
        return json(200, { endpoints: shown, total: all.length, limit, offset });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/deliveries/:delivery_id`,
      summary: 'One notification and how it went',
      params,
      answers: { 200: deliveryAnswer },
      async handle({ principal, params: { delivery_id: id } }) {
        const query = { tenant: principal.tenant, id: id as DeliveryId, limit: 1, offset: 0 };
        const [found] = (await store.deliveries(query)).items;
        if (found === undefined) throw missing();
        return json(200, wireDelivery(found));
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/deliveries/:delivery_id/redeliver`,
      summary: 'Send a notification again, freshly signed',
      params,
      answers: { 200: deliveryAnswer },
      async handle({ principal, params: { delivery_id: of } }) {
        const copy = { tenant: principal.tenant, of: of as DeliveryId, id: random.uuid() as DeliveryId };
        const [made] = await store.redeliver([copy]);
        if (made == null) throw missing();
        engine.wakeOutbox();
        return json(200, wireDelivery(made));
      },
    }),
  ];
}

function missing(): DomainError {
  return new DomainError('not_found', 'there is no such delivery');
}

function queryOf(tenant: TenantId, query: Static<typeof listQuery>): DeliveryQuery {
  return {
    tenant,
    ...(query.task_id === undefined ? {} : { taskId: query.task_id as TaskId }),
    ...(query.endpoint === undefined ? {} : { endpoint: query.endpoint }),
    ...(query.status === undefined ? {} : { statuses: [query.status] }),
    ...(query.since === undefined ? {} : { since: instantOf(query.since) }),
    ...(query.until === undefined ? {} : { until: instantOf(query.until) }),
    limit: query.limit,
    offset: query.offset,
  };
}

function wireDelivery(delivery: Delivery): JsonObject {
  return {
    delivery_id: delivery.id,
    task_id: delivery.taskId,
    event_type: delivery.event,
    sequence: delivery.sequence,
    channel: delivery.channel,
    endpoint: delivery.endpoint,
    status: delivery.status,
    attempts: delivery.attempts.map((one, index) => ({
      attempt: index + 1,
      timestamp: instant(one.at),
      status: one.status,
      duration_ms: Math.round(one.durationMs),
      answer: one.answer,
    })),
    created_at: instant(delivery.createdAt),
    ...(delivery.status === 'pending' ? { next_attempt_at: instant(delivery.dueAt) } : {}),
    ...(delivery.redeliveryOf === undefined ? {} : { redelivery_of: delivery.redeliveryOf }),
  };
}

function wireEndpoint(view: EndpointView): JsonObject {
  return {
    endpoint: view.endpoint,
    breaker: view.breaker,
    open_until: view.openUntil === null ? null : instant(view.openUntil),
    mean_ms: view.meanMs,
    p95_ms: view.p95Ms,
    success_rate: view.successRate,
    timeout_ms: view.timeoutMs,
    availability: view.availability.map(({ hour, share }) => ({ hour, share })),
    warning: view.warning,
  };
}
