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
    for (let at = 0; at < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, at);
      const next = newline < 0 ? bytes.length : newline + 1;
      const line = bytes.subarray(at, next);
      at = next;
      if (!this.#isReport(line)) kept.push(line);
    }
    await this.#keep(kept.length === 1 ? (kept[0] ?? bytes) : Buffer.concat(kept));
  }

  #masked(bytes: Buffer): Buffer {
    const found = this.#secrets.filter(secret => bytes.includes(secret));
    if (found.length === 0) return bytes;
    return Buffer.from(found.reduce((text, secret) => text.replaceAll(secret, '***'), bytes.toString()));
  }

  #isReport(line: Buffer): boolean {
    const isMarked = this.#onMark !== null && line.subarray(0, MARK.length).toString() === MARK;
    const report = isMarked ? markedLine(line.toString().trimEnd()) : null;
    if (report !== null) {
      this.#onMark?.(report);
      return true;
    }
    if (this.#logged < LOGGED_LINES_MAX) {
      this.#logged++;
      const text = line.subarray(0, LOGGED_LENGTH_MAX).toString().trimEnd();
      if (text !== '') this.#onLine(text);
      if (this.#logged === LOGGED_LINES_MAX) this.#onLine('further lines are in the output only');
    }
    return false;
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
