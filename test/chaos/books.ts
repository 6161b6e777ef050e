// The books that the outside world keeps while a storm rages, the receiver that hears of ends, and the audit of the books against
// the store itself: nothing acknowledged may be missing, nothing may have been applied twice.

import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DEFAULT_TENANT, type TaskId } from '../../src/domain/ids.ts';
import type { Task } from '../../src/domain/task.ts';
import { hasEnded } from '../../src/domain/transitions.ts';
import { verifyWebhook } from '../../src/sdk/webhooks.ts';
import type { Store } from '../../src/store/store.ts';

/** What receivers share with those who order. */
export const WEBHOOK_SECRET = 'storm-secret';
/** A receiver that is not well answers so often that it cannot. */
const UNWELL_SHARE = 0.05;
const READ_MAX = 500;

/** Books kept by the outside world. */
export interface Books {
  readonly acknowledged: Set<string>;
  /** What marks the results that the server confirmed, by task. */
  readonly confirmed: Map<string, Set<number>>;
  /** Tasks whose end was told, by a genuine webhook. */
  readonly told: Set<string>;
  /** Tasks whose receiver wants to hear nothing. */
  readonly deaf: Set<string>;
  webhooks: number;
  badSignatures: number;
}

/** Books against the store; all but the first three must be 0. */
export interface Tally {
  readonly acknowledged: number;
  readonly attempts: number;
  readonly webhooks: number;
  readonly lost: number;
  readonly unfinished: number;
  readonly appliedTwice: number;
  readonly eventGaps: number;
  readonly deliveriesOpen: number;
  readonly untold: number;
  readonly badSignatures: number;
}

/** Empty books. */
export function openBooks(): Books {
  return {
    acknowledged: new Set(),
    confirmed: new Map(),
    told: new Set(),
    deaf: new Set(),
    webhooks: 0,
    badSignatures: 0,
  };
}

/** Notes that the server took a result of a task; its output bears the token. */
export function confirm(books: Books, taskId: string, token: number): void {
  books.confirmed.set(taskId, (books.confirmed.get(taskId) ?? new Set()).add(token));
}

/** A receiver of webhooks that is not always well, and below `/deaf/` never wants to hear anything. */
export async function receive(
  books: Books,
  host = '127.0.0.1',
): Promise<{ readonly url: string; close(): void }> {
  const server = createServer(async (request, response) => {
    response.writeHead(await hear(books, request)).end();
  });
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${port}/hook`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function hear(books: Books, request: IncomingMessage): Promise<number> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
    const { taskId } = await verifyWebhook({
      headers: request.headers as Record<string, string>,
      body: Buffer.concat(chunks),
      secret: WEBHOOK_SECRET,
    });
    books.webhooks++;
    if (request.url?.startsWith('/deaf/') === true) return 400;
    if (Math.random() < UNWELL_SHARE) return 503;
    if (taskId !== undefined) books.told.add(taskId);
    return 200;
  } catch {
    // A sender that was killed in the middle of its sentence is no forger.
    if (request.complete) books.badSignatures++;
    return 400;
  }
}

/** Whose end should have been told and was not. */
export function untold(books: Books): readonly string[] {
  return [...books.acknowledged].filter(id => !books.told.has(id) && !books.deaf.has(id));
}

/** Holds the books against the store. */
export async function audit(store: Store, books: Books): Promise<Tally> {
  const ids = [...books.acknowledged];
  const tally = { attempts: 0, lost: 0, unfinished: 0, appliedTwice: 0, eventGaps: 0 };
  for (let from = 0; from < ids.length; from += READ_MAX) {
    const chunk = ids.slice(from, from + READ_MAX);
    const tasks = await store.read(chunk.map(id => ({ tenant: DEFAULT_TENANT, id: id as TaskId })));
    for (const task of tasks) {
      if (task === null) {
        tally.lost++;
        continue;
      }
      tally.attempts += task.attempt;
      if (!hasEnded(task.state)) tally.unfinished++;
      const { gaps, twice } = await judge(store, books, task);
      if (gaps) tally.eventGaps++;
      if (twice) tally.appliedTwice++;
    }
  }
  const [open, failed] = await Promise.all([
    countDeliveries(store, ['pending', 'sending']),
    countDeliveries(store, ['failed']),
  ]);
  return {
    acknowledged: ids.length,
    webhooks: books.webhooks,
    ...tally,
    deliveriesOpen: open,
    // What a receiver refuses must lie among the dead letters.
    untold: untold(books).length + Math.max(0, books.deaf.size - failed),
    badSignatures: books.badSignatures,
  };
}

async function judge(
  store: Store,
  books: Books,
  task: Task,
): Promise<{ readonly gaps: boolean; readonly twice: boolean }> {
  const events = await store.events({ of: 'task', key: task.key, afterSequence: 0, limit: 10_000 });
  const [now] = await store.read([{ tenant: task.tenant, id: task.id }]);
  // It moved on between the looks.
  if (now !== null && now !== undefined && now.version !== task.version) return judge(store, books, now);
  const ends = events.filter(event => event.kind === 'state' && event.to === task.outcome).length;
  const applied = (task.result?.output as { readonly token?: number } | null | undefined)?.token;
  const confirmed = [...(books.confirmed.get(task.id) ?? [])];
  return {
    gaps: events.some((event, at) => event.sequence !== at + 1) || events.length !== task.version,
    twice: ends > 1 || confirmed.some(token => token !== applied),
  };
}

async function countDeliveries(
  store: Store,
  statuses: NonNullable<Parameters<Store['deliveries']>[0]['statuses']>,
): Promise<number> {
  const { total } = await store.deliveries({ tenant: DEFAULT_TENANT, statuses, limit: 1, offset: 0 });
  return total;
}
