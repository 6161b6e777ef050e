// Workflows as they run: through the real engine and store, step by step.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT_SLOTS_MAX } from '../../engine/roster-member.ts';
import { $, type Loose, step, works } from './fixture.test.ts';

test('SAM-162 SAM-166 a chain of steps runs in order, each reading input and what came before with its type', async t => {
  const { run, ran } = await works(t);
  const { task, output, states } = await run('w', {
    input: { name: 'Ana', tags: ['a', 'b'] },
    steps: [
      step(
        'b',
        { answer: { sum: $('steps.a.output.count + `1`'), said: `hi ${$('input.name')}!` } },
        { depends_on: ['a'] },
      ),
      step('a', { answer: { count: 2, tags: $('input.tags') } }),
    ],
    output: {
      total: $('steps.b.output.sum'),
      tags: $('steps.a.output.tags'),
      said: $('steps.b.output.said'),
    },
  });
  assert.equal(task.outcome, 'completed', JSON.stringify(task.result));
  assert.deepEqual(output.result, { total: 3, tags: ['a', 'b'], said: 'hi Ana!' });
  assert.deepEqual(states, { a: 'completed', b: 'completed' });
  assert.deepEqual(ran, ['w.a', 'w.b']);
});

test('SAM-165 steps that wait for nothing run at once, up to max_parallel', async t => {
  let [now, most] = [0, 0];
  const { promise: full, resolve: fill } = Promise.withResolvers<void>();
  const { run } = await works(t, {
    options: { slotsPerType: 100 },
    run: async () => {
      most = Math.max(most, ++now);
      if (now === 5) fill();
      await full;
      // Whoever might start beside the five has time to do so.
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      now--;
      return { status: 'completed', output: {} };
    },
  });
  const steps = Array.from({ length: 12 }, (_, at) => step(`s${at}`));
  assert.equal((await run('w', { steps, max_parallel: 5 })).task.outcome, 'completed');
  assert.equal(most, 5);
});

test('SAM-164 a map runs a step for each item of a list and gathers what they answered, in order', async t => {
  const { run } = await works(t, { options: { slotsPerType: 50 } });
  const { task, output } = await run('w', {
    input: { list: Array.from({ length: 1_000 }, (_, at) => at) },
    steps: [
      {
        ...step('each', { answer: { double: $('item * `2`'), at: $('index') } }),
        ...{ kind: 'map', items: $('input.list'), concurrency: 1_000 },
      },
      { id: 'all', kind: 'join', depends_on: ['each'] },
      step('sum', { answer: $('sum(steps.each.output[*].double)') }, { depends_on: ['all', 'each'] }),
    ],
    output: $('steps.sum.output'),
  });
  assert.equal(task.outcome, 'completed', JSON.stringify(task.result?.error));
  assert.equal(output.result, 999_000);
  const { items }: Loose = output.steps.each;
  assert.deepEqual(items, { total: 1_000, completed: 1_000, failed: 0, cancelled: 0 });
});

test('SAM-54 SAM-165 more workflows at once than an agent has slots leave the slots to their steps', async t => {
  const { start, end } = await works(t);
  const ids = Array.from({ length: AGENT_SLOTS_MAX + 20 }, (_, at) => `w${at}`);
  await Promise.all(ids.map(id => start(id, { steps: [step('a')] })));
  for (const id of ids) assert.equal((await end(id)).task.outcome, 'completed');
});
