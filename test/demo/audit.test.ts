import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from '../../examples/demo/audit.ts';
import type { ReceiverCounts } from '../../examples/demo/receiver.ts';
import { BatutaClient } from '../../src/sdk/index.ts';

/** A task as a server tells of it: how it ended (null: not yet), its attempts, its events' ends. */
interface Told {
  readonly outcome: string | null;
  readonly attempt?: number;
  readonly output?: object;
  readonly ends?: readonly string[];
}

interface ToldDelivery {
  readonly task_id: string;
  readonly sequence: number;
  readonly status: string;
}

/** An audit of these tasks and deliveries by a client that speaks to a server made of nothing else. */
function setup(tasks: Readonly<Record<string, Told>>, deliveries: readonly ToldDelivery[] = []) {
  const statusOf = (id: string) => ({
    task_id: id,
    current_status: { state: 'completed', outcome: tasks[id]?.outcome, attempt: tasks[id]?.attempt ?? 1 },
    execution_details: { output: tasks[id]?.output ?? null },
  });
  const eventsOf = (id: string) =>
    [...(tasks[id]?.ends ?? ['completed']), null]
      .map((to, at) =>
        to === null
          ? `id: end\nevent: end\ndata: {}\n\n`
          : `id: ${at}\nevent: state_changed\ndata: ${JSON.stringify({ to })}\n\n`,
      )
      .join('');
  const answer = (url: URL): Response => {
    const id = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
    if (url.pathname === '/api/v2/deliveries') {
      const all = deliveries.map(one => ({ ...one, event_type: 'task_completed' }));
      return Response.json({ deliveries: all, total: all.length });
    }
    if (url.pathname.startsWith('/api/v2/task-events/'))
      return new Response(eventsOf(id), { headers: { 'content-type': 'text/event-stream' } });
    if (url.pathname !== '/api/v2/task-status') return Response.json(statusOf(id));
    return Response.json({ tasks: Object.keys(tasks).map(statusOf), not_found: [] });
  };
  const client = new BatutaClient({ url: 'http://server.test', fetch: async url => answer(url) });
  return (
    acknowledged: readonly string[],
    counts: Partial<ReceiverCounts> = {},
    steps: readonly string[] = [],
  ) =>
    audit(
      client,
      acknowledged,
      {
        counts: () => ({
          requests: 0,
          processed: new Map(),
          repeats: 0,
          refused: 0,
          withheld: 0,
          outputs: new Map(),
          ...counts,
        }),
      },
      steps,
    );
}

test('an acknowledged task is lost if the server does not know it, or its end', async () => {
  const { lost, completed } = await setup({
    done: { outcome: 'completed' },
    open: { outcome: null },
  })(['done', 'open', 'unknown']);
  assert.deepEqual(lost, ['open', 'unknown']);
  assert.equal(completed, 1);
});

test('what a step of a workflow ran as is looked for like any other task, and not counted among those', async () => {
  const look = setup({
    flow: { outcome: 'completed' },
    'flow.a': { outcome: 'completed', ends: ['completed', 'completed'] },
    'flow.b': { outcome: 'failed', ends: ['failed'] },
  });
  const found = await look(['flow'], {}, ['flow.a', 'flow.b', 'flow.c']);
  assert.deepEqual([found.lost, found.failed, found.endedTwice], [['flow.c'], ['flow.b'], ['flow.a']]);
  assert.deepEqual([found.acknowledged, found.completed, found.attempts.total], [1, 1, 1]);
});

test('a task that failed is not lost, but told', async () => {
  const { lost, failed } = await setup({ bad: { outcome: 'failed', ends: ['failed'] } })(['bad']);
  assert.deepEqual([lost, failed], [[], ['bad']]);
});

test('a task with two ends, or two results, ended twice', async () => {
  const look = setup({
    once: { outcome: 'completed' },
    twice: { outcome: 'completed', ends: ['completed', 'completed'] },
    split: { outcome: 'completed' },
  });
  const outputs = new Map([
    ['once', new Set(['1'])],
    ['split', new Set(['1', '2'])],
  ]);
  const { endedTwice } = await look(['once', 'twice', 'split'], { outputs });
  assert.deepEqual(endedTwice, ['twice', 'split']);
});

test('a notification dealt with twice is told, and so is one that never arrived; overtaken progress is neither', async () => {
  const look = setup({ a: { outcome: 'completed' } }, [
    { task_id: 'a', sequence: 1, status: 'delivered' },
    { task_id: 'a', sequence: 2, status: 'delivered' },
    { task_id: 'a', sequence: 3, status: 'failed' },
    { task_id: 'a', sequence: 4, status: 'dropped' },
  ]);
  const processed = new Map([['a 1 task_completed', 2]]);
  const { processedTwice, undelivered } = await look(['a'], { processed });
  assert.deepEqual(processedTwice, ['a 1 task_completed']);
  assert.deepEqual(undelivered, ['a 2 task_completed', 'a 3 task_completed']);
});

test('attempts are counted over all tasks, and those that went on from a checkpoint by what the tasks tell', async () => {
  const { attempts } = await setup({
    plain: { outcome: 'completed' },
    worker: { outcome: 'completed', attempt: 2, output: { resumedAfter: 3 } },
    program: { outcome: 'completed', attempt: 3, output: { result: { resumedAfter: 5 } } },
  })(['plain', 'worker', 'program']);
  assert.deepEqual(attempts, { total: 6, repeated: 3, resumed: 2, stepsSpared: 8 });
});
