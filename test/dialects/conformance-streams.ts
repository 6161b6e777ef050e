// What every message wire must do through sockets and streams.

import assert from 'node:assert/strict';
import type { Loose } from '../serve.ts';
import { type Bench, socketOf, suite } from './setup.ts';

/** Claims about sockets and streams. */
export const streams = suite(test => {
  test('TASK-75 ARMY-98 BLOG-89 NOOB-125 a socket sends, delivers and takes verdicts', async bench => {
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

  test('TASK-76 ARMY-99 BLOG-90 NOOB-126 deliveries stop at the credit granted, and sending beyond the server’s is refused and not stored', async bench => {
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

  test('TASK-77 ARMY-100 BLOG-91 NOOB-127 a dropped socket gives back at once what it held, a bad frame only an error', async (bench, another) => {
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
    const going = await another();
    const socket = await socketOf(going, going.receiver);
    await going.post.stop();
    assert.equal(await socket.closed, 1012);
  });

  test('TASK-78 ARMY-101 BLOG-92 NOOB-128 the stream of messages resumes after the last event it gave, without gap or repeat', async bench => {
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

  test('TASK-79 ARMY-102 BLOG-93 NOOB-129 a subscription is durable with its own cursor, listed, streamed and deleted, and copies into an inbox', async bench => {
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

interface Streamed {
  readonly id: string;
  readonly event: string;
  readonly data: Loose;
}

/** Reads server-sent events as the operator, who sees all. */
export function events(
  bench: Pick<Bench, 'post' | 'name' | 'isError'>,
  lastId: string | undefined,
  path = `/protocols/${bench.name}/events`,
) {
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
