// What the built-in `validator` leaves to others: judging content. The army wire says only what it asks of them.

import type { Json, JsonObject } from '../../domain/json.ts';

/** What is to be judged. */
export interface Judgeable {
  readonly content: Json;
  readonly rules: readonly string[];
  /** The request's own, and what its task was to bring forth. */
  readonly context: JsonObject;
  readonly expectedOutput: JsonObject | null;
}

/** What was found of it; `score` from 0 to 1. */
export interface Verdict {
  readonly valid: boolean;
  readonly score: number;
  readonly issues: readonly JsonObject[];
  readonly recommendations: readonly string[];
}

/** Judges content; the same always gets the same verdict. */
export interface Judge {
  judge(asked: Judgeable): Promise<Verdict>;
}
