// The far end of a worker's exchange for tests, and a worker that talks to it.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Json, JsonObject } from '../domain/json.ts';
import type { TaskAborted, TaskContext, TaskHandler } from './attempt.ts';
import { BatutaClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Answer, type Asked, farEnd } from './far-end.test.ts';
import type { WorkRequest, WorkResult } from './wire.ts';
import { Worker, type WorkerOptions } from './worker.ts';

/** A server's side of the exchange: a queue, leases with rising tokens, results recorded once. */
export class WorkServer {
  readonly requests: WorkRequest[] = [];
  readonly results = new Map<string, WorkResult>();
  readonly holders = new Map<string, number>();
  readonly uploads: Asked[] = [];
  /** Answers in place of the server while it is set. */
  trouble: ((request: WorkRequest) => Answer | null) | null = null;
  leaseMs = 30_000;
  polls = 0;
  /** Answers the worker has taken in. */
  heardBack = 0;
  askedAtOnceMax = 0;
  #asked = 0;
  #tokens = 0;
  #queue: JsonObject[] = [];
  #orders: JsonObject[] = [];
  #changed = Promise.withResolvers<void>();

  submit(id: string, data: JsonObject = {}, more: JsonObject = {}): void {
    this.#queue.push({
      task_id: id,
      task_type: 'custom',
      description: 'work',
      task_data: { type_name: 'job', ...data },
      ...more,
    });
    this.wake();
  }

  cancel(id: string): void {
    this.#orders.push({ task_id: id, fencing_token: this.holders.get(id) ?? 0, reason: 'by request' });
    this.holders.delete(id);
    this.wake();
  }

  /** Gives the task away, as after an expired lease. */
  takeAway(id: string): void {
    this.holders.delete(id);
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Resolves when the condition holds; looked at after every exchange. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  async answer(asked: Asked): Promise<Answer> {
    if (asked.path === '/api/v2/artifacts') {
      this.uploads.push(asked);
      return { json: { artifact_id: `art-${this.uploads.length}`, name: asked.query.get('name') } };
    }
    if (asked.path === '/api/v2/agents') return { json: {} };
    const request = asked.json as unknown as WorkRequest;
    this.requests.push(request);
    this.#asked += request.slots;
    try {
      return this.trouble?.(request) ?? (await this.#exchange(request, asked.gone));
    } finally {
      this.#asked -= request.slots;
      setImmediate(() => this.wake());
    }
  }

  async #exchange(request: WorkRequest, gone: AbortSignal): Promise<Answer> {
    const rejected: JsonObject[] = [];
    const extensions: JsonObject[] = [];
    const lease_expires_at = new Date(Date.now() + this.leaseMs).toISOString();
    const held = ({ task_id, fencing_token }: { task_id: string; fencing_token: number }, item: string) => {
      if (this.holders.get(task_id) === fencing_token) return true;
      rejected.push({ task_id, fencing_token, item, error: { code: 'LEASE_LOST', message: 'stale' } });
      return false;
    };
    for (const progress of request.progress ?? []) held(progress, 'progress');
    for (const result of request.results ?? [])
      if (held(result, 'result')) {
        this.results.set(result.task_id, result);
        this.holders.delete(result.task_id);
      }
    for (const beat of request.heartbeats ?? [])
      if (held(beat, 'heartbeat')) extensions.push({ ...beat, lease_expires_at });
    this.askedAtOnceMax = Math.max(this.askedAtOnceMax, this.#asked + this.holders.size);
    if (request.wait_seconds > 0) {
      this.polls += 1;
      setImmediate(() => this.wake());
      while ((this.#queue.length === 0 || request.slots === 0) && this.#orders.length === 0 && !gone.aborted)
        await Promise.race([
          this.#changed.promise,
          new Promise(resolve => gone.addEventListener('abort', resolve)),
        ]);
      this.polls -= 1;
    }
    const leases = gone.aborted
      ? []
      : this.#queue.splice(0, request.slots).map(task => this.#lease(task, lease_expires_at));
    return { json: { leases, cancellations: this.#orders.splice(0), extensions, rejected } };
  }

  #lease(task: JsonObject, lease_expires_at: string): JsonObject {
    this.#tokens += 1;
    this.holders.set(String(task.task_id), this.#tokens);
    return {
      task,
      execution_id: `exec-${task.task_id}`,
      attempt: 1,
      checkpoint: (task.checkpoint as Json | undefined) ?? null,
      secrets: { key: 'value' },
      fencing_token: this.#tokens,
      lease_expires_at,
    };
  }
}

/** A clock that stands until it is moved; backoffs and gathering, below `quickMs`, pass at once. */
export function standing(quickMs: number): { readonly clock: Clock; advance(ms: number): void } {
  let now = 1_000;
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  return {
    clock: {
      now: systemClock.now,
      monotonic: () => now,
      after(ms, callback) {
        if (ms < quickMs) return systemClock.after(0, callback);
        const timer = { at: now + ms, callback };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
    },
    advance(ms) {
      now += ms;
      for (const timer of [...timers].sort((a, b) => a.at - b.at))
        if (timer.at <= now && timers.delete(timer)) timer.callback();
    },
  };
}

export async function workerWith(
  context: TestContext,
  job: TaskHandler,
  options: Partial<WorkerOptions> & { readonly clock?: Clock } = {},
) {
  const server = new WorkServer();
  const end = await farEnd(context, asked => server.answer(asked));
  const { clock = systemClock, ...rest } = options;
  const client = new BatutaClient({
    url: end.url,
    clock,
    retry: { attemptsMax: 1 },
    async fetch(url, init) {
      const response = await fetch(url, init);
      const text = await response.text();
      setImmediate(() => {
        server.heardBack += 1;
        server.wake();
      });
      return new Response(text, response);
    },
  });
  const worker = new Worker({ client, agentId: 'w1', handlers: { job }, ...rest });
  context.after(() => worker.stop({ graceMs: 0, handInMs: 0 }));
  return { server, worker, end };
}

/** Resolves with the reason the attempt was aborted for. */
export function aborted({ signal }: TaskContext): Promise<TaskAborted> {
  return new Promise(resolve => {
    signal.addEventListener('abort', () => resolve(signal.reason as TaskAborted), { once: true });
  });
}

test('a task is leased once, and its second result is stale', async context => {
  const { server, end } = await workerWith(context, () => null);
  server.submit('t1');
  const ask = async (more: JsonObject) => {
    const body = JSON.stringify({ agent_id: 'w', types: [], slots: 1, wait_seconds: 0, ...more });
    const headers = { 'content-type': 'application/json' };
    return (await fetch(`${end.url}/api/v2/work`, { method: 'POST', headers, body })).json() as Promise<{
      leases: unknown[];
      rejected: unknown[];
    }>;
  };
  assert.equal((await ask({})).leases.length, 1);
  const results = [{ task_id: 't1', fencing_token: 1, status: 'completed' }];
  assert.deepEqual(await ask({ results }), { leases: [], cancellations: [], extensions: [], rejected: [] });
  assert.equal((await ask({ results })).rejected.length, 1);
});
