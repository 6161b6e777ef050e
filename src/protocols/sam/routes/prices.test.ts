import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve, taskBody } from '../../../../test/serve.ts';

test('SAM-42 estimated_cost goes by the price table that the landlord gave the tenant', async t => {
  const { ask, stop } = await serve({ options: { slotsPerType: 0 } });
  t.after(() => stop());
  const costOf = async (id: string) =>
    (await ask('POST', '/api/v2/execute-task', { body: taskBody(id) })).body.resource_allocation
      .estimated_cost;
  assert.equal(await costOf('before'), 0);
  const prices = { cpu_core_hour: 3.6, per_task: { code_execution: 0.25 } };
  const changed = await ask('PATCH', '/api/v2/tenants/default', { body: { options: { prices } } });
  assert.deepEqual(changed.body.options.prices, prices);
  // One core for the second that such a task is expected to take.
  assert.equal(await costOf('after'), 0.251);
  const refused = await ask('PATCH', '/api/v2/tenants/other', {
    body: { options: { prices } },
    as: 'stranger',
  });
  assert.equal(refused.status, 403);
});
