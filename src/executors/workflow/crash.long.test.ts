// Crashes: the process dies at every single commit a workflow makes, and another goes on from what is on disk. Nothing is lost, and no
// step that completed is run again.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { HouseOptions } from '../../../test/harness.ts';
import { type Handle, share } from '../../../test/shared.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import type { AgentId, TaskId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import type { Store } from '../../store/store.ts';
import { $, type Loose, obey, step, type Works, works } from './fixture.test.ts';

const GRAPH = {
  input: { list: [1, 2, 3] },
  steps: [
    step('a', { answer: { n: 1 } }, { set: { n: $('steps.a.output.n') } }),
    {
      id: 'big',
      kind: 'condition',
      expression: 'shared.n == `1`',
      depends_on: ['a'],
      if_true: ['b'],
      if_false: ['c'],
    },
    step('b', { answer: { n: $('steps.a.output.n') } }, { depends_on: ['a'] }),
    step('c'),
    { ...step('each', { answer: $('item') }), kind: 'map', items: $('input.list'), depends_on: ['b'] },
    { id: 'end', kind: 'join', depends_on: ['each', 'c'] },
    step('sum', { answer: $('sum(steps.each.output)') }, { depends_on: ['end', 'each'] }),
  ],
  output: $('steps.sum.output'),
};
const CHILDREN = ['w.a', 'w.b', 'w.each.0', 'w.each.1', 'w.each.2', 'w.sum'];

/** A store of several processes, each of which may die at its nth write; time passes as fast as it can. */
function setup() {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({
    path: ':memory:',
    clock,
    random: systemRandom,
    auditKey: Buffer.alloc(32),
  });
  const open = share(truth);
  const dir = mkdtempSync(join(tmpdir(), 'batuta-crash-'));
  const nodes: Handle[] = [];
  return {
    truth,
    async node(id: string, dies: Death, run?: HouseOptions['run']) {
      const handle = open();
      nodes.push(handle);
      const death = { has: false };
      return {
        ...(await works(
          { after: () => {} },
          {
            ...(run === undefined ? {} : { run }),
            clock,
            store: mortal(handle, dies, death),
            dir: join(dir, id),
            options: { serverId: id as AgentId, drainMs: 0 },
          },
        )),
        death,
      };
    },
    /** Lets time pass until the workflow has ended, or the node has died. */
    async pass(death: { readonly has: boolean } = { has: false }, id = 'w'): Promise<'ended' | 'dead'> {
      for (let step = 0; step < 3_000; step++) {
        if (death.has) return 'dead';
        const [task] = await truth.read([{ tenant: DEFAULT_TENANT, id: id as TaskId }]);
        if (task?.outcome !== null && task?.outcome !== undefined) return 'ended';
        await clock.advance(50);
      }
      const [task] = await truth.read([{ tenant: DEFAULT_TENANT, id: id as TaskId }]);
      throw new Error(`${id} stayed ${task?.state} ${JSON.stringify(task?.checkpoint)}`);
    },
    async close() {
      for (const node of nodes) node.cut();
      await truth.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Dies before its nth write, or right after, so that the commit is on disk and its answer lost. */
function mortal({ store, cut }: Handle, { write, when }: Death, death: { has: boolean }): Store {
  let writes = 0;
  return new Proxy(store, {
    get(target, name: keyof Store) {
      const verb = target[name];
      if (typeof verb !== 'function' || !WRITES.has(name)) return verb;
      return async (...args: unknown[]) => {
        const isLast = ++writes === write;
        if (isLast && when === 'before') cut();
        const answer = (verb as (...args: unknown[]) => Promise<unknown>)(...args);
        if (!isLast) return answer;
        if (when === 'after') await answer;
        cut();
        death.has = true;
        return new Promise(() => {});
      };
    },
  });
}

interface Death {
  readonly write: number;
  readonly when: 'before' | 'after';
}

const NEVER: Death = { write: 0, when: 'before' };

const WRITES: ReadonlySet<string> = new Set(['submit', 'claim', 'commit']);

/** What happens in a world whose first node dies so; answers whether it did. */
type Story = (world: ReturnType<typeof setup>, dies: Death, at: string) => Promise<boolean>;

/** Tells the story with every death there can be. */
async function atEveryWrite(story: Story, writesMin: number): Promise<void> {
  for (const when of ['before', 'after'] as const)
    for (let write = 1; ; write++) {
      const world = setup();
      const isDead = await story(world, { write, when }, `death ${when} write ${write}`).finally(() =>
        world.close(),
      );
      if (isDead) continue;
      assert.ok(write > writesMin, `a run made only ${write} writes`);
      break;
    }
}

/** A run of the graph on a node that dies so, then on another; a step that completed must not be run again. */
async function lived(
  { truth, node, pass }: ReturnType<typeof setup>,
  dies: Death,
  payload: object,
  meanwhile: (one: Works) => void = () => {},
) {
  const again: string[] = [];
  const run: HouseOptions['run'] = async context => {
    const [now] = await truth.read([{ tenant: DEFAULT_TENANT, id: context.task.id }]);
    if (now?.outcome === 'completed') again.push(context.task.id);
    return await obey(context);
  };
  const first = await node('first', dies, run);
  void first.start('w', payload).catch(() => {});
  meanwhile(first);
  const isDead = (await pass(first.death)) === 'dead';
  if (isDead) {
    const second = await node('second', NEVER, run);
    const [there] = await truth.read([{ tenant: DEFAULT_TENANT, id: 'w' as TaskId }]);
    if (there === null || there === undefined) await second.start('w', payload);
    meanwhile(second);
    await pass();
  }
  const [task] = await truth.read([{ tenant: DEFAULT_TENANT, id: 'w' as TaskId }]);
  assert.ok(task !== null && task !== undefined);
  const { items } = await truth.list({ tenant: DEFAULT_TENANT, limit: 100, offset: 0 });
  return { task, again, isDead, children: items.map(({ id }) => id).sort() };
}

test('SAM-167 a workflow whose node dies at its every write loses nothing and runs no completed step again', () =>
  atEveryWrite(async (world, dies, at) => {
    const { task, again, isDead, children } = await lived(world, dies, GRAPH);
    assert.equal(task.outcome, 'completed', `${at}: ${JSON.stringify(task.result?.error)}`);
    assert.equal((task.result?.output as Loose)?.result, 6, at);
    assert.deepEqual(children, ['w', ...CHILDREN].sort(), at);
    assert.deepEqual(again, [], at);
    return isDead;
  }, 15));

const undone = { compensation: { task_type: 'code_execution', task_data: {} } };

test('SAM-168 compensation whose node dies at its every write undoes each step once', () =>
  atEveryWrite(async (world, dies, at) => {
    const steps = [
      step('a', {}, undone),
      step('b', {}, { depends_on: ['a'], ...undone }),
      step('bad', { fail: 'broken' }, { depends_on: ['b'], on_failure: 'compensate' }),
    ];
    const { task, again, isDead, children } = await lived(world, dies, { steps });
    assert.equal(task.outcome, 'failed', at);
    const { a, b } = (task.result?.output as Loose)?.steps ?? {};
    assert.deepEqual([a?.compensation, b?.compensation], ['completed', 'completed'], at);
    assert.deepEqual(children, ['w', 'w.a', 'w.a.undo', 'w.b', 'w.b.undo', 'w.bad'], at);
    assert.deepEqual(again, [], at);
    return isDead;
  }, 12));

test('SAM-168 a cancelled workflow whose node dies at its every write is undone all the same', () =>
  atEveryWrite(async (world, dies, at) => {
    const steps = [step('a', {}, undone), step('b', { hang: true }, { depends_on: ['a'] })];
    const cancel = ({ house }: Works): void => {
      const id = 'w' as TaskId;
      void (async () => {
        for (;;) {
          const [child] = await world.truth.read([{ tenant: DEFAULT_TENANT, id: 'w.b' as TaskId }]);
          if (child?.state === 'running') break;
          await new Promise(resolve => setImmediate(resolve));
        }
        await house.engine.cancel({ tenant: DEFAULT_TENANT, id, actor: 'test' });
      })().catch(() => {});
    };
    const { task, isDead } = await lived(world, dies, { steps }, cancel);
    assert.equal(task.outcome, 'cancelled', at);
    await world.pass({ has: false }, 'w:cancelled');
    const [closing, undo, b] = await world.truth.read(
      ['w:cancelled', 'w.a.undo', 'w.b'].map(id => ({ tenant: DEFAULT_TENANT, id: id as TaskId })),
    );
    const outcomes = [closing?.outcome, undo?.outcome, b?.outcome];
    assert.deepEqual(outcomes, ['completed', 'completed', 'cancelled'], at);
    return isDead;
  }, 8));
