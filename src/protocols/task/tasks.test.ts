// Tasks by the task wire, over a real server: asked for, taken, reported, ended.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../../../test/eventually.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { crew, exchange, readerOf, refused, SETTINGS, until, written } from './fixture.test.ts';

let post: Post;
before(async () => {
  post = await openPost(SETTINGS);
});
after(() => post.stop());

let counted = 0;
const setup = (capacity: object = {}) => crew(post, `t${++counted}`, capacity);

test('TASK-6 TASK-9 TASK-19 both examples of the source are taken as they stand, and the agent finds a request with every field filled', async () => {
  const ann = await post.register('source-ann');
  const bob = await post.register('source-bob', { types: ['custom:data_processing'] });
  const example = {
    ...{ task_id: 'task-123e4567-e89b', type: 'data_processing', priority: 1 },
    deadline: new Date(Date.now() + 3_600_000).toISOString(),
    requirements: { cpu_cores: 4, memory_gb: 16.0, storage_gb: 100.0 },
    ...{ dependencies: [], metadata: { source: 'user_request', batch_id: 'batch-789' } },
  };
  const { status, body } = await ann.send('task', example, '?wait=10');
  assert.equal(status, 202, JSON.stringify(body));
  assert.deepEqual([body.reply.type, body.reply.status], ['task.control.ack', 'accepted']);
  const task = await post.server.engine.task(DEFAULT_TENANT, example.task_id as TaskId);
  assert.deepEqual([task.spec.typeName, task.spec.priority], ['data_processing', 1]);
  const request = await until(readerOf(bob, 'source-bob'), ({ type }) => type === 'task.submit');
  const { message_id, timestamp, protocol_version, task_type, metadata, requirements, dependencies } =
    request;
  assert.ok(typeof message_id === 'string' && Date.parse(timestamp) > 0);
  assert.deepEqual(
    [protocol_version, task_type, metadata, requirements, dependencies, request.deadline, request.priority],
    ['1.0.0', 'data_processing', example.metadata, example.requirements, [], example.deadline, 1],
  );
  const update = {
    ...{ task_id: example.task_id, status: 'running', progress: 0.45, timestamp: new Date().toISOString() },
    metrics: { cpu_usage: 75.5, memory_usage: 12.8, throughput: 1000 },
  };
  const reported = await bob.send('task', update);
  assert.equal(reported.status, 202, JSON.stringify(reported.body));
  const now = await post.server.engine.task(DEFAULT_TENANT, example.task_id as TaskId);
  assert.equal(now.progress?.percentage, 45);
});

test('TASK-9 TASK-83 without task:execute nothing is made', async () => {
  const { submit, task } = await setup();
  const viewer = await post.agent('viewer', { permissions: ['message:send', 'task:read'] });
  const { status, body } = await refused(viewer, submit('no'));
  assert.deepEqual([status, body.type], [403, 'task.control.reject']);
  assert.equal((await post.admin.ask('GET', `/protocols/task/tasks/${task('no')}`)).status, 404);
});

test('TASK-11 TASK-19 the input is handed to the agent unchanged, whatever JSON it is, and a missing deadline follows from the timeout', async () => {
  const { held, reader } = await setup();
  for (const [id, input] of Object.entries({
    object: { a: [1, null] },
    list: [1, { b: 2 }],
    text: 'words',
    none: null,
  })) {
    const request = await held(id, { input });
    assert.deepEqual(request.input, input, id);
    assert.ok(Date.parse(request.deadline) > Date.now());
    assert.deepEqual([request.metadata, request.dependencies], [{}, []]);
  }
  assert.ok(reader.seen.length >= 4);
});

test('TASK-13 TASK-51 a deadline that has passed ends the task as timeout without running, and the submitter gets COM001', async () => {
  const { submitter, submit, anns, task, found } = await setup();
  const past = new Date(Date.now() - 60_000).toISOString();
  assert.equal((await exchange(submitter, submit('late', { deadline: past }))).type, 'task.control.ack');
  const told = await until(
    anns,
    ({ type, task_id }) => type === 'protocol.error' && task_id === task('late'),
  );
  assert.deepEqual([told.code, told.recovery], ['COM001', 'retry_with_backoff']);
  const { outcome, attempt } = await found('late');
  assert.deepEqual([outcome, attempt], ['timeout', 0]);
  await until(
    anns,
    ({ type, status, state }) => type === 'task.status' && status === 'failed' && state !== undefined,
  );
});

test('TASK-13 a deadline ends a task that runs, and one that is paused, when it comes', async () => {
  const { held, submitter, found, task, submit, anns, reader } = await setup();
  const deadline = new Date(Date.now() + 2_500).toISOString();
  await held('runs', { deadline });
  await exchange(submitter, submit('rests', { deadline, task_type: 'nobody-does-this' }));
  await exchange(submitter, written('task.control.pause', `p-${task('rests')}`, { task_id: task('rests') }));
  assert.equal((await found('rests')).state, 'paused');
  for (const id of ['runs', 'rests']) {
    await until(
      anns,
      ({ type, code, task_id }) => type === 'protocol.error' && code === 'COM001' && task_id === task(id),
    );
    assert.equal((await found(id)).outcome, 'timeout');
  }
  const late = await refused(
    reader.who,
    written('task.status', `late-${task('runs')}`, { task_id: task('runs'), status: 'completed' }),
  );
  assert.equal(late.status, 409);
});

test('TASK-11 TASK-15 TASK-84 TASK-98 requirements above the tenant’s quota are denied and make nothing; work no agent is registered for is the server’s own where it can do it', async () => {
  const made = await post.admin.ask('POST', '/api/v2/tenants', {
    ...{ tenant_id: 'small', name: 'Small' },
    options: { quotas: { tenant: { policy: 'refuse', limits: { memory_mb: 1_024 } } } },
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const headers = { 'x-api-key': made.body.api_key, 'x-api-secret': made.body.api_secret };
  const send = (message: JsonObject) =>
    post.admin.ask('POST', '/protocols/task/messages?wait=10', message, headers);
  await post.admin.ask('POST', '/api/v2/agents', { agent_id: 'w', types: ['custom:big'] }, headers);
  const over = written('task.submit', 'over-quota', {
    task_id: 'over-quota',
    task_type: 'big',
    requirements: { memory_gb: 2 },
  });
  const denied = await send(over);
  assert.deepEqual(
    [denied.status, denied.body.type, denied.body.reason],
    [503, 'resource.denied', 'quota_exceeded'],
  );
  assert.equal(
    (await post.admin.ask('GET', '/protocols/task/tasks/over-quota', undefined, headers)).status,
    404,
  );
  const steps = [{ id: 'one', kind: 'wait', seconds: 0 }];
  const own = written('task.submit', 'own-work', {
    task_id: 'own-work',
    task_type: 'workflow_orchestration',
    input: { workflow: steps },
  });
  const taken = await send(own);
  assert.equal(taken.body.reply?.status, 'accepted', JSON.stringify(taken.body));
  await eventually(async () => {
    const { body } = await post.admin.ask('GET', '/protocols/task/tasks/own-work', undefined, headers);
    assert.notEqual(body.status, 'failed', JSON.stringify(body));
    return body.status === 'completed';
  });
});

test('TASK-14 TASK-15 only an agent with room for all requirements gets the task; what none could ever meet stays pending, unschedulable', async () => {
  const { held, submitter, submit, found, reader, task } = await setup({
    cpu_cores: 4,
    memory_mb: 8_192,
    gpu_units: 2,
  });
  await held('fits', { requirements: { cpu_cores: 3, memory_gb: 4, gpu_units: 2 } });
  for (const [id, requirements] of Object.entries({ cores: { cpu_cores: 2 }, gpus: { gpu_units: 1 } }))
    assert.equal((await exchange(submitter, submit(id, { requirements }))).status, 'accepted');
  for (const [id, requirements] of Object.entries({ never: { memory_gb: 100 }, nogpu: { gpu_units: 3 } })) {
    assert.equal((await exchange(submitter, submit(id, { requirements }))).status, 'accepted');
    const { key, state } = await found(id);
    assert.equal(state, 'queued');
    const events = await post.server.engine.task(DEFAULT_TENANT, task(id) as TaskId);
    assert.ok(events.version >= 5, `no event for ${key}`);
  }
  await until(
    readerOf(submitter, reader.inbox.replace('bob', 'ann')),
    ({ event, task_id }) => event === 'unschedulable' && task_id === task('never'),
  );
  assert.deepEqual(
    await reader.who
      .read('task', reader.inbox, { wait: 1 })
      .then(all => all.filter(({ message }) => message.type === 'task.submit')),
    [],
  );
  const done = await exchange(
    reader.who,
    written('task.status', `done-${task('fits')}`, { task_id: task('fits'), status: 'completed' }),
  );
  assert.equal(done.status, 'applied');
  await until(reader, ({ type, task_id }) => type === 'task.submit' && task_id === task('cores'));
  await until(reader, ({ type, task_id }) => type === 'task.submit' && task_id === task('gpus'));
});

test('TASK-16 TASK-17 TASK-52 TASK-94 dependencies hold a task back by their condition; one that cannot be met fails it with COM002, unknown ones are refused', async () => {
  const { held, submitter, submit, report, reader, found, task, anns } = await setup();
  const unknown = await refused(submitter, submit('lost', { dependencies: ['nobody-knows'] }));
  assert.deepEqual([unknown.status, unknown.body.code], [422, 'MSG001']);
  const cycle = await refused(submitter, submit('self', { dependencies: [task('self')] }));
  assert.deepEqual([cycle.status, cycle.body.code], [422, 'MSG001']);
  await held('first');
  const ended = { task_id: task('first'), condition: 'ended' };
  await exchange(submitter, submit('after-end', { dependencies: [ended] }));
  await exchange(submitter, submit('after-success', { dependencies: [task('first')] }));
  assert.equal((await found('after-end')).state, 'queued');
  const failure = { status: 'failed', error: { code: 'boom', message: 'broken', recoverable: false } };
  assert.equal((await exchange(reader.who, report('first', failure))).status, 'applied');
  await until(reader, ({ type, task_id }) => type === 'task.submit' && task_id === task('after-end'));
  const told = await until(
    anns,
    ({ type, task_id }) => type === 'protocol.error' && task_id === task('after-success'),
  );
  assert.equal(told.code, 'COM002');
  assert.match(JSON.stringify(told), new RegExp(task('first')));
  assert.equal((await found('after-success')).outcome, 'failed');
});

test('TASK-18 metadata is kept and echoed; source and batch_id filter listings', async () => {
  const { held, submitter, task, anns } = await setup();
  const metadata = { source: task('src'), batch_id: task('batch'), deep: { x: [1] } };
  assert.deepEqual((await held('tagged', { metadata })).metadata, metadata);
  await held('other', { metadata: { source: 'elsewhere' } });
  const moved = await until(
    anns,
    ({ type, task_id }) => type === 'state.changed' && task_id === task('tagged'),
  );
  assert.deepEqual(moved.metadata, metadata);
  for (const query of [`source=${metadata.source}`, `batch_id=${metadata.batch_id}`]) {
    const { body } = await submitter.ask('GET', `/protocols/task/tasks?${query}`);
    assert.deepEqual(
      body.tasks.map((one: Loose) => one.task_id),
      [task('tagged')],
      query,
    );
  }
});
