// A thread with a connection of its own to a database that is open elsewhere: reads what it is asked, and checkpoints.

import { parentPort, workerData } from 'node:worker_threads';
import type { Clock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import { SqliteCore } from './core.ts';
import { type Answer, fromError, type Order, type WorkerOptions } from './wire.ts';

const port = parentPort;
if (port === null) throw new Error('this file runs only as a worker thread');

let now = 0;
// The store's clock is its opener's: each order brings the time it was sent.
const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} };

const { path, auditKey } = workerData as WorkerOptions;
let core: SqliteCore | null = null;
try {
  core = new SqliteCore({ path, auditKey, readOnly: true, clock, random: systemRandom });
  answer({ kind: 'opened' });
} catch (error) {
  answer({ kind: 'failed', error: fromError(error) });
}

// Without a database there is nothing to wait for: the thread ends.
if (core !== null) {
  const store = core;
  port.on('message', (order: Order) => obey(store, order));
}

function obey(store: SqliteCore, order: Order): void {
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
    case 'checkpoint':
      try {
        answer({ kind: 'checkpointed', reach: store.checkpoint() });
      } catch (error) {
        answer({ kind: 'failed', error: fromError(error) });
      }
      return;
    case 'stop':
      store.close();
      port?.close();
      return;
  }
}

function answer(message: Answer): void {
  port?.postMessage(message);
}
