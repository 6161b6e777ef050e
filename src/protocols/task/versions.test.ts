// Versions of the task wire, over a real server: what is taken, what is passed on, what answers are written in, and how an end is announced.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPost, type Post } from '../../../test/post.ts';
import { crew, exchange, readerOf, refused, SETTINGS, until, written } from './fixture.test.ts';
import { createTaskDialect } from './index.ts';

/** The wire as it will be served once 1.0.0 has a successor. */
const VERSIONS = [
  { version: '1.1.0', changes: 'It has a <successor>.' },
  { version: '1.0.0', deprecatedAt: '2026-06-01T00:00:00Z', sunsetAt: '2026-12-01T00:00:00Z' },
];

let post: Post;
before(async () => {
  const aged: Parameters<typeof openPost>[1] = {
    dialects: [
      hands => {
        const { dialect } = createTaskDialect(hands);
        return { dialect: { ...dialect, name: 'aged', routes: [], versions: VERSIONS }, participants: [] };
      },
    ],
  };
  post = await openPost(SETTINGS, aged);
});
after(() => post.stop());

test('TASK-105 a message without protocol_version is 1.0.0, or what the header says; every message and answer that leaves bears one', async () => {
  const { submitter, holder, bob, submit, type } = await crew(post, 'v105');
  const bare = (id: string) => {
    const { protocol_version: _, ...rest } = submit(id);
    return rest;
  };
  assert.equal((await exchange(submitter, bare('none'))).protocol_version, '1.0.0');
  const path = '/protocols/task/messages?wait=10';
  const told = await submitter.ask('POST', path, bare('told'), { 'protocol-version': '1.4.2' });
  assert.deepEqual([told.status, told.body.reply?.protocol_version], [202, '1.4.2']);
  const own = await submitter.ask('POST', path, submit('own'), { 'protocol-version': '1.4.2' });
  assert.equal(own.body.reply?.protocol_version, '1.0.0', 'the field goes before the header');
  for (const version of ['2.0.0', '1.x', 'one']) {
    const { status, body } = await submitter.ask('POST', path, bare('bad'), { 'protocol-version': version });
    assert.deepEqual([status, body.code, body.protocol_version], [400, 'MSG001', '1.0.0'], version);
  }
  const asked = await until(
    readerOf(holder, bob),
    ({ type: found, task_id }) => found === 'task.submit' && task_id === `${type}-told`,
  );
  assert.equal(asked.protocol_version, '1.0.0');
});

test('TASK-106 a higher minor version is taken, its unknown fields reach the agent and whoever watches, and answers are in it; another major one is told those spoken', async () => {
  const { submitter, reader, report, submit, task, held } = await crew(post, 'v106');
  const watch = { types: ['task.status', 'task.submit'], deliver: 'inbox', inbox: 'v106-watch' };
  const watcher = await post.register('v106-watch');
  assert.equal((await post.admin.ask('POST', '/protocols/task/subscriptions', watch)).status, 201);
  const newer = { protocol_version: '1.7.3', urgency_class: { name: 'gold', rank: [1, 2] } };
  const reply = await exchange(submitter, { ...submit('new'), ...newer });
  assert.deepEqual([reply.type, reply.protocol_version], ['task.control.ack', '1.7.3']);
  const request = await until(
    reader,
    ({ type, task_id }) => type === 'task.submit' && task_id === task('new'),
  );
  assert.deepEqual(request.urgency_class, newer.urgency_class);
  await held('held');
  const said = report('held', { status: 'running', progress: 0.5, ...newer });
  assert.equal((await exchange(reader.who, said)).protocol_version, '1.7.3');
  const copies = readerOf(watcher, 'v106-watch');
  for (const type of ['task.submit', 'task.status'])
    await until(
      copies,
      one => one.type === type && one.from !== 'coordinator' && one.urgency_class?.name === 'gold',
    );
  const wrong = await refused(submitter, { ...submit('bad', { priority: -1 }), ...newer });
  assert.deepEqual([wrong.body.code, wrong.body.protocol_version], ['MSG001', '1.7.3']);
  const many = await submitter.send('task', [{ ...submit('bad2', { priority: -1 }), ...newer }]);
  assert.equal(many.body.results[0].error.protocol_version, '1.7.3');
  const other = await refused(submitter, { ...submit('bad'), protocol_version: '2.0.0' });
  assert.deepEqual(
    [other.status, other.body.code, other.body.details.versions, other.body.protocol_version],
    [400, 'MSG001', ['1.0.0'], '1.0.0'],
  );
});

test('TASK-107 the front page lists versions, types, schemas and limits; a deprecated version is answered with its dates, refusals and batches included; the changelog has an entry for task protocols 1.0.0', async () => {
  const { body: page } = await post.admin.ask('GET', '/protocols/task');
  assert.deepEqual(page.versions, [{ version: '1.0.0' }]);
  assert.ok(page.types.includes('task.submit') && page.limits.message_bytes === 1_048_576);
  for (const [type, path] of Object.entries<string>(page.schemas)) {
    const schema = await post.admin.ask('GET', path);
    assert.deepEqual([schema.status, schema.body.title], [200, type]);
  }
  const ann = await post.register('v107-ann');
  const asked = (version: string) =>
    written('task.status', `q-${version}`, { task_id: 'nothing', protocol_version: version });
  const dates = ['@1780272000', 'Tue, 01 Dec 2026 00:00:00 GMT'];
  const old = [asked('1.0.0'), [asked('1.1.0'), asked('1.0.0')], { ...asked('1.0.0'), task_id: '' }];
  for (const message of old) {
    const { headers } = await ann.send('aged', message);
    assert.deepEqual([headers.get('deprecation'), headers.get('sunset')], dates, JSON.stringify(message));
  }
  const { protocol_version: _, ...bare } = asked('1.0.0');
  const byHeader = await ann.ask('POST', '/protocols/aged/messages', bare, { 'protocol-version': '1.0.0' });
  assert.equal(byHeader.headers.get('deprecation'), dates[0]);
  for (const [wire, message] of [['aged', asked('1.1.0')] as const, ['task', asked('1.0.0')] as const])
    assert.equal((await ann.send(wire, message)).headers.get('deprecation'), null, wire);
  const shown = await fetch(`${post.url}/docs/changelog`);
  assert.deepEqual([shown.status, shown.headers.get('content-type')], [200, 'text/html; charset=utf-8']);
  const text = await shown.text();
  assert.match(text, /<dt>Task messages 1\.0\.0<\/dt><dd>Task protocols 1\.0\.0/);
  assert.ok(text.includes('Deprecated since 2026-06-01') && !text.includes('<successor>'));
  const changelog = await post.admin.ask('GET', '/docs/changelog', undefined, { accept: 'application/json' });
  const entry = changelog.body.protocols.find(({ name }: { name: string }) => name === 'task');
  assert.match(entry.versions[0].changes, /^Task protocols 1\.0\.0/);
});
