// Commands, resources and permissions by the task wire, over a real server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { exchange, heldTask, readerOf, refused, SETTINGS, until, written } from './fixture.test.ts';
import { RULES } from './permissions.ts';
import type { TaskMessageType } from './schemas.ts';

let post: Post;
before(async () => {
  post = await openPost(SETTINGS);
});
after(() => post.stop());

let counted = 0;

async function setup(capacity: object = {}) {
  counted += 1;
  const [ann, bob, type] = [`ann${counted}`, `bob${counted}`, `work${counted}`];
  const submitter = await post.register(ann);
  const body = { agent_id: bob, types: [`custom:${type}`], capacity: { slots: 10, ...capacity } };
  assert.equal((await post.admin.ask('POST', '/api/v2/agents', body)).status, 200);
  const holder = await post.agent(bob);
  const reader = readerOf(holder, bob);
  const task = (id: string): string => `${type}-${id}`;
  const say = (kind: string, id: string, fields: JsonObject = {}): JsonObject =>
    written(kind, `${kind}-${++counted}`, { task_id: task(id), ...fields });
  return {
    ...{ type, submitter, holder, reader, anns: readerOf(submitter, ann), task, say },
    queued: (id: string, fields: JsonObject = {}) =>
      exchange(submitter, say('task.submit', id, { task_type: `${type}-nobody`, ...fields })),
    held: (id: string, fields?: JsonObject) =>
      heldTask({ submitter, holder: reader }, task(id), type, fields),
    found: (id: string) => post.server.engine.task(DEFAULT_TENANT, task(id) as TaskId),
  };
}

const codeOf = (body: Loose): string => String(body.reason).split(':')[0] ?? '';

test('TASK-28 TASK-29 TASK-32 TASK-35 a waiting task is paused, resumed and cancelled at once; what is so already is applied without an event', async () => {
  const { submitter, say, queued, found } = await setup();
  await queued('w');
  const paused = await exchange(submitter, say('task.control.pause', 'w', { reason: 'lunch' }));
  assert.deepEqual([paused.type, paused.status], ['task.control.ack', 'applied']);
  const { state, version } = await found('w');
  assert.equal(state, 'paused');
  assert.equal((await exchange(submitter, say('task.control.pause', 'w'))).status, 'applied');
  assert.equal((await found('w')).version, version);
  assert.equal((await exchange(submitter, say('task.control.resume', 'w'))).status, 'applied');
  assert.equal((await found('w')).state, 'queued');
  const cancel = say('task.control.cancel', 'w', { reason: 'no more' });
  const cancelled = await exchange(submitter, cancel);
  assert.deepEqual([cancelled.status, cancelled.command_id], ['applied', cancel.message_id]);
  assert.equal((await found('w')).outcome, 'cancelled');
  assert.equal((await exchange(submitter, say('task.control.cancel', 'w'))).status, 'applied');
  const late = await refused(submitter, say('task.control.pause', 'w'));
  assert.deepEqual([late.status, codeOf(late.body)], [409, 'invalid_transition']);
  assert.match(late.body.reason, /cancelled|archiv/);
});

test('TASK-28 TASK-29 TASK-30 TASK-34 a running task is paused when its holder confirms, and goes on from the checkpoint that is named, or the latest', async () => {
  const { submitter, holder, reader, anns, say, held, found, task } = await setup();
  await held('r');
  for (const id of ['c1', 'c2'])
    await exchange(
      holder,
      say('task.status', 'r', { status: 'running', progress: 0.5, checkpoint: { id, data: { id } } }),
    );
  const pause = say('task.control.pause', 'r', { reason: 'wait' });
  assert.equal((await exchange(submitter, pause)).status, 'accepted');
  const forwarded = await until(reader, ({ type }) => type === 'task.control.pause');
  assert.deepEqual([forwarded.message_id, forwarded.reason], [pause.message_id, 'wait']);
  assert.equal((await found('r')).state, 'running');
  const foreign = await refused(
    submitter,
    written('task.control.ack', 'forged', { command_id: pause.message_id, status: 'applied' }),
  );
  assert.equal(foreign.status, 403);
  const ack = written('task.control.ack', `ack-${task('r')}`, {
    command_id: pause.message_id,
    status: 'applied',
  });
  assert.equal((await holder.send('task', ack)).status, 202);
  const final = await until(
    anns,
    ({ command_id, status }) => command_id === pause.message_id && status === 'applied',
  );
  assert.equal(final.reply_to, undefined);
  const paused = await found('r');
  assert.deepEqual([paused.state, paused.progress?.percentage], ['paused', 50]);
  const unknown = await refused(submitter, say('task.control.resume', 'r', { checkpoint: 'c9' }));
  assert.deepEqual([unknown.status, codeOf(unknown.body)], [404, 'not_found']);
  assert.equal(
    (await exchange(submitter, say('task.control.resume', 'r', { checkpoint: 'c1' }))).status,
    'applied',
  );
  const next = await until(
    reader,
    ({ type, attempt, task_id }) => type === 'task.submit' && attempt === 2 && task_id === task('r'),
  );
  assert.deepEqual(next.checkpoint, { id: 'c1', data: { id: 'c1' } });
});

test('TASK-31 TASK-34 TASK-35 a holder may reject a pause; a cancel goes before a pause under way, and exactly one of the two happens', async () => {
  const { submitter, holder, reader, anns, say, held, found, task } = await setup();
  await held('x');
  const first = say('task.control.pause', 'x');
  await exchange(submitter, first);
  await until(reader, ({ message_id }) => message_id === first.message_id);
  const no = written('task.control.reject', `no-${task('x')}`, {
    command_id: first.message_id,
    reason: 'conflict: busy',
  });
  assert.equal((await holder.send('task', no)).status, 202);
  const rejected = await until(
    anns,
    ({ type, command_id }) => type === 'task.control.reject' && command_id === first.message_id,
  );
  assert.equal(rejected.reason, 'conflict: busy');
  const pause = say('task.control.pause', 'x');
  await exchange(submitter, pause);
  const resume = await refused(submitter, say('task.control.resume', 'x'));
  assert.equal(codeOf(resume.body), 'invalid_transition');
  const cancel = say('task.control.cancel', 'x', { reason: 'enough' });
  assert.equal((await exchange(submitter, cancel)).status, 'accepted');
  const lost = await until(
    anns,
    ({ type, command_id }) => type === 'task.control.reject' && command_id === pause.message_id,
  );
  assert.equal(codeOf(lost), 'invalid_transition');
  await exchange(holder, say('task.status', 'x', { status: 'cancelled' }));
  await until(anns, ({ command_id, status }) => command_id === cancel.message_id && status === 'applied');
  assert.equal((await found('x')).outcome, 'cancelled');
  const tooLate = await refused(
    holder,
    written('task.control.ack', `late-${task('x')}`, { command_id: pause.message_id, status: 'applied' }),
  );
  assert.equal(codeOf(tooLate.body), 'invalid_transition');
});

test('TASK-36 TASK-37 TASK-38 TASK-39 TASK-40 every kind is reserved or none, never beyond the pool however many ask at once, and freed by release and by the end', async () => {
  const tenant = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'pools', name: 'Pools' });
  assert.equal(tenant.status, 201, JSON.stringify(tenant.body));
  const headers = { 'x-api-key': tenant.body.api_key, 'x-api-secret': tenant.body.api_secret };
  const boss: Correspondent = {
    ...post.admin,
    headers,
    ask: (method, path, body, more = {}) => post.admin.ask(method, path, body, { ...headers, ...more }),
    send: (dialect, message, query = '') =>
      post.admin.ask('POST', `/protocols/${dialect}/messages${query}`, message, headers),
  };
  await boss.ask('POST', '/api/v2/agents', {
    agent_id: 'host',
    types: ['custom:host'],
    capacity: { cpu_cores: 8, memory_mb: 16_384, gpu_units: 2 },
  });
  const task = (id: string): JsonObject => ({ task_id: `pool-${id}` });
  for (const id of ['a', 'b'])
    await exchange(boss, written('task.submit', `pool-s-${id}`, { ...task(id), task_type: 'nobody' }));
  const ask = (name: string, id: string, requirements: JsonObject) =>
    exchange(boss, written('resource.allocate', `pool-${name}`, { ...task(id), requirements }));
  const got = await ask('one', 'a', { cpu_cores: 6, gpu_units: 1 });
  assert.equal(got.type, 'resource.allocated', JSON.stringify(got));
  assert.deepEqual(
    got.resources.map(({ kind, amount }: Loose) => [kind, amount]),
    [
      ['cpu_cores', 6],
      ['gpu_units', 1],
    ],
  );
  const none = await ask('two', 'b', { cpu_cores: 2, gpu_units: 2 });
  assert.deepEqual([none.type, none.reason], ['resource.denied', 'insufficient_capacity']);
  const race = await Promise.all([1, 2, 3, 4, 5].map(n => ask(`race-${n}`, 'b', { cpu_cores: 1 })));
  assert.equal(race.filter(({ type }) => type === 'resource.allocated').length, 2);
  assert.equal((await ask('who', 'zzz', { cpu_cores: 1 })).reason, 'unknown_task');
  const ids = got.resources.map(({ resource_id }: Loose) => resource_id);
  const foreign = await refused(
    boss,
    written('resource.release', 'pool-r0', { ...task('b'), resource_ids: ids }),
  );
  assert.equal(codeOf(foreign.body), 'not_found');
  const release = await exchange(
    boss,
    written('resource.release', 'pool-r1', { ...task('a'), resource_ids: [ids[1]] }),
  );
  assert.deepEqual([release.type, release.status], ['task.control.ack', 'applied']);
  assert.equal((await ask('gpus', 'b', { gpu_units: 2 })).type, 'resource.allocated');
  assert.equal((await ask('full', 'b', { cpu_cores: 3 })).reason, 'insufficient_capacity');
  await exchange(boss, written('task.control.cancel', 'pool-c', task('a')));
  assert.equal((await ask('freed', 'b', { cpu_cores: 3 })).type, 'resource.allocated');
  assert.equal((await ask('over', 'a', { cpu_cores: 1 })).reason, 'task_ended');
});

test('TASK-83 each type is said by whom the table names, and by nobody else', async () => {
  const { held, task } = await setup();
  await held('t');
  const fields: Readonly<Record<string, JsonObject>> = {
    'task.submit': { task_type: 'x' },
    'task.control.ack': { command_id: 'c', status: 'applied' },
    'task.control.reject': { command_id: 'c', reason: 'r' },
    'resource.allocate': { requirements: {} },
    'resource.release': { resource_ids: ['r'] },
    'resource.allocated': { resources: [] },
    'resource.denied': { reason: 'r' },
    'state.changed': { version: 1 },
    'state.sync': { state: {}, expected_version: 0 },
    'state.verify': { version: 1 },
    'state.verified': { match: true, version: 1, state: {}, hash: 'h' },
    'protocol.error': {
      code: 'MSG001',
      error: 'e',
      severity: 'error',
      recovery: 'r',
      message: 'm',
      details: {},
    },
    'task.events.default': { event: 'e' },
    'task.status': { status: 'running' },
  };
  const all = ['task:execute', 'task:read', 'task:control', 'task:write-result'] as const;
  for (const [type, { who }] of Object.entries(RULES)) {
    const lacking = await post.agent(`lacking-${type.replaceAll('.', '-')}`, {
      permissions: ['message:send', ...all.filter(permission => permission !== who)],
    });
    // Even with all permissions nobody says what is the server's, answers a command it was not sent, or meddles with another's task.
    const everyone = { permissions: ['message:send', ...all] };
    const stranger = await post.agent(`stranger-${type.replaceAll('.', '-')}`, everyone);
    const message = (id: string): JsonObject =>
      written(type, `${id}-${type}`, { task_id: task('t'), ...fields[type as TaskMessageType] });
    const isTheirs =
      ['task.submit', 'task.status', 'state.verify'].includes(type) || type.startsWith('task.control.');
    const { status, body } = await refused(lacking, message('l'));
    assert.deepEqual([status, codeOf(body)], [403, 'forbidden'], type);
    if (!isTheirs || who === 'commanded')
      assert.equal((await refused(stranger, message('s'))).status, 403, type);
  }
  const wrong = await setup();
  const misled = await refused(
    wrong.submitter,
    wrong.say('task.submit', 'm', { task_type: 'x', to: 'resource_manager' }),
  );
  assert.equal(codeOf(misled.body), 'forbidden');
  const lost = await refused(
    wrong.submitter,
    wrong.say('task.submit', 'm', { task_type: 'x', to: 'nobody-here' }),
  );
  assert.equal(codeOf(lost.body), 'not_found');
});

test('TASK-42 TASK-79 TASK-107 topics are named exactly or by task.*, one that is none is refused; the front page lists types and versions', async () => {
  const { submitter } = await setup();
  const path = '/protocols/task/subscriptions';
  for (const types of [['task.*'], ['state.changed'], ['task.events.default']])
    assert.equal((await submitter.ask('POST', path, { types })).status, 201, String(types));
  assert.equal((await submitter.ask('POST', path, { types: ['tusk.*'] })).body.code, 'MSG001');
  const { body } = await submitter.ask('GET', '/protocols/task');
  assert.deepEqual(body.versions, [{ version: '1.0.0' }]);
  for (const type of Object.keys(RULES)) {
    assert.ok(body.types.includes(type));
    const schema = await submitter.ask('GET', `/protocols/task/schemas/${type}`);
    assert.equal(schema.body.properties.type.const, type);
  }
});
