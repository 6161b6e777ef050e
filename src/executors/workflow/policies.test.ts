// What follows from what: failure policies, branches, joins, compensation, and what others do to a run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../test/harness.ts';
import type { TaskId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import { $, endedOf, type Loose, step, type Works, works } from './fixture.test.ts';

const fails = (id: string, more: object = {}): object => step(id, { fail: 'broken' }, more);
const hangs = (id: string, more: object = {}): object => step(id, { hang: true }, more);
const call = (id: string) => ({ tenant: DEFAULT_TENANT, id: id as TaskId, actor: 'test' });

/** Resolves once the tasks are there and run. */
async function running({ house }: Works, ...ids: string[]): Promise<void> {
  for (const id of ids) {
    const place = { tenant: DEFAULT_TENANT, id: id as TaskId };
    for await (const _ of house.engine.changes(place.tenant, null, AbortSignal.timeout(10_000)))
      if ((await house.store.read([place]))[0] !== null) break;
    await until(house, id, ({ state }) => state === 'running');
  }
}

test('SAM-162 a failed step ends the workflow, stops what runs and names itself', async t => {
  const { run } = await works(t);
  const steps = [
    fails('bad', { depends_on: ['a'] }),
    step('a'),
    hangs('long'),
    step('never', {}, { depends_on: ['bad'] }),
  ];
  const { task, states } = await run('w', { steps });
  assert.equal(task.outcome, 'failed');
  assert.equal(task.result?.error?.details?.step, 'bad');
  assert.match(task.result?.error?.message ?? '', /step bad failed: broken/);
  assert.deepEqual(states, { a: 'completed', bad: 'failed', long: 'cancelled', never: 'skipped' });
  assert.equal(task.attempt, 1);
});

test('SAM-162 on_failure continue lets what depends on the step see its error and run', async t => {
  const { run } = await works(t);
  const steps = [
    fails('bad', { on_failure: 'continue' }),
    step('next', { answer: $('steps.bad.error.message') }, { depends_on: ['bad'] }),
  ];
  const { task, output } = await run('w', { steps, output: $('steps.next.output') });
  assert.deepEqual([task.outcome, output.result], ['completed', 'broken']);
});

test('SAM-162 on_failure hands over to a step, which is skipped where nothing fails', async t => {
  const { run } = await works(t);
  const graph = (data: object) => ({
    steps: [
      step('try', data, { on_failure: 'mend' }),
      step('mend', { answer: $('steps.try.state') }),
      step('after', {}, { depends_on: ['try'] }),
      { id: 'end', kind: 'join', depends_on: ['mend', 'after'] },
    ],
  });
  const broken = await run('broken', graph({ fail: 'broken' }));
  assert.deepEqual(broken.states, { try: 'failed', mend: 'completed', after: 'skipped', end: 'completed' });
  assert.equal(broken.task.outcome, 'completed');
  const fine = await run('fine', graph({}));
  assert.deepEqual(fine.states, { try: 'completed', mend: 'skipped', after: 'completed', end: 'completed' });
});

test('SAM-168 on compensate what completed is undone, last first, and a compensation that fails is listed', async t => {
  const { run, ran } = await works(t);
  const undo = (data: object = {}) => ({ compensation: { task_type: 'code_execution', task_data: data } });
  const steps = [
    step('a', { answer: { id: 7 } }, undo({ answer: { freed: $('steps.a.output.id') } })),
    step('b', {}, { depends_on: ['a'], ...undo({ fail: 'stuck' }) }),
    step('c', {}, { depends_on: ['b'], ...undo() }),
    fails('bad', { depends_on: ['c'], on_failure: 'compensate' }),
  ];
  const { task, output } = await run('w', { steps });
  assert.equal(task.outcome, 'failed');
  assert.deepEqual(ran, ['w.a', 'w.b', 'w.c', 'w.bad', 'w.c.undo', 'w.b.undo', 'w.a.undo']);
  assert.deepEqual(
    ['a', 'b', 'c'].map(id => output.steps[id].compensation),
    ['completed', 'failed', 'completed'],
  );
  assert.deepEqual(task.result?.error?.details?.compensations_failed, ['b']);
  assert.deepEqual(output.steps.a.output, { id: 7 });
});

test('SAM-168 SAM-66 cancelling ends what runs and undoes what was done, by a task that outlives the run', async t => {
  const one = await works(t);
  const undone = { compensation: { task_type: 'code_execution', task_data: {} } };
  await one.start('w', { steps: [step('a', {}, undone), hangs('b', { depends_on: ['a'] })] });
  await running(one, 'w.b');
  const task = await one.house.engine.cancel(call('w'));
  assert.equal(task.outcome, 'cancelled');
  const { task: closing, output } = await one.end('w:cancelled');
  assert.equal(closing.outcome, 'completed', JSON.stringify(closing.result));
  assert.equal((await one.end('w.b')).task.outcome, 'cancelled');
  assert.equal((await one.end('w.a.undo')).task.outcome, 'completed');
  assert.equal(output.steps.a.compensation, 'completed');
});

test('SAM-69 pausing holds what has not begun, and resuming goes on with nothing done twice', async t => {
  const one = await works(t, { options: { slotsPerType: 1 } });
  await one.start('w', { steps: [hangs('a'), step('b'), step('c', {}, { depends_on: ['b'] })] });
  await running(one, 'w.a');
  await until(one.house, 'w', ({ checkpoint }) => (checkpoint as Loose)?.run.steps.b !== undefined);
  await one.house.engine.pause(call('w'));
  await until(one.house, 'w.b', ({ state }) => state === 'paused');
  await one.house.engine.resume(call('w'));
  await until(one.house, 'w.b', ({ state }) => state === 'queued');
  await one.house.engine.cancel(call('w.a'));
  const { task, states } = await one.end('w');
  assert.equal(task.outcome, 'failed');
  assert.equal(states.a, 'failed');
  assert.deepEqual(
    one.ran.filter(id => id === 'w.a'),
    ['w.a'],
  );
});

test('SAM-164 conditions choose a branch, and what both lead to runs once', async t => {
  const { run } = await works(t);
  const graph = (n: number) => ({
    input: { n },
    steps: [
      { id: 'big', kind: 'condition', expression: 'input.n > `10`', if_true: ['yes'], if_false: ['no'] },
      step('yes'),
      step('no'),
      step('end', {}, { depends_on: ['yes', 'no'] }),
      step('maybe', {}, { condition: 'input.n == `3`' }),
    ],
  });
  const small = await run('small', graph(3));
  assert.deepEqual(small.states, {
    big: 'completed',
    yes: 'skipped',
    no: 'completed',
    end: 'completed',
    maybe: 'completed',
  });
  const large = await run('large', graph(30));
  assert.deepEqual(large.states, {
    big: 'completed',
    yes: 'completed',
    no: 'skipped',
    end: 'completed',
    maybe: 'skipped',
  });
});

test('SAM-164 joins are through with all, any or so many, and may stop the rest', async t => {
  const { run } = await works(t, { options: { slotsPerType: 10 } });
  const join = (id: string, mode: unknown, of: string[], more: object = {}) => ({
    ...{ id, kind: 'join', mode, depends_on: of },
    ...more,
  });
  const tolerant = { on_failure: 'continue' };
  const any = await run('any', {
    steps: [
      fails('a', tolerant),
      step('b'),
      hangs('c'),
      join('end', 'any', ['a', 'b', 'c'], { cancel_rest: true }),
    ],
  });
  assert.deepEqual(any.states, { a: 'failed', b: 'completed', c: 'cancelled', end: 'completed' });
  assert.equal(any.task.outcome, 'completed');
  const late = { on_failure: 'continue', depends_on: ['b'] };
  const most = await run('most', {
    steps: [fails('a', late), step('b'), fails('c', late), join('end', 2, ['a', 'b', 'c'])],
  });
  assert.equal(most.task.outcome, 'failed');
  assert.deepEqual(most.output.steps.end.error.details, { steps: ['a', 'c'], completed: 1, needed: 2 });
});

test('SAM-164 a parallel step holds steps, is as well as they are, and its policy is theirs', async t => {
  const { run } = await works(t);
  const graph = (data: object, policy: object = {}) => ({
    steps: [
      step('before'),
      { id: 'all', kind: 'parallel', depends_on: ['before'], steps: [step('a', data), step('b')], ...policy },
      step('after', {}, { depends_on: ['all'] }),
    ],
    output: $('steps.all.state'),
  });
  const fine = await run('fine', graph({}));
  assert.deepEqual([fine.output.result, fine.states.after], ['completed', 'completed']);
  const broken = await run('broken', graph({ fail: 'broken' }));
  assert.deepEqual(
    [broken.task.outcome, broken.states.b, broken.states.all],
    ['failed', 'completed', 'failed'],
  );
  const borne = await run('borne', graph({ fail: 'broken' }, { on_failure: 'continue' }));
  assert.deepEqual([borne.task.outcome, borne.states.after], ['completed', 'completed']);
});

test('SAM-164 a map bears failed items where it is told to, and else stops at the first', async t => {
  const { run } = await works(t);
  const map = (more: object) => ({
    steps: [
      {
        ...step('each', { answer: $('item.n') }),
        ...{ kind: 'map', items: [{ n: 1 }, {}, { n: 3 }], concurrency: 1 },
        ...more,
      },
    ],
  });
  const borne = await run('borne', map({ on_item_failure: 'continue' }));
  assert.equal(borne.task.outcome, 'completed');
  assert.deepEqual(borne.output.steps.each.output, [1, null, 3]);
  const stopped = await run('stopped', map({}));
  assert.equal(stopped.task.outcome, 'failed');
  assert.equal(stopped.task.result?.error?.details?.item, 1);
  assert.deepEqual(stopped.output.steps.each.items, { total: 3, completed: 1, failed: 1, cancelled: 0 });
  const many = await run('many', map({ max_items: 2 }));
  assert.match(many.task.result?.error?.message ?? '', /3 items, more than its max_items of 2/);
});

test('SAM-164 workflows in workflows go eight levels deep and no deeper', async t => {
  const { run } = await works(t);
  const nested = (levels: number): object =>
    levels === 0
      ? { steps: [step('leaf', { answer: $('input.n') })], output: $('steps.leaf.output') }
      : {
          steps: [{ id: 'in', kind: 'workflow', task_data: nested(levels - 1), input: { n: $('input.n') } }],
          output: $('steps.in.output'),
        };
  const fine = await run('fine', { ...nested(7), input: { n: 42 } });
  assert.deepEqual(
    [fine.task.outcome, fine.output.result],
    ['completed', 42],
    JSON.stringify(fine.task.result?.error),
  );
  const deep = await run('deep', { ...nested(8), input: { n: 42 } });
  assert.equal(deep.task.outcome, 'failed');
});

test('SAM-166 what is not there fails the step with its path, and hostile expressions are not let in', async t => {
  const { run, start } = await works(t);
  const missing = await run('missing', { steps: [step('a', { answer: $('input.user.name') })] });
  assert.equal(missing.task.result?.error?.details?.expression, 'input.user.name');
  for (const text of [
    'let $x = @ in $x',
    '[@, @]',
    '{a: @}',
    '$',
    'map(&@, @)',
    'pad_left(@, `9`)',
    'nothing.here',
    'steps.*',
  ])
    await assert.rejects(start(`bad-${text.length}`, { steps: [step('a', { answer: $(text) })] }), text);
  const bomb = Array.from({ length: 50 }, () => 'length(input.list[*])').join(' + ');
  const slow = await run('slow', {
    input: { list: Array.from({ length: 100_000 }, () => 1) },
    steps: [step('a', { answer: $(bomb) })],
  });
  assert.match(slow.task.result?.error?.message ?? '', /looks at too much/);
});

test('SAM-165 steps have the workflow’s priority, correlation and shared state, and its remaining time', async t => {
  const one = await works(t);
  const steps = [
    step('a', {}, { set: { seen: $('input.n') } }),
    step('b', { answer: $('shared.seen') }, { depends_on: ['a'], timeout: 7_200 }),
  ];
  await one.run(
    'w',
    { steps, input: { n: 5 } },
    { priority: 2, timeoutMs: 60_000, context: { shared_state: { old: 1 } } },
  );
  const { task } = await endedOf(one.house, 'w.b');
  const { priority, requester, context, timeoutMs, depth } = task.spec;
  assert.deepEqual(
    [priority, requester.correlationId, context?.shared_state, depth],
    [2, 'w', { old: 1, seen: 5 }, 1],
  );
  assert.ok(timeoutMs <= 60_000);
  assert.equal(task.result?.output, 5);
});
