import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { BatutaClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import { NotFoundError } from './errors.ts';
import { type Answer, type Asked, farEnd, statusOf, wireError } from './far-end.test.ts';

async function setup(
  context: TestContext,
  answer: (asked: Asked, earlier: number) => Answer | Promise<Answer>,
) {
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    after(ms, callback) {
      if (ms >= 30_000) return systemClock.after(ms, callback);
      waits.push(ms);
      return systemClock.after(0, callback);
    },
  };
  const end = await farEnd(context, answer);
  return { end, waits, client: new BatutaClient({ url: end.url, clock }) };
}

function stream(
  text: string,
  after: (response: ServerResponse) => void = response => response.end(),
): Answer {
  return {
    headers: { 'content-type': 'text/event-stream' },
    write(response) {
      response.write(text);
      setImmediate(() => after(response));
    },
  };
}

const cut = (response: ServerResponse): void => void response.destroy();

function event(id: number, name: string, data: object = {}): string {
  return `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

test('SAM-65 a broken event stream resumes after its last event, without gap or repeat, and ends at the end', async context => {
  const { end, client } = await setup(context, (_, earlier) => {
    if (earlier === 0) return stream(event(1, 'task_started') + event(2, 'task_progress', { p: 1 }), cut);
    if (earlier === 1) return wireError(503, 'SERVICE_UNAVAILABLE');
    return stream(event(3, 'task_completed') + event(4, 'end'));
  });
  const seen: string[] = [];
  for await (const { id, event: name } of client.events('t1')) seen.push(`${id} ${name}`);
  assert.deepEqual(seen, ['1 task_started', '2 task_progress', '3 task_completed', '4 end']);
  assert.equal(end.asked[0]?.headers['last-event-id'], undefined);
  assert.equal(end.asked.at(-1)?.headers['last-event-id'], '2');
  assert.equal(end.asked[0]?.path, '/api/v2/task-events/t1');
});

test('SAM-226 a stream that a server closes on leaving is taken up again when the server said', async context => {
  const { waits, client } = await setup(context, (_, earlier) =>
    earlier === 0 ? stream(`${event(1, 'task_started')}retry: 2000\n\n`) : stream(event(2, 'end')),
  );
  const seen: (string | null)[] = [];
  for await (const { id } of client.events('t1')) seen.push(id);
  assert.deepEqual(seen, ['1', '2']);
  assert.deepEqual(waits, [2_000]);
});

test('the stream of a whole tenant goes on after a task ends', async context => {
  const { client } = await setup(context, (_, earlier) =>
    earlier === 0 ? stream(event(1, 'end') + event(2, 'task_started')) : wireError(401, 'UNAUTHORIZED'),
  );
  const seen: (string | null)[] = [];
  await assert.rejects(async () => {
    for await (const { id } of client.events()) seen.push(id);
  });
  assert.deepEqual(seen, ['1', '2']);
});

test('the events of a task that does not exist are an error, not a loop', async context => {
  const { end, client } = await setup(context, () => wireError(404, 'TASK_NOT_FOUND'));
  await assert.rejects(client.events('nobody').next(), NotFoundError);
  assert.equal(end.asked.length, 1);
});

test('leaving the loop closes the stream', async context => {
  const closed = Promise.withResolvers<void>();
  const { client } = await setup(context, () =>
    stream(event(1, 'task_started'), response => response.on('close', () => closed.resolve())),
  );
  for await (const _ of client.events('t1')) break;
  await closed.promise;
});

const line = (second: number, message: string): string =>
  `${JSON.stringify({ timestamp: `2026-01-01T00:00:0${second}.000Z`, level: 'INFO', component: 'task', task_id: 't1', message })}\n`;

test('SAM-64 a followed log that breaks goes on after its last line, repeating none of the same instant', async context => {
  const { end, client } = await setup(context, (asked, earlier) => {
    if (asked.path === '/api/v2/task-status/t1')
      return { json: statusOf('t1', { state: 'completed', outcome: 'completed' }) };
    if (earlier === 0) return stream(line(1, 'a') + line(1, 'a') + line(2, 'b'), cut);
    return stream(line(2, 'b') + line(2, 'c') + line(3, 'd'));
  });
  const seen: string[] = [];
  for await (const { message } of client.logs('t1', { follow: true, level: 'info' })) seen.push(message);
  assert.deepEqual(seen, ['a', 'a', 'b', 'c', 'd']);
  assert.equal(end.asked[1]?.query.get('since'), '2026-01-01T00:00:02.000Z');
  assert.equal(end.asked[1]?.query.get('follow'), 'true');
  assert.equal(end.asked[1]?.query.get('level'), 'info');
});

test('a log that is closed before its task has ended is followed on', async context => {
  let looks = 0;
  const { client } = await setup(context, (asked, earlier) => {
    if (asked.path.startsWith('/api/v2/task-status/')) {
      looks += 1;
      return {
        json: statusOf('t1', looks === 1 ? { state: 'running' } : { state: 'failed', outcome: 'failed' }),
      };
    }
    return stream(earlier === 0 ? line(1, 'a') : line(2, 'b'));
  });
  const seen: string[] = [];
  for await (const { message } of client.logs('t1', { follow: true })) seen.push(message);
  assert.deepEqual(seen, ['a', 'b']);
});

test('a log that is not followed is read page by page', async context => {
  const { end, client } = await setup(context, (_, earlier) => ({
    json: {
      logs: [JSON.parse(line(earlier, `m${earlier}`))],
      next_cursor: earlier < 2 ? `c${earlier}` : null,
    },
  }));
  const seen: string[] = [];
  for await (const { message } of client.logs('t1', { q: 'm' })) seen.push(message);
  assert.deepEqual(seen, ['m0', 'm1', 'm2']);
  assert.deepEqual(
    end.asked.map(asked => asked.query.get('cursor')),
    [null, 'c0', 'c1'],
  );
});
