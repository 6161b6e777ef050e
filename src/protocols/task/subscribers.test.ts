// Subscribers of the task wire: how often they are told, where, and what is recorded of errors and effects.

import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import { unpack } from 'msgpackr';
import { events } from '../../../test/dialects/conformance-streams.ts';
import { socketOf } from '../../../test/dialects/setup.ts';
import { eventually } from '../../../test/eventually.ts';
import { type Correspondent, correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import type { JsonObject } from '../../domain/json.ts';
import { exchange, readerOf, refused, SETTINGS, until, written } from './fixture.test.ts';

let post: Post;
before(async () => {
  // Alerts are in the log too, which is not looked at here.
  post = await openPost({ ...SETTINGS, BATUTA_LOG_LEVEL: 'silent' });
});
after(() => post.stop());

const submit = (id: string, fields: JsonObject = {}): JsonObject =>
  written('task.submit', `s-${id}`, { task_id: id, task_type: 'nobody', ...fields });

async function subscribe(who: Correspondent, order: object): Promise<Loose> {
  const { status, body } = await who.ask('POST', '/protocols/task/subscriptions', order);
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

/** A receiver of calls on this machine, answering with that status, and what it was called with. */
async function receiver(
  t: TestContext,
  status: number,
): Promise<{ readonly url: string; readonly calls: Received[] }> {
  const calls: Received[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', chunk => (text += chunk));
    request.on('end', () => {
      calls.push({ headers: request.headers, body: JSON.parse(text) });
      response.writeHead(status).end('{}');
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, calls };
}

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Loose;
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

test('TASK-57 TASK-58 a subscriber whose first endpoint fails is called at its backup, losing none, in order per task', async t => {
  const [bad, good] = [await receiver(t, 503), await receiver(t, 200)];
  const ann = await post.register('b-ann');
  const anns = readerOf(ann, 'b-ann');
  await subscribe(ann, {
    types: ['state.changed'],
    deliver: 'webhook',
    url: bad.url,
    backup_urls: [good.url],
    secret: 'x'.repeat(32),
  });
  for (const id of ['b1', 'b2']) await exchange(ann, submit(id));
  await until(
    anns,
    ({ type, state, task_id }) => type === 'state.changed' && state === 'queued' && task_id === 'b2',
  );
  const changes = anns.seen.filter(({ type }) => type === 'state.changed');
  await eventually(() => good.calls.length >= changes.length);
  const got = good.calls.map(({ body }) => body);
  const of = (some: readonly Loose[], id: string): readonly string[] =>
    some.filter(({ task_id }) => task_id === id).map(({ message_id }) => message_id);
  for (const id of ['b1', 'b2']) assert.deepEqual(of(got, id), of(changes, id));
  assert.equal(got.length, changes.length);
  assert.equal(bad.calls.length, 5);
});

test('TASK-43 an event bears its headers wherever it is published: in an inbox, by socket, in a stream, in a call', async t => {
  const bench = { post, name: 'task', isError: () => false };
  const ann = await post.register('h-ann');
  const [box, socketed] = [await post.register('h-box'), await post.register('h-socket')];
  const { url, calls } = await receiver(t, 200);
  const watch = { types: ['state.changed'], filter: { task_id: 'headed' } };
  for (const inbox of ['h-box', 'h-socket'])
    await subscribe(post.admin, { ...watch, deliver: 'inbox', inbox });
  await subscribe(post.admin, { ...watch, deliver: 'webhook', url, secret: 'x'.repeat(32) });
  const { id } = await subscribe(post.admin, watch);
  const [log, own] = [
    '/protocols/task/events?types=state.*',
    `/protocols/task/subscriptions/${id}/stream`,
  ].map(path => events(bench, undefined, path));
  const socket = await socketOf(bench, socketed);
  t.after(() => socket.close());
  socket.say({ frame: 'hello', inbox: 'h-socket', credit: 5 });
  await exchange(ann, submit('headed', { correlation_id: 'c-1' }));
  const streamed = await own?.next();
  const { message_id: first, timestamp, trace_id: trace } = streamed?.data ?? {};
  const wanted = {
    ...{ message_id: first, type: 'state.changed', task_id: 'headed', correlation_id: 'c-1' },
    ...{ timestamp, trace_id: trace, content_type: 'application/json' },
  };
  assert.match(trace, /^[0-9a-f]{32}$/);
  assert.ok(Date.parse(timestamp) > 0);
  assert.deepEqual([streamed?.data.headers, (await log?.next())?.data.headers], [wanted, wanted]);
  await Promise.all([own?.close(), log?.close()]);
  const delivered = await socket.next('deliver');
  assert.deepEqual([delivered.message.message_id, delivered.headers], [first, wanted]);
  const [copy] = await box.read('task', 'h-box', { wait: 5, visibility: 1 });
  assert.deepEqual([copy?.message.message_id, copy?.headers], [first, wanted]);
  const path = '/protocols/task/inbox/h-box?wait=5&max=1';
  const packed = await fetch(`${post.url}${path}`, {
    headers: { ...box.headers, accept: 'application/msgpack' },
  });
  const { messages } = unpack(Buffer.from(await packed.arrayBuffer()));
  assert.equal(messages[0].headers.content_type, 'application/msgpack');
  await eventually(() => calls.length > 0);
  const { headers, body } = calls[0] ?? assert.fail();
  const names = ['message-id', 'message-type', 'task-id', 'correlation-id', 'message-timestamp', 'trace-id'];
  assert.deepEqual(
    [body.message_id, ...names.map(name => headers[`x-${name}`]), headers['content-type']],
    [first, first, 'state.changed', 'headed', 'c-1', timestamp, trace, 'application/json'],
  );
});

test('TASK-59 what a receiver refuses for good is a dead letter; an unrecoverable event is published and an alert is in the audit, but not about itself', async t => {
  const ann = await post.register('u-ann');
  const boss = await post.register('u-boss');
  const { url, calls } = await receiver(t, 400);
  const { id } = await subscribe(post.admin, {
    ...{ types: ['*'], filter: { task_id: 'lost' }, deliver: 'webhook', url, secret: 'x'.repeat(32) },
  });
  await subscribe(post.admin, { types: ['task.events.default'], deliver: 'inbox', inbox: 'u-boss' });
  const asked = submit('lost');
  await exchange(ann, asked);
  const told = readerOf(boss, 'u-boss');
  const event = await until(
    told,
    ({ event: name, detail }) => name === 'unrecoverable' && detail.message_id === asked.message_id,
  );
  assert.deepEqual(
    [event.task_id, event.detail.code, event.detail.severity, event.detail.reason, event.detail.inbox],
    ['lost', 'MSG001', 'error', 'rejected_by_receiver', `subscription:${id}`],
  );
  assert.match(event.detail.trace_id, /^[0-9a-f]{32}$/);
  const tried = await until(
    told,
    ({ event: name, detail }) => name === 'delivery_try' && detail.message_id === asked.message_id,
  );
  assert.deepEqual([tried.detail.attempt, tried.detail.outcome, tried.detail.status], [1, 'fail', 400]);
  const { body } = await post.admin.ask(
    'GET',
    '/protocols/task/dead-letters?reason=rejected_by_receiver&limit=1',
  );
  assert.equal(body.dead_letters[0].message.message_id, asked.message_id);
  const [alert] = await entriesOf('alert.unrecoverable', String(asked.message_id));
  assert.deepEqual([alert?.detail.code, alert?.detail.task_id], ['MSG001', 'lost']);
  // The event about the loss is lost on the same receiver, and nothing is said of that.
  await eventually(() => calls.some(({ body: said }) => said.event === 'unrecoverable'));
  await entriesOf('alert.unrecoverable', event.message_id);
  assert.ok(told.seen.every(({ detail }) => detail?.message_id !== event.message_id));
  // Who sent it does not know of subscribers.
  const anns = await ann.read('task', 'u-ann', { max: 100 });
  assert.ok(anns.length > 0 && anns.every(({ message }) => message.type !== 'protocol.error'));
});

async function entriesOf(action: string, object: string): Promise<readonly Loose[]> {
  let entries: readonly Loose[] = [];
  await eventually(async () => {
    const { body } = await post.admin.ask('GET', `/api/v2/audit?action=${action}&object=${object}`);
    entries = body.entries;
    return entries.length > 0;
  });
  return entries;
}

test('TASK-61 each submission and refusal is in the audit with principal, type, task and outcome', async () => {
  const ann = await post.register('a-ann');
  await exchange(ann, submit('audited'));
  await ann.send('task', written('state.changed', 'not-mine', { task_id: 'audited', version: 1 }));
  const [accepted] = await entriesOf('message.accepted', 'audited');
  assert.deepEqual([accepted?.detail.type, accepted?.detail.outcome], ['task.submit', 'accepted']);
  assert.ok(String(accepted?.principal).includes('a-ann') && Date.parse(accepted?.timestamp) > 0);
  const [refusedOne] = await entriesOf('message.refused', 'not-mine');
  assert.deepEqual([refusedOne?.detail.type, refusedOne?.detail.outcome], ['state.changed', 'forbidden']);
});

test('TASK-60 health and metrics show messages by type and outcome, handling time, depth and age of inboxes, redeliveries and dead letters, each tenant its own', async () => {
  const other = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'counted', name: 'Counted' });
  const { api_key: key, api_secret: secret } = other.body;
  const boss = correspondent(post.url, { 'x-api-key': key, 'x-api-secret': secret });
  const shown = async () => (await boss.ask('GET', '/protocols/task/health')).body;
  const nothing = { messages: {}, handling_ms: { p50: null, p99: null }, deliveries: 0, redeliveries: 0 };
  const { status: _, guardrails: __, ...first } = await shown();
  assert.deepEqual(first, { ...nothing, dead_letters: {}, inboxes: [] }, 'no tenant sees another’s');
  const made = await boss.ask('POST', '/api/v2/api-keys', {
    ...{ name: 'c-ann', agent_id: 'c-ann' },
    permissions: ['message:send', 'message:receive', 'task:execute', 'task:read'],
  });
  const own = { 'x-api-key': made.body.api_key, 'x-api-secret': made.body.api_secret };
  const ann = correspondent(post.url, own);
  await exchange(ann, submit('counted-1'));
  await exchange(ann, submit('counted-2'));
  await refused(ann, submit('counted-3', { priority: -1 }));
  const inbox = '/protocols/task/inbox/c-ann';
  const [delivery] = (await ann.ask('GET', `${inbox}?wait=8&max=1`)).body.messages;
  await ann.settle('task', 'c-ann', delivery.delivery_id, { outcome: 'nack' });
  await ann.ask('GET', `${inbox}?wait=8&max=1`);
  const health = await shown();
  assert.deepEqual(health.messages, {
    'task.submit': { accepted: 2 },
    refused: { invalid_request: 1 },
  });
  assert.ok(health.handling_ms.p50 > 0 && health.handling_ms.p99 >= health.handling_ms.p50);
  assert.deepEqual([health.deliveries, health.redeliveries], [2, 1]);
  assert.deepEqual(health.dead_letters, { invalid: 1 });
  const depth = health.inboxes.find((one: Loose) => one.inbox === 'agent:c-ann');
  assert.ok(depth.waiting + depth.held > 0 && Date.parse(depth.oldest_at) > 0);
  const { body: text, headers } = await boss.ask('GET', '/api/v2/metrics');
  assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const figure = (name: string): number => {
    const line = String(text)
      .split('\n')
      .find(one => one.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? Number.NaN);
  };
  assert.equal(figure('batuta_messages_total{protocol="task",type="task.submit",outcome="accepted"}'), 2);
  assert.equal(figure('batuta_messages_total{protocol="task",type="refused",outcome="invalid_request"}'), 1);
  assert.equal(figure('batuta_messages_handled_total{protocol="task"}'), 3);
  assert.ok(figure('batuta_message_handling_seconds_total{protocol="task"}') > 0);
  assert.equal(figure('batuta_message_redeliveries_total{protocol="task"}'), 1);
  assert.equal(figure('batuta_dead_letters{protocol="task",reason="invalid"}'), 1);
  assert.ok(figure('batuta_inbox_depth{inbox="agent:c-ann"}') > 0);
  assert.ok(figure('batuta_inbox_oldest_seconds{inbox="agent:c-ann"}') >= 0);
  assert.match(String(text), /^# TYPE batuta_messages_total counter$/m);
  assert.equal((await ann.ask('GET', '/api/v2/metrics')).status, 403);
});
