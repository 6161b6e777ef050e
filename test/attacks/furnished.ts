// A server with two tenants that know nothing of each other: one has one of everything there is, the other wants it.

import assert from 'node:assert/strict';
import { isStream, type Operation } from '../e2e/contract.ts';
import { hire, submit, taskOf, type Worker } from '../e2e/crew.ts';
import { deadLetterOf, dialectsOf, letterId, penfriend, sendLetters } from '../e2e/letters.ts';
import { type Mailbox, openMailbox } from '../e2e/mailbox.ts';
import { type Running, running } from '../e2e/running.ts';
import { type Asking, keyHeaders, type Wire } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';

/**
 * Ids by the path parameter that takes them: by its name, by the word before it and its name, or by the whole path that ends with it, of
 * which the most exact counts.
 */
export type Ids = Readonly<Record<string, string>>;

/** Two tenants on one server. */
export interface Furnished {
  readonly house: Running;
  /** The administrator of the default tenant, to whom everything in `ids` belongs. */
  readonly owner: Wire;
  /** The administrator of another tenant. */
  readonly rival: Wire;
  readonly ids: Ids;
  readonly worker: Worker;
  /** The lease of the owner's running task. */
  readonly lease: Loose;
  readonly mailbox: Mailbox;
  stop(): Promise<void>;
}

/** Names that only the owner's things bear, so that a leak shows as text. */
export const OWNED = {
  task: 'owned-task',
  ended: 'owned-ended',
  agent: 'owned-agent',
  secret: 'owned-secret',
  artifact: 'owned-artifact',
  kid: 'owned-kid',
  kind: 'owned-kind',
  session: 'owned-session',
  workflow: 'owned-workflow',
  schedule: 'owned-schedule',
  writer: 'owned-writer',
  reader: 'owned-reader',
  words: 'owned-words',
  skill: 'owned-skill-execution',
  template: 'owned-template',
} as const;

/** Builds both tenants. */
export async function furnished(settings: Readonly<Record<string, string>> = {}): Promise<Furnished> {
  const house = await running(settings);
  const owner = house.admin;
  const mailbox = await openMailbox();
  const { body: made } = await owner.post('/api/v2/tenants', { tenant_id: 'rival', name: 'Rival' });
  await owner.post('/api/v2/tenants', { tenant_id: 'owned-tenant', name: 'Third' });
  const worker = await hire(owner, OWNED.kind, OWNED.agent);
  const plan = { notification_config: { webhook_url: mailbox.url, notification_events: ['task_completed'] } };
  await submit(owner, taskOf(OWNED.ended, OWNED.kind, plan));
  await worker.complete(await worker.lease(), { private: 'owned-output' });
  await mailbox.find(() => true);
  const task = taskOf(OWNED.task, OWNED.kind, {
    orchestrator_info: {
      agent_id: 'owned-boss',
      timestamp: '2026-01-01T00:00:00Z',
      session_id: OWNED.session,
      user_id: 'owned-user',
      correlation_id: 'owned-correlation',
    },
  });
  await submit(owner, task);
  const lease = await worker.lease();
  return {
    house,
    owner,
    rival: owner.as(keyHeaders(made)),
    ids: {
      ...(await thingsOf(owner)),
      ...(await mailOf(owner)),
      task_id: OWNED.task,
      agent_id: OWNED.agent,
      tenant_id: 'owned-tenant',
    },
    worker,
    lease,
    mailbox,
    async stop() {
      mailbox.close();
      await house.stop();
    },
  };
}

/** In each message wire a message, a dead letter and a subscription; and what single wires have beside. */
async function mailOf(owner: Wire): Promise<Ids> {
  const ids: Record<string, string> = {};
  await sendLetters(owner, { from: OWNED.writer, to: OWNED.reader, text: OWNED.words });
  for (const dialect of dialectsOf(owner.contract)) {
    const prefix = `/protocols/${dialect}`;
    ids[`${prefix}/dead-letters/{id}`] = String((await deadLetterOf(owner, dialect)).id);
    ids[`${prefix}/exchanges/{correlation}`] = letterId(dialect);
    ids[`${prefix}/inbox/{name}`] = penfriend(OWNED.reader, dialect);
    const order = { id: `owned-subscription-${dialect}`, types: ['*'] };
    const { body } = await owner.post(`${prefix}/subscriptions`, order);
    ids[`${prefix}/subscriptions/{id}`] = body.id;
  }
  const skill = taskOf(OWNED.skill, 'summarize_content', {}, { input: { content: OWNED.words } });
  await submit(owner, skill);
  const steps = [{ step_id: 'one', name: OWNED.words, step_type: 'agent_task' }];
  const template = { template_id: OWNED.template, version: '1.0', steps };
  await owner.post('/protocols/nooble/workflow-templates', template);
  const secret = { kty: 'oct', kid: OWNED.kid, k: Buffer.alloc(32, 7).toString('base64url') };
  await owner.post(`/api/v2/agents/${OWNED.agent}/keys`, { jwk: secret });
  return {
    ...ids,
    'executions/{id}': OWNED.skill,
    template_id: OWNED.template,
    version: '1.0',
    kind: 'message',
  };
}

async function thingsOf(owner: Wire): Promise<Ids> {
  await owner.ask('PUT', `/api/v2/secrets/${OWNED.secret}`, { body: { value: 'owned-value' } });
  const jwtKey = { kid: OWNED.kid, algorithm: 'HS256', key: 'an owned key of more than 32 bytes' };
  await owner.post('/api/v2/jwt-keys', jwtKey);
  const upload: Asking = { raw: 'owned-bytes', headers: { 'content-type': 'text/plain' } };
  const { body: artifact } = await owner.ask('POST', `/api/v2/artifacts?name=${OWNED.artifact}`, upload);
  const { body: key } = await owner.post('/api/v2/api-keys', {
    name: 'owned-key',
    permissions: ['task:read'],
  });
  const { body: list } = await owner.get('/api/v2/deliveries');
  const definition = { steps: [{ id: 'ask', kind: 'approval', title: 'owned-question' }] };
  await owner.ask('PUT', `/api/v2/workflows/${OWNED.workflow}`, { body: { definition } });
  const run = { ...taskOf('owned-run', ''), task_type: 'workflow_orchestration', task_data: definition };
  await submit(owner, run);
  let approvals: Loose[] = [];
  while (approvals.length === 0) approvals = (await owner.get('/api/v2/approvals')).body.approvals;
  await owner.post('/api/v2/schedules', {
    ...{ schedule_id: OWNED.schedule, cron: '@yearly' },
    task: taskOf('owned-again', OWNED.kind),
  });
  return {
    workflow_id: OWNED.workflow,
    approval_id: approvals[0].approval_id,
    schedule_id: OWNED.schedule,
    name: OWNED.secret,
    number: '1',
    kid: OWNED.kid,
    artifact_id: artifact.artifact_id,
    key_id: key.api_key,
    delivery_id: list.deliveries[0].delivery_id,
  };
}

/** Ids of the same form that never were. */
export const MISSING: Ids = {
  task_id: 'no-such-task',
  agent_id: 'no-such-agent',
  tenant_id: 'no-such-tenant',
  name: 'no-such-secret',
  number: '1',
  kid: 'no-such-kid',
  artifact_id: '00000000-0000-7000-8000-000000000000',
  key_id: 'bk_000000000000000000000000',
  delivery_id: '00000000-0000-7000-8000-000000000000',
  code: 'NO_SUCH_CODE',
  workflow_id: 'no-such-workflow',
  approval_id: 'no-such-approval',
  schedule_id: 'no-such-schedule',
  id: 'no-such-id',
  'dead-letters/{id}': '999999999',
  'inbox/{name}': 'no-such-agent',
  type: 'no-such-type',
  correlation: 'no-such-correlation',
  template_id: 'no-such-template',
  version: '1.0',
  kind: 'message',
};

/** The operation's path with the ids in it. */
export function filled({ path }: Pick<Operation, 'path'>, ids: Ids): string {
  const asked = idsFor({ path }, ids).values();
  return path.replace(/\{\w+\}/g, () => encodeURIComponent(asked.next().value ?? ''));
}

/** The ids that the parameters of a path take, in order. */
export function idsFor({ path }: Pick<Operation, 'path'>, ids: Ids): readonly string[] {
  return [...path.matchAll(/[\w-]*\/?\{(\w+)\}/g)].map(({ 0: tail, 1: name = '', index }) => {
    const id = ids[path.slice(0, index + tail.length)] ?? ids[tail] ?? ids[name];
    assert.ok(id !== undefined, `nobody knows an id for ${name} of ${path}`);
    return id;
  });
}

/** Bodies that routes would act on, by operation; others take an empty object. */
export const BODIES: Readonly<Record<string, object>> = {
  'PATCH /api/v2/tenants/{tenant_id}': { name: 'taken over' },
  'PUT /api/v2/secrets/{name}': { value: 'overwritten' },
  'PUT /api/v2/workflows/{workflow_id}': { definition: { steps: [{ id: 'w', kind: 'wait', seconds: 1 }] } },
  'POST /api/v2/workflow-runs/{task_id}/messages': { name: 'taken-over' },
  'POST /api/v2/approvals/{approval_id}/reject': { comment: 'taken over' },
};

/** How to ask an operation with a body that passes its schema. */
export function asking({ method, path, spec }: Operation): Asking {
  const verdict = { items: [{ delivery_id: '00000000-0000-7000-8000-000000000000', outcome: 'ack' }] };
  const body = BODIES[`${method} ${path}`] ?? (path.endsWith('/ack') ? verdict : {});
  const beginning = isStream({ spec });
  return {
    expect: null,
    beginning,
    ...(spec.requestBody === undefined && method !== 'POST' ? {} : { body }),
  };
}
