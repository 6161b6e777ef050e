import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve, taskBody } from '../../../../test/serve.ts';

test('SAM-234 status and metrics mark a result that was used again, with its source', async t => {
  const { ask, stop } = await serve({});
  t.after(() => stop());
  const cached = { execution_config: { cache: { ttl: 60, key: 'v1' } } };
  const run = async (id: string, more: object) => {
    await ask('POST', '/api/v2/execute-task', { body: taskBody(id, more) });
    for (;;) {
      const { body } = await ask('GET', `/api/v2/task-status/${id}?include_metrics=true`);
      if (body.current_status.outcome !== null) return body;
    }
  };
  const first = await run('one', cached);
  const second = await run('two', cached);
  const source = { task_id: 'one', execution_id: first.execution_id };
  assert.deepEqual(second.execution_details.cached_from, source);
  assert.deepEqual([second.execution_details.cached, second.metrics.cached], [true, true]);
  assert.deepEqual(second.execution_details.output, first.execution_details.output);
  assert.deepEqual([first.execution_details.cached, first.metrics.cached], [undefined, undefined]);
  const uncached = await run('three', {});
  assert.equal(uncached.execution_details.cached, undefined);
});

test('SAM-58 status says which tasks hold the places of a concurrency key', async t => {
  const gate = Promise.withResolvers<void>();
  const { ask, stop } = await serve({
    run: async () => {
      await gate.promise;
      return { status: 'completed', output: null };
    },
  });
  t.after(() => stop());
  const keyed = { execution_config: { concurrency: { key: 'shop' } } };
  for (const id of ['one', 'two']) await ask('POST', '/api/v2/execute-task', { body: taskBody(id, keyed) });
  while ((await ask('GET', '/api/v2/task-status/one')).body.current_status.state !== 'running');
  const { body } = await ask('GET', '/api/v2/task-status/two');
  assert.deepEqual(body.current_status.waiting, {
    because: 'concurrency',
    position: 1,
    key: 'shop',
    limit: 1,
    held_by: ['one'],
  });
  gate.resolve();
  while ((await ask('GET', '/api/v2/task-status/two')).body.current_status.outcome !== 'completed');
});

test('SAM-44 a cache without a time and a concurrency key without a name are refused, each named', async t => {
  const { ask, stop } = await serve({});
  t.after(() => stop());
  for (const [field, config] of [
    ['execution_config.cache.ttl', { cache: {} }],
    ['execution_config.concurrency.key', { concurrency: { limit: 2 } }],
    ['execution_config.concurrency.limit', { concurrency: { key: 'k', limit: 0 } }],
  ] as const) {
    const { status, body } = await ask('POST', '/api/v2/execute-task', {
      body: taskBody('bad', { execution_config: config }),
    });
    assert.equal(status, 400);
    assert.equal(body.error.details.errors[0].field, field);
  }
});
