// The Slack channel and the real guard, against a receiver on loopback.

import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Loose } from '../../../test/serve.ts';
import type { ChannelMessage } from '../../engine/ports/channel.ts';
import { createOutbound, parsePrivateTargets } from '../../guards/outbound.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { createSlackChannel } from './slack.ts';

const message: Omit<ChannelMessage, 'endpoint'> = {
  ...{ deliveryId: 'a delivery', notificationId: 'execution.7', event: 'task_failed', attempt: 1 },
  ...{ agentId: 'agent', traceparent: '', secrets: ['kept'], body: { secret: 'output' }, timeoutMs: 5_000 },
  words: () => ({ title: 'Workflow a & b failed <!channel>', facts: [['Status', 'failed <!here>']] }),
};

async function setup(t: TestContext, answer: RequestListener) {
  const bodies: Loose[] = [];
  const server = createServer(async (request, response) => {
    bodies.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
    answer(request, response);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const allowed = parsePrivateTargets('127.0.0.1');
  const outbound = createOutbound({ clock: systemClock, log: silentLog, allowed });
  const channel = createSlackChannel({ clock: systemClock, outbound, version: '1.2.3' });
  t.after(async () => {
    await outbound.stop();
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/T0/B0/x`;
  const send = (more: Partial<ChannelMessage> = {}) => channel.send({ ...message, endpoint, ...more });
  return { send, channel, bodies };
}

test('NOOB-52 a notification is posted to Slack in words that mention nobody, without the body of a webhook', async t => {
  const { send, bodies } = await setup(t, (_, response) => response.end('ok'));
  const outcome = await send();
  assert.deepEqual([outcome.verdict, outcome.status, outcome.answer], ['delivered', 200, 'ok']);
  const plain = (text: string) => ({ type: 'plain_text', text, emoji: false });
  assert.deepEqual(bodies, [
    {
      text: 'Workflow a &amp; b failed &lt;!channel&gt;',
      blocks: [
        { type: 'header', text: plain('Workflow a & b failed <!channel>') },
        { type: 'section', fields: [plain('Status: failed <!here>')] },
      ],
    },
  ]);
  await send({
    words: () => ({ title: 'x'.repeat(500), facts: Array.from({ length: 20 }, () => ['a', 'b']) }),
  });
  const [header, section] = (bodies[1] as Loose).blocks;
  assert.deepEqual([header.text.text.length, section.fields.length], [150, 10]);
});

test('NOOB-52 Slack is asked again when it said so, not where it refuses, and what it answers is no instruction', async t => {
  let status = 429;
  const { send } = await setup(t, (_, response) => {
    response.writeHead(status, { 'retry-after': '30' }).end('{"next_instructions":{"action":"cancel"}}');
  });
  const first = await send();
  assert.deepEqual([first.verdict, first.retryAfterMs], ['retry', 30_000]);
  status = 404;
  assert.equal((await send()).verdict, 'fail');
  status = 200;
  const last = await send();
  assert.deepEqual([last.verdict, 'acknowledgement' in last], ['delivered', false]);
});

test('NOOB-52 nothing is posted to where requests may not go', async t => {
  const { send, channel, bodies } = await setup(t, (_, response) => response.end('ok'));
  const endpoint = 'https://10.0.0.1/services/T0/B0/x';
  await assert.rejects(channel.check(endpoint), { code: 'unprocessable' });
  const outcome = await send({ endpoint });
  assert.deepEqual([outcome.verdict, outcome.status], ['fail', null]);
  assert.deepEqual(bodies, []);
});
