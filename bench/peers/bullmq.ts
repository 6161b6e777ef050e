// BullMQ on Redis. Finished jobs are removed at once, which is its fastest way.

import { Queue, Worker } from 'bullmq';
import type { Peer } from './peer.ts';
import { startRedis } from './servers.ts';
import { versionOf } from './version.ts';

/** BullMQ on a Redis of its own. */
export async function startPeer(): Promise<Peer> {
  const redis = await startRedis();
  const connection = { host: '127.0.0.1', port: redis.port, maxRetriesPerRequest: null };
  const queue = new Queue('bench', { connection });
  return {
    name: 'bullmq',
    version: versionOf('bullmq'),
    server: 'redis, appendonly, appendfsync everysec',
    trials: [50, 200, 500, 1_000].map(concurrency => ({ concurrency })),
    async submit(payload) {
      await queue.add('job', payload, { removeOnComplete: true });
    },
    async work({ concurrency }, onJob) {
      const worker = new Worker('bench', async () => onJob(), {
        connection,
        concurrency: Number(concurrency),
        removeOnComplete: { count: 0 },
      });
      await worker.waitUntilReady();
      return () => worker.close();
    },
    async stop() {
      await queue.close();
      await redis.stop();
    },
  };
}
