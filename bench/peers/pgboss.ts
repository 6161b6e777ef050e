// pg-boss on PostgreSQL, woken by NOTIFY and fetching without pause while batches come back full, which is its fastest way.

import { PgBoss } from 'pg-boss';
import type { Peer } from './peer.ts';
import { startPostgres } from './servers.ts';
import { versionOf } from './version.ts';

const QUEUE = 'bench';

/** pg-boss on a PostgreSQL of its own. */
export async function startPeer(): Promise<Peer> {
  const postgres = await startPostgres();
  const connectionString = `postgres://bench@127.0.0.1:${postgres.port}/postgres`;
  const boss = new PgBoss({ connectionString, max: 32, useListenNotify: true });
  boss.on('error', error => console.error(`pg-boss: ${error.message}`));
  await boss.start();
  await boss.createQueue(QUEUE, { notify: true });
  return {
    name: 'pgboss',
    version: versionOf('pg-boss'),
    server: 'postgresql, fsync, synchronous_commit',
    trials: [
      { batchSize: 50, localConcurrency: 4 },
      { batchSize: 200, localConcurrency: 2 },
      { batchSize: 1_000, localConcurrency: 1 },
      { batchSize: 1_000, localConcurrency: 4 },
    ],
    async submit(payload) {
      await boss.send(QUEUE, payload);
    },
    async work({ batchSize, localConcurrency }, onJob) {
      const options = {
        batchSize: Number(batchSize),
        localConcurrency: Number(localConcurrency),
        pollingIntervalSeconds: 0.5,
        burstWhenBatchFull: true,
      };
      await boss.work(QUEUE, options, async jobs => {
        for (const _ of jobs) onJob();
      });
      return () => boss.offWork(QUEUE, { wait: true });
    },
    async stop() {
      await boss.stop({ graceful: false });
      await postgres.stop();
    },
  };
}
