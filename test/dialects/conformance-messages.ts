// What every message wire must do with what is sent: answers, batches, replies, repeats, media.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { pack } from 'msgpackr';
import type { Loose } from '../serve.ts';
import { suite } from './setup.ts';

/** Claims about messages in. */
export const messagesIn = suite(test => {
  test('TASK-62 ARMY-85 BLOG-76 NOOB-112 one envelope is answered 202, an array 207 with a result each in order', async bench => {
    const one = await bench.sender.send(bench.name, bench.message('m1'));
    assert.equal(one.status, 202, JSON.stringify(one.body));
    assert.equal(one.body.status, 'accepted');
    assert.match(one.body.message_id, /m1$/);
    const many = await bench.sender.send(bench.name, [
      bench.message('m2'),
      bench.broken(),
      bench.message('m1'),
    ]);
    assert.equal(many.status, 207);
    assert.deepEqual(
      many.body.results.map((each: Loose) => each.status),
      ['accepted', 'rejected', 'duplicate'],
    );
    assert.equal(bench.codeOf(many.body.results[1].error), bench.words.invalid_request);
    const got = await bench.receiver.read(bench.name, bench.receiverInbox);
    assert.deepEqual(
      got.map(({ message }) => bench.idOf(message)),
      ['m1', 'm2'],
    );
  });

  test('TASK-63 ARMY-86 BLOG-77 NOOB-113 an empty array and one of more than 1,000 are refused and store nothing', async bench => {
    const none = await bench.sender.send(bench.name, []);
    assert.equal(none.status, 400);
    assert.equal(bench.codeOf(none.body), bench.words.invalid_request);
    const tooMany = await bench.sender.send(
      bench.name,
      Array.from({ length: 1_001 }, (_, n) => bench.message(`m${n}`)),
    );
    assert.equal(tooMany.status, 413);
    assert.equal(bench.codeOf(tooMany.body), bench.words.payload_too_large);
    const all = await bench.sender.send(
      bench.name,
      Array.from({ length: 1_000 }, (_, n) => bench.message(`m${n}`)),
    );
    assert.equal(all.body.results.filter((each: Loose) => each.status === 'accepted').length, 1_000);
  });

  test('TASK-65 ARMY-88 BLOG-79 NOOB-115 who waits gets the reply in the answer, acknowledged; who waits in vain finds it in the inbox', async bench => {
    const asking = bench.sender.send(bench.name, bench.message('ask'), '?wait=10');
    const [delivery] = await bench.receiver.read(bench.name, bench.receiverInbox, { wait: 10 });
    await bench.receiver.settle(bench.name, bench.receiverInbox, delivery?.delivery_id);
    const sent = await bench.receiver.send(bench.name, bench.answer('reply', delivery?.message));
    assert.equal(sent.status, 202, JSON.stringify(sent.body));
    const { body } = await asking;
    assert.equal(bench.idOf(body.reply), 'reply');
    assert.deepEqual(await bench.sender.read(bench.name, bench.senderInbox), []);
    const inVain = await bench.sender.send(bench.name, bench.message('later'), '?wait=0.2');
    assert.equal(inVain.status, 202);
    assert.equal(inVain.body.reply, undefined);
    const [second] = await bench.receiver.read(bench.name, bench.receiverInbox, { wait: 5 });
    await bench.receiver.send(bench.name, bench.answer('reply2', second?.message));
    const [waiting] = await bench.sender.read(bench.name, bench.senderInbox, { wait: 5 });
    assert.equal(bench.idOf(waiting?.message), 'reply2');
  });

  test('TASK-66 ARMY-89 BLOG-80 NOOB-116 a repeated id with the same body is a duplicate without effect, with another a conflict', async bench => {
    await bench.sender.send(bench.name, bench.message('same', { text: 'one' }));
    const again = await bench.sender.send(bench.name, bench.message('same', { text: 'one' }));
    assert.deepEqual([again.status, again.body.status], [200, 'duplicate']);
    const other = await bench.sender.send(bench.name, bench.message('same', { text: 'two' }));
    assert.equal(other.status, 409, JSON.stringify(other.body));
    assert.equal(bench.codeOf(other.body), bench.words.conflict);
    assert.equal((await bench.receiver.read(bench.name, bench.receiverInbox)).length, 1);
  });

  test('TASK-8 every body may be MessagePack or gzip, and so may the answer', async bench => {
    const packed = await bench.sender.ask(
      'POST',
      `/protocols/${bench.name}/messages`,
      new Uint8Array(pack(bench.message('packed'))),
      { 'content-type': 'application/msgpack' },
    );
    assert.equal(packed.status, 202, JSON.stringify(packed.body));
    const zipped = await bench.sender.ask(
      'POST',
      `/protocols/${bench.name}/messages`,
      new Uint8Array(gzipSync(JSON.stringify(bench.message('zipped')))),
      { 'content-encoding': 'gzip' },
    );
    assert.equal(zipped.status, 202, JSON.stringify(zipped.body));
    const inbox = await bench.receiver.ask(
      'GET',
      `/protocols/${bench.name}/inbox/${encodeURIComponent(bench.receiverInbox)}`,
      undefined,
      { accept: 'application/msgpack' },
    );
    assert.equal(inbox.headers.get('content-type'), 'application/msgpack');
    const refused = await bench.sender.ask('POST', `/protocols/${bench.name}/messages`, bench.broken(), {
      accept: 'application/msgpack',
    });
    assert.deepEqual([refused.status, refused.headers.get('content-type')], [400, 'application/msgpack']);
  });
});
