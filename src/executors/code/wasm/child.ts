// The server's end of one QuickJS host process: gives it programs, hands on what they send, and ends it.

import type { Confined } from '../sandbox/confinement.ts';
import {
  type Frame,
  FrameReader,
  type FromHost,
  frameStart,
  type WasmDone,
  type WasmJob,
  type WasmReply,
} from './frames.ts';

/** What a running program sends before it is done. */
export type FromProgram = Exclude<FromHost, WasmDone | { readonly kind: 'ready' }>;

/** Takes what a program sends, one frame after the other; a throw ends the process and the run with that error. */
export type Serve = (frame: Frame<FromProgram>) => void | Promise<void>;

const COMPLAINTS_LENGTH_MAX = 4_096;
const FRAME_MARGIN_BYTES = 64 << 20;

interface Run {
  readonly serve: Serve;
  readonly resolve: (done: WasmDone) => void;
  readonly reject: (error: unknown) => void;
}

/** One host process. */
export class WasmChild {
  readonly memoryMb: number;
  readonly ended: Promise<unknown>;
  readonly #process: Confined;
  readonly #ready: Promise<void>;
  #run: Run | null = null;
  #complaints = '';
  #cause: unknown = null;
  #isOver = false;
  /** Whose program ran last; the memory of the process may still hold traces of it. */
  owner: string | null = null;

  constructor(process: Confined, memoryMb: number) {
    this.memoryMb = memoryMb;
    this.#process = process;
    const ready = Promise.withResolvers<void>();
    this.#ready = ready.promise;
    this.#ready.catch(() => {});
    process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = `${this.#complaints}${text}`.slice(-COMPLAINTS_LENGTH_MAX);
    });
    this.ended = process.ended.then(
      () => this.#over(ready.reject),
      error => this.#over(ready.reject, error),
    );
    void this.#read(ready.resolve);
  }

  /** Resolves once it takes programs; rejects if it never will. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** False once it has ended or is about to, as after every failure of a program. */
  get isUsable(): boolean {
    return !this.#isOver && this.#cause === null;
  }

  /** Its process numbers on this machine, the sandbox's own included. */
  pids(countMax: number): number[] {
    return this.#process.pids(countMax);
  }

  /** Runs a program to its end; rejects if the process ends before. One at a time. */
  run(job: WasmJob, serve: Serve): Promise<WasmDone> {
    if (this.#run !== null) throw new Error('a host process runs one program at a time');
    this.owner = job.owner;
    return new Promise((resolve, reject) => {
      this.#run = { serve, resolve, reject };
      if (this.#isOver) this.#fail(this.#cause ?? new Error('the host process has ended'));
      else this.#process.stdin.write(frameStart(job));
    });
  }

  /** Answers a question of the running program. */
  reply(answer: WasmReply, tail?: Uint8Array): void {
    if (this.#isOver) return;
    this.#process.stdin.write(frameStart(answer, tail?.length ?? 0));
    if (tail !== undefined && tail.length > 0) this.#process.stdin.write(tail);
  }

  /** Ends it at once; a program that runs is rejected with the cause. Resolves when no process is left. */
  async kill(cause: unknown = new Error('the host process was ended')): Promise<void> {
    this.#cause ??= cause;
    if (!this.#isOver) this.#process.kill();
    await this.ended;
  }

  async #read(onReady: () => void): Promise<void> {
    const reader = new FrameReader<FromHost>(this.memoryMb * 2 ** 20 + FRAME_MARGIN_BYTES);
    try {
      for await (const chunk of this.#process.stdout) {
        for (const { head, tail } of reader.push(chunk)) {
          if (head.kind === 'ready') onReady();
          else if (head.kind === 'done') this.#finish(head);
          else await this.#run?.serve({ head, tail });
        }
      }
    } catch (error) {
      await this.kill(error);
    }
  }

  #finish(done: WasmDone): void {
    const run = this.#run;
    this.#run = null;
    // The host ends by itself then.
    if (done.failure !== undefined) this.#cause = new Error('a program failed in it');
    run?.resolve(done);
  }

  #fail(error: unknown): void {
    const run = this.#run;
    this.#run = null;
    run?.reject(error);
  }

  #over(rejectReady: (error: unknown) => void, error?: unknown): void {
    this.#isOver = true;
    const said = this.#complaints.trim();
    const cause =
      this.#cause ?? error ?? new Error(`the host process ended${said === '' ? '' : `: ${said}`}`);
    rejectReady(cause);
    this.#fail(cause);
  }
}
