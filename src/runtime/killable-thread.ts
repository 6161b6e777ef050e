// A thread for what nobody vouches for: it does one job at a time, and is killed when a job takes too long or too much memory. The
// next job starts another.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Clock } from './clock.ts';

const STACK_MB = 2;

/** What a thread runs, and how much of it. */
export interface KillableThreadOptions<Job> {
  /** The thread's file; it posts any message once it is ready, and one answer a job. */
  readonly file: URL;
  readonly memoryMb: number;
  /** Milliseconds a job may take, its thread's start aside. */
  readonly jobMsMax: number;
  /** The error a job that was killed rejects with. */
  readonly killed: (job: Job, excess: 'time' | 'memory') => Error;
}

/** Runs jobs in order, so that a job's time is its own. */
export class KillableThread<Job, Answer> {
  readonly #clock: Clock;
  readonly #options: KillableThreadOptions<Job>;
  #thread: Worker | null = null;
  #line: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, options: KillableThreadOptions<Job>) {
    this.#clock = clock;
    this.#options = options;
  }

  /** The job's answer; rejects with the error of `killed`. */
  run(job: Job): Promise<Answer> {
    const turn = this.#line.then(() => this.#run(job));
    this.#line = turn.catch(() => {});
    return turn;
  }

  /** Lets go of the thread; a later job starts another. */
  async stop(): Promise<void> {
    await this.#thread?.terminate();
    this.#thread = null;
  }

  async #run(job: Job): Promise<Answer> {
    const { jobMsMax, killed } = this.#options;
    // Its start is not the job's time.
    const thread = this.#thread ?? (await this.#launch());
    return new Promise((resolve, reject) => {
      const fail = (excess: 'time' | 'memory'): void => {
        cancel();
        this.#discard(thread);
        reject(killed(job, excess));
      };
      const cancel = this.#clock.after(jobMsMax, () => fail('time'));
      thread.removeAllListeners('message').once('message', (answer: Answer) => {
        cancel();
        resolve(answer);
      });
      thread.removeAllListeners('error').on('error', () => fail('memory'));
      thread.postMessage(job);
    });
  }

  async #launch(): Promise<Worker> {
    const { file, memoryMb } = this.#options;
    const thread = new Worker(file, {
      resourceLimits: { maxOldGenerationSizeMb: memoryMb, stackSizeMb: STACK_MB },
      env: {},
    });
    await once(thread, 'message');
    thread.unref();
    this.#thread = thread;
    return thread;
  }

  #discard(thread: Worker): void {
    this.#thread = null;
    thread.removeAllListeners();
    // A thread that dies of its limits reports it once more while it is terminated.
    thread.on('error', () => {});
    void thread.terminate();
  }
}
