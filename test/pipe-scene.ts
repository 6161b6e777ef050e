// A writer and its readers over a store, and an agent that is given their attempts: where the laws of pipes are tried.

import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import type { TaskId, TenantId } from '../src/domain/ids.ts';
import { DEFAULT_TENANT } from '../src/domain/ids.ts';
import type { Json } from '../src/domain/json.ts';
import { CHUNK_TYPE, type PipeMode, type PipePositions, type TaskPipes } from '../src/domain/pipe.ts';
import type { WorkLease } from '../src/engine/api.ts';
import type { PipeEnd } from '../src/engine/pipe-calls.ts';
import { type HouseOptions, openHouse, orderOf, workAs } from './harness.ts';

/** For whoever does not wait. */
export const NOW = { waitMs: 0, signal: new AbortController().signal };

/** Where a house keeps things, and what closes that. */
export type Open = () => Promise<{ readonly places: HouseOptions; close(): Promise<void> }>;

/** The pipes from a writer to its readers, by task. */
function pipesBetween(readers: readonly string[], mode: PipeMode): Readonly<Record<string, TaskPipes>> {
  const inputs = { in: { task: 'w', output: 'rows' } };
  return {
    w: { inputs: {}, outputs: { rows: { mode, readers: readers.map(task => ({ task, input: 'in' })) } } },
    ...Object.fromEntries(readers.map(task => [task, { inputs, outputs: {} }])),
    // It says that it reads, and nobody writes for it.
    stranger: { inputs, outputs: {} },
  };
}

/** What the agent holds, by task. */
function leasing(agent: ReturnType<typeof workAs>) {
  const leases = new Map<string, WorkLease>();
  const lease = async (task: string): Promise<void> => {
    for (;;) {
      const answer = await agent.exchange({ slots: 1, waitMs: 5_000 });
      for (const one of answer.leases) leases.set(one.task.id, one);
      if (leases.has(task)) return;
    }
  };
  const leaseOf = (task: string): WorkLease => {
    const found = leases.get(task);
    assert.ok(found);
    return found;
  };
  return {
    lease,
    leaseOf,
    /** Ends the attempt, and leases the next one. */
    async again(task: string): Promise<void> {
      const before = leaseOf(task);
      leases.delete(task);
      await agent.fail(before, {});
      await lease(task);
    },
  };
}

/** A writer's task, its readers' tasks, and an agent that is given their attempts. */
export async function setup(
  t: TestContext,
  open: Open,
  {
    readers = ['r'],
    mode = 'stream',
  }: { readonly readers?: readonly string[]; readonly mode?: PipeMode } = {},
) {
  const { places, close } = await open();
  const house = await openHouse({ ...places, options: { drainMs: 0 } });
  const pipes = pipesBetween(readers, mode);
  const agent = workAs(
    house,
    'agent',
    Object.keys(pipes).map(task => `custom:${task}` as const),
  );
  await agent.hello();
  const { lease, leaseOf, again } = leasing(agent);
  t.after(async () => {
    await house.stop();
    await close();
  });
  return {
    house,
    agent,
    pipes: house.engine.pipes,
    leaseOf,
    /** Hands the task in and leases it. */
    async begin(...tasks: readonly string[]): Promise<void> {
      for (const task of tasks) {
        const spec = { type: 'custom', typeName: task, extra: { workflow: { pipes: pipes[task] } } } as const;
        await house.engine.submit([orderOf(task, spec as never)]);
        await lease(task);
      }
    },
    again,
    end(task: string, tenant: TenantId = DEFAULT_TENANT): PipeEnd {
      const { token } = leaseOf(task);
      return { tenant, taskId: task as TaskId, token, name: task === 'w' ? 'rows' : 'in' };
    },
    /** A checkpoint that goes so far in the inputs, as a worker makes it. */
    checkpoint(task: string, state: Json, positions: PipePositions, lease = leaseOf(task)) {
      const { token } = lease;
      const item = { taskId: task as TaskId, token, report: { checkpoint: state }, positions };
      return agent.exchange({ progress: [item] });
    },
    /** Its step is over, as its workflow would say. */
    over: (task: string, how: 'ended' | 'failed') =>
      house.engine.pipes.settle(DEFAULT_TENANT, task as TaskId, pipes[task] as TaskPipes, how),
    async chunks() {
      const all = await house.store.artifacts({ tenant: DEFAULT_TENANT });
      return all.filter(({ type }) => type === CHUNK_TYPE);
    },
  };
}

/** What `setup` answers. */
export type Scene = Awaited<ReturnType<typeof setup>>;

/** Writes the chunk of that number, waiting for room no longer than told. */
export function write({ pipes, end }: Scene, number: number, bytes = `chunk ${number}`, patience = NOW) {
  const source = Buffer.from(bytes);
  return pipes.write(end('w'), { number, size: source.length, source, state: { upTo: number } }, patience);
}

/** The chunk behind that number, by its number; null where there is none yet. */
export async function read({ pipes, end }: Scene, after: number, task = 'r'): Promise<string | null> {
  const found = await pipes.read(end(task), after, NOW);
  if (found === null || found.kind === 'end') return found === null ? null : 'end';
  return `${found.number}: ${await text(found.stream)}`;
}
