// Batuta's workflows as a peer among peers: the real engine and coordinator in this process; a step is a task whose executor does nothing.

import { VERSION } from '../src/app/version.ts';
import type { JsonObject } from '../src/domain/json.ts';
import { createWorkflowExecutor } from '../src/executors/workflow/executor.ts';
import { silentLog } from '../src/runtime/log.ts';
import { openPostgres } from '../src/store/postgres/open.ts';
import { type BenchParts, openBenchHouse } from './house.ts';
import { startPostgres } from './peers/servers.ts';
import type { WorkflowPeer } from './peers/workflow-peer.ts';

const SLOTS = 100;

/** Workflows on a SQLite file of their own. */
export function startPeer(): Promise<WorkflowPeer> {
  return workflowPeer({}, 'SQLite, each commit synced before it is answered');
}

/** Workflows on a PostgreSQL of their own. */
export async function startPostgresPeer(): Promise<WorkflowPeer> {
  const postgres = await startPostgres();
  const url = `postgres://bench@127.0.0.1:${postgres.port}/postgres`;
  const store = await openPostgres({ url, auditKey: Buffer.alloc(32) });
  const peer = await workflowPeer({ store }, 'postgresql, fsync, synchronous_commit');
  return {
    ...peer,
    async stop() {
      await peer.stop();
      await postgres.stop();
    },
  };
}

async function workflowPeer(parts: Pick<BenchParts, 'store'>, server: string): Promise<WorkflowPeer> {
  const executors: BenchParts['executors'] = given => [createWorkflowExecutor({ log: silentLog, ...given })];
  const house = await openBenchHouse({ ...parts, slots: SLOTS, executors });
  const run = async (payload: JsonObject): Promise<void> => {
    await house.run('workflow_orchestration', payload);
  };
  return {
    name: 'batuta workflows',
    version: VERSION,
    server,
    chain: steps => run(chainOf(steps)),
    fanOut: width => run(fanOutOf(width)),
    stop: () => house.stop(),
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
