// What every message wire must do alike, as tests over its own envelopes: taking messages in, inboxes, redelivery, dead letters,
// streams, sockets, credentials, hostile input.

import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'msgpackr';
import type { Post } from '../post.ts';
import type { Loose } from '../serve.ts';
import { hostile } from './conformance-hostile.ts';
import { type Bench, type OpenBench, type Setup, socketOf } from './setup.ts';

/** Registers the conformance tests of a dialect, all on one server, each with agents of its own. */
export function testDialect(name: string, openServer: () => Promise<Post>, openBench: OpenBench): void {
  let server: Promise<Post> | null = null;
  let benches = 0;
  const setup: Setup = async () => {
    server ??= openServer();
    benches += 1;
    return tagged(await openBench(await server, `t${benches}`), `t${benches}.`);
  };
  after(async () => (await server)?.stop());
  suite(`${name}: messages in`, () => {
    test('TASK-62 ARMY-85 BLOG-76 NOOB-112 one envelope is answered 202, an array 207 with a result each in order', async () => {
      const bench = await setup();
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

    test('TASK-63 ARMY-86 BLOG-77 NOOB-113 an empty array and one of more than 1,000 are refused and store nothing', async () => {
      const bench = await setup();
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

    test('TASK-65 ARMY-88 BLOG-79 NOOB-115 who waits gets the reply in the answer, acknowledged; who waits in vain finds it in the inbox', async () => {
      const bench = await setup();
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

    test('TASK-66 ARMY-89 BLOG-80 NOOB-116 a repeated id with the same body is a duplicate without effect, with another a conflict', async () => {
      const bench = await setup();
      await bench.sender.send(bench.name, bench.message('same', { text: 'one' }));
      const again = await bench.sender.send(bench.name, bench.message('same', { text: 'one' }));
      assert.deepEqual([again.status, again.body.status], [200, 'duplicate']);
      const other = await bench.sender.send(bench.name, bench.message('same', { text: 'two' }));
      assert.equal(other.status, 409, JSON.stringify(other.body));
      assert.equal(bench.codeOf(other.body), bench.words.conflict);
      assert.equal((await bench.receiver.read(bench.name, bench.receiverInbox)).length, 1);
    });

    test('TASK-8 every body may be MessagePack or gzip, and so may the answer', async () => {
      const bench = await setup();
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
    });
  });

  suite(`${name}: inboxes`, () => {
    test('TASK-67 ARMY-90 BLOG-81 NOOB-117 an inbox gives at most max messages, and an empty list when the wait is over', async () => {
      const bench = await setup();
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

    test('TASK-69 ARMY-92 BLOG-83 NOOB-119 ack, nack, extend and reject are answered each, and a repeated verdict as the first time', async () => {
      const bench = await setup();
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

    test('TASK-70 ARMY-93 BLOG-84 NOOB-120 what is not acknowledged in time comes again with a higher attempt, the old delivery void; after five it is dead', async () => {
      const bench = await setup();
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

    test('TASK-71 ARMY-94 BLOG-85 NOOB-121 the urgent come first, among equals the order they were sent in holds, redelivery included', async () => {
      const bench = await setup();
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

    test('TASK-72 ARMY-95 BLOG-86 NOOB-122 an expired message is not delivered but dead, and its sender is told', async () => {
      const bench = await setup();
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

    test('TASK-73 TASK-74 ARMY-96 ARMY-97 BLOG-87 BLOG-88 NOOB-123 NOOB-124 dead letters are listed, replayed once and dropped, by who manages deliveries, and audited', async () => {
      const bench = await setup();
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
      const audit = (await bench.post.admin.ask('GET', '/api/v2/audit?limit=200')).body;
      const actions = JSON.stringify(audit);
      assert.ok(
        actions.includes('dead_letters.replayed') && actions.includes('dead_letters.dropped'),
        actions.slice(0, 400),
      );
    });
  });
  hostile(name, setup);
  streaming(name, setup, openServer, openBench);
}

function streaming(name: string, setup: Setup, openServer: () => Promise<Post>, openBench: OpenBench): void {
  suite(`${name}: sockets and streams`, () => {
    test('TASK-75 ARMY-98 BLOG-89 NOOB-125 a socket sends, delivers and takes verdicts', async () => {
      const bench = await setup();
      const reading = await socketOf(bench, bench.receiver);
      reading.say({ frame: 'hello', inbox: bench.receiverInbox, credit: 10 });
      const welcome = await reading.next('welcome');
      assert.ok(welcome.credit > 0);
      const sending = await socketOf(bench, bench.sender);
      sending.say({ frame: 'hello' });
      await sending.next('welcome');
      sending.say({ frame: 'send', ref: 'r1', messages: [bench.message('s1'), bench.broken()] });
      const sent = await sending.next('sent');
      assert.equal(sent.ref, 'r1');
      assert.deepEqual(
        sent.results.map((one: Loose) => one.status),
        ['accepted', 'rejected'],
      );
      const delivered = await reading.next('deliver');
      assert.equal(bench.idOf(delivered.message), 's1');
      reading.say({
        frame: 'ack',
        ref: 'a1',
        items: [{ delivery_id: delivered.delivery_id, outcome: 'ack' }],
      });
      assert.deepEqual(
        (await reading.next('acked')).results.map((one: Loose) => one.status),
        ['done'],
      );
      reading.close();
      sending.close();
      await reading.closed;
      assert.deepEqual(await bench.receiver.read(bench.name, bench.receiverInbox), []);
    });

    test('TASK-76 ARMY-99 BLOG-90 NOOB-126 deliveries stop at the credit granted, and sending beyond the server’s is refused and not stored', async () => {
      const bench = await setup();
      await bench.sender.send(
        bench.name,
        Array.from({ length: 5 }, (_, n) => bench.message(`m${n}`)),
      );
      const reading = await socketOf(bench, bench.receiver);
      reading.say({ frame: 'hello', inbox: bench.receiverInbox, credit: 2 });
      await reading.next('deliver');
      await reading.next('deliver');
      await new Promise(resolve => setTimeout(resolve, 300));
      assert.equal(reading.count('deliver'), 0);
      reading.say({ frame: 'credit', credit: 1 });
      await reading.next('deliver');
      const { credit } = await reading.next('welcome');
      const tooMany = Array.from({ length: credit + 1 }, (_, n) => bench.message(`over${n}`));
      const sending = await socketOf(bench, bench.sender);
      sending.say({ frame: 'send', ref: 'over', messages: tooMany });
      const refused = await sending.next('error');
      assert.equal(refused.ref, 'over');
      assert.equal(bench.codeOf(refused.error), bench.words.rate_limited);
      reading.close();
      sending.close();
      await reading.closed;
      const left = await bench.receiver.read(bench.name, bench.receiverInbox, { max: 100 });
      assert.equal(
        left.some(({ message }) => bench.idOf(message).startsWith('over')),
        false,
      );
    });

    test('TASK-77 ARMY-100 BLOG-91 NOOB-127 a dropped socket gives back at once what it held, a bad frame only an error', async () => {
      const bench = await setup();
      await bench.sender.send(bench.name, bench.message('held'));
      const reading = await socketOf(bench, bench.receiver);
      reading.raw('not json');
      await reading.next('error');
      reading.say({ frame: 'nonsense' });
      await reading.next('error');
      reading.say({ frame: 'hello', inbox: bench.receiverInbox, credit: 5, visibility: 3_600 });
      await reading.next('deliver');
      reading.close();
      await reading.closed;
      const [again] = await bench.receiver.read(bench.name, bench.receiverInbox, { wait: 5 });
      assert.equal(bench.idOf(again?.message), 'held');
      const going = await openServer();
      const last = await openBench(going, 'last');
      const socket = await socketOf(last, last.receiver);
      await going.stop();
      assert.equal(await socket.closed, 1012);
    });

    test('TASK-78 ARMY-101 BLOG-92 NOOB-128 the stream of messages resumes after the last event it gave, without gap or repeat', async () => {
      const bench = await setup();
      const first = events(bench, undefined);
      await first.ready;
      await bench.sender.send(bench.name, [bench.message('e1'), bench.message('e2')]);
      const one = await first.next();
      await first.close();
      await bench.sender.send(bench.name, bench.message('e3'));
      const second = events(bench, one.id);
      const [two, three] = [await second.next(), await second.next()];
      await second.close();
      assert.deepEqual(
        [one, two, three].map(event => bench.idOf(event.data)),
        ['e1', 'e2', 'e3'],
      );
    });

    test('TASK-79 ARMY-102 BLOG-93 NOOB-129 a subscription is durable with its own cursor, listed, streamed and deleted, and copies into an inbox', async () => {
      const bench = await setup();
      const path = `/protocols/${bench.name}/subscriptions`;
      const type = String(bench.message('x').type ?? '*');
      const made = await bench.post.admin.ask('POST', path, {
        types: [typeof bench.message('x').type === 'string' ? type : '*'],
        deliver: 'sse',
      });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const copies = await bench.receiver.ask('POST', path, {
        types: ['*'],
        deliver: 'inbox',
        inbox: bench.receiverInbox,
      });
      assert.equal(copies.status, 201, JSON.stringify(copies.body));
      assert.deepEqual(
        (await bench.receiver.ask('GET', path)).body.subscriptions.map((one: Loose) => one.id),
        [copies.body.id],
      );
      await bench.sender.send(bench.name, bench.message('told'));
      const stream = events(bench, undefined, `${path}/${made.body.id}/stream`);
      assert.equal(bench.idOf((await stream.next()).data), 'told');
      await stream.close();
      const seen: string[] = [];
      while (seen.length < 2)
        for (const { message, delivery_id } of await bench.receiver.read(bench.name, bench.receiverInbox, {
          wait: 5,
        })) {
          seen.push(bench.idOf(message));
          await bench.receiver.settle(bench.name, bench.receiverInbox, delivery_id);
        }
      assert.deepEqual(seen, ['told', 'told']);
      assert.equal((await bench.receiver.ask('DELETE', `${path}/${made.body.id}`)).status, 404);
      assert.equal((await bench.receiver.ask('DELETE', `${path}/${copies.body.id}`)).status, 204);
      assert.deepEqual((await bench.receiver.ask('GET', path)).body.subscriptions, []);
    });
  });
}

interface Streamed {
  readonly id: string;
  readonly event: string;
  readonly data: Loose;
}

/** The bench with ids of its own on a server it shares. */
function tagged(bench: Bench, tag: string): Bench {
  return {
    ...bench,
    message: (id, { exchange, ...wanted } = {}) =>
      bench.message(`${tag}${id}`, {
        ...wanted,
        ...(exchange === undefined ? {} : { exchange: `${tag}${exchange}` }),
      }),
    answer: (id, to) => bench.answer(`${tag}${id}`, to),
    idOf: message => bench.idOf(message).replace(tag, ''),
  };
}

/** Reads server-sent events as the operator, who sees all. */
function events(bench: Bench, lastId: string | undefined, path = `/protocols/${bench.name}/events`) {
  const stop = new AbortController();
  const opening = fetch(`${bench.post.url}${path}`, {
    headers: { ...bench.post.admin.headers, ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
    signal: stop.signal,
  });
  const queue: Streamed[] = [];
  let wake: () => void = () => {};
  const reading = (async () => {
    const response = await opening;
    assert.equal(response.status, 200);
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString('utf8');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const field = (key: string): string =>
          lines.find(line => line.startsWith(`${key}: `))?.slice(key.length + 2) ?? '';
        if (field('data') !== '')
          queue.push({ id: field('id'), event: field('event'), data: JSON.parse(field('data')) });
        wake();
      }
    }
  })().catch(() => {});
  return {
    ready: opening.then(() => new Promise(resolve => setTimeout(resolve, 100))),
    async next(): Promise<Streamed> {
      const until = Date.now() + 8_000;
      for (;;) {
        const first = queue.shift();
        if (first !== undefined && !bench.isError(first.data)) return first;
        if (first !== undefined) continue;
        assert.ok(Date.now() < until, 'no event came');
        await new Promise<void>(resolve => {
          wake = resolve;
          setTimeout(resolve, 500);
        });
      }
    },
    async close() {
      stop.abort();
      await reading;
    },
  };
}
