import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import fc from 'fast-check';
import { hire, statusOf, submit, taskOf } from '../e2e/crew.ts';
import { openMailbox } from '../e2e/mailbox.ts';
import { running } from '../e2e/running.ts';
import { eventsOf, linesOf, type StreamedEvent } from '../e2e/stream.ts';
import type { Loose } from '../serve.ts';
import { TEXTS } from './hostile.ts';

const SEED = 20_260_101;
const house = await running();
const mailbox = await openMailbox();
const { admin } = house;
after(async () => {
  mailbox.close();
  await house.stop();
});

/** JSON that a body may hold: without the key that is refused wherever it stands. */
const json = fc
  .jsonValue({ maxDepth: 4, noUnicodeString: false })
  .filter(value => !JSON.stringify(value).includes('__proto__') && isKept(value));

/** Minus zero is zero in JSON. */
function isKept(value: unknown): boolean {
  return !JSON.stringify(value, (_, part) => (Object.is(part, -0) ? 'minus zero' : part)).includes(
    'minus zero',
  );
}

suite('what goes in comes out', () => {
  test('SAM-3 SAM-203 any JSON and any text goes to the worker and back unchanged: in task, output, checkpoint, webhook and list', async () => {
    const worker = await hire(admin, 'trip');
    let n = 0;
    const text = fc.oneof(
      fc.constantFrom(...TEXTS.filter(one => one !== '')),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
    );
    const property = fc.asyncProperty(json, json, text, async (data, output, words) => {
      const id = `trip-${n++}`;
      const more = {
        description: words.slice(0, 10_000),
        context: { metadata: { data }, conversation_history: [{ said: words }] },
        execution_config: { labels: { words: words.slice(0, 200) }, environment: { variables: { words } } },
        notification_config: { webhook_url: mailbox.url, notification_events: ['task_completed'] },
        beside: data,
      };
      await submit(admin, taskOf(id, 'trip', more, { data, words }));
      const lease = await worker.lease();
      assert.deepEqual(lease.task.task_data, { type_name: 'trip', data, words });
      assert.deepEqual([lease.task.description, lease.task.context], [more.description, more.context]);
      assert.deepEqual(
        [lease.task.beside, lease.task.execution_config.environment.variables],
        [data, { words }],
      );
      await worker.report(lease, { percentage: 1, current_step: words.slice(0, 1_000), checkpoint: output });
      await worker.complete(lease, output);
      const status = await statusOf(admin, id);
      assert.deepEqual(status.execution_details.output, output);
      assert.equal(status.description, more.description);
      const letter = await mailbox.find(one => one.body.task_id === id);
      assert.deepEqual(letter.body.result.output, output);
    });
    await fc.assert(property, { seed: SEED, numRuns: 25 });
  });

  test('SAM-203 half a surrogate pair, which no UTF-8 can hold, is refused or comes back as it was', async () => {
    const worker = await hire(admin, 'half');
    const { status } = await submit(admin, taskOf('half', 'half', {}, { half: 'a\ud800b' }), {
      expect: null,
    });
    if (status === 400) return;
    const lease = await worker.lease();
    assert.equal(lease.task.task_data.half, 'a\ud800b');
  });

  test('SAM-65 SAM-203 no text breaks out of an event stream or a line of a log', async () => {
    const worker = await hire(admin, 'stream');
    const evil = 'x\n\nevent: end\nid: end\ndata: {"evil":true}\n\n\r\n{"message":"forged"}\u2028\u0085\n';
    await submit(admin, taskOf('stream', 'stream'));
    const lease = await worker.lease();
    const { task_id, fencing_token } = lease;
    await worker.exchange({
      logs: [{ task_id, fencing_token, message: evil, component: evil.slice(0, 100) }],
    });
    await worker.report(lease, { percentage: 5, current_step: evil, intermediate_result: { [evil]: evil } });
    await admin.post('/api/v2/tasks/stream/cancel', { reason: evil, grace_seconds: 0 });
    const seen: StreamedEvent[] = [];
    for await (const event of eventsOf(admin, '/api/v2/task-events/stream')) seen.push(event);
    assert.ok(seen.every(one => one.data.evil === undefined));
    assert.equal(seen.filter(one => one.event === 'end').length, 1);
    assert.ok(seen.some(one => one.data.reason === evil));
    let logs: Loose[] = [];
    while (!logs.some(line => line.message === evil))
      logs = (await admin.get('/api/v2/task-logs/stream')).body.logs;
    for await (const line of linesOf(admin, '/api/v2/task-logs/stream?follow=true'))
      assert.equal(line.task_id, 'stream');
  });
});
