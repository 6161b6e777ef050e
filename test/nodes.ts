// Several engines on one store under a clock of our own: nodes that hear each other, and can be killed or made deaf.

import type { TestContext } from 'node:test';
import type { AgentId, TaskId } from '../src/domain/ids.ts';
import { DEFAULT_TENANT } from '../src/domain/ids.ts';
import type { AttemptContext, AttemptResult } from '../src/engine/ports/executor.ts';
import { systemRandom } from '../src/runtime/random.ts';
import { openSqliteInProcess } from '../src/store/sqlite/open.ts';
import { type House, type HouseOptions, openHouse } from './harness.ts';
import { type Handle, share } from './shared.ts';
import { VirtualClock } from './simulation/clock.ts';

/** A node: an engine, and its hold on the store. */
export interface Node extends House {
  readonly handle: Handle;
}

/** A store, a clock of its own, and a way to start nodes by name. */
export function setupNodes(t: TestContext, more: HouseOptions = {}) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const open = share(truth);
  const houses: House[] = [];
  t.after(() => truth.stop());
  return {
    clock,
    async node(
      id: string,
      run?: (context: AttemptContext) => Promise<AttemptResult>,
      region?: string,
    ): Promise<Node> {
      const slotsPerType = run === undefined ? 0 : 4;
      const handle = open();
      const house = await openHouse({
        ...more,
        clock,
        store: handle.store,
        ...(run === undefined ? {} : { run }),
        options: {
          ...more.options,
          serverId: id as AgentId,
          slotsPerType,
          ...(region === undefined ? {} : { region }),
        },
      });
      houses.push(house);
      return { ...house, handle };
    },
    stateOf: async (node: Node, id: string) => (await node.engine.task(DEFAULT_TENANT, id as TaskId)).state,
  };
}
