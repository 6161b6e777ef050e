// Static pages by plain HTTP: for hosts without a browser, and for jobs that need none. No script runs, nothing is remembered.

import { loadBuffer } from 'cheerio';
import { type Clock, pause } from '../../../runtime/clock.ts';
import type { WebOptions } from '../payload.ts';
import { WebError } from '../web-error.ts';
import { ParsedPage } from './extract.ts';
import { fileNameOf, mediaTypeOf, statusFault } from './http.ts';
import type { WebAnswer } from './messages.ts';
import { type Ask, PAGE_CHARS_MAX, type PageOutcome, type PageStep, type Tab } from './tab.ts';

const DOWNLOAD_BYTES_MAX = 64 * 1_048_576;

/** A tab without a browser (`SAM-147`). */
export class HttpTab implements Tab {
  readonly #clock: Clock;
  readonly #ask: Ask;
  readonly #options: WebOptions;
  #page: { readonly url: string; readonly html: string } = { url: 'about:blank', html: '' };

  constructor(clock: Clock, ask: Ask, options: WebOptions) {
    this.#clock = clock;
    this.#ask = ask;
    this.#options = options;
  }

  async open(url: string, timeoutMs: number): Promise<void> {
    const answer = await this.#fetch(url, timeoutMs, PAGE_CHARS_MAX);
    const fault = statusFault(answer.url, answer.status);
    if (fault !== null) throw fault;
    const type = mediaTypeOf(answer.headers);
    if (!/^(?:text\/html|text\/xml|application\/(?:xhtml\+)?xml)$/.test(type))
      throw new WebError('task_failed', `${answer.url} is ${type}, not a page`, {
        url: answer.url,
        media_type: type,
      });
    this.#page = { url: answer.url, html: decoded(answer) };
  }

  url(): string {
    return this.#page.url;
  }

  async html(): Promise<string> {
    return this.#page.html;
  }

  async settle(): Promise<void> {}

  async click(selector: string): Promise<void> {
    throw new WebError('task_failed', `${selector} leads nowhere without a browser`, {
      url: this.url(),
      selector,
    });
  }

  async perform(step: PageStep, timeoutMs: number): Promise<PageOutcome> {
    if (step.type === 'wait') {
      await pause(this.#clock, (step.seconds ?? 0) * 1_000);
      return {};
    }
    if (step.type !== 'download')
      throw new WebError('unprocessable', `the step ${step.type} needs a browser`, { step: step.type });
    const url = step.url ?? new ParsedPage(this.#page.html, this.url()).link(step.selector ?? '');
    if (url === null)
      throw new WebError('task_failed', `${this.url()}: ${step.selector} leads to no file`, {
        url: this.url(),
      });
    await this.#ask('approach', { url });
    const answer = await this.#fetch(url, timeoutMs, DOWNLOAD_BYTES_MAX);
    const fault = statusFault(answer.url, answer.status);
    if (fault !== null) throw fault;
    const mediaType = mediaTypeOf(answer.headers);
    const name = step.name ?? fileNameOf(answer.headers['content-disposition'], answer.url);
    return { file: { name, type: 'download', mediaType, source: answer.body } };
  }

  async close(): Promise<void> {
    this.#page = { url: 'about:blank', html: '' };
  }

  async #fetch(url: string, timeoutMs: number, bytesMax: number): Promise<WebAnswer> {
    const { user_agent: agent, locale, cookies = [] } = this.#options;
    const host = new URL(url).hostname;
    const fitting = cookies.filter(
      ({ domain = host }) => host === domain || host.endsWith(`.${domain.replace(/^\./, '')}`),
    );
    const headers = {
      accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
      'accept-encoding': 'gzip, deflate, br',
      ...(agent === undefined ? {} : { 'user-agent': agent }),
      ...(locale === undefined ? {} : { 'accept-language': locale }),
      ...(fitting.length === 0
        ? {}
        : { cookie: fitting.map(({ name, value }) => `${name}=${value}`).join('; ') }),
    };
    return await this.#ask('fetch', { url, headers, timeoutMs, bytesMax });
  }
}

/** By the header's charset, else as the page itself says. */
function decoded({ body, headers }: WebAnswer): string {
  const charset = /charset="?([\w:.-]+)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined) {
    try {
      return new TextDecoder(charset).decode(body);
    } catch {
      // A charset nobody knows says nothing.
    }
  }
  return loadBuffer(Buffer.from(body)).html();
}
