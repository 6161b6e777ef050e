// Waiting for tasks to end: by their event streams while these are few, by one shared poll of many when they are not, or when
// streams do not get through.

import type { BatutaClient } from './client.ts';
import { pause } from './clock.ts';
import { BatutaError, NotFoundError } from './errors.ts';
import { outcomeOf } from './outcome.ts';
import { backoffMs } from './transport.ts';
import type { StreamEventName, TaskStatus } from './wire.ts';

/** Event streams held open at once; waits beyond them share the poll. */
const STREAMS_MAX = 16;
/** Ids are sent in the query, which servers and proxies cut at 8 KiB. */
const IDS_LENGTH_MAX = 6_000;
const POLL = { firstDelayMs: 250, delayMaxMs: 2_000 };
const POLL_AFTER_FAILURE = { firstDelayMs: 500, delayMaxMs: 10_000 };
const ENDS: ReadonlySet<StreamEventName> = new Set([
  'task_completed',
  'task_failed',
  'task_timeout',
  'task_cancelled',
  'end',
]);

interface Waiter {
  readonly resolve: (status: TaskStatus) => void;
  readonly reject: (error: unknown) => void;
}

/** Tells when tasks end, for any number of tasks at once. */
export class EndWatch {
  readonly #client: BatutaClient;
  readonly #waiters = new Map<string, Set<Waiter>>();
  #streams = 0;
  #polling = false;
  #quietRounds = 0;

  constructor(client: BatutaClient) {
    this.#client = client;
  }

  /** The status of the task once it has ended, however; rejects with `NotFoundError`, or the signal's reason. */
  async ended(taskId: string, signal?: AbortSignal): Promise<TaskStatus> {
    signal?.throwIfAborted();
    const now = await this.#client.status(taskId, { include_metrics: false, signal });
    if (outcomeOf(now) !== null) return now;
    if (this.#streams < STREAMS_MAX) {
      this.#streams += 1;
      try {
        const status = await this.#streamed(taskId, signal);
        if (outcomeOf(status) !== null) return status;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof BatutaError && [401, 404].includes(error.status)) throw error;
      } finally {
        this.#streams -= 1;
      }
    }
    return this.#polled(taskId, signal);
  }

  async #streamed(taskId: string, signal: AbortSignal | undefined): Promise<TaskStatus> {
    const done = new AbortController();
    const read = (): Promise<TaskStatus> => this.#client.status(taskId, { include_metrics: false, signal });
    let atOpening: TaskStatus | null = null;
    const events = this.#client.events(taskId, {
      failuresMax: 2,
      signal: signal === undefined ? done.signal : AbortSignal.any([signal, done.signal]),
      // The task may have ended between the first look and the opening of the stream.
      onOpen: () => {
        read().then(
          status => {
            if (outcomeOf(status) === null) return;
            atOpening = status;
            done.abort();
          },
          () => undefined,
        );
      },
    });
    try {
      for await (const { event } of events) if (ENDS.has(event)) break;
    } catch (error) {
      if (atOpening === null) throw error;
    }
    return atOpening ?? (await read());
  }

  #polled(taskId: string, signal: AbortSignal | undefined): Promise<TaskStatus> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal?.removeEventListener('abort', onAbort);
        waiters.delete(waiter);
        if (waiters.size === 0 && this.#waiters.get(taskId) === waiters) this.#waiters.delete(taskId);
      };
      const waiter: Waiter = {
        resolve: status => {
          leave();
          resolve(status);
        },
        reject: error => {
          leave();
          reject(error);
        },
      };
      const onAbort = (): void => waiter.reject(signal?.reason);
      const waiters = this.#waiters.get(taskId) ?? new Set<Waiter>();
      this.#waiters.set(taskId, waiters.add(waiter));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#quietRounds = 0;
      if (!this.#polling) {
        this.#polling = true;
        void this.#poll();
      }
    });
  }

  async #poll(): Promise<void> {
    let failures = 0;
    while (this.#waiters.size > 0) {
      this.#quietRounds += 1;
      const delayMs =
        failures > 0 ? backoffMs(failures, POLL_AFTER_FAILURE) : backoffMs(this.#quietRounds, POLL);
      await pause(this.#client.clock, delayMs);
      for (const ids of portions([...this.#waiters.keys()])) {
        try {
          await this.#ask(ids);
          failures = 0;
        } catch (error) {
          failures += 1;
          if (error instanceof BatutaError && error.retryable) break;
          for (const id of ids) this.#tell(id, waiter => waiter.reject(error));
        }
      }
    }
    this.#polling = false;
  }

  async #ask(ids: readonly string[]): Promise<void> {
    const answer = await this.#client.statuses({ task_ids: ids, limit: ids.length });
    for (const status of answer.tasks) {
      if (outcomeOf(status) === null) continue;
      this.#quietRounds = 0;
      this.#tell(status.task_id, waiter => waiter.resolve(status));
    }
    for (const id of answer.not_found) {
      const message = `there is no task ${id}`;
      const error = new NotFoundError({ code: 'TASK_NOT_FOUND', message, status: 404 });
      this.#tell(id, waiter => waiter.reject(error));
    }
  }

  #tell(taskId: string, say: (waiter: Waiter) => void): void {
    for (const waiter of [...(this.#waiters.get(taskId) ?? [])]) say(waiter);
  }
}

function portions(ids: readonly string[]): string[][] {
  const all: string[][] = [];
  let length = IDS_LENGTH_MAX;
  for (const id of ids) {
    const own = encodeURIComponent(id).length + 3;
    if (length + own > IDS_LENGTH_MAX) {
      all.push([]);
      length = 0;
    }
    all.at(-1)?.push(id);
    length += own;
  }
  return all;
}
