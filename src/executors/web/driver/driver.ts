// The thread that does web jobs, one at a time: it owns Playwright, the parser and one browser, so that neither loading them nor a
// hostile page's size holds up the server. Started and ended by driver-thread.ts; asks the server for everything outside the page.

import { parentPort } from 'node:worker_threads';
import type { Browser } from 'playwright-core';
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

  async #run(order: WebOrder): Promise<void> {
    let tab: Tab | null = null;
    let outcome: Extract<ThreadMessage, { readonly kind: 'done' | 'failed' }>;
    try {
      tab = await this.#open(order);
      outcome = { kind: 'done', output: await this.#work(order, tab), clean: true };
    } catch (error) {
      outcome = this.#failed(error);
    }
    // The browser is the next job's once this one's context is gone with everything in it.
    const closed = await tab?.close().then(
      () => true,
      () => false,
    );
    this.#tell({ ...outcome, clean: outcome.clean && closed !== false });
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
      throw new WebError('unavailable', 'the browser could not be started', { launch: true }, error);
    }
  }

  #failed(error: unknown): Extract<ThreadMessage, { readonly kind: 'failed' }> {
    const alive = this.#browser === null || this.#browser.isConnected();
    const causes = error instanceof Error ? [String(error), String(error.cause ?? '')] : [String(error)];
    const failure = failureOf(error);
    const clean = alive && failure.code !== 'internal' && failure.details.crashed !== true;
    return { kind: 'failed', failure, cause: causes.join(' <- ').slice(0, 2_000), clean };
  }
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
