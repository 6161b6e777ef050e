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
import { $, type Loose, obey, step, works } from './fixture.test.ts';

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
    async node(id: string, dieAt: number, run?: HouseOptions['run']) {
      const handle = open();
      nodes.push(handle);
      const death = { has: false };
      return {
        ...(await works(
          { after: () => {} },
          {
            ...(run === undefined ? {} : { run }),
            clock,
            store: mortal(handle, dieAt, death),
            dir: join(dir, id),
            options: { serverId: id as AgentId, drainMs: 0 },
          },
        )),
        death,
      };
    },
    /** Lets time pass until the workflow has ended, or the node has died. */
    async pass(death: { readonly has: boolean } = { has: false }): Promise<'ended' | 'dead'> {
      for (let step = 0; step < 3_000; step++) {
        if (death.has) return 'dead';
        const [task] = await truth.read([{ tenant: DEFAULT_TENANT, id: 'w' as TaskId }]);
        if (task?.outcome !== null && task?.outcome !== undefined) return 'ended';
        await clock.advance(50);
      }
      const [task] = await truth.read([{ tenant: DEFAULT_TENANT, id: 'w' as TaskId }]);
      throw new Error(`w stayed ${task?.state} ${JSON.stringify(task?.checkpoint)}`);
    },
    async close() {
      for (const node of nodes) node.cut();
      await truth.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Odd deaths leave the commit on disk and lose its answer; even ones come before it. */
function mortal({ store, cut }: Handle, dieAt: number, death: { has: boolean }): Store {
  let writes = 0;
  return new Proxy(store, {
    get(target, name: keyof Store) {
      const verb = target[name];
      if (typeof verb !== 'function' || !WRITES.has(name)) return verb;
      return async (...args: unknown[]) => {
        const isLast = ++writes === dieAt;
        if (isLast && dieAt % 2 === 0) cut();
        const answer = (verb as (...args: unknown[]) => Promise<unknown>)(...args);
        if (!isLast) return answer;
        if (dieAt % 2 === 1) await answer;
        cut();
        death.has = true;
        return new Promise(() => {});
      };
    },
  });
}

const WRITES: ReadonlySet<string> = new Set(['submit', 'claim', 'commit']);

test('SAM-167 a workflow whose node dies at its every write loses nothing and runs no completed step again', async () => {
  for (let dieAt = 1; ; dieAt++) {
    const { truth, node, pass, close } = setup();
    const again: string[] = [];
    const run: HouseOptions['run'] = async context => {
      const [now] = await truth.read([{ tenant: DEFAULT_TENANT, id: context.task.id }]);
      if (now?.outcome === 'completed') again.push(context.task.id);
      return await obey(context);
    };
    const at = `death at write ${dieAt}`;
    const first = await node('first', dieAt, run);
    void first.start('w', GRAPH).catch(() => {});
    const became = await pass(first.death);
    if (became === 'dead') {
      const second = await node('second', 0, run);
      const [there] = await truth.read([{ tenant: DEFAULT_TENANT, id: 'w' as TaskId }]);
      if (there === null || there === undefined) await second.start('w', GRAPH);
      await pass();
    }
    const [task] = await truth.read([{ tenant: DEFAULT_TENANT, id: 'w' as TaskId }]);
    assert.equal(task?.outcome, 'completed', `${at}: ${JSON.stringify(task?.result?.error)}`);
    assert.equal((task?.result?.output as Loose)?.result, 6, at);
    const { items } = await truth.list({ tenant: DEFAULT_TENANT, limit: 100, offset: 0 });
    assert.deepEqual(items.map(({ id }) => id).sort(), ['w', ...CHILDREN].sort(), at);
    assert.deepEqual(again, [], at);
    await close();
    if (became === 'dead') continue;
    assert.ok(dieAt > 15, `a run made only ${dieAt} writes`);
    return;
  }
});
