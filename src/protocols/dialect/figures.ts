// What passed a dialect's door: messages by type and outcome and how long they took, since this process began (`TASK-60`).

import type { JsonObject } from '../../domain/json.ts';
import type { Taken } from './taken.ts';

const TYPES_MAX = 200;
const TIMES_KEPT = 1_000;

/** Counts of one dialect. */
export class Figures {
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #times: number[] = [];
  #next = 0;

  /** Counts what came in together, which took so long in all. */
  count(taken: readonly Taken[], tookMs: number): void {
    for (const one of taken) {
      const type = one.status === 'rejected' ? 'refused' : one.message.type;
      const outcome = one.status === 'rejected' ? one.error.code : one.status;
      this.#add(this.#counts.has(type) || this.#counts.size < TYPES_MAX ? type : 'other', outcome);
    }
    if (taken.length === 0) return;
    this.#times[this.#next] = tookMs / taken.length;
    this.#next = (this.#next + 1) % TIMES_KEPT;
  }

  /** `messages` by type and outcome; `handling_ms` of the last thousand calls, a message. */
  show(): JsonObject {
    const times = this.#times.toSorted((one, other) => one - other);
    const at = (share: number): number | null => times[Math.floor(share * (times.length - 1))] ?? null;
    return {
      messages: Object.fromEntries(
        [...this.#counts].map(([type, outcomes]) => [type, Object.fromEntries(outcomes)]),
      ),
      handling_ms: { p50: at(0.5), p99: at(0.99) },
    };
  }

  #add(type: string, outcome: string): void {
    const outcomes = this.#counts.get(type) ?? new Map<string, number>();
    this.#counts.set(type, outcomes);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}
