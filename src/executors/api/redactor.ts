// Keeps what was made from a task's secrets (an access token, a Basic header) out of whatever the task says; the engine does so for the
// secrets themselves, but knows nothing of these.

import type { Json } from '../../domain/json.ts';
import { MASKED_LENGTH_MIN, mask, maskJson } from '../../guards/mask.ts';

/** Masks values of one attempt. */
export class Redactor {
  #values: readonly string[];

  constructor(secrets: readonly string[]) {
    this.#values = secrets;
  }

  /** Masks this from now on too. */
  learn(value: string): void {
    if (value.length >= MASKED_LENGTH_MIN && !this.#values.includes(value))
      this.#values = [...this.#values, value];
  }

  /** The very text where the task has no secrets: what it says is then its own. */
  text(text: string): string {
    return this.#values.length === 0 ? text : mask(text, this.#values);
  }

  /** The very value where the task has no secrets. */
  json<Value extends Json>(value: Value): Value {
    return this.#values.length === 0 ? value : (maskJson(value, this.#values) as Value);
  }

  /** Whether storing the value leaves it whole, nothing in it having to be masked. */
  leavesWhole(value: Json): boolean {
    return JSON.stringify(this.json(value)) === JSON.stringify(value);
  }
}
