// An engine in this process with real executors, and tasks run through it to their stored ends: what the benches of executors and workflows
// share.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskId } from '../src/domain/ids.ts';
import type { Json, JsonObject } from '../src/domain/json.ts';
import type { TaskType } from '../src/domain/task.ts';
import type { AttemptContext, AttemptResult, Executor } from '../src/engine/ports/executor.ts';
import type { Outbound } from '../src/engine/ports/outbound.ts';
import { openSqlite } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';
import { type HouseOptions, openHouse, orderOf, until } from '../test/harness.ts';

/** A house to be measured. */
export interface BenchHouse {
  /** Where its files are. */
  readonly dir: string;
  /** Resolves with the output once the task has completed and that is stored; rejects where it ends otherwise. */
  run(type: TaskType, payload: JsonObject, tenant?: string): Promise<Json>;
  /** How long attempts were in their executor since this was last asked, sorted, in milliseconds. */
  tookMs(): readonly number[];
  stop(): Promise<void>;
}

/** What a house is made of: its store, SQLite on disk where absent, and its executors beside a no-op `code_execution`, or instead of it. */
export interface BenchParts {
  readonly dir?: string;
  readonly store?: Store;
  readonly slots: number;
  readonly types?: HouseOptions['types'];
  readonly executors: (
    parts: Parameters<NonNullable<HouseOptions['executors']>>[0] & { readonly dir: string },
  ) => readonly Executor[];
}

/** A started engine and executors. */
export async function openBenchHouse(parts: BenchParts): Promise<BenchHouse> {
  const dir = parts.dir ?? mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const auditKey = Buffer.alloc(32);
  const store = parts.store ?? (await openSqlite({ path: join(dir, 'batuta.db'), auditKey }));
  const ending = new Map<TaskId, () => void>();
  const tookMs: number[] = [];
  const watched = (executor: Executor): Executor => {
    const run = executor.run.bind(executor);
    const told = async (context: AttemptContext): Promise<AttemptResult> => {
      const startedAt = performance.now();
      try {
        return await run(context);
      } finally {
        tookMs.push(performance.now() - startedAt);
        ending.get(context.task.id)?.();
      }
    };
    return Object.assign(executor, { run: told });
  };
  let executors: readonly Executor[] = [];
  const house = await openHouse({
    store,
    dir,
    run: async () => ({ status: 'completed', output: null }),
    ...(parts.types === undefined ? {} : { types: parts.types }),
    executors: given => {
      executors = parts.executors({ ...given, dir }).map(watched);
      return executors;
    },
    options: { slotsPerType: parts.slots, archiveDelayMs: 3_600_000 },
  });
  let started = 0;
  return {
    dir,
    async run(type, payload, tenant) {
      const id = `run-${started++}` as TaskId;
      // Nobody looks before there is something to see: the executor is through, and the end is about to be stored.
      const through = new Promise<void>(resolve => ending.set(id, resolve));
      const [admission] = await house.engine.submit([orderOf(id, { type, payload }, tenant)]);
      if (admission?.kind !== 'admitted') throw new Error(`not admitted: ${JSON.stringify(admission)}`);
      await through;
      ending.delete(id);
      const { outcome, result } = await until(house, id, task => task.outcome !== null, tenant);
      if (outcome !== 'completed') throw new Error(`${id} is ${outcome}: ${JSON.stringify(result?.error)}`);
      return result?.output ?? null;
    },
    tookMs: () => tookMs.splice(0).sort((a, b) => a - b),
    async stop() {
      await house.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Does something so many times at once for a while; answers how often a second, the last ones' ends included. */
export async function rateOf(atOnce: number, seconds: number, one: () => Promise<unknown>): Promise<number> {
  let done = 0;
  const started = performance.now();
  const until = started + seconds * 1_000;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) {
      await one();
      done++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return Math.round((done * 10_000) / (performance.now() - started)) / 10;
}

/** No way out. */
export const noOutbound: Outbound = {
  send: () => Promise.reject(new Error('a bench reached for the network')),
  check: async () => {},
  stop: async () => {},
};
