// Laws of workflows, for any graph and any order of events.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isSettled, newRun, recordOf, stateOf, type WorkflowPlan, type WorkflowRun } from './workflow.ts';
import { ancestorsOf, edgesOf, planOf, streamsInto, type WrittenStep } from './workflow-graph.ts';
import { intentsOf } from './workflow-intents.ts';
import { advance, cancelRun, progressOf, type RunFact, rerun } from './workflow-run.ts';
import { graphView, mermaidView } from './workflow-view.ts';

const PLAIN: Omit<WrittenStep, 'id'> = {
  kind: 'task',
  dependsOn: [],
  reads: [],
  onFailure: undefined,
  thenSteps: [],
  elseSteps: [],
  steps: [],
  mode: 'all',
  cancelsRest: false,
  concurrency: 2,
  itemsMayFail: false,
  compensated: false,
};

/** Any graph: a step looks at earlier ones only, but for handlers and branches, which come later. */
const graph = fc
  .array(
    fc.record({
      kind: fc.constantFrom('task', 'task', 'task', 'map', 'condition', 'join', 'wait', 'parallel'),
      on: fc.array(fc.nat({ max: 20 }), { maxLength: 3 }),
      later: fc.array(fc.nat({ max: 20 }), { maxLength: 2 }),
      policy: fc.constantFrom('fail', 'continue', 'compensate', 'go', undefined),
      mode: fc.constantFrom('all', 'any', 1),
      cancelsRest: fc.boolean(),
      itemsMayFail: fc.boolean(),
      compensated: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map(seeds =>
    seeds.map((seed, at): WrittenStep => {
      const before = [...new Set(seed.on.map(one => one % Math.max(1, at)))].filter(one => one < at);
      const after = [...new Set(seed.later.map(one => at + 1 + (one % seeds.length)))].filter(
        one => one < seeds.length,
      );
      const name = (index: number): string => `s${index}`;
      const [first] = after;
      const isDerived = seed.kind === 'join' || seed.kind === 'parallel';
      const policy = seed.policy === 'go' ? (first === undefined ? 'fail' : name(first)) : seed.policy;
      return {
        ...PLAIN,
        id: name(at),
        kind: seed.kind as WrittenStep['kind'],
        dependsOn: before.map(name),
        onFailure: policy,
        thenSteps: seed.kind === 'condition' ? after.map(name) : [],
        mode: seed.kind === 'join' && before.length > 0 ? (seed.mode as WrittenStep['mode']) : 'all',
        cancelsRest: seed.kind === 'join' && seed.cancelsRest,
        itemsMayFail: seed.itemsMayFail,
        compensated: seed.compensated && (seed.kind === 'task' || seed.kind === 'map'),
        steps: isDerived && seed.kind === 'parallel' ? [{ ...PLAIN, id: `${name(at)}_in` }] : [],
      };
    }),
  );

/** The graph with pipes between its tasks, as many of those drawn as it can have. */
const piped = fc
  .tuple(graph, fc.array(fc.record({ to: fc.nat(), from: fc.nat(), batch: fc.boolean() }), { maxLength: 6 }))
  .map(([written, pipes]) =>
    pipes.reduce<readonly WrittenStep[]>((so, { to, from, batch }) => {
      const tasks = so.filter(({ kind }) => kind === 'task').map(({ id }) => id);
      const [reader, step] = [tasks[to % tasks.length], tasks[from % tasks.length]];
      if (reader === undefined || step === undefined || reader === step) return so;
      const mode = batch ? 'batch' : 'stream';
      const more = so.map(one =>
        one.id === reader ? { ...one, reads: [...one.reads, { step, mode }] } : one,
      );
      return 'fault' in planOf(more as WrittenStep[], 3) ? so : (more as WrittenStep[]);
    }, written),
  );

function plan(written: readonly WrittenStep[], parallelMax = 3): WorkflowPlan {
  const found = planOf(written, parallelMax);
  if ('fault' in found) throw new Error(found.fault.message);
  return found.plan;
}

/** Plays a run to its end by the numbers drawn; `look` sees it after every turn. */
function play(
  of: WorkflowPlan,
  draw: (max: number) => number,
  options: {
    readonly start?: WorkflowRun;
    readonly look?: (run: WorkflowRun) => void;
    readonly cancelAt?: number;
  } = {},
): WorkflowRun {
  let run = options.start ?? newRun({});
  const children = new Map<string, RunFact[]>();
  for (let now = 1; now < 500; now++) {
    // As it would be read back from a checkpoint.
    run = JSON.parse(JSON.stringify(run)) as WorkflowRun;
    if (now === options.cancelAt)
      run = cancelRun(of, run, { code: 'task_failed', message: 'cancelled', recoverable: false }, now);
    const { begin, beginItems, stop, undo } = intentsOf(of, run);
    const facts: RunFact[] = begin.map(step => beginning(step.id, step.kind, now, draw));
    for (const { step, items } of beginItems) facts.push({ fact: 'items_began', step: step.id, items });
    for (const { step, item } of stop)
      children.set(`${step.id}.${item}`, [endOf(step.id, item, now, 'cancelled')]);
    if (undo !== null) facts.push({ fact: 'undo_began', step: undo.id }, { fact: 'undone', step: undo.id });
    run = advance(of, run, facts, now);
    options.look?.(run);
    if (run.phase === 'completed' || run.phase === 'failed') return run;
    const ends = underWay(of, run).filter(() => draw(2) === 0);
    run = advance(
      of,
      run,
      ends.map(
        ([step, item]) =>
          children.get(`${step}.${item}`)?.[0] ??
          endOf(step, item, now, draw(4) === 0 ? 'failed' : 'completed'),
      ),
      now,
    );
    options.look?.(run);
  }
  throw new Error(`the run does not end: ${JSON.stringify(run)}`);
}

function beginning(step: string, kind: string, at: number, draw: (max: number) => number): RunFact {
  if (kind === 'condition') return { fact: 'decided', step, at, result: draw(2) === 0 };
  if (draw(8) === 0) return { fact: 'skipped', step, at, reason: 'as the test says' };
  return kind === 'map' ? { fact: 'began', step, at, items: draw(5) } : { fact: 'began', step, at };
}

function endOf(
  step: string,
  item: number | null,
  at: number,
  outcome: 'completed' | 'failed' | 'cancelled',
): RunFact {
  const error = { code: 'task_failed', message: 'broken', recoverable: false } as const;
  return { fact: 'ended', step, item, at, outcome, ...(outcome === 'completed' ? {} : { error }) };
}

function underWay(of: WorkflowPlan, run: WorkflowRun): (readonly [string, number | null])[] {
  return of.order.flatMap(({ id }): (readonly [string, number | null])[] => {
    const { state, items } = recordOf(run, id) ?? {};
    if (state !== 'running' && state !== 'waiting') return [];
    if (items === undefined) return [[id, null]];
    return [...items].flatMap((letter, item) => (letter === 'r' ? [[id, item] as const] : []));
  });
}

const numbers = fc.infiniteStream(fc.nat({ max: 1_000_000 })).map(stream => (max: number) => {
  const { value } = stream.next();
  return (value ?? 0) % max;
});

test('SAM-164 every run of any graph ends with every step settled, within its limits and in order', () => {
  fc.assert(
    fc.property(
      piped,
      numbers,
      fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
      (written, draw, cancelAt) => {
        const of = plan(written);
        const begun = new Set<string>();
        const look = (run: WorkflowRun): void => {
          const busy = of.order.filter(
            ({ id, kind }) => (kind === 'task' || kind === 'map') && stateOf(run, id) === 'running',
          );
          assert.ok(new Set(busy.map(({ pipeline }) => pipeline)).size <= of.parallelMax);
          for (const { id } of busy) {
            const { items = '' } = recordOf(run, id) ?? {};
            assert.ok([...items].filter(one => one === 'r').length <= 2);
          }
          for (const step of of.order) {
            if (
              stateOf(run, step.id) === 'pending' ||
              stateOf(run, step.id) === 'skipped' ||
              begun.has(step.id)
            )
              continue;
            begun.add(step.id);
            if (step.kind === 'join') continue;
            for (const edge of edgesOf(step))
              assert.ok(isSettled(stateOf(run, edge)), `${step.id} began before ${edge} settled`);
            for (const from of streamsInto(step))
              assert.ok(stateOf(run, from) !== 'pending', `${step.id} began before ${from} began`);
          }
        };
        const end = play(of, draw, { look, ...(cancelAt === undefined ? {} : { cancelAt }) });
        if (end.phase === 'completed') assert.deepEqual(progressOf(of, end).done, of.order.length);
        const running = of.order.filter(({ id }) => ['running', 'waiting'].includes(stateOf(end, id)));
        assert.deepEqual(running, []);
        const isUndone = end.failure !== undefined && end.failure.does !== 'fail';
        for (const step of of.order) {
          const record = recordOf(end, step.id);
          const expected =
            isUndone && step.compensated && record?.state === 'completed' ? 'completed' : undefined;
          assert.equal(record?.undo, expected, step.id);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('SAM-167 facts that are told again, and a checkpoint read back, change nothing', () => {
  fc.assert(
    fc.property(graph, numbers, (written, draw) => {
      const of = plan(written);
      play(of, draw, {
        look: run => {
          const ends = of.order
            .filter(({ id }) => isSettled(stateOf(run, id)))
            .map(({ id }) => endOf(id, null, 999, 'failed'));
          assert.deepEqual(advance(of, run, ends, 999), run);
          assert.deepEqual(
            JSON.parse(JSON.stringify(advance(of, run, [], 999))),
            JSON.parse(JSON.stringify(run)),
          );
        },
      });
    }),
    { numRuns: 200 },
  );
});

test('SAM-167 a rerun keeps what completed before the step, and nothing of it and after it', () => {
  fc.assert(
    fc.property(piped, numbers, fc.nat({ max: 11 }), (written, draw, at) => {
      const of = plan(written);
      const first = play(of, draw);
      const from = of.order[at % of.order.length]?.id ?? '';
      const again = rerun(of, first, from, step => `first.${step}`);
      for (const { id, kind, reads } of of.order) {
        const record = recordOf(again, id);
        if (record === undefined) continue;
        assert.equal(record.state, 'completed');
        assert.ok(id !== from && !ancestorsOf(of, id).has(from), id);
        if (kind === 'task') assert.equal(record.task, `first.${id}`);
        for (const { step } of reads)
          assert.equal(recordOf(again, step)?.state, 'completed', `${id} was kept, and ${step} was not`);
      }
      play(of, draw, { start: again });
    }),
    { numRuns: 200 },
  );
});

test('SAM-169 a circle is told along its way, whatever hangs on it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.nat({ max: 20 }), (length, tail) => {
      const ring = Array.from({ length }, (_, at) => ({
        ...PLAIN,
        id: `r${at}`,
        dependsOn: [`r${(at + 1) % length}`],
      }));
      const rest = Array.from({ length: tail }, (_, at) => ({
        ...PLAIN,
        id: `t${at}`,
        dependsOn: [at === 0 ? 'r0' : `t${at - 1}`],
      }));
      const found = planOf([...rest, ...ring], 1);
      assert.ok('fault' in found);
      const { kind, steps } = found.fault;
      assert.deepEqual([kind, steps.length, steps[0]], ['cycle', length + 1, steps.at(-1)]);
      assert.deepEqual([...new Set(steps)].sort(), ring.map(({ id }) => id).sort());
    }),
    { numRuns: 100 },
  );
});

test('SAM-162 a thousand steps are a workflow, in a chain or side by side, and one more is none', () => {
  const chain = (length: number): WrittenStep[] =>
    Array.from({ length }, (_, at) => ({
      ...PLAIN,
      id: `s${at}`,
      dependsOn: at === 0 ? [] : [`s${at - 1}`],
    }));
  assert.equal(plan(chain(1_000)).order.length, 1_000);
  const found = planOf(chain(1_001), 1);
  assert.equal('fault' in found && found.fault.kind, 'too_many');
});

test('SAM-163 a graph is shown with its kinds of edges and states, as JSON and Mermaid', () => {
  const of = plan([
    { ...PLAIN, id: 'ask', kind: 'condition', thenSteps: ['yes'] },
    { ...PLAIN, id: 'yes', onFailure: 'mend' },
    { ...PLAIN, id: 'mend' },
    { ...PLAIN, id: 'all', kind: 'parallel', steps: [{ ...PLAIN, id: 'in' }], dependsOn: ['ask'] },
  ]);
  const run = advance(of, newRun({}), [{ fact: 'decided', step: 'ask', at: 1, result: true }], 1);
  assert.deepEqual(graphView(of, run).edges, [
    { from: 'ask', to: 'yes', carries: 'true' },
    { from: 'yes', to: 'mend', carries: 'failure' },
    { from: 'ask', to: 'in', carries: 'after' },
    { from: 'ask', to: 'all', carries: 'after' },
    { from: 'in', to: 'all', carries: 'holds' },
  ]);
  const drawn = mermaidView(of, run);
  for (const line of ['s0{"ask"}', 's0 -->|true| s1', 's1 -->|failure| s2', 'class s0 completed'])
    assert.ok(drawn.includes(line), `${line} in ${drawn}`);
});

test('SAM-229 steps that stream to one another begin together and count as one, however few may run at once', () => {
  const of = plan(
    [
      { ...PLAIN, id: 'before' },
      { ...PLAIN, id: 'from', dependsOn: ['before'] },
      { ...PLAIN, id: 'through', reads: [{ step: 'from', mode: 'stream' }] },
      { ...PLAIN, id: 'into', reads: [{ step: 'through', mode: 'stream' }] },
      { ...PLAIN, id: 'whole', reads: [{ step: 'into', mode: 'batch' }] },
    ],
    1,
  );
  const begun = (run: WorkflowRun): readonly string[] => intentsOf(of, run).begin.map(({ id }) => id);
  const began = (run: WorkflowRun, step: string): WorkflowRun =>
    advance(of, run, [{ fact: 'began', step, at: 1 }], 1);
  let run = began(newRun({}), 'before');
  assert.deepEqual(begun(run), []);
  run = advance(of, run, [endOf('before', null, 1, 'completed')], 1);
  for (const step of ['from', 'through', 'into']) {
    assert.deepEqual(begun(run), [step]);
    run = began(run, step);
  }
  assert.deepEqual(begun(run), []);
  for (const step of ['from', 'through', 'into'])
    run = advance(of, run, [endOf(step, null, 1, 'completed')], 1);
  assert.deepEqual(begun(run), ['whole']);
});

test('SAM-229 a step of a pipeline that would wait for the end of another is refused, since both would wait for ever', () => {
  const stream = (step: string) => [{ step, mode: 'stream' as const }];
  const faultOf = (written: readonly WrittenStep[]) => {
    const found = planOf(written, 10);
    assert.ok('fault' in found);
    return [found.fault.kind, ...found.fault.steps];
  };
  const from = { ...PLAIN, id: 'from' };
  assert.deepEqual(faultOf([from, { ...PLAIN, id: 'to', dependsOn: ['from'], reads: stream('from') }]), [
    ...['pipeline', 'to', 'from'],
  ]);
  assert.deepEqual(
    faultOf([
      from,
      { ...PLAIN, id: 'side', dependsOn: ['from'] },
      { ...PLAIN, id: 'to', dependsOn: ['side'], reads: stream('from') },
    ]),
    ['pipeline', 'to', 'from'],
  );
  // Two pipelines, neither of which could ever begin.
  assert.deepEqual(
    faultOf([
      { ...PLAIN, id: 'a' },
      { ...PLAIN, id: 'b' },
      { ...PLAIN, id: 'after-a', dependsOn: ['a'], reads: stream('b') },
      { ...PLAIN, id: 'after-b', dependsOn: ['b'], reads: stream('a') },
    ]),
    ['pipeline', 'after-b', 'b'],
  );
  assert.equal(
    faultOf([
      { ...from, reads: stream('to') },
      { ...PLAIN, id: 'to', reads: stream('from') },
    ])[0],
    'cycle',
  );
  const chain = Array.from({ length: 51 }, (_, at) => ({
    ...PLAIN,
    id: `s${at}`,
    reads: at === 0 ? [] : stream(`s${at - 1}`),
  }));
  assert.equal(faultOf(chain)[0], 'too_many');
});

test('SAM-229 a reader is skipped with all it reads from, and a step of a pipeline that waits holds up all of it', () => {
  const of = plan([
    { ...PLAIN, id: 'slow', kind: 'wait' },
    { ...PLAIN, id: 'from' },
    { ...PLAIN, id: 'to', dependsOn: ['slow'], reads: [{ step: 'from', mode: 'stream' }] },
  ]);
  const begun = (run: WorkflowRun): readonly string[] => intentsOf(of, run).begin.map(({ id }) => id);
  assert.deepEqual(begun(newRun({})), ['slow']);
  const waited: RunFact[] = [
    { fact: 'began', step: 'slow', at: 1 },
    { fact: 'ended', step: 'slow', item: null, at: 2, outcome: 'completed' },
  ];
  const run = advance(of, newRun({}), waited, 2);
  assert.deepEqual(begun(run), ['from']);
  const skipped = advance(of, run, [{ fact: 'skipped', step: 'from', at: 3, reason: 'not now' }], 3);
  assert.equal(stateOf(skipped, 'to'), 'skipped');
});
