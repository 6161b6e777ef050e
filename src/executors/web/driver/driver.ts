// The thread that does web jobs, one at a time: it owns Playwright, the parser and one browser, so that neither loading them nor a
// hostile page's size holds up the server. Started and ended by driver-thread.ts; asks the server for everything outside the page.

import { parentPort } from 'node:worker_threads';
import type { Browser } from 'playwright-core';
import type { ErrorCode } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { systemClock } from '../../../runtime/clock.ts';
import type { WebPayload } from '../payload.ts';
import { failureOf, WebError, type WebFailure } from '../web-error.ts';
import type {
  BrowserLaunch,
  QuestionName,
  Questions,
  ServerMessage,
  ThreadMessage,
  WebOrder,
} from './messages.ts';
import type { Ask, Tab } from './tab.ts';

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: WebError) => void;
}

const LAUNCH_MS_MAX = 20_000;
const CLOSE_MS_MAX = 2_000;
/** After these a page may be at work still, and closing it would wait for it. */
const UNCLEAN: ReadonlySet<ErrorCode> = new Set(['internal', 'upstream_timeout', 'resource_exhausted']);

class Driver {
  readonly #tell: (message: ThreadMessage) => void;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #browser: Browser | null = null;

  constructor(tell: (message: ThreadMessage) => void) {
    this.#tell = tell;
  }

  hear(message: ServerMessage): void {
    if (message.kind === 'run') void this.#run(message);
    else if (message.kind === 'renew') void this.#renew();
    else {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.failure === undefined) waiting?.resolve(message.value as never);
      else waiting?.reject(errorOf(message.failure));
    }
  }

  readonly #ask: Ask = <Name extends QuestionName>(name: Name, question: Questions[Name]['ask']) => {
    const { promise, resolve, reject } = Promise.withResolvers<Questions[Name]['answer']>();
    const id = this.#asked++;
    this.#waiting.set(id, { resolve: resolve as (value: never) => void, reject });
    this.#tell({ kind: 'ask', id, name, question });
    return promise;
  };

  async #renew(): Promise<void> {
    const browser = this.#browser;
    this.#browser = null;
    if (browser?.isConnected() === true)
      await new Promise<void>(resolve => browser.once('disconnected', () => resolve()));
    this.#tell({ kind: 'ready' });
  }

  async #run(order: WebOrder): Promise<void> {
    let tab: Tab | null = null;
    let outcome: Extract<ThreadMessage, { readonly kind: 'done' | 'failed' }>;
    try {
      tab = await this.#open(order);
      const output = await Promise.race([this.#work(order, tab), this.#gone()]);
      outcome = { kind: 'done', output, clean: true };
    } catch (error) {
      outcome = this.#failed(error);
    }
    // The browser is the next job's once this one's context is gone with everything in it.
    if (outcome.clean && tab !== null) outcome = { ...outcome, clean: await isClosed(tab) };
    this.#tell(outcome);
  }

  async #work(order: WebOrder, tab: Tab): Promise<JsonObject> {
    const { runJob } = await import('./job.ts');
    const { payload, secrets, variables, startedAt, browser } = order;
    return await runJob({
      clock: systemClock,
      ask: this.#ask,
      tab,
      payload,
      secrets,
      variables,
      startedAt,
      engine: browser === null ? 'http' : 'browser',
      progress: report => this.#tell({ kind: 'progress', ...report }),
      log: (message, metadata) => this.#tell({ kind: 'log', level: 'WARN', message, metadata }),
    });
  }

  async #open({ browser, payload }: WebOrder): Promise<Tab> {
    const { options = {}, steps = [] } = payload;
    if (browser === null) {
      const { HttpTab } = await import('./http-tab.ts');
      return new HttpTab(systemClock, this.#ask, options);
    }
    const { openTab } = await import('./browser-tab.ts');
    this.#browser ??= await this.#launch(browser.launch);
    return await openTab(this.#browser, {
      clock: systemClock,
      ask: this.#ask,
      options,
      proxy: browser.proxy,
      downloads: steps.some(({ type }) => type === 'download'),
      firstUrl: firstUrlOf(payload),
      log: (message, metadata) => this.#tell({ kind: 'log', level: 'INFO', message, metadata }),
    });
  }

  async #launch({ executable, arguments: args, environment, downloads }: BrowserLaunch): Promise<Browser> {
    const { chromium } = await import('playwright-core');
    const begun = systemClock.monotonic();
    try {
      const browser = await chromium.launch({
        executablePath: executable,
        args: [...args],
        // Every argument is ours, since the executable may be what drops rights before Chromium starts.
        ignoreDefaultArgs: true,
        env: { ...environment },
        downloadsPath: downloads,
        timeout: LAUNCH_MS_MAX,
        handleSIGINT: false,
        handleSIGTERM: false,
        handleSIGHUP: false,
      });
      this.#tell({ kind: 'browser', version: browser.version(), launchMs: systemClock.monotonic() - begun });
      return browser;
    } catch (error) {
      throw new WebError(
        'unavailable',
        'the browser could not be started; the log of the server says why',
        { launch: true },
        error,
      );
    }
  }

  /** Rejects once the browser is gone: what a job waits for may have nothing to do with it. */
  async #gone(): Promise<never> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#browser?.once('disconnected', () => resolve());
    await promise;
    throw new WebError('dependency_failed', 'the browser ended unexpectedly', { crashed: true });
  }

  #failed(error: unknown): Extract<ThreadMessage, { readonly kind: 'failed' }> {
    const alive = this.#browser === null || this.#browser.isConnected();
    const causes = error instanceof Error ? [String(error), String(error.cause ?? '')] : [String(error)];
    const failure = failureOf(error);
    const clean = alive && !UNCLEAN.has(failure.code) && failure.details.crashed !== true;
    return { kind: 'failed', failure, cause: causes.join(' <- ').slice(0, 2_000), clean };
  }
}

async function isClosed(tab: Tab): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const cancel = systemClock.after(CLOSE_MS_MAX, () => resolve(false));
  const closed = tab.close().then(
    () => true,
    () => false,
  );
  return await Promise.race([closed, late]).finally(cancel);
}

function firstUrlOf({ target_url: one, target_urls: many, steps }: WebPayload): string | undefined {
  const [first] = steps ?? [];
  return one ?? many?.[0] ?? (first?.type === 'goto' ? first.url : undefined);
}

function errorOf({ code, message, details }: WebFailure): WebError {
  return new WebError(code, message, details);
}

if (parentPort !== null) {
  const parent = parentPort;
  const driver = new Driver(message => parent.postMessage(message));
  parent.on('message', (message: ServerMessage) => driver.hear(message));
  parent.postMessage({ kind: 'ready' } satisfies ThreadMessage);
}
