// What every message wire must do with inboxes: reading, verdicts, redelivery, order, expiry, dead letters.

import assert from 'node:assert/strict';
import type { Loose } from '../serve.ts';
import { suite } from './setup.ts';

/** Claims about inboxes. */
export const inboxes = suite(test => {
  test('TASK-67 ARMY-90 BLOG-81 NOOB-117 an inbox gives at most max messages, and an empty list when the wait is over', async bench => {
    assert.deepEqual(await bench.receiver.read(bench.name, bench.receiverInbox, { wait: 0.1 }), []);
    await bench.sender.send(
      bench.name,
      [1, 2, 3].map(n => bench.message(`m${n}`)),
    );
    const two = await bench.receiver.read(bench.name, bench.receiverInbox, { max: 2 });
    assert.equal(two.length, 2);
    for (const { delivery_id, attempt, visible_until, message } of two) {
      assert.ok(
        typeof delivery_id === 'string' && attempt === 1 && Date.parse(visible_until) > Date.now() - 1_000,
      );
      assert.ok(bench.idOf(message).startsWith('m'));
    }
    for (const query of ['max=0', 'max=101', 'wait=61', 'visibility=0']) {
      const { status } = await bench.receiver.ask(
        'GET',
        `/protocols/${bench.name}/inbox/${encodeURIComponent(bench.receiverInbox)}?${query}`,
      );
      assert.equal(status, 400, query);
    }
  });

  test('TASK-69 ARMY-92 BLOG-83 NOOB-119 ack, nack, extend and reject are answered each, and a repeated verdict as the first time', async bench => {
    await bench.sender.send(
      bench.name,
      ['a', 'b', 'c', 'd'].map(id => bench.message(id)),
    );
    const got = await bench.receiver.read(bench.name, bench.receiverInbox);
    const items = ['ack', 'nack', 'extend', 'reject'].map((outcome, index) => ({
      delivery_id: got[index]?.delivery_id,
      outcome,
      ...(outcome === 'nack' ? { delay_ms: 60_000 } : {}),
    }));
    const path = `/protocols/${bench.name}/inbox/${encodeURIComponent(bench.receiverInbox)}/ack`;
    const first = await bench.receiver.ask('POST', path, { items });
    assert.deepEqual(
      first.body.results.map((one: Loose) => one.status),
      ['done', 'done', 'done', 'done'],
    );
    const again = await bench.receiver.ask('POST', path, {
      items: items.filter(({ outcome }) => outcome !== 'extend'),
    });
    assert.deepEqual(
      again.body.results.map((one: Loose) => one.status),
      ['done', 'done', 'done'],
    );
    const { body } = await bench.post.admin.ask(
      'GET',
      `/protocols/${bench.name}/dead-letters?reason=rejected_by_receiver&inbox=${encodeURIComponent(bench.receiverInbox)}`,
    );
    assert.deepEqual(
      body.dead_letters.map((one: Loose) => bench.idOf(one.message)),
      ['d'],
    );
  });

  test('TASK-70 ARMY-93 BLOG-84 NOOB-120 what is not acknowledged in time comes again with a higher attempt, the old delivery void; after five it is dead', async bench => {
    await bench.sender.send(bench.name, bench.message('stubborn'));
    const ids: string[] = [];
    for (let attempt = 1; attempt <= 5; attempt++) {
      const [delivery] = await bench.receiver.read(bench.name, bench.receiverInbox, {
        visibility: 1,
        wait: 5,
      });
      assert.equal(delivery?.attempt, attempt);
      ids.push(delivery.delivery_id);
    }
    const late = await bench.receiver.settle(bench.name, bench.receiverInbox, ids[0] ?? '');
    assert.equal(late.status, 'rejected');
    assert.equal(bench.codeOf(late.error), bench.words.lease_lost);
    const [told] = await bench.sender.read(bench.name, bench.senderInbox, { wait: 8 });
    assert.ok(bench.isError(told?.message), JSON.stringify(told));
    const { body } = await bench.post.admin.ask(
      'GET',
      `/protocols/${bench.name}/dead-letters?reason=max_deliveries&inbox=${encodeURIComponent(bench.receiverInbox)}`,
    );
    assert.deepEqual(
      body.dead_letters.map((one: Loose) => [bench.idOf(one.message), one.attempts]),
      [['stubborn', 5]],
    );
  });

  test('TASK-71 ARMY-94 BLOG-85 NOOB-121 the urgent come first, among equals the order they were sent in holds, redelivery included', async bench => {
    await bench.sender.send(bench.name, [
      bench.message('slow1', { exchange: 'x' }),
      bench.message('slow2', { exchange: 'x' }),
      bench.message('quick', { urgent: true, exchange: 'x' }),
    ]);
    const got = await bench.receiver.read(bench.name, bench.receiverInbox);
    assert.deepEqual(
      got.map(({ message }) => bench.idOf(message)),
      ['quick', 'slow1', 'slow2'],
    );
    for (const { delivery_id } of [...got].reverse())
      await bench.receiver.settle(bench.name, bench.receiverInbox, delivery_id, {
        outcome: 'nack',
        delay_ms: 0,
      });
    const again = await bench.receiver.read(bench.name, bench.receiverInbox);
    assert.deepEqual(
      again.map(({ message }) => bench.idOf(message)),
      ['quick', 'slow1', 'slow2'],
    );
  });

  test('TASK-72 ARMY-95 BLOG-86 NOOB-122 an expired message is not delivered but dead, and its sender is told', async bench => {
    const sent = await bench.sender.send(bench.name, bench.message('brief', { expiresInMs: 60 }));
    assert.equal(sent.status, 202, JSON.stringify(sent.body));
    const [told] = await bench.sender.read(bench.name, bench.senderInbox, { wait: 8 });
    assert.ok(bench.isError(told?.message), JSON.stringify(told));
    assert.deepEqual(await bench.receiver.read(bench.name, bench.receiverInbox), []);
    const { body } = await bench.post.admin.ask(
      'GET',
      `/protocols/${bench.name}/dead-letters?reason=expired&inbox=${encodeURIComponent(bench.receiverInbox)}`,
    );
    assert.deepEqual(
      body.dead_letters.map((one: Loose) => bench.idOf(one.message)),
      ['brief'],
    );
  });

  test('TASK-73 TASK-74 ARMY-96 ARMY-97 BLOG-87 BLOG-88 NOOB-123 NOOB-124 dead letters are listed, replayed once and dropped, by who manages deliveries, and audited', async bench => {
    await bench.sender.send(bench.name, [bench.message('one'), bench.message('two')]);
    for (const { delivery_id } of await bench.receiver.read(bench.name, bench.receiverInbox))
      await bench.receiver.settle(bench.name, bench.receiverInbox, delivery_id, {
        outcome: 'reject',
        reason: 'no',
      });
    const path = `/protocols/${bench.name}/dead-letters`;
    const inbox = encodeURIComponent(bench.receiverInbox);
    assert.equal((await bench.receiver.ask('GET', path)).status, 403);
    const listed = (await bench.post.admin.ask('GET', `${path}?limit=1&inbox=${inbox}`)).body;
    assert.equal(listed.dead_letters.length, 1);
    const [first] = listed.dead_letters;
    assert.deepEqual([first.reason, first.last_error], ['rejected_by_receiver', 'no']);
    const rest = (await bench.post.admin.ask('GET', `${path}?cursor=${listed.next_cursor}&inbox=${inbox}`))
      .body.dead_letters;
    assert.equal(rest.length, 1);
    const replay = await bench.post.admin.ask('POST', `${path}/replay`, { ids: [first.id] });
    assert.deepEqual(replay.body.replayed, [first.id]);
    assert.deepEqual(
      (await bench.post.admin.ask('POST', `${path}/replay`, { ids: [first.id] })).body.replayed,
      [],
    );
    const [again] = await bench.receiver.read(bench.name, bench.receiverInbox, { wait: 3 });
    assert.deepEqual([bench.idOf(again?.message), again?.attempt], [bench.idOf(first.message), 1]);
    assert.equal((await bench.post.admin.ask('DELETE', `${path}/${rest[0].id}`)).status, 204);
    assert.equal((await bench.post.admin.ask('DELETE', `${path}/${rest[0].id}`)).status, 404);
    await new Promise(resolve => setTimeout(resolve, 600));
    for (const action of ['dead_letters.replayed', 'dead_letters.dropped']) {
      const { body } = await bench.post.admin.ask('GET', `/api/v2/audit?action=${action}`);
      assert.ok(
        body.entries.some((entry: Loose) => entry.action === action),
        action,
      );
    }
  });
});
