// The load of a storm over a cluster: orchestrators that submit and cancel through its front, workers of the SDK each of which knows one
// node alone or the front, and programs that the nodes run themselves. What clients see is written into the books, failures included.

import { pause, systemClock } from '../../src/sdk/clock.ts';
import {
  BatutaClient,
  BatutaError,
  type TaskContext,
  type TaskRequest,
  Worker,
  type WorkTask,
} from '../../src/sdk/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ADMIN } from '../server.ts';
import { type Books, confirm, WEBHOOK_SECRET } from './books.ts';

const LANES = 3;
/** Between a lane's orders; three lanes make some twenty tasks a second. */
const PACE_MS = 150;
const WORK_MS_MAX = 300;
/** Every so manieth task is a program for the nodes themselves, is cancelled at once, or is told to who does not want to hear. */
const PROGRAM_EVERY = 7;
const CANCEL_EVERY = 5;
const DEAF_EVERY = 11;
const ENDS: ReadonlySet<string> = new Set([
  'task_completed',
  'task_failed',
  'task_cancelled',
  'task_timeout',
]);
/** So many results that were confirmed answer the question whether work goes on. */
const PROOF_ENDS = 3;

/** A load under way. */
export interface Load {
  /** Requests that failed as the client's `fetch` saw them, before it tried again. */
  readonly failed: readonly string[];
  readonly requests: number;
  /** Acknowledged tasks of this load whose end the stream of events has not told once: not at all, or again. */
  mistold(): readonly string[];
  /** Resolves with the milliseconds until new tasks were accepted, run and told of; rejects after so many. */
  goesOn(msMax: number): Promise<number>;
  /** Submits nothing more; workers go on. */
  calm(): Promise<void>;
  stop(): Promise<void>;
}

/** Whose load it is. */
export interface LoadOptions {
  readonly name: string;
  readonly books: Books;
  /** Where ends are told. */
  readonly receiver: string;
  /** Whether each worker knows one node alone, or all of them the front. */
  readonly workersAt: 'nodes' | 'front';
  /** How long a client waits for an answer until it counts as failed. */
  readonly patienceMs: number;
}

/** Puts a cluster under load; ids of its tasks begin with the name. */
export async function startLoad(
  cluster: Cluster,
  { name, books, receiver, workersAt, patienceMs }: LoadOptions,
): Promise<Load> {
  const witness = new Witness(books, patienceMs);
  const raging = new AbortController();
  const client = witness.client(cluster.front.url);
  const order = (id: string, number: number): TaskRequest => orderOf(id, number, { name, receiver });
  const workers = cluster.nodes.map(
    ({ url }, index) =>
      new Worker({
        client: witness.client(workersAt === 'front' ? cluster.front.url : url),
        agentId: `${name}-worker-${index + 1}`,
        handlers: { [name]: work },
        slots: 8,
        waitSeconds: 5,
      }),
  );
  await Promise.all(workers.map(worker => worker.start()));
  const working = new AbortController();
  const ends = await followEnds(client, working.signal);
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    submitAll(client, books, raging.signal, number => ({
      id: `${name}-${lane}-${number}`,
      order: order(`${name}-${lane}-${number}`, number),
    })),
  );
  // Whoever calms the load hears of what went wrong in a lane.
  for (const lane of lanes) lane.catch(() => {});
  let proofs = 0;
  return {
    failed: witness.failed,
    get requests() {
      return witness.requests;
    },
    mistold: () => [...books.acknowledged].filter(id => id.startsWith(`${name}-`) && ends.get(id) !== 1),
    async goesOn(msMax) {
      const began = performance.now();
      const ids = Array.from({ length: PROOF_ENDS }, () => `${name}-proof-${++proofs}`);
      const signal = AbortSignal.timeout(msMax);
      await Promise.all(ids.map(id => proven(client, books, order(id, 1), signal)));
      return performance.now() - began;
    },
    async calm() {
      raging.abort();
      await Promise.all(lanes);
    },
    async stop() {
      raging.abort();
      const workersStop = workers.map(worker => worker.stop({ graceMs: 0, handInMs: 5_000 }));
      await Promise.allSettled([...lanes, ...workersStop]);
      working.abort();
    },
  };
}

/** Sees what clients do: counts their requests, keeps what failed, and notes what their workers' results were answered. */
class Witness {
  readonly failed: string[] = [];
  requests = 0;
  readonly #books: Books;
  readonly #patienceMs: number;

  constructor(books: Books, patienceMs: number) {
    this.#books = books;
    this.#patienceMs = patienceMs;
  }

  client(url: string): BatutaClient {
    return new BatutaClient({
      url,
      credentials: { apiKey: ADMIN.key, apiSecret: ADMIN.secret },
      timeoutMs: this.#patienceMs,
      fetch: (to, init) => this.#fetch(to, init),
    });
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    this.requests++;
    const what = `${init.method} ${url.host}${url.pathname}`;
    try {
      const response = await fetch(url, init);
      if (response.status >= 500) this.#note(`${what} ${response.status} ${await response.clone().text()}`);
      else if (url.pathname === '/api/v2/work' && response.ok) await this.#confirmed(init, response.clone());
      return response;
    } catch (error) {
      // Who hangs up on purpose has not failed.
      const reason = init.signal?.aborted === true ? init.signal.reason : null;
      if (reason === null || reason.name === 'TimeoutError') this.#note(`${what} ${causeOf(error)}`);
      throw error;
    }
  }

  async #confirmed(init: RequestInit, response: Response): Promise<void> {
    const { results } = JSON.parse(String(init.body)) as Exchange;
    const { rejected } = (await response.json()) as Exchange;
    const refused = new Set(rejected.map(({ fencing_token }) => fencing_token));
    for (const { task_id, fencing_token, output } of results)
      if (!refused.has(fencing_token) && output !== undefined) confirm(this.#books, task_id, output.token);
  }

  #note(what: string): void {
    this.failed.push(`${new Date().toISOString()} ${what.slice(0, 300)}`);
  }
}

interface Exchange {
  readonly results: readonly {
    readonly task_id: string;
    readonly fencing_token: number;
    /** Absent where the run failed. */
    readonly output?: { readonly token: number };
  }[];
  readonly rejected: readonly { readonly fencing_token: number }[];
}

/** How often the tenant's stream told of each task's end, from now on and over broken connections. */
async function followEnds(client: BatutaClient, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  const ends = new Map<string, number>();
  const opened = Promise.withResolvers<void>();
  const follow = async (): Promise<void> => {
    for await (const { event, data } of client.events(undefined, { signal, onOpen: opened.resolve })) {
      const id = String(data.task_id);
      if (ENDS.has(event)) ends.set(id, (ends.get(id) ?? 0) + 1);
    }
  };
  follow().catch(opened.reject);
  await opened.promise;
  return ends;
}

/** Every run answers something else, so that it can be told whose result was applied. */
let runs = 0;

async function work(_task: WorkTask, { signal }: TaskContext): Promise<{ readonly token: number }> {
  const token = ++runs;
  await pause(systemClock, Math.random() * WORK_MS_MAX, signal);
  return { token };
}

async function submitAll(
  client: BatutaClient,
  books: Books,
  signal: AbortSignal,
  next: (number: number) => { readonly id: string; readonly order: TaskRequest },
): Promise<void> {
  for (let number = 1; !signal.aborted; number++) {
    const { id, order } = next(number);
    if (!(await submit(client, books, order, signal))) break;
    if (number % CANCEL_EVERY === 0) await client.cancel(id).catch(expected);
    await pause(systemClock, PACE_MS, signal).catch(() => {});
  }
}

/** The same order until it is acknowledged: that is what idempotency is for. False if the signal came first. */
async function submit(
  client: BatutaClient,
  books: Books,
  order: TaskRequest,
  signal: AbortSignal,
): Promise<boolean> {
  while (!signal.aborted) {
    try {
      const { task_id } = await client.execute(order, { signal });
      books.acknowledged.add(task_id);
      if (order.notification_config?.webhook_url.includes('/deaf/') === true) books.deaf.add(task_id);
      return true;
    } catch (error) {
      if (!signal.aborted) expected(error);
    }
    await pause(systemClock, 50, signal).catch(() => {});
  }
  return false;
}

/** What a client may meet in a storm; anything else is a fault of the test or the server. */
function expected(error: unknown): void {
  if (error instanceof BatutaError && (error.retryable || error.status === 409)) return;
  throw error;
}

async function proven(
  client: BatutaClient,
  books: Books,
  order: TaskRequest,
  signal: AbortSignal,
): Promise<void> {
  const late = (): Error => new Error(`work did not go on: ${order.task_id} was not told of in time`);
  if (!(await submit(client, books, order, signal))) throw late();
  while (!books.told.has(String(order.task_id))) {
    if (signal.aborted) throw late();
    await pause(systemClock, 50);
  }
}

function orderOf(
  id: string,
  number: number,
  { name, receiver }: { readonly name: string; readonly receiver: string },
): TaskRequest {
  const isProgram = number % PROGRAM_EVERY === 0;
  const url = number % DEAF_EVERY === 0 ? new URL(`/deaf/${id}`, receiver).href : receiver;
  return {
    task_id: id,
    ...(isProgram
      ? { task_type: 'code_execution', task_data: { language: 'javascript', code: '6 * 7' } }
      : { task_type: 'custom', task_data: { type_name: name, number } }),
    description: 'a task in a storm',
    orchestrator_info: { agent_id: `lane-${number % 2}`, timestamp: '2026-01-01T00:00:00Z' },
    execution_config: { max_retries: 50, retry_delay: 1 },
    notification_config: {
      webhook_url: url,
      webhook_secret: WEBHOOK_SECRET,
      notification_events: ['task_completed', 'task_failed', 'task_cancelled', 'task_timeout'],
      retry_policy: { max_attempts: 20, backoff_strategy: 'exponential' },
    },
  };
}

function causeOf(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? String(error.cause) : String(error);
}
