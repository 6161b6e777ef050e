// What every message wire must show of an exchange, and to whom.

import assert from 'node:assert/strict';
import type { Loose } from '../serve.ts';
import { suite } from './setup.ts';

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
    const elsewhere = await post.agent('elsewhere', { tenant: 'other' });
    assert.equal((await elsewhere.ask('GET', path)).status, 404);
    const mute = await post.agent('mute', { permissions: ['message:send'] });
    assert.equal((await mute.ask('GET', path)).status, 403);
  });
});

function correlationOf(message: Loose): string {
  return String(
    message.correlation_id ?? message.correlationId ?? message.about ?? message.message_id ?? message.id,
  );
}
