// A thread that runs the store's calls: batches go in, replies come out in the same order.

import { Worker } from 'node:worker_threads';
import { DomainError } from '../../domain/errors.ts';
import type { Call } from './core.ts';
import { type Answer, fromError, type Order, type PlainReply, toError, type WorkerOptions } from './wire.ts';

/** As source or as built, whichever this file is. */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

interface Settle<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

/** The worker, its orders under way and its end. */
export class Thread {
  /** Rejects where the database cannot be used. */
  readonly opened: Promise<void>;
  readonly #worker: Worker;
  readonly #batches: Settle<readonly PlainReply[]>[] = [];
  readonly #copies = new Map<number, Settle<void>>();
  readonly #ended: Promise<void>;
  #copiesAsked = 0;
  #stopped = false;

  constructor(options: WorkerOptions) {
    this.#worker = new Worker(WORKER, { workerData: options, execArgv: [] });
    const opening = Promise.withResolvers<void>();
    this.opened = opening.promise;
    const ending = Promise.withResolvers<void>();
    this.#ended = ending.promise;
    this.#worker.on('message', (answer: Answer) => this.#hear(answer, opening));
    const onEnd = (cause?: unknown): void => {
      this.#stopped = true;
      const error = closed(cause);
      opening.reject(error);
      for (const batch of this.#batches.splice(0)) batch.reject(error);
      for (const copy of this.#copies.values()) copy.reject(error);
      this.#copies.clear();
      ending.resolve();
    };
    this.#worker.on('error', onEnd);
    this.#worker.on('exit', () => onEnd());
  }

  /** Runs calls as one batch; one that cannot be sent fails alone. */
  run(calls: readonly Call[], now: number): Promise<readonly PlainReply[]> {
    if (this.#stopped) return Promise.reject(closed());
    try {
      this.#send({ kind: 'calls', now, calls });
    } catch (error) {
      if (calls.length === 1) return Promise.resolve([{ error: fromError(error) }]);
      return Promise.all(calls.map(call => this.run([call], now))).then(replies => replies.flat());
    }
    return new Promise((resolve, reject) => this.#batches.push({ resolve, reject }));
  }

  /** Has a consistent copy written. */
  backup(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(closed());
      this.#copiesAsked += 1;
      this.#copies.set(this.#copiesAsked, { resolve, reject });
      this.#send({ kind: 'backup', id: this.#copiesAsked, path });
    });
  }

  /** Resolves once all that was sent is done and the database is closed. */
  stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#send({ kind: 'stop' });
    }
    return this.#ended;
  }

  #send(order: Order): void {
    this.#worker.postMessage(order);
  }

  #hear(answer: Answer, opening: Settle<void>): void {
    switch (answer.kind) {
      case 'opened':
        opening.resolve();
        return;
      case 'failed':
        opening.reject(toError(answer.error));
        void this.#worker.terminate();
        return;
      case 'replies':
        this.#batches.shift()?.resolve(answer.replies);
        return;
      case 'copied': {
        const copy = this.#copies.get(answer.id);
        this.#copies.delete(answer.id);
        if (answer.error === undefined) copy?.resolve();
        else copy?.reject(toError(answer.error));
        return;
      }
      case 'stopped':
        return;
    }
  }
}

/** What a call is answered when there is no thread to run it. */
export function closed(cause?: unknown): DomainError {
  if (cause === undefined) return new DomainError('unavailable', 'the store is closed');
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DomainError('unavailable', `the store's thread failed: ${why}`, { cause });
}
