// The disk's side of a commit: a thread that does nothing but wait for the write-ahead log to be on disk, so that nobody else has to.

import { Worker } from 'node:worker_threads';
import { beside } from '../../runtime/beside.ts';

import { closed } from './errors.ts';

const WORKER = beside(import.meta.url, 'log-sync-worker');

/** It does one thing, in megabytes. */
const SMALL = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 };

/** Syncs one file, over and over. */
export class LogSync {
  readonly #worker: Worker;
  readonly #waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  #ended = false;

  /** The file must exist for as long as this does. */
  constructor(path: string) {
    this.#worker = new Worker(WORKER, { workerData: path, execArgv: [], resourceLimits: SMALL });
    this.#worker.on('message', (failure: Error | null) => {
      const first = this.#waiting.shift();
      if (failure === null) first?.resolve();
      else first?.reject(failure);
    });
    const onEnd = (cause?: unknown): void => {
      this.#ended = true;
      for (const one of this.#waiting.splice(0)) one.reject(closed(cause));
    };
    this.#worker.on('error', onEnd);
    this.#worker.on('exit', () => onEnd());
  }

  /** Resolves once all that was written to the file before is on disk; rejects with the disk's error. */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(closed());
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage('sync');
    });
  }

  /** Lets go of the file. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
