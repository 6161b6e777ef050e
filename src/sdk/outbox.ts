// What a worker still has to say: results, progress and log lines, in one line, until the server has heard them. It also decides
// what to do with what the server refuses to hear.

import type { WorkLog, WorkProgress, WorkResult } from './wire.ts';

/** One thing to say. */
export type Word =
  | { readonly kind: 'result'; readonly item: WorkResult }
  | { readonly kind: 'progress'; item: WorkProgress }
  | { readonly kind: 'log'; readonly item: WorkLog };

const PARCEL_WORDS_MAX = 1_000;
/** Well under the 4 MiB a body may have, in characters of JSON. */
const PARCEL_LENGTH_MAX = 3.5 * 1024 * 1024;
const MESSAGE_LENGTH_MAX = 16 * 1024;

/**
 * Gathers what is to be said and hands it out in parcels, first said first. What a task says never overtakes what it said before, not
 * even in a parcel of its own: progress that came after the result would be stale. Whoever takes a parcel must end it by `heard`,
 * `unheard` or `refused`.
 */
export class Outbox {
  #words: Word[] = [];
  #results = 0;
  #wordsMax = PARCEL_WORDS_MAX;
  /** Each task's last progress that is still to be sent. */
  readonly #open = new Map<number, Word & { kind: 'progress' }>();
  /** Tasks that a parcel under way speaks of. */
  readonly #away = new Set<number>();

  /** True while a result waits that could be sent now. */
  get urgent(): boolean {
    return this.#results > 0 && this.#words.some(word => word.kind === 'result' && !this.#isAway(word));
  }

  get empty(): boolean {
    return this.#words.length === 0;
  }

  result(item: WorkResult): void {
    this.#words.push({ kind: 'result', item });
    this.#results += 1;
  }

  /** Joins the report to the task's last unsent one, unless both carry an intermediate result: of those none may be lost. */
  progress(item: WorkProgress): void {
    const earlier = this.#open.get(item.fencing_token);
    if (
      earlier === undefined ||
      (earlier.item.intermediate_result !== undefined && item.intermediate_result !== undefined)
    ) {
      const word: Word & { kind: 'progress' } = { kind: 'progress', item };
      this.#words.push(word);
      this.#open.set(item.fencing_token, word);
      return;
    }
    const said = Object.entries(item).filter(([, value]) => value !== undefined);
    earlier.item = { ...earlier.item, ...Object.fromEntries(said) };
  }

  /** A longer message than a log may hold is cut here rather than sent in vain. */
  log(item: WorkLog): void {
    const { message } = item;
    const kept = message.length > MESSAGE_LENGTH_MAX ? `${message.slice(0, MESSAGE_LENGTH_MAX)} …` : message;
    this.#words.push({ kind: 'log', item: { ...item, message: kept } });
  }

  /** Takes out the first words that may go, as many as fit one exchange. */
  take(): readonly Word[] {
    const parcel: Word[] = [];
    const kept: Word[] = [];
    let length = 0;
    let full = false;
    for (const word of this.#words) {
      full ||= parcel.length >= this.#wordsMax;
      if (!full && !this.#isAway(word)) {
        length += JSON.stringify(word.item).length;
        // The first goes whatever its length, or it would never go.
        full = length > PARCEL_LENGTH_MAX && parcel.length > 0;
      }
      (full || this.#isAway(word) ? kept : parcel).push(word);
    }
    this.#words = kept;
    for (const word of parcel) {
      const token = word.item.fencing_token;
      this.#away.add(token);
      if (word.kind === 'result') this.#results -= 1;
      if (this.#open.get(token) === word) this.#open.delete(token);
    }
    return parcel;
  }

  /** The server heard the parcel: after a refusal, the next may be larger again. */
  heard(parcel: readonly Word[]): void {
    this.#back(parcel);
    this.#wordsMax = Math.min(PARCEL_WORDS_MAX, this.#wordsMax * 2);
  }

  /** The parcel was lost on the way: it is said again, before anything newer. */
  unheard(parcel: readonly Word[]): void {
    this.#back(parcel);
    this.#words = [...parcel, ...this.#words];
    this.#results += parcel.filter(word => word.kind === 'result').length;
  }

  /**
   * The server refused the parcel as malformed or too large: halves the parcels until the culprit stands alone. A result refused
   * alone becomes a failure that says so; anything else refused alone is dropped.
   */
  refused(parcel: readonly Word[], why: string): void {
    const [word] = parcel;
    if (parcel.length > 1) {
      this.#wordsMax = Math.max(1, Math.floor(parcel.length / 2));
      this.unheard(parcel);
      return;
    }
    this.#back(parcel);
    if (word?.kind === 'result' && word.item.status === 'completed')
      this.result(refusedResult(word.item, why));
  }

  #back(parcel: readonly Word[]): void {
    for (const word of parcel) this.#away.delete(word.item.fencing_token);
  }

  #isAway(word: Word): boolean {
    return this.#away.has(word.item.fencing_token);
  }
}

/** What a result that the server will not take is replaced by. */
export function refusedResult(
  result: Pick<WorkResult, 'task_id' | 'fencing_token'>,
  why: string,
): WorkResult {
  return {
    task_id: result.task_id,
    fencing_token: result.fencing_token,
    status: 'failed',
    error: { code: 'EXECUTION_ERROR', message: `the server refused the result: ${why}`, recoverable: false },
  };
}
