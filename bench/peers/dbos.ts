// DBOS Transact on PostgreSQL: workflows are functions of this process, each step a row written when it is done.

import { DBOS } from '@dbos-inc/dbos-sdk';
import { startPostgres } from './servers.ts';
import { versionOf } from './version.ts';
import type { WorkflowPeer } from './workflow-peer.ts';

const CONNECTIONS = 32;
const silent = { info() {}, debug() {}, warn() {}, error: (entry: unknown) => console.error(entry) };

/** DBOS on a PostgreSQL of its own. */
export async function startPeer(): Promise<WorkflowPeer> {
  const postgres = await startPostgres();
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: `postgresql://bench@127.0.0.1:${postgres.port}/dbos`,
    systemDatabasePoolSize: CONNECTIONS,
    logger: silent,
  });
  const step = (): Promise<null> => DBOS.runStep(async () => null, { name: 'nothing' });
  const chain = DBOS.registerWorkflow(
    async (steps: number) => {
      for (let at = 0; at < steps; at++) await step();
    },
    { name: 'chain' },
  );
  const fanOut = DBOS.registerWorkflow(
    async (width: number) => {
      await Promise.all(Array.from({ length: width }, step));
      await step();
    },
    { name: 'fan-out' },
  );
  await DBOS.launch();
  return {
    name: 'dbos',
    version: versionOf('@dbos-inc/dbos-sdk'),
    server: `postgresql, fsync, synchronous_commit; ${CONNECTIONS} connections`,
    chain: steps => chain(steps),
    fanOut: width => fanOut(width),
    async stop() {
      await DBOS.shutdown();
      await postgres.stop();
    },
  };
}
