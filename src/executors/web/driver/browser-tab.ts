// A tab of a browser in a context of its job's own. Speaks to Playwright; knows nothing of rules and pages that follow one another.

import type {
  Browser,
  BrowserContext,
  BrowserContextOptions,
  Download,
  Page,
  Response,
} from 'playwright-core';
import { type Clock, pause } from '../../../runtime/clock.ts';
import type { WebOptions } from '../payload.ts';
import { WebError } from '../web-error.ts';
import { describeFault } from './browser-faults.ts';
import { plainName, statusFault } from './http.ts';
import type { ProxyAccess, WebFile } from './messages.ts';
import { type Ask, PAGE_CHARS_MAX, type PageOutcome, type PageStep, type Tab } from './tab.ts';

const SETTLE_MS_MAX = 3_000;
const RESTED_MS = 500;
const POPUPS_TOLD_MAX = 5;
/** How long a click may take to begin a navigation. */
const NAVIGATION_BEGINS_MS = 100;
const SCROLLS_MAX = 50;
const SCROLL_PAUSE_MS = 150;
/** So often in a row a page may grow no more before it is taken to be at its end. */
const SCROLLS_IN_VAIN = 2;

/** What a tab is made from. */
export interface TabParts {
  readonly clock: Clock;
  readonly ask: Ask;
  readonly options: WebOptions;
  readonly proxy: ProxyAccess;
  /** Whether files may come down: only where a step asks for one. */
  readonly downloads: boolean;
  /** Where cookies without a domain go. */
  readonly firstUrl: string | undefined;
  readonly log: (message: string, metadata: Readonly<Record<string, string>>) => void;
}

/** Opens a context and its only page; whatever else opens is closed. */
export async function openTab(browser: Browser, parts: TabParts): Promise<BrowserTab> {
  const { options, proxy, downloads, firstUrl } = parts;
  const { user_agent: userAgent, viewport, locale, timezone, javascript = true, cookies = [] } = options;
  const settings: BrowserContextOptions = {
    // Without the bypass rule Chromium would reach this machine's loopback past the proxy.
    proxy: { ...proxy, bypass: '<-loopback>' },
    serviceWorkers: 'block',
    acceptDownloads: downloads,
    javaScriptEnabled: javascript,
    ...(userAgent === undefined ? {} : { userAgent }),
    ...(viewport === undefined ? {} : { viewport }),
    ...(locale === undefined ? {} : { locale }),
    ...(timezone === undefined ? {} : { timezoneId: timezone }),
  };
  const placed = cookies.map(({ name, value, domain, path = '/' }) =>
    domain === undefined ? { name, value, url: firstUrl ?? '' } : { name, value, domain, path },
  );
  let context: BrowserContext | null = null;
  try {
    context = await browser.newContext(settings);
    await context.addCookies(placed);
    return new BrowserTab(context, await context.newPage(), parts);
  } catch (error) {
    await context?.close().catch(() => {});
    if (!browser.isConnected())
      throw new WebError('dependency_failed', 'the browser ended unexpectedly', { crashed: true }, error);
    const [first = ''] = String(error).split('\n');
    throw new WebError('task_failed', `the options cannot be used: ${first.slice(0, 300)}`, {}, error);
  }
}

/** A tab that runs scripts. */
export class BrowserTab implements Tab {
  readonly #context: BrowserContext;
  readonly #page: Page;
  readonly #parts: TabParts;
  /** Where the last navigation led, redirects included; null where none began since that was last asked. */
  #navigatedTo: string | null = null;
  #crashed = false;
  #expectsDownload = false;

  constructor(context: BrowserContext, page: Page, parts: TabParts) {
    this.#context = context;
    this.#page = page;
    this.#parts = parts;
    let popups = 0;
    context.on('page', other => {
      if (popups++ < POPUPS_TOLD_MAX) parts.log('a pop-up was closed', { url: other.url() });
      void other.close().catch(() => {});
    });
    page.on('dialog', dialog => {
      parts.log('a dialog was dismissed', { dialog: dialog.type(), message: dialog.message().slice(0, 500) });
      void dialog.dismiss().catch(() => {});
    });
    page.on('request', request => {
      if (request.isNavigationRequest() && request.frame() === page.mainFrame())
        this.#navigatedTo = request.url();
    });
    page.on('download', download => {
      if (!this.#expectsDownload) void download.cancel().catch(() => {});
    });
    page.on('crash', () => {
      this.#crashed = true;
    });
  }

  async open(url: string, timeoutMs: number): Promise<void> {
    this.#navigatedTo = null;
    const response = await this.#safely(url, () =>
      this.#page.goto(url, { timeout: timeoutMs, waitUntil: 'domcontentloaded' }),
    );
    await this.#arrived(response);
  }

  url(): string {
    return this.#page.url();
  }

  async html(timeoutMs: number): Promise<string> {
    return await this.#safely(this.url(), async () => {
      const html = await within(this.#parts.clock, timeoutMs, this.#page.content());
      if (html.length > PAGE_CHARS_MAX)
        throw new WebError('payload_too_large', `${this.url()} has more than ${PAGE_CHARS_MAX} characters`, {
          url: this.url(),
        });
      return html;
    });
  }

  async settle(selector: string | undefined, timeoutMs: number): Promise<void> {
    const { scroll = false, wait_for: awaited } = this.#parts.options;
    const soon = Math.min(SETTLE_MS_MAX, timeoutMs);
    // What matters may be there long before the last image is, and pages exist that never finish loading.
    if (awaited !== undefined)
      await this.#safely(this.url(), () =>
        this.#page.waitForSelector(css(awaited), { state: 'attached', timeout: timeoutMs }),
      );
    else if (selector !== undefined)
      await Promise.race([
        this.#page.waitForSelector(css(selector), { state: 'attached', timeout: soon }).catch(() => {}),
        this.#rested(soon),
      ]);
    else await this.#page.waitForLoadState('load', { timeout: soon }).catch(() => {});
    if (scroll) await this.#scrollToEnd(SCROLLS_MAX, timeoutMs);
    this.#assertAlive();
  }

  async click(selector: string, timeoutMs: number): Promise<void> {
    this.#navigatedTo = null;
    await this.#safely(this.url(), () => this.#page.click(css(selector), { timeout: timeoutMs }));
    await this.#followed(timeoutMs);
  }

  async perform(step: PageStep, timeoutMs: number): Promise<PageOutcome> {
    return await this.#safely(this.url(), () => this.#perform(step, timeoutMs));
  }

  async close(): Promise<void> {
    await this.#context.close();
  }

  async #perform(step: PageStep, timeout: number): Promise<PageOutcome> {
    const page = this.#page;
    switch (step.type) {
      case 'click':
        await this.click(step.selector, timeout);
        return {};
      case 'fill':
        await page.fill(css(step.selector), step.value, { timeout });
        return {};
      case 'select':
        return {
          value: await page.selectOption(css(step.selector), [...(step.values ?? [step.value ?? ''])], {
            timeout,
          }),
        };
      case 'press':
        this.#navigatedTo = null;
        if (step.selector === undefined) await page.keyboard.press(step.key);
        else await page.press(css(step.selector), step.key, { timeout });
        await this.#followed(timeout);
        return {};
      case 'wait':
        if (step.selector === undefined) await pause(this.#parts.clock, (step.seconds ?? 0) * 1_000);
        else await page.waitForSelector(css(step.selector), { state: step.state ?? 'visible', timeout });
        return {};
      case 'scroll':
        if (step.selector === undefined) await this.#scrollToEnd(step.times ?? SCROLLS_MAX, timeout);
        else await page.locator(css(step.selector)).first().scrollIntoViewIfNeeded({ timeout });
        return {};
      case 'evaluate':
        return { value: await within(this.#parts.clock, timeout, page.evaluate(step.expression)) };
      case 'screenshot':
        return { file: await this.#screenshot(step, timeout) };
      case 'pdf': {
        const { name = 'page.pdf', format = 'A4', landscape = false } = step;
        const source = await within(
          this.#parts.clock,
          timeout,
          page.pdf({ format, landscape, printBackground: true }),
        );
        return { file: { name, type: 'report', mediaType: 'application/pdf', source } };
      }
      case 'download':
        return { file: await this.#download(step, timeout) };
    }
  }

  async #screenshot(
    step: Extract<PageStep, { readonly type: 'screenshot' }>,
    timeout: number,
  ): Promise<WebFile> {
    const { name = 'screenshot.png', selector, full_page: fullPage = false } = step;
    const source =
      selector === undefined
        ? await this.#page.screenshot({ fullPage, timeout })
        : await this.#page.locator(css(selector)).first().screenshot({ timeout });
    return { name, type: 'image', mediaType: 'image/png', source };
  }

  async #download(step: Extract<PageStep, { readonly type: 'download' }>, timeout: number): Promise<WebFile> {
    const { selector, url } = step;
    this.#expectsDownload = true;
    try {
      if (url !== undefined) await this.#parts.ask('approach', { url });
      const coming = this.#page.waitForEvent('download', { timeout });
      // A navigation that becomes a download is told as a failed navigation.
      const begun =
        selector === undefined
          ? this.#page.goto(url ?? '', { timeout }).catch(ignoreDownloadStart)
          : this.#page.click(css(selector), { timeout });
      const [download] = await Promise.all([coming, begun]);
      return await this.#downloaded(download, timeout, step.name);
    } finally {
      this.#expectsDownload = false;
    }
  }

  async #downloaded(download: Download, timeout: number, name: string | undefined): Promise<WebFile> {
    const failure = await within(this.#parts.clock, timeout, download.failure());
    if (failure !== null)
      throw new WebError('dependency_failed', `the download of ${download.url()} failed: ${failure}`, {
        url: download.url(),
      });
    return {
      name: name ?? plainName(download.suggestedFilename()),
      type: 'download',
      mediaType: 'application/octet-stream',
      source: await download.path(),
    };
  }

  /** After a click or key: if a page comes of it, waits for that page. */
  async #followed(timeoutMs: number): Promise<void> {
    if (this.#navigatedTo === null) await pause(this.#parts.clock, NAVIGATION_BEGINS_MS);
    if (this.#navigatedTo === null) return;
    await this.#page.waitForLoadState('domcontentloaded', { timeout: timeoutMs });
    this.#assertAlive();
    await this.#arrived(null);
  }

  async #arrived(response: Response | null): Promise<void> {
    const url = response?.url() ?? this.#navigatedTo ?? this.url();
    const refusal = await this.#parts.ask('refusal', { url });
    if (refusal !== null) throw new WebError(refusal.code, refusal.message, { ...refusal.details, url });
    if (this.url().startsWith('chrome-error:'))
      throw new WebError('dependency_failed', `${url} cannot be opened`, { url });
    if (!/^(?:https?:|about:blank)/.test(this.url()))
      throw new WebError('policy_violation', 'the page led to a scheme that is not permitted', {
        url: this.url(),
      });
    const fault = response === null ? null : statusFault(url, response.status());
    if (fault !== null) throw fault;
  }

  async #scrollToEnd(times: number, timeoutMs: number): Promise<void> {
    let [height, unchanged] = [-1, 0];
    for (let turn = 0; turn < times; turn++) {
      const now = await within(
        this.#parts.clock,
        timeoutMs,
        this.#page.evaluate(
          'window.scrollTo(0, document.documentElement.scrollHeight), document.documentElement.scrollHeight',
        ),
      );
      await pause(this.#parts.clock, SCROLL_PAUSE_MS);
      unchanged = now === height ? unchanged + 1 : 0;
      if (unchanged === SCROLLS_IN_VAIN) return;
      height = Number(now);
    }
  }

  /** Nothing comes over the network any more, and scripts had a moment to show what came. */
  async #rested(timeout: number): Promise<void> {
    await this.#page.waitForLoadState('networkidle', { timeout }).catch(() => {});
    await pause(this.#parts.clock, RESTED_MS);
  }

  #assertAlive(): void {
    if (this.#crashed)
      throw new WebError('dependency_failed', 'the page crashed', { url: this.url(), crashed: true });
  }

  async #safely<Result>(url: string, work: () => Promise<Result>): Promise<Result> {
    try {
      const result = await work();
      this.#assertAlive();
      return result;
    } catch (error) {
      if (error instanceof WebError) throw error;
      this.#assertAlive();
      throw await describeFault(error, this.#navigatedTo ?? url, this.#parts.ask);
    }
  }
}

/** As CSS alone: Playwright would take other prefixes for engines of its own. */
function css(selector: string): string {
  return `css=${selector}`;
}

function ignoreDownloadStart(error: unknown): null {
  if (String(error).includes('Download is starting') || String(error).includes('ERR_ABORTED')) return null;
  throw error;
}

/** For calls Playwright gives no time-out of their own: a page that never rests would hold them for ever. */
async function within<Result>(clock: Clock, ms: number, work: Promise<Result>): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(ms, () =>
    reject(new WebError('upstream_timeout', `the page did not answer within ${ms} ms`)),
  );
  // It may fail later, when nobody listens any more.
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    cancel();
  }
}
