import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Loose, serve } from '../../../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }) => {
  const served = await serve({ badges: { worker: { permissions: ['task:write-result'] } } });
  t.after(() => served.stop());
  return served;
};

const agent = {
  agent_id: 'w1',
  types: ['custom:echo', 'code_execution'],
  skills: ['french'],
  capacity: { slots: 4, memory_mb: 512, cpu_cores: 2 },
  region: 'eu',
  version: '1.0',
};

test('SAM-135 SAM-136 an agent is registered, listed with what it has free, drained and removed', async t => {
  const { ask } = await setup(t);
  const made = await ask('POST', '/api/v2/agents', { as: 'worker', body: agent });
  assert.equal(made.status, 200);
  assert.deepEqual([made.body.agent_id, made.body.kind, made.body.health], ['w1', 'worker', 'healthy']);
  assert.deepEqual(made.body.custom_types, ['echo']);
  assert.deepEqual([made.body.skills, made.body.region, made.body.version], [['french'], 'eu', '1.0']);
  assert.deepEqual([made.body.capacity.slots, made.body.capacity.memory_mb], [4, 512]);
  assert.deepEqual([made.body.capacity.free.slots, made.body.capacity.free.memory_mb], [4, 512]);
  const { body } = await ask('GET', '/api/v2/agents');
  assert.ok(body.agents.some((one: Loose) => one.agent_id === 'w1'));
  assert.equal(body.total, body.agents.length);
  const drained = await ask('POST', '/api/v2/agents/w1/drain');
  assert.equal(drained.body.health, 'draining');
  assert.equal((await ask('DELETE', '/api/v2/agents/w1')).status, 204);
  assert.ok(!(await ask('GET', '/api/v2/agents')).body.agents.some((one: Loose) => one.agent_id === 'w1'));
  assert.equal((await ask('DELETE', '/api/v2/agents/w1')).status, 404);
});

test('SAM-135 readers register nothing, workers drain nothing, and a bad registration names its faults', async t => {
  const { ask } = await setup(t);
  assert.equal((await ask('POST', '/api/v2/agents', { as: 'reader', body: agent })).status, 403);
  assert.equal((await ask('POST', '/api/v2/agents/w1/drain', { as: 'worker' })).status, 403);
  const { status, body } = await ask('POST', '/api/v2/agents', { body: { agent_id: '', types: 'all' } });
  assert.equal(status, 400);
  assert.deepEqual(body.error.details.errors.map((one: Loose) => one.field).sort(), ['agent_id', 'types']);
});
