// What an attempt tells while a model writes: at most once a second, with the text so far where it may be shown already.

import type { Json } from '../../domain/json.ts';
import type { ProgressReport } from '../../engine/ports/executor.ts';
import type { Clock } from '../../runtime/clock.ts';

const EVERY_MS = 1_000;
/** Every report is stored: a long text is told by its end. */
const SHOWN_CHARS_MAX = 16_384;
const PERCENT_MAX = 95;
const CHARS_PER_TOKEN = 4;

/** The progress of one attempt. */
export class WritingProgress {
  readonly #clock: Clock;
  readonly #report: (progress: ProgressReport) => void;
  readonly #mayShow: boolean;
  #step = '';
  #askedAt = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #text = '';
  #characters = 0;
  #firstTokenMs: number | null = null;
  #tokensExpected = 1;

  /** Without `mayShow`, reports count what is written and keep it to themselves. */
  constructor(clock: Clock, report: (progress: ProgressReport) => void, mayShow: boolean) {
    this.#clock = clock;
    this.#report = report;
    this.#mayShow = mayShow;
  }

  /** From the first call's sending to its first piece, in milliseconds; null where nothing was streamed. */
  get firstTokenMs(): number | null {
    return this.#firstTokenMs;
  }

  /** A step without text begins. */
  step(label: string, percentage: number): void {
    this.#step = label;
    this.#report({ currentStep: label, percentage });
  }

  /** A call begins that may write so many tokens; what an earlier one wrote is not part of its text. */
  begin(label: string, tokensExpected: number): void {
    this.#step = label;
    this.#askedAt = this.#clock.monotonic();
    this.#toldAt = this.#askedAt;
    this.#text = '';
    this.#characters = 0;
    this.#tokensExpected = Math.max(1, tokensExpected);
    this.#report({ currentStep: label });
  }

  /** A piece was written. */
  wrote(piece: string): void {
    const now = this.#clock.monotonic();
    const isFirst = this.#firstTokenMs === null;
    this.#firstTokenMs ??= Math.round(now - this.#askedAt);
    this.#characters += piece.length;
    this.#text = (this.#text + piece).slice(-SHOWN_CHARS_MAX);
    if (!isFirst && now - this.#toldAt < EVERY_MS) return;
    this.#toldAt = now;
    const share = this.#characters / CHARS_PER_TOKEN / this.#tokensExpected;
    this.#report({
      currentStep: this.#step,
      percentage: Math.min(PERCENT_MAX, Math.floor(PERCENT_MAX * share)),
      intermediate: this.#soFar(),
    });
  }

  #soFar(): Json {
    return {
      characters: this.#characters,
      first_token_ms: this.#firstTokenMs,
      ...(this.#mayShow
        ? { partial_text: this.#text, partial_from: this.#characters - this.#text.length }
        : {}),
    };
  }
}
