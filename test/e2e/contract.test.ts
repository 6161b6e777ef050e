import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { exportJWK, generateKeyPair } from 'jose';
import type { Loose } from '../serve.ts';
import { toldIn } from './contract.ts';
import { hire, submit, taskOf } from './crew.ts';
import { deadLetterOf, dialectsOf, letterId, penfriend, sendLetters } from './letters.ts';
import { openMailbox } from './mailbox.ts';
import { running } from './running.ts';
import { bearer, keyHeaders } from './wire.ts';

const house = await running();
const mailbox = await openMailbox();
const { admin } = house;
after(async () => {
  mailbox.close();
  await house.stop();
});

/** Routes whose callers are no clients of ours: other servers, proving themselves by a secret they share with an agent. */
const SIGNED_BY_AGENTS = new Set(['/api/v2/webhooks/task-completed']);

async function askAboutTasks(): Promise<void> {
  const worker = await hire(admin, 'tour');
  const plan = { notification_config: { webhook_url: mailbox.url }, context: { shared_state: {} } };
  await submit(admin, taskOf('tour-1', 'tour', plan));
  const lease = await worker.lease();
  await worker.exchange({ heartbeats: [{ task_id: 'tour-1', fencing_token: lease.fencing_token }] });
  await worker.report(lease, { percentage: 30, intermediate_result: 'so far', checkpoint: {} });
  await worker.exchange({ results: [{ task_id: 'tour-1', fencing_token: 0, status: 'completed' }] });
  await submit(admin, taskOf('tour-0', 'tour', { priority: 'critical' }));
  await worker.complete(await worker.lease(), { all: 'well' });
  assert.deepEqual((await admin.get('/api/v2/task-output/tour-0')).body, { all: 'well' });
  await admin.post('/api/v2/tasks/tour-1/pause');
  await admin.post('/api/v2/tasks/tour-1/resume');
  await worker.fail(await worker.lease());
  await admin.post('/api/v2/tasks/tour-1/retry', { new_task_id: 'tour-2' });
  await admin.post('/api/v2/tasks/tour-2/cancel');
  await submit(admin, taskOf('tour-3', 'nobody'), { expect: 422 });
  await submit(admin, taskOf('tour-4', 'tour', { execution_config: { depends_on: ['no-such'] } }), {
    expect: 422,
  });
  await admin.post('/api/v2/execute-task/batch', { tasks: [taskOf('tour-5', 'tour'), {}] });
  for (const query of ['', '?include_logs=true&include_context=true&include_metrics=false'])
    await admin.get(`/api/v2/task-status/tour-1${query}`);
  for (const path of ['task-status', 'task-logs/tour-1', 'task-metrics/tour-1', 'task-events/tour-1'])
    await admin.get(`/api/v2/${path}`);
  await admin.get('/api/v2/task-events', { beginning: true });
}

async function askAboutThings(): Promise<void> {
  const headers = { 'content-type': 'text/plain' };
  const { body: file } = await admin.ask('POST', '/api/v2/artifacts?name=tour', { raw: 'tour', headers });
  const path = `/api/v2/artifacts/${file.artifact_id}`;
  await admin.get('/api/v2/artifacts');
  await admin.get(path);
  await admin.get(path, { headers: { range: 'bytes=9-' }, expect: 416 });
  await admin.ask('HEAD', path);
  await admin.ask('DELETE', path);
  const agent = {
    agent_id: 'tourist',
    types: ['custom:see'],
    capacity: { slots: 2 },
    url: 'https://tour.example',
  };
  await admin.post('/api/v2/agents', agent);
  await admin.get('/api/v2/agents');
  await admin.post('/api/v2/agents/tourist/drain');
  await admin.ask('DELETE', '/api/v2/agents/tourist');
  await mailbox.find(({ body }) => body.event_type === 'task_failed');
  const { body: list } = await admin.get('/api/v2/deliveries');
  const { delivery_id: id } = list.deliveries[0];
  await admin.get('/api/v2/deliveries/endpoints');
  await admin.get(`/api/v2/deliveries/${id}`);
  await admin.post(`/api/v2/deliveries/${id}/redeliver`);
}

async function askAboutWorkflows(): Promise<void> {
  const definition = { steps: [{ id: 'ask', kind: 'approval', title: 'go?' }] };
  await admin.ask('PUT', '/api/v2/workflows/tour', { body: { definition } });
  const { body: key } = await admin.post('/api/v2/api-keys', {
    name: 'boss',
    permissions: ['approval:decide'],
  });
  const boss = admin.as(keyHeaders(key));
  for (const [id, decision] of [
    ['toured-yes', 'approve'],
    ['toured-no', 'reject'],
  ] as const) {
    const run = {
      ...taskOf(id, ''),
      task_type: 'workflow_orchestration',
      task_data: { workflow_id: 'tour' },
    };
    await submit(admin, run);
    let waiting: Loose[] = [];
    while (waiting.length === 0) waiting = (await boss.get('/api/v2/approvals')).body.approvals;
    await boss.get(`/api/v2/approvals/${id}.ask`);
    await admin.post(`/api/v2/workflow-runs/${id}/messages`, { name: 'any' });
    await boss.post(`/api/v2/approvals/${id}.ask/claim`);
    await boss.post(`/api/v2/approvals/${id}.ask/${decision}`, { comment: 'so' });
    await admin.get(`/api/v2/workflow-runs/${id}`);
  }
  for (const path of ['workflows', 'workflows/tour', 'workflows/tour/runs'])
    await admin.get(`/api/v2/${path}`);
  await admin.ask('DELETE', '/api/v2/workflows/tour');
}

async function askAboutSchedules(): Promise<void> {
  const schedule = { schedule_id: 'tour', cron: '@yearly', task: taskOf('ignored', 'tour') };
  await admin.post('/api/v2/schedules', schedule);
  const path = '/api/v2/schedules/tour';
  for (const one of ['/api/v2/schedules', path]) await admin.get(one);
  for (const verb of ['pause', 'resume', 'run']) await admin.post(`${path}/${verb}`);
  await admin.ask('DELETE', path);
}

async function askAboutAccess(): Promise<void> {
  await admin.post('/api/v2/tenants', { tenant_id: 'tour', name: 'Tour', weight: 2 });
  for (const path of ['tenants', 'tenants/tour']) await admin.get(`/api/v2/${path}`);
  await admin.ask('PATCH', '/api/v2/tenants/tour', { body: { options: { require_jti: true } } });
  await admin.post('/api/v2/tenants/tour/webhook-secret/rotate');
  const { body: key } = await admin.post('/api/v2/api-keys', { name: 'tour', permissions: ['admin'] });
  const path = `/api/v2/api-keys/${key.api_key}`;
  for (const one of ['/api/v2/api-keys', path, `${path}/usage`]) await admin.get(one);
  const trade = { grant_type: 'client_credentials' };
  const { body: pair } = await admin.as(keyHeaders(key)).post('/api/v2/auth/token', trade);
  const { refresh_token } = pair;
  const { body: next } = await admin.as({}).post('/api/v2/auth/refresh', { refresh_token });
  await admin.as(bearer(next.access_token)).post('/api/v2/auth/revoke', { token: next.access_token });
  await admin.post(`${path}/rotate`);
  await admin.ask('DELETE', path);
  const { publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  await admin.post('/api/v2/jwt-keys', { kid: 'tour', algorithm: 'EdDSA', key: await exportJWK(publicKey) });
  await admin.get('/api/v2/jwt-keys');
  await admin.ask('DELETE', '/api/v2/jwt-keys/tour');
  await admin.ask('PUT', '/api/v2/canaries', { body: { share: 0, tenants: ['tour'] } });
  await admin.get('/api/v2/canaries');
  await admin.post('/api/v2/secrets', { name: 'tour', value: 'v' });
  await admin.ask('PUT', '/api/v2/secrets/tour', { body: { value: 'w' } });
  await admin.get('/api/v2/secrets');
  await admin.ask('DELETE', '/api/v2/secrets/tour');
  for (const one of [
    'nodes',
    'quotas',
    'audit',
    'audit/verify',
    'metrics',
    'health',
    'health/live',
    'health/ready',
    'openapi.json',
  ])
    await admin.get(`/api/v2/${one}`);
  for (const one of ['export', 'erase']) await admin.post(`/api/v2/privacy/${one}`, { user_id: 'tourist' });
  await admin.get('/docs/errors/CONFLICT');
  await admin.get('/docs/changelog');
}

/** A step writes a chunk, another reads it; one worker holds both. */
async function askAboutPipes(): Promise<void> {
  const worker = await hire(admin, 'pipes');
  const step = (id: string, more: object) => ({
    ...{ id, task_type: 'custom', task_data: { type_name: 'pipes' } },
    ...more,
  });
  const steps = [step('from', { outputs: { rows: {} } }), step('to', { inputs: { rows: 'from.rows' } })];
  await submit(admin, { ...taskOf('piped', ''), task_type: 'workflow_orchestration', task_data: { steps } });
  const leases = [await worker.lease(), await worker.lease()];
  const held = (id: string): Loose => {
    const { task_id, fencing_token } = leases.find(one => one.task_id === id);
    return { task_id, fencing_token };
  };
  const [from, to] = [held('piped.from'), held('piped.to')];
  const query = (end: Loose): string => `task_id=${end.task_id}&fencing_token=${end.fencing_token}`;
  const [outputs, inputs] = ['/api/v2/work/outputs/rows', '/api/v2/work/inputs/rows'];
  await admin.post(`${outputs}/open`, from);
  const headers = { 'content-type': 'application/octet-stream' };
  await admin.ask('PUT', `${outputs}/chunks/1?${query(from)}`, { raw: 'one', headers });
  await admin.post(`${outputs}/end`, from);
  await admin.post(`${inputs}/open`, to);
  await admin.get(`${inputs}/chunks/1?${query(to)}`);
  await admin.post(`${inputs}/acknowledge`, { ...to, up_to: 1 });
  await admin.get(`${inputs}/chunks/2?${query(to)}`);
  for (const lease of leases) await worker.complete(lease, null);
}

async function askAboutAgentKeys(): Promise<void> {
  const jwk = { kty: 'oct', kid: 'tour', k: Buffer.alloc(32, 7).toString('base64url') };
  const path = '/api/v2/agents/tour-agent/keys';
  await admin.post(path, { jwk });
  await admin.get(path);
  await admin.ask('DELETE', `${path}/tour`);
  await admin.get('/.well-known/jwks.json');
}

/** In every message wire what all of them have; then what single ones have beside. */
async function askAboutMail(): Promise<void> {
  const [from, to] = ['tour-writer', 'tour-reader'];
  await sendLetters(admin, { from, to, text: 'toured' });
  for (const dialect of dialectsOf(admin.contract)) {
    const prefix = `/protocols/${dialect}`;
    const inbox = `${prefix}/inbox/${penfriend(to, dialect)}`;
    const { body: read } = await admin.get(inbox);
    const items = read.messages.map((one: Loose) => ({ delivery_id: one.delivery_id, outcome: 'ack' }));
    await admin.post(`${inbox}/ack`, { items });
    const { body: front } = await admin.get(prefix);
    for (const path of Object.values<string>(front.schemas)) await admin.get(path);
    await admin.get(`${prefix}/health`);
    for (const query of ['', '?format=mermaid'])
      await admin.get(`${prefix}/exchanges/${letterId(dialect)}${query}`);
    await admin.post(`${prefix}/dead-letters/replay`, { filter: { reason: 'expired' } });
    await admin.ask('DELETE', `${prefix}/dead-letters/${(await deadLetterOf(admin, dialect)).id}`);
    await admin.get(`${prefix}/events`, { beginning: true });
    const { body: subscription } = await admin.post(`${prefix}/subscriptions`, { types: ['*'] });
    await admin.get(`${prefix}/subscriptions`);
    await admin.get(`${prefix}/subscriptions/${subscription.id}/stream`, { beginning: true });
    await admin.ask('DELETE', `${prefix}/subscriptions/${subscription.id}`);
  }
  await askAboutBlog();
  for (const one of ['tasks', `tasks/${letterId('task')}`]) await admin.get(`/protocols/task/${one}`);
  const path = '/protocols/nooble/workflow-templates';
  const step = { step_id: 'one', name: 'one', step_type: 'agent_task' };
  await admin.post(path, { template_id: 'tour', version: '1.0', steps: [step] });
  for (const one of [path, `${path}/tour/1.0`]) await admin.get(one);
  const schemas = '/protocols/nooble/result-schemas';
  await admin.post(schemas, { name: 'tour', schema: { type: 'object' } });
  for (const one of [schemas, '/protocols/nooble/tasks', '/protocols/nooble/metrics']) await admin.get(one);
  await admin.ask('DELETE', `${schemas}/tour`);
}

async function askAboutBlog(): Promise<void> {
  const event = { id: 'tour-event', type: 'content.published', source: 'tour', data: {}, metadata: {} };
  await admin.post('/protocols/blog/events', event);
  const skill = taskOf('tour-skill', 'summarize_content', {}, { input: { content: 'Toured. Twice.' } });
  await submit(admin, skill);
  await admin.get('/protocols/blog/executions/tour-skill');
  await admin.post('/protocols/blog/validate/message', {});
  await admin.get('/protocols/blog/settings');
  await admin.ask('PUT', '/protocols/blog/settings', { body: { final_approval: 'person' } });
}

suite('the OpenAPI document', () => {
  test('SAM-4 every route of the running server answers as the document promises, and none is left out', async () => {
    await askAboutTasks();
    await askAboutThings();
    await askAboutAccess();
    await askAboutWorkflows();
    await askAboutSchedules();
    await askAboutPipes();
    await askAboutAgentKeys();
    await askAboutMail();
    const { operations, seen } = admin.contract;
    const good = (statuses: ReadonlySet<number> = new Set()): boolean => [...statuses].some(one => one < 300);
    const unseen = operations.filter(one => !good(seen.get(one.id)) && !SIGNED_BY_AGENTS.has(one.path));
    assert.deepEqual(
      unseen.map(one => `${one.method} ${one.path}`),
      [],
    );
  });

  test('SAM-4 SAM-6 each route says which credentials and which permission it needs, and holds to it', async () => {
    const nobody = admin.as({});
    const { body: key } = await admin.post('/api/v2/api-keys', { name: 'none', permissions: [] });
    const powerless = admin.as(keyHeaders(key));
    for (const { method, path, spec } of admin.contract.operations) {
      if (spec.security.length === 0) continue;
      const filled = path.replace(/\{\w+\}/g, '00000000-0000-7000-8000-000000000000');
      const { body } = await nobody.ask(method, filled, { expect: 401 });
      if (method !== 'HEAD' && path.startsWith('/api/')) assert.equal(body.error.code, 'UNAUTHORIZED');
      if (!('x-permission' in spec)) continue;
      const refused: Loose = await powerless.ask(method, filled, { expect: 403 });
      if (method !== 'HEAD') assert.equal(toldIn(refused.body, 'required'), spec['x-permission']);
    }
  });

  test('SAM-4 names every parameter with its schema, and no field without a type', async () => {
    for (const { id, path, spec } of admin.contract.operations) {
      const named = spec.parameters.filter((one: Loose) => one.in === 'path').map((one: Loose) => one.name);
      assert.deepEqual(
        named,
        [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
        id,
      );
      for (const { name, schema } of spec.parameters)
        assert.ok(Object.keys(schema).length > 0, `${id} ${name}`);
      assert.ok(spec.summary.length > 3 && 'default' in spec.responses, id);
    }
  });
});
