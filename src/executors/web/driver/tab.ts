// What a job does pages with: a browser's tab, or a fetched document.

import type { Step } from '../payload.ts';
import type { QuestionName, Questions, WebFile } from './messages.ts';

/** A step that only touches the page and leaves nothing or files. */
export type PageStep = Exclude<Step, { readonly type: 'goto' | 'extract' }>;

/** Where a job is. */
export interface Tab {
  /** Opens a page; throws a `WebError` for one that does not come as it should. */
  open(url: string, timeoutMs: number): Promise<void>;
  /** The page's address. */
  url(): string;
  /** The page as it is now; throws `payload_too_large` beyond a limit. */
  html(timeoutMs: number): Promise<string>;
  /** Waits until what the selector names is there, but no longer; never throws for its absence. */
  settle(selector: string | undefined, timeoutMs: number): Promise<void>;
  /** Follows what cannot be opened as an address. */
  click(selector: string, timeoutMs: number): Promise<void>;
  /** Does a step; what it leaves is a value or files. */
  perform(step: PageStep, timeoutMs: number): Promise<PageOutcome>;
  close(): Promise<void>;
}

/** What a step leaves. */
export interface PageOutcome {
  readonly value?: unknown;
  readonly file?: WebFile;
}

/** What the server does for a thread's job. */
export type Ask = <Name extends QuestionName>(
  name: Name,
  question: Questions[Name]['ask'],
) => Promise<Questions[Name]['answer']>;

/** The largest page that is read, in characters. */
export const PAGE_CHARS_MAX = 8 * 1_048_576;
