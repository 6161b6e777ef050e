import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { serve, taskBody } from '../../../../test/serve.ts';
import { DEFAULT_TENANT } from '../../../domain/ids.ts';

const TENANT = `/api/v2/tenants/${DEFAULT_TENANT}`;

async function setup(t: TestContext) {
  const gate = Promise.withResolvers<void>();
  const served = await serve({
    async run() {
      await gate.promise;
      return { status: 'completed', output: null, metrics: { tokensUsed: 7 } };
    },
  });
  t.after(async () => {
    gate.resolve();
    await served.stop();
  });
  const limit = (quotas: object) => served.ask('PATCH', TENANT, { body: { options: { quotas } } });
  return { ...served, limit };
}

test('SAM-119 over its quota a tenant that refuses is answered 429 with limit, use and reset, and reads the same', async t => {
  const { ask, limit } = await setup(t);
  const limits = { concurrent_tasks: 1, tokens_per_day: 10 };
  const { status, body } = await limit({ tenant: { policy: 'refuse', limits } });
  assert.deepEqual([status, body.options.quotas.tenant.limits], [200, limits]);
  assert.equal((await ask('POST', '/api/v2/execute-task', { body: taskBody('a') })).status, 200);
  const refused = await ask('POST', '/api/v2/execute-task', { body: taskBody('b') });
  assert.equal(refused.status, 429);
  assert.equal(refused.body.error.code, 'RATE_LIMITED');
  const { quota, limit: most, used, resets_at: reset } = refused.body.error.details;
  assert.deepEqual([quota, most, used, reset], ['concurrent_tasks', 1, 1, null]);
  assert.equal((await ask('GET', '/api/v2/task-status/b')).status, 404);

  const shown = await ask('GET', '/api/v2/quotas', { as: 'reader' });
  assert.match(shown.body.resets_at, /T00:00:00.000Z$/);
  assert.deepEqual(shown.body.quotas, [
    {
      scope: 'tenant',
      name: DEFAULT_TENANT,
      policy: 'refuse',
      limits,
      used: {
        concurrent_tasks: 1,
        memory_mb: 256,
        cpu_seconds_per_day: 0,
        cost_per_day: 0,
        tokens_per_day: 0,
      },
    },
  ]);
});

test('SAM-119 the credential and user a task names are held to theirs, and a lifted scope limits no more', async t => {
  const { ask, limit } = await setup(t);
  await limit({
    credentials: { 'jwt:admin': { concurrent_tasks: 2 } },
    users: { '*': { concurrent_tasks: 1 } },
  });
  const submit = (id: string) => {
    const info = { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z', user_id: 'anna' };
    return ask('POST', '/api/v2/execute-task', { body: taskBody(id, { orchestrator_info: info }) });
  };
  assert.equal((await submit('a')).status, 200);
  assert.equal((await submit('b')).body.error.details.scope, 'user');
  const { body } = await ask('GET', '/api/v2/quotas?user_id=anna');
  assert.deepEqual(
    body.quotas.map((one: { scope: string; used: { concurrent_tasks: number } }) => [
      one.scope,
      one.used.concurrent_tasks,
    ]),
    [
      ['credential', 1],
      ['user', 1],
    ],
  );
  await limit({ users: null });
  assert.equal((await submit('b')).status, 200);
  assert.equal((await submit('c')).body.error.details.scope, 'credential');
});

test('SAM-119 a tenant sets quotas for its own credentials and users, but not its own', async t => {
  const { ask, guards } = await setup(t);
  await guards.tenants.create({ id: 'other' });
  const change = (quotas: object) =>
    ask('PATCH', '/api/v2/tenants/other', { as: 'stranger', body: { options: { quotas } } });
  assert.equal((await change({ users: { '*': { memory_mb: 512 } } })).status, 200);
  assert.equal((await change({ tenant: null })).status, 403);
  assert.equal((await change({ users: { '*': { wishes: 3 } } })).status, 400);
});
