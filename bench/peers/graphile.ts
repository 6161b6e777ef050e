// graphile-worker on PostgreSQL, with its local queue and batched completion, which are its fastest way.

import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import type { Peer } from './peer.ts';
import { startPostgres } from './servers.ts';
import { versionOf } from './version.ts';

const CONNECTIONS = 32;

/** graphile-worker on a PostgreSQL of its own. */
export async function startPeer(): Promise<Peer> {
  const postgres = await startPostgres();
  const connectionString = `postgres://bench@127.0.0.1:${postgres.port}/postgres`;
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ connectionString, maxPoolSize: CONNECTIONS, logger });
  await utils.migrate();
  return {
    name: 'graphile',
    version: versionOf('graphile-worker'),
    server: 'postgresql, fsync, synchronous_commit',
    trials: [
      { concurrentJobs: 8, localQueueSize: -1, completeJobBatchDelayMs: -1 },
      { concurrentJobs: 24, localQueueSize: 500, completeJobBatchDelayMs: 0 },
      { concurrentJobs: 100, localQueueSize: 500, completeJobBatchDelayMs: 0 },
    ],
    async submit(payload) {
      await utils.addJob('job', payload);
    },
    async work({ concurrentJobs, localQueueSize, completeJobBatchDelayMs }, onJob) {
      const runner = await run({
        taskList: { job: async () => onJob() },
        noHandleSignals: true,
        preset: {
          worker: {
            connectionString,
            logger,
            maxPoolSize: CONNECTIONS,
            concurrentJobs: Number(concurrentJobs),
            completeJobBatchDelay: Number(completeJobBatchDelayMs),
            localQueue: { size: Number(localQueueSize) },
          },
        },
      });
      return () => runner.stop();
    },
    async stop() {
      await utils.release();
      await postgres.stop();
    },
  };
}
