// The channel and the real guard, against real receivers on loopback.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { unpack } from 'msgpackr';
import type { ChannelMessage } from '../../engine/ports/channel.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import { createOutbound, parsePrivateTargets } from '../../guards/outbound.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { createWebhookChannel } from './webhook.ts';

const clock: Clock = { ...systemClock, now: () => 1_767_225_600_999 };

const message: ChannelMessage = {
  endpoint: 'https://receiver.invalid/',
  deliveryId: '0197-delivery',
  notificationId: '0197-notification',
  event: 'task_completed',
  attempt: 2,
  agentId: 'agent-7',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  secrets: ['newest', 'older'],
  body: { event_type: 'task_completed', task_id: 'résumé', absent: undefined },
  timeoutMs: 5_000,
};

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function setup(t: TestContext, answer: RequestListener = (_request, response) => response.end()) {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    received.push({ headers: request.headers, body: Buffer.concat(await request.toArray()) });
    answer(request, response);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const allowed = parsePrivateTargets('127.0.0.1');
  const outbound = createOutbound({ clock: systemClock, log: silentLog, allowed });
  const channel = createWebhookChannel({ clock, outbound, version: '1.2.3' });
  t.after(async () => {
    await outbound.stop();
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?a=b`;
  const send = (more: Partial<ChannelMessage> = {}) => channel.send({ ...message, endpoint, ...more });
  return { send, received };
}

test('SAM-76 a notification is a POST of JSON that says who, what, when, which and for which time', async t => {
  const { send, received } = await setup(t);
  const outcome = await send();
  assert.deepEqual([outcome.verdict, outcome.status, outcome.answer], ['delivered', 200, '']);
  const [{ headers, body } = { headers: {}, body: Buffer.alloc(0) }] = received;
  assert.equal(body.toString(), '{"event_type":"task_completed","task_id":"résumé"}');
  assert.equal(headers['x-sam-agent-id'], 'agent-7');
  assert.equal(headers['x-webhook-timestamp'], '1767225600');
  assert.equal(headers['x-webhook-event'], 'task_completed');
  assert.equal(headers['x-delivery-id'], '0197-delivery');
  assert.equal(headers['x-webhook-attempt'], '2');
  assert.equal(headers.traceparent, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
  assert.equal(headers['webhook-id'], '0197-notification');
  assert.equal(headers['webhook-timestamp'], '1767225600');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['content-encoding'], undefined);
  assert.equal(headers['user-agent'], 'batuta/1.2.3');
});

test('SAM-84 gzip and MessagePack come only when asked for, gzip only over 1 KiB, and the wire bytes are signed', async t => {
  const { send, received } = await setup(t);
  const long = { task_id: 'a', log: 'x'.repeat(2_000) };
  const batch = [{ n: 1, absent: undefined }, { n: 2 }];
  await send({ body: long });
  await send({ body: long, encoding: 'gzip' });
  await send({ body: { n: 1 }, encoding: 'gzip' });
  await send({ body: batch, format: 'msgpack' });
  await send({ body: long, format: 'msgpack', encoding: 'gzip' });
  const read = received.map(({ headers, body }) => {
    const signature = createHmac('sha256', 'newest').update(body).digest('hex');
    assert.equal(headers['x-webhook-signature'], `sha256=${signature}`);
    const plain = headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    const packed = headers['content-type'] === 'application/msgpack';
    const value: unknown = packed ? unpack(plain) : JSON.parse(plain.toString());
    return [headers['content-type'], headers['content-encoding'], value];
  });
  assert.deepEqual(read, [
    ['application/json', undefined, long],
    ['application/json', 'gzip', long],
    ['application/json', undefined, { n: 1 }],
    ['application/msgpack', undefined, [{ n: 1 }, { n: 2 }]],
    ['application/msgpack', 'gzip', long],
  ]);
});

test('SAM-87 SAM-89 the answer decides: acknowledgement, Retry-After and verdict come back', async t => {
  const { send } = await setup(t, (_request, response) =>
    response.writeHead(503, { 'retry-after': '9' }).end('{"acknowledged":false}'),
  );
  const { durationMs, ...outcome } = await send();
  assert.ok(durationMs >= 0);
  assert.deepEqual(outcome, {
    status: 503,
    answer: '{"acknowledged":false}',
    acknowledgement: { acknowledged: false },
    retryAfterMs: 9_000,
    verdict: 'retry',
  });
});

test('SAM-89 a redirect fails and its target never hears of the notification', async t => {
  const { send, received } = await setup(t, (_request, response) =>
    response.writeHead(307, { location: '/elsewhere' }).end(),
  );
  assert.equal((await send()).verdict, 'fail');
  assert.equal(received.length, 1);
});

test('a long answer is cut at 64 KiB, and its verdict stands', async t => {
  const { send } = await setup(t, (_request, response) => response.end('y'.repeat(1_000_000)));
  const { verdict, answer } = await send();
  assert.deepEqual([verdict, answer], ['delivered', 'y'.repeat(1_024)]);
});

test('SAM-89 silence, a broken connection and a name that does not resolve are retried, without a status', async t => {
  const silent = await setup(t, () => {});
  const broken = await setup(t, request => request.socket.destroy());
  const outcomes = [
    await silent.send({ timeoutMs: 50 }),
    await broken.send(),
    await broken.send({ endpoint: message.endpoint }),
  ];
  for (const { status, verdict, answer, durationMs } of outcomes) {
    assert.deepEqual([status, verdict], [null, 'retry']);
    assert.ok(answer !== '' && durationMs >= 0);
  }
});

test('SAM-89 a target the guard refuses fails at once and says why', async t => {
  const { send, received } = await setup(t);
  for (const endpoint of ['https://10.0.0.1/', 'http://93.184.216.34/', 'ftp://a.test/', 'nonsense']) {
    const { verdict, status, answer } = await send({ endpoint });
    assert.deepEqual([verdict, status], ['fail', null], endpoint);
    assert.notEqual(answer, '');
  }
  assert.equal(received.length, 0);
});

test('nothing is sent unsigned, or with a header that is not one', async t => {
  const { send, received } = await setup(t);
  assert.equal((await send({ secrets: [] })).verdict, 'fail');
  assert.equal((await send({ agentId: 'a\r\nx-evil: 1' })).verdict, 'fail');
  assert.equal(received.length, 0);
});

test('what nobody foresaw is an outcome too, worth another try', async () => {
  const outbound: Outbound = {
    send: async () => {
      throw new TypeError('secret detail');
    },
    check: async () => {},
    stop: async () => {},
  };
  const channel = createWebhookChannel({ clock, outbound, version: '1' });
  await channel.start();
  const outcome = await channel.send(message);
  assert.deepEqual([outcome.verdict, outcome.status], ['retry', null]);
  assert.doesNotMatch(outcome.answer, /secret/);
  await channel.stop();
  await channel.stop();
});
