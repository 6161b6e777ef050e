// Reports and shared state by the task wire, over a real server.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import type { JsonObject } from '../../domain/json.ts';
import { crew, exchange, refused, SETTINGS, until, written } from './fixture.test.ts';

let post: Post;
before(async () => {
  post = await openPost(SETTINGS);
});
after(() => post.stop());

let counted = 0;
const setup = (capacity: object = {}) => crew(post, `r${++counted}`, capacity);

test('TASK-22 TASK-24 TASK-30 only the holder reports; each report is kept in a series and its checkpoint by name', async () => {
  const { held, submitter, reader, report, task, anns } = await setup();
  await held('run');
  const foreign = await refused(submitter, report('run', { status: 'running', progress: 0.9 }));
  assert.deepEqual([foreign.status, String(foreign.body.reason).split(':')[0]], [409, 'lease_lost']);
  for (const [progress, throughput] of [
    [0.1, 10],
    [0.2, 20],
  ] as const) {
    const checkpoint = { id: `c${throughput}`, data: { at: progress } };
    const reply = await exchange(
      reader.who,
      report('run', { status: 'running', progress, metrics: { throughput, own: 1 }, checkpoint }),
    );
    assert.equal(reply.status, 'applied', JSON.stringify(reply));
  }
  const { body } = await submitter.ask('GET', `/protocols/task/tasks/${task('run')}`);
  assert.deepEqual(
    body.series.map((one: Loose) => [one.attempt, one.metrics.throughput, one.metrics.own]),
    [
      [1, 10, 1],
      [1, 20, 1],
    ],
  );
  assert.deepEqual(body.checkpoints, ['c10', 'c20']);
  assert.equal(body.progress, 0.2);
  const copy = await until(
    anns,
    ({ type, progress, task_id }) => type === 'task.status' && progress === 0.2 && task_id === task('run'),
  );
  assert.deepEqual([copy.status, copy.metrics], ['running', { throughput: 20, own: 1 }]);
});

test('TASK-23 a report older than the last is noted as stale and overwrites nothing', async () => {
  const { held, reader, report, found, anns, task } = await setup();
  await held('old');
  await exchange(reader.who, report('old', { status: 'running', progress: 0.5 }));
  const stale = { status: 'running', progress: 0.7, timestamp: new Date(Date.now() - 60_000).toISOString() };
  assert.equal((await exchange(reader.who, report('old', stale))).stale, true);
  assert.equal((await found('old')).progress?.percentage, 50);
  await until(anns, ({ event, task_id }) => event === 'stale_report' && task_id === task('old'));
});

test('TASK-25 TASK-27 TASK-101 a result or failure reaches the submitter, a recoverable one is tried again, and whoever may read may ask', async () => {
  const { held, submitter, reader, report, task, anns, found } = await setup();
  await held('good');
  await exchange(
    reader.who,
    report('good', { status: 'completed', result: { answer: 42 }, metrics: { total: 3 } }),
  );
  const told = await until(
    anns,
    ({ type, status, task_id }) =>
      type === 'task.status' && status === 'completed' && task_id === task('good'),
  );
  assert.deepEqual([told.result, told.progress], [{ answer: 42 }, 1]);
  await held('bad');
  const error = { code: 'boom', message: 'it broke', recoverable: false };
  await exchange(reader.who, report('bad', { status: 'failed', error }));
  const failed = await until(
    anns,
    ({ type, status, task_id }) => type === 'task.status' && status === 'failed' && task_id === task('bad'),
  );
  assert.equal(failed.error.message, 'it broke');
  await held('again');
  await exchange(reader.who, report('again', { status: 'failed', error: { ...error, recoverable: true } }));
  assert.equal((await found('again')).outcome, null);
  const second = await until(
    reader,
    ({ type, task_id, attempt }) => type === 'task.submit' && task_id === task('again') && attempt === 2,
  );
  assert.equal(second.task_id, task('again'));
  const asked = await exchange(
    submitter,
    written('task.status', `q-${task('good')}`, { task_id: task('good') }),
  );
  assert.deepEqual(
    [asked.type, asked.status, asked.result, asked.metrics],
    ['task.status', 'completed', { answer: 42 }, {}],
  );
  const blind = await post.agent('blind', { permissions: ['message:send'] });
  assert.equal(
    (await refused(blind, written('task.status', 'q-blind', { task_id: task('good') }))).status,
    403,
  );
});

test('TASK-26 a holder that reports pending hands the task back to the queue, however often, without using up an attempt', async () => {
  const { held, reader, report, task, found } = await setup();
  await held('back');
  const { attemptsMax } = (await found('back')).spec.retry;
  const asked = (attempt: number) =>
    until(
      reader,
      one => one.type === 'task.submit' && one.task_id === task('back') && one.attempt === attempt,
    );
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    await asked(attempt);
    assert.equal((await exchange(reader.who, report('back', { status: 'pending' }))).status, 'applied');
  }
  await asked(attemptsMax + 1);
  const error = { code: 'boom', message: 'it broke', recoverable: true };
  assert.equal((await exchange(reader.who, report('back', { status: 'failed', error }))).status, 'applied');
  assert.deepEqual([(await found('back')).state, (await found('back')).outcome], ['queued', null]);
  await asked(attemptsMax + 2);
  const last = { status: 'failed', error: { ...error, recoverable: false } };
  await exchange(reader.who, report('back', last));
  assert.equal((await found('back')).outcome, 'failed');
});

test('TASK-41 every request gets exactly one answer that names it', async () => {
  const { held, submitter, anns, task } = await setup();
  await held('one');
  const asked = written('task.status', `once-${task('one')}`, { task_id: task('one') });
  assert.equal((await submitter.send('task', asked)).status, 202);
  await until(anns, ({ reply_to }) => reply_to === asked.message_id);
  const log = await post.admin.ask('GET', '/protocols/task/health');
  assert.equal(log.status, 200);
  assert.equal(anns.seen.filter(({ reply_to }) => reply_to === asked.message_id).length, 1);
});

test('TASK-42 TASK-47 TASK-46 TASK-48 each move and each change of the shared state raises the version by one, and a stale change is rejected with the current one', async () => {
  const { held, submitter, reader, anns, task } = await setup();
  await held('shared');
  const running = await until(
    anns,
    ({ type, state, task_id }) =>
      type === 'state.changed' && state === 'running' && task_id === task('shared'),
  );
  const sync = (who: 'a' | 'b', version: number, state: JsonObject): JsonObject =>
    written('state.sync', `sync-${who}-${version}-${task('shared')}`, {
      task_id: task('shared'),
      state,
      expected_version: version,
    });
  const first = await exchange(reader.who, sync('a', running.version, { a: 1, b: { c: 2 } }));
  assert.deepEqual([first.status, first.version], ['applied', running.version + 1]);
  const late = await refused(submitter, sync('b', running.version, { a: 9 }));
  assert.deepEqual([late.status, late.body.details.version], [409, running.version + 1]);
  const second = await exchange(submitter, sync('b', running.version + 1, { b: { c: null, d: 3 } }));
  assert.equal(second.version, running.version + 2);
  const changed = await until(
    reader,
    ({ type, version }) => type === 'state.changed' && version === second.version,
  );
  assert.ok(Date.parse(changed.timestamp) > 0 && changed.task_id === task('shared'));
  const verify = written('state.verify', `verify-${task('shared')}`, {
    task_id: task('shared'),
    version: second.version,
  });
  const verified = await exchange(submitter, verify);
  assert.deepEqual(
    [verified.match, verified.version, verified.state],
    [true, second.version, { a: 1, b: { d: 3 } }],
  );
  assert.equal(verified.hash, createHash('sha256').update('{"a":1,"b":{"d":3}}').digest('hex'));
  const wrong = await exchange(submitter, { ...verify, message_id: `${verify.message_id}-2`, hash: '00' });
  assert.equal(wrong.match, false);
  await until(
    anns,
    ({ type, version, task_id }) =>
      type === 'state.changed' && version === second.version && task_id === task('shared'),
  );
  const versions = anns.seen
    .filter(({ type, task_id }) => type === 'state.changed' && task_id === task('shared'))
    .map(({ version }) => version);
  assert.deepEqual(
    versions,
    Array.from(versions, (_, index) => index + 1),
  );
  const stranger = await post.agent('stranger');
  assert.equal((await refused(stranger, sync('a', second.version, {}))).status, 403);
});
