// Verification against what the server's own webhook channel sends, and against everything an attacker would change.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { unpack } from 'msgpackr';
import { createWebhookChannel } from '../channels/webhook/webhook.ts';
import type { ChannelMessage } from '../engine/ports/channel.ts';
import type { OutboundRequest } from '../engine/ports/outbound.ts';
import { systemClock } from '../runtime/clock.ts';
import {
  type ReceivedWebhook,
  signWebhook,
  verifyWebhook,
  type WebhookRefusal,
  WebhookVerificationError,
} from './webhooks.ts';

const NOW = 1_767_225_600_000;
const now = () => NOW;
const body = '{"event_type":"task_failed","task_id":"t1","result":{"error":"é"}}';

async function setup(secret: string | readonly string[] = 'secret') {
  const names = { event: 'task_failed', deliveryId: 'd1', notificationId: 'n1', agentId: 'a1' } as const;
  const headers: Record<string, string> = await signWebhook({ ...names, body, secret, now });
  const without = (...left: string[]) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => !left.includes(name)));
  const verify = (more: Partial<ReceivedWebhook> = {}) =>
    verifyWebhook({ headers, body, secret: 'secret', now, ...more });
  return { headers, without, verify };
}

function refused(reason: WebhookRefusal) {
  return (error: unknown): boolean => error instanceof WebhookVerificationError && error.reason === reason;
}

const STANDARD = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
const SAM = ['X-Webhook-Signature', 'X-Webhook-Timestamp'];

async function sentBy(message: Partial<ChannelMessage>): Promise<OutboundRequest> {
  const requests: OutboundRequest[] = [];
  const channel = createWebhookChannel({
    clock: { ...systemClock, now },
    version: '1',
    outbound: {
      send: async request => {
        requests.push(request);
        return { status: 200, headers: {}, body: new Uint8Array(), durationMs: 0 };
      },
      check: async () => {},
      stop: async () => {},
    },
  });
  await channel.send({
    endpoint: 'https://a.test/',
    deliveryId: 'd1',
    notificationId: 'n1',
    event: 'task_progress',
    attempt: 1,
    agentId: 'a1',
    traceparent: '00-1-2-01',
    secrets: ['secret'],
    body: { event_type: 'task_progress', task_id: 't1' },
    timeoutMs: 1,
    ...message,
  });
  const [request] = requests;
  assert.ok(request);
  return request;
}

test('SAM-77 whatever the webhook channel sends verifies, in every format, with any secret it may be signed by', async () => {
  const payload = { event_type: 'task_progress', task_id: 't1', log: 'ü'.repeat(1_500) };
  const whsec = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const messages: Partial<ChannelMessage>[] = [
    {},
    { encoding: 'gzip' },
    { format: 'msgpack' },
    { format: 'msgpack', encoding: 'gzip' },
    { secrets: [whsec] },
    { secrets: ['whsec_no base64'] },
    { secrets: ['schlüssel', 'old'] },
  ];
  for (const message of messages) {
    const { headers, body } = await sentBy({ body: payload, ...message });
    const secret = message.secrets ?? 'secret';
    const verified = await verifyWebhook({ headers, body: body ?? '', secret, now, unpack });
    assert.deepEqual(verified, {
      event: 'task_progress',
      taskId: 't1',
      deliveryId: 'd1',
      notificationId: 'n1',
      payload,
    });
  }
});

test('the SDK signs exactly as the channel does', async () => {
  for (const secrets of [['secret'], ['new', 'whsec_c2VjcmV0'], ['whsec_', 'x']]) {
    const { headers, body = '' } = await sentBy({ secrets });
    const signed = await signWebhook({
      body,
      secret: secrets,
      event: 'task_progress',
      deliveryId: 'd1',
      notificationId: 'n1',
      agentId: 'a1',
      now,
    });
    for (const [name, value] of Object.entries(signed)) assert.equal(headers[name], value, name);
  }
});

test('a batch verifies as an array, named by its last item', async () => {
  const items = [
    { event_type: 'task_progress', task_id: 't1' },
    { event_type: 'task_completed', task_id: 't2' },
  ];
  const { headers, body = '' } = await sentBy({ body: items });
  const { payload, event, taskId } = await verifyWebhook({ headers, body, secret: 'secret', now });
  assert.deepEqual([payload, event, taskId], [items, 'task_completed', 't2']);
});

test('headers are read from any server: Headers, records, arrays, in any case', async () => {
  const { headers, verify } = await setup();
  const upper = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]]),
  );
  for (const form of [new Headers(headers), headers, upper])
    assert.equal((await verify({ headers: form })).event, 'task_failed');
  assert.equal((await verify({ body: new TextEncoder().encode(body) })).taskId, 't1');
});

test('either kind of signature suffices alone, but not where the standard is required', async () => {
  const { without, verify } = await setup();
  assert.equal((await verify({ headers: without(...SAM) })).notificationId, 'n1');
  assert.equal((await verify({ headers: without(...STANDARD) })).notificationId, undefined);
  const strict = verify({ headers: without(...STANDARD), requireStandard: true });
  await assert.rejects(strict, refused('missing_header'));
});

test('SAM-77 where both kinds of signature are present, both must match', async () => {
  const { headers, verify } = await setup();
  const { headers: foreign } = await setup('another');
  for (const name of ['X-Webhook-Signature', 'webhook-signature']) {
    const mixed = { ...headers, [name]: foreign[name] };
    await assert.rejects(verify({ headers: mixed }), refused('mismatch'), name);
  }
});

test('SAM-78 during a rotation either side may hold both secrets, and nobody else passes', async () => {
  const rotating = await setup(['new', 'secret']);
  for (const secret of ['new', 'secret', ['unrelated', 'secret']])
    assert.equal((await rotating.verify({ secret })).event, 'task_failed');
  await assert.rejects(rotating.verify({ secret: 'unrelated' }), refused('mismatch'));
  await assert.rejects(rotating.verify({ headers: rotating.without(...STANDARD) }), refused('mismatch'));
  const { verify } = await setup();
  assert.equal((await verify({ secret: ['unrelated', 'secret'] })).event, 'task_failed');
  await assert.rejects(verify({ secret: ['unrelated'] }), refused('mismatch'));
});

test('a missing header is named', async () => {
  const { without, verify } = await setup();
  for (const name of [...STANDARD, 'X-Webhook-Timestamp'])
    await assert.rejects(verify({ headers: without(name) }), (error: Error) => {
      assert.ok(error.message.toLowerCase().includes(name.toLowerCase()));
      return refused('missing_header')(error);
    });
  await assert.rejects(verify({ headers: {} }), refused('missing_header'));
});

test('a webhook more than the tolerance old, or from the future, is stale by either timestamp', async () => {
  const { without, verify } = await setup();
  for (const headers of [without(), without(...SAM), without(...STANDARD)]) {
    for (const seconds of [300, -300]) await verify({ headers, now: () => NOW + seconds * 1_000 });
    for (const seconds of [301, -301])
      await assert.rejects(verify({ headers, now: () => NOW + seconds * 1_000 }), refused('stale'));
  }
  await assert.rejects(verify({ toleranceSeconds: 10, now: () => NOW + 11_000 }), refused('stale'));
});

test('malformed timestamps and signatures are told from mismatches', async () => {
  const { headers, verify } = await setup();
  const changes = {
    'X-Webhook-Timestamp': ['now', '1e9', '-5', '1.5'],
    'webhook-timestamp': ['0x10', '1e9'],
    'X-Webhook-Signature': ['sha256=abc', 'sha1=00', 'a'.repeat(64)],
    'webhook-signature': ['v2,abc', 'nothing'],
  };
  for (const [name, values] of Object.entries(changes))
    for (const value of values)
      await assert.rejects(verify({ headers: { ...headers, [name]: value } }), refused('malformed'), value);
});

test('any change to body, name or time is noticed', async () => {
  const { headers, verify, without } = await setup();
  const bytes = new TextEncoder().encode(body);
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = bytes.with(at, (bytes[at] ?? 0) ^ flip);
      for (const kept of [headers, without(...SAM), without(...STANDARD)])
        await assert.rejects(verify({ headers: kept, body: changed }), refused('mismatch'));
    }),
    { numRuns: 50 },
  );
  for (const changed of ['', `${body} `, body.slice(1)])
    await assert.rejects(verify({ body: changed }), refused('mismatch'));
  for (const change of [{ 'webhook-id': 'n2' }, { 'webhook-timestamp': String(NOW / 1_000 - 1) }])
    await assert.rejects(verify({ headers: { ...headers, ...change } }), refused('mismatch'));
});

test('a genuine body that is no notification, or not the event its header says, is malformed', async () => {
  const { headers } = await setup();
  for (const odd of ['', 'text', '[]', '[1]', 'null', '{"event_type":"task_started"}']) {
    const sent = { body: odd, secret: 'secret', deliveryId: 'd', notificationId: 'n', agentId: 'a', now };
    const signed = await signWebhook({ ...sent, event: 'task_failed' });
    const received = verifyWebhook({ headers: { ...headers, ...signed }, body: odd, secret: 'secret', now });
    await assert.rejects(received, refused('malformed'), odd);
  }
  const packed = await sentBy({ format: 'msgpack' });
  const unread = verifyWebhook({ headers: packed.headers, body: packed.body ?? '', secret: 'secret', now });
  await assert.rejects(unread, refused('malformed'));
});

test('an empty secret, which everyone knows, is a programming error on both sides', async () => {
  const { verify } = await setup();
  for (const secret of ['', [], ['secret', '']]) {
    await assert.rejects(verify({ secret }), TypeError);
    await assert.rejects(setup(secret), TypeError);
  }
});
