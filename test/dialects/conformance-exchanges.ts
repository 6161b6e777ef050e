// What every message wire must show of an exchange, and to whom.

import assert from 'node:assert/strict';
import { type Correspondent, correspondent } from '../post.ts';
import type { Loose } from '../serve.ts';
import { socketOf, suite } from './setup.ts';

/** Claims about exchanges. */
export const exchanges = suite(test => {
  test('an exchange shows every message of its correlation id in order, as JSON and as a diagram, to who took part or watches over all', async bench => {
    const { post, name, sender, receiver } = bench;
    const asked = bench.message('asked');
    await sender.send(name, asked);
    const [delivered] = await receiver.read(name, bench.receiverInbox, { wait: 5 });
    assert.equal((await receiver.send(name, bench.answer('told', asked))).status, 202);
    await receiver.settle(name, bench.receiverInbox, delivered?.delivery_id);
    const [answer] = await sender.read(name, bench.senderInbox, { wait: 5 });
    await sender.settle(name, bench.senderInbox, answer?.delivery_id);
    const path = `/protocols/${name}/exchanges/${encodeURIComponent(correlationOf(delivered?.message))}`;
    for (const who of [sender, receiver, post.admin]) {
      const { status, body } = await who.ask('GET', path);
      assert.equal(status, 200, JSON.stringify(body));
      const first = body.messages.find((one: Loose) => bench.idOf(one.message) === 'asked');
      assert.equal(first.protocol, name);
      assert.equal(first.message_id, bench.message('asked').id ?? bench.message('asked').message_id);
      assert.ok(body.messages.every((one: Loose) => Date.parse(one.accepted_at) > 0));
      const diagram = await who.ask('GET', `${path}?format=mermaid`);
      assert.match(diagram.headers.get('content-type') ?? '', /^text\/plain/);
      const lines = String(diagram.body).trimEnd().split('\n');
      assert.equal(lines[0], 'sequenceDiagram');
      assert.equal(
        lines.filter(line => /^ {2}(?:p\d+-+(?:>>|x)p\d+|Note over p\d+): /.test(line)).length >= 1,
        true,
      );
    }
    const stranger = await post.register(`stranger-${bench.senderInbox.replaceAll(/[^\w-]/g, '-')}`);
    const unseen = await stranger.ask('GET', path);
    assert.equal(unseen.status, 404);
    assert.equal(bench.codeOf(unseen.body), bench.words.not_found);
    const elsewhere = await post.admin.ask('POST', '/api/v2/tenants', {
      ...{ tenant_id: `elsewhere-${bench.name}`, name: 'Elsewhere' },
    });
    const { api_key: key, api_secret: secret } = elsewhere.body;
    const foreigner = correspondent(post.url, { 'x-api-key': key, 'x-api-secret': secret });
    assert.equal((await foreigner.ask('GET', path)).status, 404);
    const mute = await post.agent('mute', { permissions: ['message:send'] });
    assert.equal((await mute.ask('GET', path)).status, 403);
  });

  test('TASK-103 ARMY-126 BLOG-116 NOOB-155 a refusal answers the call or frame that brought it, one found after acceptance reaches the sender’s inbox and names the message; nobody is told that an error was refused', async bench => {
    const { post, name, sender, receiver, senderInbox, receiverInbox } = bench;
    const answered = await sender.send(name, bench.broken());
    assert.equal(bench.codeOf(answered.body), bench.words.invalid_request);
    const socket = await socketOf(bench, sender);
    socket.say({ frame: 'send', ref: 'r', message: bench.broken() });
    const sent = await socket.next('sent');
    assert.deepEqual([sent.ref, sent.results[0].status], ['r', 'rejected']);
    assert.equal(bench.codeOf(sent.results[0].error), bench.words.invalid_request);
    socket.close();
    const rejected = async (who: Correspondent, inbox: string): Promise<Loose> => {
      const [found] = await who.read(name, inbox, { wait: 8 });
      await who.settle(name, inbox, found?.delivery_id, { outcome: 'reject', reason: 'not this' });
      return found?.message;
    };
    const sendAndReject = async (id: string): Promise<Loose> => {
      const message = bench.message(id);
      assert.equal((await sender.send(name, message)).status, 202);
      const delivered = await rejected(receiver, receiverInbox);
      const told = await rejected(sender, senderInbox);
      assert.ok(
        bench.isError(told) && JSON.stringify(told).includes(String(message.id ?? message.message_id)),
      );
      return delivered;
    };
    const delivered = await sendAndReject('unwanted');
    // Dead letters are told of in the order they died: once the second is, the error about the first had its turn.
    await sendAndReject('later');
    const path = `/protocols/${name}/exchanges/${encodeURIComponent(correlationOf(delivered))}`;
    const { body } = await post.admin.ask('GET', path);
    assert.equal(body.messages.filter((one: Loose) => bench.isError(one.message)).length, 1);
    const letters = await post.admin.ask(
      'GET',
      `/protocols/${name}/dead-letters?reason=rejected_by_receiver&inbox=${encodeURIComponent(senderInbox)}`,
    );
    assert.ok(letters.body.dead_letters.every((one: Loose) => bench.isError(one.message)));
    assert.equal(letters.body.dead_letters.length, 2);
  });
});

function correlationOf(message: Loose): string {
  return String(
    message.correlation_id ?? message.correlationId ?? message.about ?? message.message_id ?? message.id,
  );
}
