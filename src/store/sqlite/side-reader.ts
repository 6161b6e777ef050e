// A thread for what takes long: reads that may look at all there ever was, and bringing the log into the database.

import { Worker } from 'node:worker_threads';
import { beside } from '../../runtime/beside.ts';

import type { Call } from './core.ts';
import type { CheckpointReach } from './database.ts';
import { closed } from './errors.ts';
import { type Answer, type Order, type PlainReply, toError, type WorkerOptions } from './wire.ts';

const WORKER = beside(import.meta.url, 'side-reader-worker');

interface Settle {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** The thread, what was asked of it, and its end. */
export class SideReader {
  readonly #worker: Worker;
  /** The first is answered when the database is open. */
  readonly #asked: Settle[] = [];
  readonly #opened: Promise<Answer>;
  readonly #ended: Promise<void>;
  #stopped = false;

  constructor(options: WorkerOptions) {
    this.#worker = new Worker(WORKER, { workerData: options, execArgv: [] });
    this.#opened = new Promise((resolve, reject) => this.#asked.push({ resolve, reject }));
    const ending = Promise.withResolvers<void>();
    this.#ended = ending.promise;
    this.#worker.on('message', (answer: Answer) => this.#asked.shift()?.resolve(answer));
    const onEnd = (cause?: unknown): void => {
      this.#stopped = true;
      for (const one of this.#asked.splice(0)) one.reject(closed(cause));
      ending.resolve();
    };
    this.#worker.on('error', onEnd);
    this.#worker.on('exit', () => onEnd());
  }

  /** Runs calls that read. */
  async read(calls: readonly Call[], now: number): Promise<readonly PlainReply[]> {
    const answer = await this.#ask({ kind: 'calls', now, calls });
    if (answer.kind === 'replies') return answer.replies;
    throw answer.kind === 'failed' ? toError(answer.error) : closed();
  }

  /** Brings what is in the log into the database, as far as it can without waiting. */
  async checkpoint(): Promise<CheckpointReach> {
    const answer = await this.#ask({ kind: 'checkpoint' });
    if (answer.kind === 'checkpointed') return answer.reach;
    throw answer.kind === 'failed' ? toError(answer.error) : closed();
  }

  /** Resolves once the database is closed. */
  stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#worker.postMessage({ kind: 'stop' } satisfies Order);
    }
    return this.#ended;
  }

  async #ask(order: Order): Promise<Answer> {
    if (this.#stopped) throw closed();
    const opened = await this.#opened;
    if (opened.kind === 'failed') throw toError(opened.error);
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject });
      this.#worker.postMessage(order);
    });
  }
}
