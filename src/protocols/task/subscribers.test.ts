// Subscribers of the task wire: how often they are told, where, and what is recorded of errors and effects.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import type { JsonObject } from '../../domain/json.ts';
import { exchange, readerOf, SETTINGS, until, written } from './fixture.test.ts';

let post: Post;
before(async () => {
  post = await openPost(SETTINGS);
});
after(() => post.stop());

const submit = (id: string, fields: JsonObject = {}): JsonObject =>
  written('task.submit', `s-${id}`, { task_id: id, task_type: 'nobody', ...fields });

async function subscribe(who: Correspondent, order: object): Promise<Loose> {
  const { status, body } = await who.ask('POST', '/protocols/task/subscriptions', order);
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

test('TASK-45 TASK-18 with qos 0 a copy is done when handed over, with 1 it comes again until acknowledged, each subscriber for itself; metadata filters', async () => {
  const ann = await post.register('q-ann');
  const [zero, one] = [await post.register('q-zero'), await post.register('q-one')];
  const filter = { 'metadata.source': 'watched' };
  const boss = post.admin;
  for (const [inbox, qos] of [
    ['q-zero', 0],
    ['q-one', 1],
  ] as const)
    await subscribe(boss, { types: ['state.changed'], filter, deliver: 'inbox', inbox, qos });
  await exchange(ann, submit('q1', { metadata: { source: 'watched' } }));
  await exchange(ann, submit('q2', { metadata: { source: 'other' } }));
  const read = async (who: Correspondent, inbox: string): Promise<readonly Loose[]> => {
    for (let looks = 0; looks < 10; looks++) {
      const got = await who.read('task', inbox, { wait: 5, visibility: 1 });
      if (got.length > 0) return got;
    }
    return [];
  };
  const [first] = await read(zero, 'q-zero');
  assert.equal(first?.message.task_id, 'q1');
  const [copy] = await read(one, 'q-one');
  assert.deepEqual([copy?.message.task_id, copy?.attempt], ['q1', 1]);
  const again = await read(one, 'q-one');
  assert.ok(
    again.some(({ message, attempt }) => message.message_id === copy?.message.message_id && attempt === 2),
  );
  const later = await zero.read('task', 'q-zero', { wait: 3 });
  assert.ok(
    later.every(
      ({ message }) => message.message_id !== first?.message.message_id && message.task_id === 'q1',
    ),
  );
});

test('TASK-57 TASK-58 a subscriber whose first endpoint fails is called at its backup, losing none', async t => {
  const got: string[] = [];
  const bad = createServer((_, response) => response.writeHead(503).end());
  const good = createServer((request, response) => {
    let text = '';
    request.on('data', chunk => (text += chunk));
    request.on('end', () => {
      got.push(JSON.parse(text).message_id);
      response.writeHead(200).end('{}');
    });
  });
  for (const server of [bad, good]) {
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
  }
  const urlOf = (server: typeof bad): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const ann = await post.register('b-ann');
  const anns = readerOf(ann, 'b-ann');
  await subscribe(ann, {
    types: ['state.changed'],
    deliver: 'webhook',
    url: urlOf(bad),
    backup_urls: [urlOf(good)],
    secret: 'x'.repeat(32),
  });
  for (const id of ['b1', 'b2']) await exchange(ann, submit(id));
  await until(
    anns,
    ({ type, state, task_id }) => type === 'state.changed' && state === 'queued' && task_id === 'b2',
  );
  const wanted = anns.seen.filter(({ type }) => type === 'state.changed').map(({ message_id }) => message_id);
  const end = Date.now() + 20_000;
  while (got.length < wanted.length && Date.now() < end)
    await new Promise(resolve => setTimeout(resolve, 50));
  assert.deepEqual(got, wanted);
});

test('TASK-60 TASK-61 each submission and refusal is in the audit with principal, type, task and outcome, and counted', async () => {
  const ann = await post.register('a-ann');
  await exchange(ann, submit('audited'));
  await ann.send('task', written('state.changed', 'not-mine', { task_id: 'audited', version: 1 }));
  const entriesOf = async (action: string, object: string): Promise<readonly Loose[]> => {
    for (let looks = 0; looks < 50; looks++) {
      const { body } = await post.admin.ask('GET', `/api/v2/audit?action=${action}&object=${object}`);
      if (body.entries.length > 0) return body.entries;
      await new Promise(resolve => setTimeout(resolve, 100));
    }
    return [];
  };
  const [accepted] = await entriesOf('message.accepted', 'audited');
  assert.deepEqual([accepted?.detail.type, accepted?.detail.outcome], ['task.submit', 'accepted']);
  assert.ok(String(accepted?.principal).includes('a-ann') && Date.parse(accepted?.timestamp) > 0);
  const [refusedOne] = await entriesOf('message.refused', 'not-mine');
  assert.deepEqual([refusedOne?.detail.type, refusedOne?.detail.outcome], ['state.changed', 'forbidden']);
  const { body } = await ann.ask('GET', '/protocols/task/health');
  assert.ok(body.messages['task.submit'].accepted >= 1 && body.messages.refused.forbidden >= 1);
});
