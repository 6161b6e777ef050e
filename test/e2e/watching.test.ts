import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Loose } from '../serve.ts';
import { hire, logged, submit, taskOf, until, type Worker } from './crew.ts';
import { running } from './running.ts';
import { eventsOf, linesOf, type StreamedEvent } from './stream.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;

async function started(kind: string): Promise<{ worker: Worker; lease: Loose }> {
  const worker = await hire(admin, kind);
  await submit(admin, taskOf(kind, kind));
  return { worker, lease: await worker.lease() };
}

suite('events', () => {
  test('SAM-65 stream as they happen, named by what they are, and end with the task', async () => {
    const { worker, lease } = await started('stream');
    const seen: StreamedEvent[] = [];
    for await (const event of eventsOf(admin, '/api/v2/task-events/stream')) {
      seen.push(event);
      if (event.event === 'task_started') await worker.report(lease, { percentage: 50 });
      if (event.event === 'task_progress') await worker.complete(lease, 1);
    }
    const names = seen.map(one => one.event);
    assert.equal(names.at(-1), 'end');
    assert.ok(names.indexOf('task_started') < names.indexOf('task_progress'));
    assert.ok(names.indexOf('task_progress') < names.indexOf('task_completed'));
    const moves = seen.filter(one => one.event === 'state_changed').map(({ data }) => [data.from, data.to]);
    assert.deepEqual(moves.slice(0, 3), [
      [null, 'submitted'],
      ['submitted', 'validated'],
      ['validated', 'queued'],
    ]);
    for (const [index, [from]] of moves.entries()) if (index > 0) assert.equal(from, moves[index - 1]?.[1]);
  });

  test('SAM-65 resumed after each event there was, the rest comes without gap or repeat', async () => {
    const { worker, lease } = await started('resume');
    await worker.report(lease, { percentage: 20, current_step: 'half' });
    await worker.complete(lease, null);
    await until(admin, 'resume', one => one.current_status.lifecycle_state === 'archived');
    const whole: StreamedEvent[] = [];
    for await (const event of eventsOf(admin, '/api/v2/task-events/resume')) whole.push(event);
    assert.ok(whole.length > 8);
    assert.equal(new Set(whole.map(one => one.id)).size, whole.length);
    for (const [index, { id }] of whole.entries()) {
      if (id === 'end') continue;
      const rest: string[] = [];
      for await (const event of eventsOf(admin, '/api/v2/task-events/resume', id)) rest.push(event.id);
      assert.deepEqual(
        rest,
        whole.slice(index + 1).map(one => one.id),
      );
    }
    const headers = { 'last-event-id': 'end' };
    await admin.get('/api/v2/task-events/resume', { headers, expect: 204 });
    await admin.get('/api/v2/task-events/resume', { headers: { 'last-event-id': 'x' }, expect: 400 });
  });

  test('SAM-65 the tenant’s stream tells of all its tasks and resumes between any two events', async () => {
    const names = ['all-1', 'all-2', 'all-3'];
    const marker = await started('marker');
    await marker.worker.complete(marker.lease, null);
    const collect = async (last?: string): Promise<StreamedEvent[]> => {
      const got: StreamedEvent[] = [];
      const from = last === undefined ? '?from=start' : '';
      for await (const event of eventsOf(admin, `/api/v2/task-events${from}`, last)) {
        got.push(event);
        if (event.data.task_id === 'all-3' && event.event === 'task_completed') break;
      }
      return got;
    };
    const live = collect();
    for (const name of names) {
      const { worker, lease } = await started(name);
      await worker.complete(lease, null);
    }
    const whole = await live;
    for (const name of names)
      assert.ok(
        whole.some(one => one.data.task_id === name),
        name,
      );
    const middle = whole.findIndex(one => one.data.task_id === 'all-2');
    const rest = await collect(whole[middle]?.id);
    assert.deepEqual(
      rest.map(one => one.id),
      whole.slice(middle + 1).map(one => one.id),
    );
  });
});

suite('logs and metrics', () => {
  test('SAM-61 SAM-64 followed, each line comes when it is written, and the stream ends with the task', async () => {
    const { worker, lease } = await started('follow');
    const { task_id, fencing_token } = lease;
    const say = (message: string): Promise<Loose> =>
      worker.exchange({
        logs: [{ task_id, fencing_token, level: 'warn', message, metadata: { memory_used: 7 } }],
      });
    await say('before');
    const seen: Loose[] = [];
    for await (const line of linesOf(admin, '/api/v2/task-logs/follow?follow=true&level=warn')) {
      seen.push(line);
      if (line.message === 'before') await say('meanwhile');
      if (line.message === 'meanwhile') await worker.complete(lease, null);
    }
    assert.deepEqual(
      seen.map(line => line.message),
      ['before', 'meanwhile'],
    );
    const { timestamp, ...record } = seen[1];
    assert.match(timestamp, /Z$/);
    assert.deepEqual(
      [record.level, record.task_id, record.execution_id, record.agent_id, record.metadata],
      ['WARN', 'follow', lease.execution_id, worker.agentId, { memory_used: 7 }],
    );
    assert.equal(record.trace_id, lease.task.trace_id);
  });

  test('SAM-64 logs are filtered by text, level, time and attempt, and read page by page', async () => {
    const { worker, lease } = await started('pages');
    const { task_id, fencing_token } = lease;
    const logs = Array.from({ length: 25 }, (_, n) => ({ task_id, fencing_token, message: `line ${n}` }));
    await worker.exchange({ logs });
    await logged(admin, 'pages', 'line 24');
    const read = async (query: string): Promise<Loose> =>
      (await admin.get(`/api/v2/task-logs/pages?${query}`)).body;
    assert.deepEqual(
      (await read('q=LINE%207')).logs.map((one: Loose) => one.message),
      ['line 7'],
    );
    assert.equal((await read('attempt=9')).logs.length, 0);
    assert.equal((await read('until=2020-01-01T00:00:00Z')).logs.length, 0);
    const messages: string[] = [];
    let cursor: string | null = '0';
    while (cursor !== null) {
      const page: Loose = await read(`q=line&limit=10&cursor=${cursor}`);
      messages.push(...page.logs.map((one: Loose) => one.message));
      cursor = page.next_cursor;
    }
    assert.deepEqual(
      messages,
      logs.map(one => one.message),
    );
  });

  test('SAM-64 SAM-81 task-metrics and the status tell the same totals', async () => {
    const { worker, lease } = await started('totals');
    const metrics = { api_calls: 4, tokens_used: 9, memory_used: 12, cpu_usage: 50, bytes_sent: 2_000_000 };
    await worker.complete(lease, null, { metrics });
    const { body } = await admin.get('/api/v2/task-metrics/totals');
    const { totals } = body;
    assert.deepEqual(
      [totals.api_calls, totals.tokens_used, totals.memory_used, totals.cpu_usage, totals.data_transferred],
      [4, 9, 12, 50, 2],
    );
    const { samples: _, ...inStatus } = (await admin.get('/api/v2/task-status/totals')).body.metrics;
    assert.deepEqual(inStatus, totals);
  });
});
