import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from './clock.ts';
import { ConnectionError } from './errors.ts';
import { lines, serverSentEvents, textChunks } from './streams.ts';

async function* pieces(...parts: readonly string[]): AsyncGenerator<string, void> {
  yield* parts;
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const silent = (): void => undefined;

test('lines are the same wherever the network cuts them', async () => {
  const text = 'one\ntwo\r\nthree\rfour\n\nsix';
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 8 }), async cuts => {
      const edges = [0, ...cuts.sort((a, b) => a - b), text.length];
      const parts = edges.slice(1).map((edge, index) => text.slice(edges[index], edge));
      assert.deepEqual(await all(lines(pieces(...parts))), ['one', 'two', 'three', 'four', '', 'six']);
    }),
  );
});

test('a server-sent event joins its data lines, keeps the last id and ignores comments', async () => {
  const stream = pieces(
    ': hello\n\nid: 7\nevent: task_progress\ndata: {"a":\ndata: 1}\n\ndata:plain\nunknown: x\n\nevent: empty\n\n',
  );
  assert.deepEqual(await all(serverSentEvents(stream, null, silent)), [
    { id: '7', event: 'task_progress', data: '{"a":\n1}' },
    { id: '7', event: 'message', data: 'plain' },
  ]);
});

test('a stream may tell how long to wait before coming back, and only in digits', async () => {
  const told: number[] = [];
  await all(serverSentEvents(pieces('retry: 1500\nretry: soon\n\n'), null, ms => told.push(ms)));
  assert.deepEqual(told, [1500]);
});

test('characters cut in half by the network arrive whole', async () => {
  const bytes = new TextEncoder().encode('añ€😀');
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  assert.equal((await all(textChunks(new Response(body)))).join(''), 'añ€😀');
});

test('a stream that falls silent ends with a connection error, and is let go', async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    cancel() {
      cancelled = true;
    },
  });
  const clock = {
    ...systemClock,
    after(_ms: number, callback: () => void) {
      queueMicrotask(callback);
      return () => undefined;
    },
  };
  await assert.rejects(
    all(textChunks(new Response(body), { clock, silenceMaxMs: 45_000 })),
    (error: unknown) => error instanceof ConnectionError && /silent for 45000 ms/.test(error.message),
  );
  assert.equal(cancelled, true);
});
