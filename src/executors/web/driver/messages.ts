// What the server and a driver's thread say to each other. A thread has one job at a time.

import type { Json, JsonObject } from '../../../domain/json.ts';
import type { WebPayload } from '../payload.ts';
import type { WebFailure } from '../web-error.ts';

/** How to start the browser. */
export interface BrowserLaunch {
  readonly executable: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly downloads: string;
}

/** The way out for one job. */
export interface ProxyAccess {
  readonly server: string;
  readonly username: string;
  readonly password: string;
}

/** A job for the thread. */
export interface WebOrder {
  readonly kind: 'run';
  readonly payload: WebPayload;
  readonly secrets: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  /** Null for plain HTTP. */
  readonly browser: { readonly launch: BrowserLaunch; readonly proxy: ProxyAccess } | null;
  /** Epoch milliseconds; names the data file. */
  readonly startedAt: number;
}

/** A file to keep. */
export interface WebFile {
  readonly name: string;
  readonly type: string;
  readonly mediaType: string;
  /** Its bytes, or where they lie. */
  readonly source: Uint8Array | string;
}

/** A page as plain HTTP brings it. */
export interface WebAnswer {
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a thread asks of the server, with what it is answered. */
export interface Questions {
  /** Waits for a page's turn on its host; fails where robots.txt or the guard forbids it. */
  readonly approach: { readonly ask: { readonly url: string }; readonly answer: null };
  /** Fetches a page that was approached, following redirects. */
  readonly fetch: {
    readonly ask: {
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly timeoutMs: number;
      readonly bytesMax: number;
    };
    readonly answer: WebAnswer;
  };
  /** Why the proxy turned the job away from the URL's host, if it did. */
  readonly refusal: { readonly ask: { readonly url: string }; readonly answer: WebFailure | null };
  readonly save: { readonly ask: WebFile; readonly answer: JsonObject };
}

/** A question by its name. */
export type QuestionName = keyof Questions;

/** What a thread says. */
export type ThreadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'browser'; readonly version: string; readonly launchMs: number }
  | {
      readonly kind: 'progress';
      readonly percentage: number;
      readonly step: string;
      readonly totalSteps: number;
      readonly intermediate?: Json;
    }
  | {
      readonly kind: 'log';
      readonly level: 'INFO' | 'WARN';
      readonly message: string;
      readonly metadata: JsonObject;
    }
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly name: QuestionName;
      readonly question: Questions[QuestionName]['ask'];
    }
  /** `clean` where the browser can serve another job. */
  | { readonly kind: 'done'; readonly output: JsonObject; readonly clean: boolean }
  | {
      readonly kind: 'failed';
      readonly failure: WebFailure;
      readonly cause: string;
      readonly clean: boolean;
    };

/** What a thread is told. */
export type ServerMessage =
  | WebOrder
  /** The browser was killed: says `ready` once that is noticed, and starts another for the next job. */
  | { readonly kind: 'renew' }
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly value?: Questions[QuestionName]['answer'];
      readonly failure?: WebFailure;
    };
