// The server's side of a driver: a thread, the browser it starts, and a directory for that browser. Whatever a page does in there, one
// job fails here; killing a driver leaves no process and no file.

import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { JsonObject } from '../../domain/json.ts';
import { beside } from '../../runtime/beside.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import { type BrowserPlace, type Confinement, hasUser, launchOf } from './chromium.ts';
import type {
  ProxyAccess,
  QuestionName,
  Questions,
  ServerMessage,
  ThreadMessage,
  WebOrder,
} from './driver/messages.ts';
import { killAll, markedProcesses, ownChildren } from './processes.ts';
import { failureOf, WebError } from './web-error.ts';

const THREAD_HEAP_MB = 512;
const DOWNLOADS = 'downloads';
const RENEW_MS_MAX = 2_000;
const KILL_ROUNDS = 40;
const REAP_ROUNDS = 20;
const KILL_PAUSE_MS = 10;
/** Directories of dead servers are known by the process id in their name. */
export const DIRECTORY_PREFIX = 'batuta-browser-';

/** What a driver is started with. */
export interface DriverOptions {
  readonly clock: Clock;
  /** Where its directory is made. */
  readonly root: string;
  /** Null for a driver of static pages alone. */
  readonly browser: {
    readonly executable: string;
    readonly setpriv: string | null;
    readonly confinement: Confinement;
  } | null;
  /** A user id that is the browser's alone. */
  readonly uid: number;
  /** Unique among all drivers of the machine. */
  readonly id: string;
}

/** What a job needs from the server. */
export interface JobHandlers {
  readonly hear: (message: Extract<ThreadMessage, { readonly kind: 'progress' | 'log' | 'browser' }>) => void;
  readonly answer: <Name extends QuestionName>(
    name: Name,
    question: Questions[Name]['ask'],
  ) => Promise<Questions[Name]['answer']>;
}

/** A job for a driver, without what it knows itself. */
export type DriverOrder = Omit<WebOrder, 'kind' | 'browser'> & { readonly proxy: ProxyAccess | null };

/** One thread and its browser; has one job at a time. */
export class DriverThread {
  readonly #options: DriverOptions;
  readonly #thread: Worker;
  readonly #place: BrowserPlace;
  readonly #died: Promise<WebError>;
  #isAlive = true;
  #isClean = true;
  #hasBrowser = false;
  #killing: Promise<void> | null = null;
  jobs = 0;

  private constructor(options: DriverOptions, thread: Worker, place: BrowserPlace) {
    this.#options = options;
    this.#thread = thread;
    this.#place = place;
    const { promise, resolve } = Promise.withResolvers<WebError>();
    this.#died = promise;
    thread.on('error', error => {
      const isFull = error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      resolve(
        isFull
          ? new WebError('resource_exhausted', 'the page takes too much memory to read', {
              resource: 'memory',
            })
          : new WebError('internal', 'the web driver crashed', {}, error),
      );
    });
    thread.once('exit', () => {
      this.#isAlive = false;
      resolve(new WebError('internal', 'the web driver ended'));
    });
  }

  /** Starts the thread; its browser starts with the first job that needs one. */
  static async start(options: DriverOptions): Promise<DriverThread> {
    const profile = await mkdtemp(join(options.root, `${DIRECTORY_PREFIX}${process.pid}-`));
    const downloads = join(profile, DOWNLOADS);
    await mkdir(downloads, { mode: 0o700 });
    const place = { profile, downloads, uid: options.uid, mark: `BATUTA_BROWSER=${options.id}` };
    if (hasOwnUser(options))
      for (const path of [downloads, profile]) await chown(path, options.uid, options.uid);
    const thread = new Worker(beside(import.meta.url, 'driver/driver'), {
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MB },
      // What Playwright leaves lying about, it leaves there.
      env: { TMPDIR: profile },
      stdout: true,
      stderr: true,
    });
    const driver = new DriverThread(options, thread, place);
    await Promise.race([once(thread, 'message'), driver.#died.then(error => Promise.reject(error))]);
    thread.unref();
    return driver;
  }

  /** Whether it can take another job. */
  get isUsable(): boolean {
    return this.#isAlive && this.#killing === null;
  }

  /** Whether its browser can serve another job as it is. */
  get isClean(): boolean {
    return this.#isClean;
  }

  /** How its browser is kept apart; null where it can have none. */
  get confinement(): Confinement | null {
    return this.#options.browser?.confinement ?? null;
  }

  get hasBrowser(): boolean {
    return this.#hasBrowser;
  }

  /** Where the browser keeps its files. */
  get directory(): string {
    return this.#place.profile;
  }

  /** Its browser's processes. */
  pids(): number[] {
    return markedProcesses({
      variable: this.#place.mark,
      uid: hasOwnUser(this.#options) ? this.#options.uid : null,
    });
  }

  /** Does the job; rejects with a `WebError`, also when the thread or its browser dies. */
  async run(order: DriverOrder, handlers: JobHandlers): Promise<JsonObject> {
    const { proxy, ...rest } = order;
    const { browser } = this.#options;
    this.jobs++;
    const launch =
      browser === null || proxy === null
        ? null
        : { launch: launchOf(browser.executable, browser.setpriv, browser.confinement, this.#place), proxy };
    this.#thread.ref();
    const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
    const hear = (message: ThreadMessage): void => {
      if (message.kind === 'ask') void this.#answer(message, handlers);
      else if (message.kind === 'done') {
        this.#isClean &&= message.clean;
        resolve(message.output);
      } else if (message.kind === 'failed') {
        this.#isClean &&= message.clean;
        const { code, message: text, details } = message.failure;
        reject(new WebError(code, text, details, message.cause));
      } else if (message.kind !== 'ready') {
        if (message.kind === 'browser') this.#hasBrowser = true;
        handlers.hear(message);
      }
    };
    this.#thread.on('message', hear);
    void this.#died.then(reject);
    this.#say({ kind: 'run', ...rest, browser: launch });
    try {
      return await promise;
    } finally {
      this.#thread.off('message', hear);
      this.#thread.unref();
    }
  }

  /**
   * Replaces a browser that went wrong, keeping the thread with all that is loaded in it; a thread that does not answer soon ends.
   * Resolves once nothing of the old browser is left.
   */
  async renew(): Promise<void> {
    if (!this.#isAlive || this.#killing !== null) return;
    const { promise: answered, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#options.clock.after(RENEW_MS_MAX, () => resolve(false));
    const hear = ({ kind }: ThreadMessage): void => {
      if (kind === 'ready') resolve(true);
    };
    this.#thread.on('message', hear);
    this.#say({ kind: 'renew' });
    await this.#end(this.pids());
    const isReady = await answered;
    cancel();
    this.#thread.off('message', hear);
    if (!isReady) return await this.kill();
    for (const name of await readdir(this.#place.profile))
      if (name !== DOWNLOADS)
        await rm(join(this.#place.profile, name), { recursive: true, force: true, maxRetries: 5 });
    for (const name of await readdir(this.#place.downloads))
      await rm(join(this.#place.downloads, name), { recursive: true, force: true });
    this.#isClean = true;
    this.#hasBrowser = false;
  }

  /** Ends the thread and every process of its browser, and removes their files; idempotent. */
  kill(): Promise<void> {
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  async #kill(): Promise<void> {
    this.#isClean = false;
    const children = ownChildren(this.pids());
    await this.#end(this.pids());
    // Only the thread that began a process can wait for it; without that a dead one would stay in the table.
    for (let round = 0; round < REAP_ROUNDS && ownChildren(children).length > 0; round++)
      await pause(this.#options.clock, KILL_PAUSE_MS);
    await this.#thread.terminate();
    await this.#end(this.pids());
    await rm(this.#place.profile, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Kills until none is left: one may be on its way while the others go. */
  async #end(first: readonly number[]): Promise<void> {
    let left = first;
    for (let round = 0; round < KILL_ROUNDS && left.length > 0; round++) {
      killAll(left);
      await pause(this.#options.clock, KILL_PAUSE_MS);
      left = this.pids();
    }
  }

  #say(message: ServerMessage): void {
    this.#thread.postMessage(message);
  }

  async #answer(
    { id, name, question }: Extract<ThreadMessage, { readonly kind: 'ask' }>,
    { answer }: JobHandlers,
  ): Promise<void> {
    try {
      const value = await answer(name, question);
      this.#say({ kind: 'answer', id, value });
    } catch (error) {
      this.#say({ kind: 'answer', id, failure: failureOf(error) });
    }
  }
}

function hasOwnUser({ browser }: DriverOptions): boolean {
  return browser !== null && hasUser(browser.confinement);
}
