import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Loose, type ServeOptions, serve, taskBody } from '../../../test/serve.ts';

const EXECUTE = '/api/v2/execute-task';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  return served;
};

const fieldsOf = (body: Loose): string[] =>
  body.error.details.errors.map((one: { field: string }) => one.field).sort();

suite('the answer', () => {
  test('SAM-40 SAM-41 SAM-43 an admitted task is told where it stands, what it may use and where to watch it', async t => {
    const { ask, url } = await setup(t);
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('one') });
    assert.equal(status, 200);
    assert.equal(body.status, 'accepted');
    assert.equal(body.task_id, 'one');
    assert.match(body.execution_id, /^[0-9a-f-]{36}$/);
    assert.equal(body.agent_id, 'house');
    assert.equal(Number.isInteger(body.estimated_duration), true);
    assert.equal(Number.isInteger(body.queue_position), true);
    assert.deepEqual(Object.keys(body.resource_allocation), ['memory_mb', 'cpu_cores', 'estimated_cost']);
    assert.equal(body.monitoring.status_url, `${url}/api/v2/task-status/one`);
    for (const link of Object.values<string>(body.monitoring))
      assert.equal((await ask('GET', new URL(link).pathname)).status, 200, link);
    const { received, queued, estimated_start: start, estimated_completion: completion } = body.timestamps;
    const instants = [received, queued, start, completion];
    assert.deepEqual(instants, instants.toSorted());
  });

  test('SAM-40 a task no agent can take yet is queued', async t => {
    const { ask } = await setup(t);
    await ask('POST', '/api/v2/work', { body: { agent_id: 'w', types: ['custom:echo'] } });
    const custom = { task_type: 'custom', task_data: { type_name: 'echo' } };
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('waits', custom) });
    assert.equal(status, 200);
    assert.equal(body.status, 'queued');
  });

  test('SAM-44 every fault of a body is listed with its dotted path', async t => {
    const { ask, house } = await setup(t);
    const more = {
      description: 7,
      priority: 'soon',
      execution_config: { resource_limits: { memory_mb: -1 }, environment: { secrets: ['fine', 3] } },
      context: { previous_tasks: 'p' },
    };
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('faulty', more) });
    assert.equal(status, 400);
    assert.equal(body.error.code, 'INVALID_REQUEST');
    assert.deepEqual(fieldsOf(body), [
      'context.previous_tasks',
      'description',
      'execution_config.environment.secrets.1',
      'execution_config.resource_limits.memory_mb',
      'priority',
    ]);
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 })).total, 0);
  });

  test('SAM-44 a full queue answers 503 with the time to wait, and stores nothing', async t => {
    const { ask, house } = await setup(t, { options: { waitingMax: 1, slotsPerType: 0 } });
    await ask('POST', '/api/v2/work', { body: { agent_id: 'w', types: ['custom:echo'] } });
    const custom = { task_type: 'custom', task_data: { type_name: 'echo' } };
    await ask('POST', EXECUTE, { body: taskBody('first', custom) });
    const { status, body, headers } = await ask('POST', EXECUTE, { body: taskBody('second', custom) });
    assert.equal(status, 503);
    assert.equal(body.error.code, 'RESOURCE_EXHAUSTED');
    assert.equal(body.error.retry_after, 60);
    assert.equal(headers.get('retry-after'), '60');
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 })).total, 1);
  });

  test('SAM-45 SAM-46 a task that can never run is rejected with 422, shows as failed, and its id may be used again', async t => {
    const { ask } = await setup(t);
    const hopeless = { task_type: 'custom', task_data: { type_name: 'unheard-of' } };
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('again', hopeless) });
    assert.equal(status, 422);
    assert.equal(body.status, 'rejected');
    assert.equal(body.task_id, 'again');
    assert.match(body.execution_id, /^[0-9a-f-]{36}$/);
    assert.equal(body.error.code, 'UNPROCESSABLE');
    assert.match(body.request_id, /^[0-9a-f-]{36}$/);
    const shown = await ask('GET', '/api/v2/task-status/again');
    assert.equal(shown.body.current_status.state, 'failed');
    assert.equal(shown.body.current_status.outcome, 'rejected');
    const corrected = await ask('POST', EXECUTE, { body: taskBody('again') });
    assert.equal(corrected.status, 200);
    assert.notEqual(corrected.body.execution_id, body.execution_id);
  });

  test('SAM-47 the same body answers as the first time, however its keys are ordered, and another one conflicts', async t => {
    const { ask } = await setup(t);
    const body = taskBody('same', { priority: 'high' });
    const first = await ask('POST', EXECUTE, { body });
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(body).reverse()), null, 4);
    const again = await ask('POST', EXECUTE, { raw: reordered });
    assert.equal(again.status, 200);
    assert.equal(again.body.execution_id, first.body.execution_id);
    const different = await ask('POST', EXECUTE, { body: taskBody('same', { priority: 'low' }) });
    assert.equal(different.status, 409);
    assert.equal(different.body.error.code, 'CONFLICT');
  });

  test('SAM-47 a repeated Idempotency-Key makes one task, also when many come at once', async t => {
    const { ask, house } = await setup(t);
    const headers = { 'idempotency-key': 'k1' };
    const body = taskBody('keyed');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask('POST', EXECUTE, { body, headers })),
    );
    assert.equal(new Set(answers.map(one => one.body.execution_id)).size, 1);
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 9, offset: 0 })).total, 1);
    const other = await ask('POST', EXECUTE, { body: taskBody('other'), headers });
    assert.equal(other.status, 409);
  });

  test('SAM-106 the steps before the engine are timed in the task’s record', async t => {
    const { ask, house } = await setup(t);
    await ask('POST', EXECUTE, { body: taskBody('timed') });
    const [task] = await house.store.read([{ tenant: 'default' as never, id: 'timed' as never }]);
    const events = await house.store.events({
      of: 'task',
      key: task?.key as never,
      afterSequence: 0,
      limit: 10,
    });
    const note = events.find(one => one.kind === 'note');
    assert.deepEqual(Object.keys(note?.kind === 'note' ? note.detail : {}).slice(0, 3), [
      'reception',
      'authentication',
      'schema',
    ]);
  });
});

suite('many at once', () => {
  test('SAM-39 each task of a batch is answered in order, faulty ones beside good ones', async t => {
    const { ask } = await setup(t);
    const tasks = [taskBody('a'), { task_id: 'b' }, taskBody('c'), taskBody('a', { priority: 'low' })];
    const { status, body } = await ask('POST', `${EXECUTE}/batch`, { body: { tasks } });
    assert.equal(status, 200);
    const told = body.results.map((one: Loose) => [
      one.task_id,
      one.http_status,
      one.body.status ?? one.body.error.code,
    ]);
    assert.deepEqual(told, [
      ['a', 200, 'accepted'],
      ['b', 400, 'INVALID_REQUEST'],
      ['c', 200, 'accepted'],
      ['a', 409, 'CONFLICT'],
    ]);
  });

  test('SAM-39 an atomic batch with one fault admits nothing', async t => {
    const { ask, house } = await setup(t);
    const tasks = [taskBody('a'), { task_id: 'b' }];
    const { body } = await ask('POST', `${EXECUTE}/batch`, { body: { tasks, atomic: true } });
    assert.deepEqual(
      body.results.map((one: Loose) => one.http_status),
      [409, 400],
    );
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 })).total, 0);
  });

  test('SAM-39 a batch has 1 to 1,000 tasks', async t => {
    const { ask } = await setup(t);
    assert.equal((await ask('POST', `${EXECUTE}/batch`, { body: { tasks: [] } })).status, 400);
    const tooMany = Array.from({ length: 1_001 }, (_, index) => taskBody(`t${index}`));
    assert.equal((await ask('POST', `${EXECUTE}/batch`, { body: { tasks: tooMany } })).status, 400);
  });
});
