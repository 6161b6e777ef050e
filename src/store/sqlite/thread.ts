// The store behind a thread of its own: whatever callers ask while the last batch is under way goes as the next one, in one
// transaction. A lone caller's call goes at once.

import { Worker } from 'node:worker_threads';
import { DomainError } from '../../domain/errors.ts';
import { Batcher } from '../../runtime/batcher.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import type { Store } from '../store.ts';
import type { Call, VerbName, Verbs } from './core.ts';
import { type Send, storeOf } from './verbs.ts';
import { type Answer, type Order, type PlainReply, toError, type WorkerOptions } from './wire.ts';

/** How to open a store file. */
export interface SqliteOptions {
  readonly path: string;
  /** Keys the audit's chain. */
  readonly auditKey: string | Uint8Array;
  readonly clock?: Clock;
}

/** As source or as built, whichever this file is. */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

/** Calls that go to the thread as one transaction at most. */
const BATCH_MAX = 1_000;

/** Opens a durable store in a thread of its own; rejects with `unavailable` where it cannot be used. */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  const clock = options.clock ?? systemClock;
  const thread = new Thread({ path: options.path, auditKey: options.auditKey, now: clock.now() });
  await thread.opened;
  const batcher = new Batcher<Call, PlainReply>(calls => thread.run(calls, clock.now()), BATCH_MAX);
  const send: Send = async <Name extends VerbName>(verb: Name, ...args: Parameters<Verbs[Name]>) => {
    const reply = await batcher.add({ verb, args });
    if ('error' in reply) throw toError(reply.error);
    return reply.answer as ReturnType<Verbs[Name]>;
  };
  return storeOf(send, { backup: path => thread.backup(path), stop: () => thread.stop() });
}

interface Settle<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

/** The worker, its orders under way and its end. */
class Thread {
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

  run(calls: readonly Call[], now: number): Promise<readonly PlainReply[]> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(closed());
      this.#batches.push({ resolve, reject });
      this.#send({ kind: 'calls', now, calls });
    });
  }

  backup(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(closed());
      this.#copiesAsked += 1;
      this.#copies.set(this.#copiesAsked, { resolve, reject });
      this.#send({ kind: 'backup', id: this.#copiesAsked, path });
    });
  }

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

function closed(cause?: unknown): DomainError {
  if (cause === undefined) return new DomainError('unavailable', 'the store is closed');
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DomainError('unavailable', `the store's thread failed: ${why}`, { cause });
}
