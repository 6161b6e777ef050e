// A thread with a connection to the database: runs the batches it is sent, one transaction each, and answers once they are on
// disk. One such thread owns the database; another only reads.

import { parentPort, workerData } from 'node:worker_threads';
import type { Clock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import { SqliteCore } from './core.ts';
import { type Answer, fromError, type Order, type WorkerOptions } from './wire.ts';

const port = parentPort;
if (port === null) throw new Error('worker.ts runs only as a worker thread');

let now = 0;
// The store's clock is its opener's: each batch brings the time it was sent.
const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} };

const options = workerData as WorkerOptions;
now = options.now;
let core: SqliteCore | null = null;
try {
  const { path, auditKey, readOnly } = options;
  core = new SqliteCore({ path, auditKey, readOnly, clock, random: systemRandom });
  answer({ kind: 'opened' });
} catch (error) {
  answer({ kind: 'failed', error: fromError(error) });
}

port.on('message', (order: Order) => {
  if (core !== null) void obey(core, order);
});

async function obey(store: SqliteCore, order: Order): Promise<void> {
  switch (order.kind) {
    case 'calls':
      now = order.now;
      answer({
        kind: 'replies',
        replies: store
          .runAll(order.calls)
          .map(reply => ('error' in reply ? { error: fromError(reply.error) } : reply)),
      });
      return;
    case 'backup':
      try {
        await store.backup(order.path);
        answer({ kind: 'copied', id: order.id });
      } catch (error) {
        answer({ kind: 'copied', id: order.id, error: fromError(error) });
      }
      return;
    case 'stop':
      store.close();
      answer({ kind: 'stopped' });
      port?.close();
      return;
  }
}

function answer(message: Answer): void {
  port?.postMessage(message);
}
