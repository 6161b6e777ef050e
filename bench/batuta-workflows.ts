// Batuta's workflows as a peer among peers: the real engine and coordinator in this process; a step is a task whose executor does nothing.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VERSION } from '../src/app/version.ts';
import type { TaskId } from '../src/domain/ids.ts';
import type { JsonObject } from '../src/domain/json.ts';
import type { AttemptContext, AttemptResult } from '../src/engine/ports/executor.ts';
import { createWorkflowExecutor } from '../src/executors/workflow/executor.ts';
import { silentLog } from '../src/runtime/log.ts';
import { openPostgres } from '../src/store/postgres/open.ts';
import { openSqlite } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';
import { openHouse, orderOf, until } from '../test/harness.ts';
import { startPostgres } from './peers/servers.ts';
import type { WorkflowPeer } from './peers/workflow-peer.ts';

const SLOTS = 100;

/** Workflows on a SQLite file of their own. */
export async function startPeer(): Promise<WorkflowPeer> {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const store = await openSqlite({ path: join(dir, 'batuta.db'), auditKey: Buffer.alloc(32) });
  return workflowPeer(store, dir, 'SQLite, each commit synced before it is answered');
}

/** Workflows on a PostgreSQL of their own. */
export async function startPostgresPeer(): Promise<WorkflowPeer> {
  const postgres = await startPostgres();
  const url = `postgres://bench@127.0.0.1:${postgres.port}/postgres`;
  const store = await openPostgres({ url, auditKey: Buffer.alloc(32) });
  const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const peer = await workflowPeer(store, dir, 'postgresql, fsync, synchronous_commit');
  return {
    ...peer,
    async stop() {
      await peer.stop();
      await postgres.stop();
    },
  };
}

async function workflowPeer(store: Store, dir: string, server: string): Promise<WorkflowPeer> {
  const ending = new Map<TaskId, () => void>();
  const house = await openHouse({
    store,
    dir,
    run: async () => ({ status: 'completed', output: null }),
    executors: parts => {
      const executor = createWorkflowExecutor({ log: silentLog, ...parts });
      const run = executor.run.bind(executor);
      const told = async (context: AttemptContext): Promise<AttemptResult> => {
        try {
          return await run(context);
        } finally {
          ending.get(context.task.id)?.();
        }
      };
      return [Object.assign(executor, { run: told })];
    },
    options: { slotsPerType: SLOTS, archiveDelayMs: 3_600_000 },
  });
  let started = 0;
  const run = async (payload: JsonObject): Promise<void> => {
    const id = `run-${started++}` as TaskId;
    // Nobody looks before there is something to see: the coordinator is through, and its end is about to be stored.
    const through = new Promise<void>(resolve => ending.set(id, resolve));
    const [admission] = await house.engine.submit([orderOf(id, { type: 'workflow_orchestration', payload })]);
    if (admission?.kind !== 'admitted') throw new Error(`not admitted: ${JSON.stringify(admission)}`);
    await through;
    ending.delete(id);
    const { outcome } = await until(house, id, task => task.outcome !== null);
    if (outcome !== 'completed') throw new Error(`${id} is ${outcome}`);
  };
  return {
    name: 'batuta workflows',
    version: VERSION,
    server,
    chain: steps => run(chainOf(steps)),
    fanOut: width => run(fanOutOf(width)),
    async stop() {
      await house.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function chainOf(steps: number): JsonObject {
  return {
    steps: Array.from({ length: steps }, (_, at) => ({
      id: `s${at}`,
      task_type: 'code_execution',
      task_data: {},
      ...(at === 0 ? {} : { depends_on: [`s${at - 1}`] }),
    })),
  };
}

function fanOutOf(width: number): JsonObject {
  return {
    max_parallel: width,
    steps: [
      {
        id: 'all',
        kind: 'map',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: a template of Batuta's
        items: '${{ input.items }}',
        max_items: width,
        concurrency: width,
        task_type: 'code_execution',
        task_data: {},
      },
      { id: 'join', kind: 'join', depends_on: ['all'] },
    ],
    input: { items: Array.from({ length: width }, (_, item) => item) },
  };
}
