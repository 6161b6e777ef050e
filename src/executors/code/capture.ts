// What a program says on stdout and stderr: the beginning kept for the result, the whole in a file once it is long, line by line in
// the task's log (SAM-62), and on stdout the marked lines that are not output but reports.

import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Json } from '../../domain/json.ts';
import type { ProgressReport } from '../../engine/ports/executor.ts';
import { LimitExceeded } from './limits.ts';

/** Bytes of a stream that go into the result itself (`SAM-140`). */
export const INLINE_BYTES_MAX = 64 << 10;
/** Longer lines are logged in part; no marked line is longer. */
const LINE_BYTES_MAX = 1 << 20;
const LOGGED_LINES_MAX = 1_000;
const LOGGED_LENGTH_MAX = 4_096;
const LAST_WORDS_BYTES = 8 << 10;
const NEWLINE = 10;

/**
 * A report on stdout, in place of a function call: a line that begins with `::batuta ` and goes on with one of
 * `progress=40 step="Parsing rows" total=5`, `checkpoint=<JSON>`, `result=<JSON>`.
 */
export type MarkedLine =
  | { readonly kind: 'report'; readonly report: ProgressReport }
  | { readonly kind: 'result'; readonly value: Json };

const MARK = '::batuta ';

/** The report a line makes, or null where it is output like any other. */
export function markedLine(line: string): MarkedLine | null {
  if (!line.startsWith(MARK)) return null;
  const told = line.slice(MARK.length).trim();
  const [, kind, json] = /^(checkpoint|result)=(.*)$/s.exec(told) ?? [];
  if (json === undefined) return progressLine(told);
  try {
    const value: Json = JSON.parse(json);
    return kind === 'result' ? { kind, value } : { kind: 'report', report: { checkpoint: value } };
  } catch {
    return null;
  }
}

function progressLine(told: string): MarkedLine | null {
  const percentage = /(?:^|\s)progress=(\d{1,3}(?:\.\d+)?)(?=\s|$)/.exec(told)?.[1];
  const step = /(?:^|\s)step=(?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(told);
  const total = /(?:^|\s)total=(\d+)(?=\s|$)/.exec(told)?.[1];
  if (percentage === undefined && step === null) return null;
  const currentStep = step?.[1]?.replace(/\\(.)/g, '$1') ?? step?.[2];
  return {
    kind: 'report',
    report: {
      ...(percentage !== undefined && { percentage: Number(percentage) }),
      ...(currentStep !== undefined && { currentStep: currentStep.slice(0, 1_000) }),
      ...(total !== undefined && { totalSteps: Number(total) }),
    },
  };
}

/** One stream of a program, kept within bounds. */
export class Capture {
  readonly #path: string;
  readonly #bytesMax: number;
  readonly #onLine: (line: string) => void;
  readonly #onMark: ((line: MarkedLine) => void) | null;
  readonly #secrets: readonly string[];
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  #keptBytes = 0;
  #seenBytes = 0;
  #file: FileHandle | null = null;
  #rest: Buffer = Buffer.alloc(0);
  #lastWords: Buffer = Buffer.alloc(0);
  #logged = 0;

  constructor(options: {
    /** Where the whole goes once it is longer than what is inline. */
    readonly path: string;
    readonly bytesMax: number;
    readonly onLine: (line: string) => void;
    /** Given for streams whose marked lines are reports. */
    readonly onMark?: (line: MarkedLine) => void;
    /** Masked before anything is kept: the whole goes to an artifact, which no one masks later (`SAM-34`). */
    readonly secrets: readonly string[];
  }) {
    this.#path = options.path;
    this.#bytesMax = options.bytesMax;
    this.#onLine = options.onLine;
    this.#onMark = options.onMark ?? null;
    this.#secrets = options.secrets.filter(secret => secret !== '');
  }

  /** Takes in bytes, in order; throws `LimitExceeded` past the stream's limit. */
  async write(chunk: Buffer): Promise<void> {
    this.#seenBytes += chunk.length;
    if (this.#seenBytes > this.#bytesMax) throw new LimitExceeded('output', this.#bytesMax);
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const complete = bytes.length > LINE_BYTES_MAX ? bytes.length : bytes.lastIndexOf(NEWLINE) + 1;
    this.#rest = Buffer.from(bytes.subarray(complete));
    if (complete > 0) await this.#lines(bytes.subarray(0, complete));
  }

  /** To be called once after the last byte, also where the program was stopped. */
  async end(): Promise<void> {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    if (rest.length > 0) await this.#lines(rest);
    await this.#file?.close();
  }

  /** The beginning of what was said, at most 64 KiB, never half a character at its end. */
  text(): string {
    const head = Buffer.concat(this.#head).subarray(0, INLINE_BYTES_MAX);
    const text = head.toString();
    return this.#keptBytes > INLINE_BYTES_MAX ? text.replace(/\uFFFD$/, '') : text;
  }

  /** The end of what was said, for a diagnosis. */
  lastWords(): string {
    return this.#lastWords.toString();
  }

  /** True where there is more than `text` gives. */
  get isLong(): boolean {
    return this.#file !== null;
  }

  /** Everything that was said; only where it is long, and after the end. */
  whole(): Readable {
    return createReadStream(this.#path);
  }

  async #lines(unmasked: Buffer): Promise<void> {
    const bytes = this.#masked(unmasked);
    const kept: Buffer[] = [];
    let from = 0;
    for (let at = this.#nextMark(bytes, 0); at >= 0; at = this.#nextMark(bytes, at + 1)) {
      const newline = bytes.indexOf(NEWLINE, at);
      const end = newline < 0 ? bytes.length : newline + 1;
      const report = markedLine(bytes.toString('utf8', at, end).trimEnd());
      if (report === null) continue;
      this.#onMark?.(report);
      kept.push(bytes.subarray(from, at));
      from = end;
    }
    kept.push(bytes.subarray(from));
    for (const part of kept) this.#log(part);
    await this.#keep(kept.length === 1 ? bytes : Buffer.concat(kept));
  }

  /** Where the next line begins that may be a report, or -1: found by search, since a stream may be of very many lines. */
  #nextMark(bytes: Buffer, from: number): number {
    if (this.#onMark === null) return -1;
    let at = bytes.indexOf(MARK, from);
    while (at > 0 && bytes[at - 1] !== NEWLINE) at = bytes.indexOf(MARK, at + 1);
    return at;
  }

  #masked(bytes: Buffer): Buffer {
    const found = this.#secrets.filter(secret => bytes.includes(secret));
    if (found.length === 0) return bytes;
    return Buffer.from(found.reduce((text, secret) => text.replaceAll(secret, '***'), bytes.toString()));
  }

  #log(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.#logged < LOGGED_LINES_MAX; ) {
      const newline = bytes.indexOf(NEWLINE, at);
      const end = newline < 0 ? bytes.length : newline;
      const line = bytes.toString('utf8', at, Math.min(end, at + LOGGED_LENGTH_MAX)).trimEnd();
      at = end + 1;
      if (line === '') continue;
      this.#onLine(line);
      if (++this.#logged === LOGGED_LINES_MAX) this.#onLine('further lines are in the output only');
    }
  }

  async #keep(bytes: Buffer): Promise<void> {
    this.#lastWords = Buffer.concat([this.#lastWords, bytes.subarray(-LAST_WORDS_BYTES)]).subarray(
      -LAST_WORDS_BYTES,
    );
    if (this.#headBytes < INLINE_BYTES_MAX) {
      this.#head.push(Buffer.from(bytes.subarray(0, INLINE_BYTES_MAX - this.#headBytes)));
      this.#headBytes = Math.min(INLINE_BYTES_MAX, this.#headBytes + bytes.length);
    }
    const before = this.#keptBytes;
    this.#keptBytes += bytes.length;
    if (this.#keptBytes <= INLINE_BYTES_MAX) return;
    if (this.#file === null) {
      this.#file = await open(this.#path, 'wx', 0o600);
      await this.#file.writeFile(Buffer.concat(this.#head).subarray(0, before));
    }
    await this.#file.writeFile(bytes);
  }
}
