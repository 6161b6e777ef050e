// Rounds of misfortune on a cluster: each puts it under load, lets a fault strike, waits until the dust has settled, and audits the
// books of everything so far.

import { setTimeout as pause } from 'node:timers/promises';
import { DEFAULT_TENANT, type TaskId } from '../../src/domain/ids.ts';
import { hasEnded } from '../../src/domain/transitions.ts';
import { openPostgres } from '../../src/store/postgres/open.ts';
import type { Store } from '../../src/store/store.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { audit, type Books, openBooks, receive, type Tally, untold } from './books.ts';
import type { Fault } from './faults.ts';
import { startLoad } from './load.ts';

/** Leases, archiving and leaving in short, so that a round sees all of them. */
export const CLUSTER_SETTINGS = {
  BATUTA_LEASE_MS: '2000',
  BATUTA_ARCHIVE_DELAY_MS: '500',
  BATUTA_LEAVE_MS: '500',
} as const;

const BUSY_TASKS = 20;
const BUSY_MS_MAX = 15_000;
const SETTLED_MS_MAX = 90_000;
/** A client that follows a node which fell silent gives it up after 45 s. */
const SILENT_MS_MAX = 60_000;
const COMPLAINTS_MAX = 5;
/** Where nothing may fail, slow is not failed; where nodes die, whoever waits for one goes on soon. */
const SEAMLESS_MS_MAX = 15_000;
const TORN_MS_MAX = 3_000;

/** What came of a round. */
export interface RoundReport {
  readonly fault: Fault;
  /** Milliseconds until work went on; null where it did not in time. */
  readonly resumedMs: number | null;
  /** Milliseconds until all was done and told of; null where it was not in time. */
  readonly settledMs: number | null;
  readonly requests: number;
  /** Requests that failed, as clients saw them before they tried again. */
  readonly failed: readonly string[];
  /** Tasks whose end the stream of events did not tell exactly once. */
  readonly mistold: readonly string[];
  /** Of everything so far. */
  readonly tally: Tally;
  /** What the nodes that run now hold to be errors of their own. */
  readonly complaints: readonly string[];
}

/** A storm on a cluster: rounds that share their books. */
export interface Storm {
  round(fault: Fault): Promise<RoundReport>;
  stop(): Promise<void>;
}

/** Opens the books and the receiver of a storm. */
export async function openStorm(cluster: Cluster): Promise<Storm> {
  const books = openBooks();
  const receiver = await receive(books, cluster.here);
  const store = await openPostgres({ url: cluster.databaseUrl, auditKey: cluster.auditKey, connections: 3 });
  let rounds = 0;
  return {
    async round(fault) {
      const load = await startLoad(cluster, {
        ...{ name: `r${++rounds}`, books, receiver: receiver.url },
        workersAt: fault.seamless === true ? 'front' : 'nodes',
        patienceMs: fault.seamless === true ? SEAMLESS_MS_MAX : TORN_MS_MAX,
      });
      try {
        const enough = books.acknowledged.size + BUSY_TASKS;
        await until(BUSY_MS_MAX, () => books.acknowledged.size >= enough);
        const resumedMs = await fault.strike(cluster, load).catch(error => {
          console.error(`${fault.name}: ${String(error)}`);
          return null;
        });
        await load.calm();
        const settledMs = await until(SETTLED_MS_MAX, () => isSettled(store, books));
        await until(SILENT_MS_MAX, () => load.mistold().length === 0);
        const mistold = load.mistold();
        await load.stop();
        const tally = await audit(store, books);
        const { requests, failed } = load;
        return {
          fault,
          resumedMs,
          settledMs,
          requests,
          failed,
          mistold,
          tally,
          complaints: complaintsOf(cluster),
        };
      } catch (cause) {
        throw new Error([`${fault.name} broke the round`, ...complaintsOf(cluster)].join('\n'), { cause });
      } finally {
        await load.stop();
      }
    },
    async stop() {
      receiver.close();
      await store.stop();
    },
  };
}

function complaintsOf({ nodes }: Cluster): readonly string[] {
  return nodes.flatMap(({ id, server }) =>
    server.said
      .split('\n')
      .filter(line => line.includes('"level":50') || line.includes('"level":60'))
      .slice(-COMPLAINTS_MAX)
      .map(line => `${id}: ${line}`),
  );
}

/** What is wrong in a report, in words; empty where all went well. */
export function faultsIn(report: RoundReport): readonly string[] {
  const { fault, resumedMs, settledMs, failed, mistold, tally, complaints } = report;
  const { acknowledged: _, attempts: __, webhooks: ___, ...faults } = tally;
  const wrong = Object.entries(faults).filter(([, count]) => count !== 0);
  const found = [
    ...(resumedMs === null ? ['work did not go on'] : []),
    ...(settledMs === null ? ['not everything was done and told of in time'] : []),
    ...(fault.seamless === true ? failed : []),
    ...(mistold.length > 0 ? [`streamed not at all or twice: ${mistold.slice(0, 5).join(', ')}`] : []),
    ...wrong.map(([what, count]) => `${what} ${count}`),
  ];
  return (found.length === 0 ? [] : [...found, ...complaints]).map(what => `${fault.name}: ${what}`);
}

async function isSettled(store: Store, books: Books): Promise<boolean> {
  if (untold(books).length > 0) return false;
  const { leased, deliveriesPending } = await store.measure();
  if (leased + deliveriesPending > 0) return false;
  const ids = [...books.acknowledged].map(id => ({ tenant: DEFAULT_TENANT, id: id as TaskId }));
  const tasks = await store.read(ids);
  return tasks.every(task => task === null || hasEnded(task.state));
}

/** Resolves with the milliseconds until the condition held, or with null after so many. */
async function until(msMax: number, holds: () => boolean | Promise<boolean>): Promise<number | null> {
  const began = performance.now();
  for (; performance.now() < began + msMax; await pause(100))
    if (await holds()) return performance.now() - began;
  return null;
}
