// What only this wire has over HTTP: events published, executions read, messages checked without being sent, a tenant's settings.

import Type from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { MessageId } from '../../domain/message.ts';
import { DEFAULT_PRIORITY } from '../../domain/priority.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { fingerprintOf } from '../fingerprint.ts';
import type { Call, Reply, Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import { millis, refuseVersion, versionOf } from './decode.ts';
import { executionOf } from './executions.ts';
import { type SystemEvent, systemEvent } from './schemas.ts';
import type { Settings } from './settings.ts';
import { validatorsOf } from './stand-in.ts';
import { findingsOf, KINDS } from './validator.ts';
import { instant } from './vocabulary.ts';

const anything = Type.Object({}, { additionalProperties: true });
const finalApproval = Type.Enum(['automatic', 'person'], {
  description: 'Whether a person with approval:decide has the last word before anything is published.',
});

/** The routes. */
export function blogRoutes(hands: DialectHands, settings: Settings): readonly Route[] {
  const common = { tag: 'blog', rate: 'standard' } as const;
  return [
    route({
      ...common,
      method: 'POST',
      path: '/protocols/blog/events',
      summary: 'Publish an event',
      access: 'message:send',
      idempotency: 'own',
      body: systemEvent,
      answers: { 200: anything, 202: anything },
      handle: call => publish(call, hands),
    }),
    route({
      ...common,
      method: 'GET',
      path: '/protocols/blog/executions/:id',
      summary: 'How a skill’s execution stands',
      access: 'task:read',
      params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 200 }) }),
      answers: { 200: anything },
      async handle({ principal: { tenant }, params: { id } }) {
        const execution = executionOf(await hands.engine.task(tenant, id as TaskId));
        if (execution === null) throw new DomainError('not_found', `there is no execution ${id}`);
        return json(200, execution);
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/protocols/blog/validate/:kind',
      summary: 'Check a message, a skill execution or a validation without sending it',
      access: 'message:send',
      idempotency: 'own',
      params: Type.Object({ kind: Type.Enum([...KINDS]) }),
      body: Type.Unknown(),
      answers: { 200: anything },
      async handle({ principal: { tenant }, params: { kind }, body }) {
        return json(200, findingsOf(kind, body, await validatorsOf(hands.engine, tenant)));
      },
    }),
    ...settingsRoutes(settings),
  ];
}

function settingsRoutes(settings: Settings): readonly Route[] {
  const common = { tag: 'blog', rate: 'standard', path: '/protocols/blog/settings' } as const;
  return [
    route({
      ...common,
      method: 'GET',
      summary: 'What the tenant decides of its blog',
      access: 'task:read',
      answers: { 200: anything },
      async handle({ principal: { tenant } }) {
        return json(200, { final_approval: (await settings.of(tenant)).finalApproval });
      },
    }),
    route({
      ...common,
      method: 'PUT',
      summary: 'Decide whether a person approves what is published',
      access: 'admin',
      body: Type.Object({ final_approval: finalApproval }),
      answers: { 200: anything },
      async handle({ principal: { tenant }, body }) {
        await settings.put(tenant, { finalApproval: body.final_approval });
        return json(200, body);
      },
    }),
  ];
}

/** The event enters the tenant's log once, and whoever subscribed to it is told (`BLOG-66`). */
async function publish(call: Call<SystemEvent>, { mailroom, clock }: DialectHands): Promise<Reply> {
  const { principal, body, traceId } = call;
  refuseVersion(versionOf(body));
  const { id, type, source, data, metadata } = body;
  const now = clock.now();
  const [outcome] = await mailroom().send([
    {
      fingerprint: fingerprintOf(body),
      name: `blog\n${principal.tenant}\nevent\n${id}`,
      draft: {
        ...{ tenant: principal.tenant, id: id as MessageId, dialect: 'blog', type, from: source, to: [] },
        ...{ correlationId: metadata.correlationId ?? id, replyTo: null, taskId: null, traceId },
        ...{ priority: DEFAULT_PRIORITY, sentAt: millis(metadata.timestamp, now), expiresAt: null },
        ...{ actor: principal.id, agentId: principal.agentId ?? null },
        ...{ meaning: { act: 'notify', topic: type, data }, envelope: body as unknown as JsonObject },
      },
    },
  ]);
  if (outcome === undefined) throw new Error('the mailroom answered nothing');
  if (outcome.status === 'refused') throw outcome.error;
  const { status, message } = outcome;
  return json(status === 'accepted' ? 202 : 200, {
    event_id: id,
    status,
    accepted_at: instant(message.acceptedAt),
  });
}
