// Who waits for an answer to what: letters find whoever asked for them.

import type { Cancel, Clock } from './clock.ts';
import { BatutaError, errorOf, WaitTimeoutError } from './errors.ts';
import type { Letter } from './wording.ts';

/** A question that was asked. */
export interface Question {
  /** The id of the message that asks. */
  readonly id: string;
  readonly taskId: string | null;
  /** Whether that a request was taken in is answer enough. */
  readonly until: 'answer' | 'outcome';
  readonly timeoutMs: number;
}

interface Waiting {
  readonly question: Question;
  readonly resolve: (letter: Letter) => void;
  readonly reject: (error: unknown) => void;
  readonly cancel: Cancel;
}

/** Questions that are open. */
export class Answers {
  readonly #clock: Clock;
  /** By the id of the question, and of the task it asks for. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The answer; rejects with what went wrong, or a `WaitTimeoutError`. */
  expect(question: Question): Promise<Letter> {
    const { id, taskId, timeoutMs } = question;
    const answer = new Promise<Letter>((resolve, reject) => {
      const late = (): void => {
        const message = `no answer to ${id} came within ${timeoutMs} ms`;
        this.forget(id, new WaitTimeoutError({ code: 'WAIT_TIMED_OUT', message, status: 0 }));
      };
      const waiting = { question, resolve, reject, cancel: this.#clock.after(timeoutMs, late) };
      this.#waiting.set(id, waiting);
      if (taskId !== null) this.#waiting.set(taskId, waiting);
    });
    // Whoever asked hears of it when it waits; until then a refusal is nobody's fault.
    answer.catch(() => undefined);
    return answer;
  }

  /** Gives the letter to whoever waits for it; false where nobody does. */
  take(letter: Letter): boolean {
    const { replyTo, taskId, kind, fault } = letter;
    const waiting = this.#find(replyTo) ?? (kind === 'outcome' ? this.#find(taskId) : undefined);
    if (waiting === undefined) return false;
    // What only tells that work was taken in, or how far it is, is for whoever handles such letters.
    if (waiting.question.until === 'outcome' && kind !== 'outcome' && kind !== 'error') return false;
    this.#end(waiting);
    if (fault === null) waiting.resolve(letter);
    else waiting.reject(errorOf({ ...fault, status: 0 }));
    return true;
  }

  /** Nobody will answer, and why. */
  forget(id: string, error: unknown): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#end(waiting);
    waiting.reject(error);
  }

  /** Rejects whoever still waits. */
  end(): void {
    const message = 'the agent stopped before an answer came';
    for (const id of [...this.#waiting.keys()])
      this.forget(id, new BatutaError({ code: 'STOPPED', message, status: 0 }));
  }

  #find(id: string | null): Waiting | undefined {
    return id === null ? undefined : this.#waiting.get(id);
  }

  #end({ question: { id, taskId }, cancel }: Waiting): void {
    cancel();
    this.#waiting.delete(id);
    if (taskId !== null) this.#waiting.delete(taskId);
  }
}
