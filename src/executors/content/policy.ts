// What may be said: words the operator and the requester block, judged here, and the provider's moderation model where one is
// configured. Prompt and result pass the same gate; what does not pass is withheld.

import type { JsonObject } from '../../domain/json.ts';
import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import { FinalError } from './failure.ts';
import { type BlockedPhrase, Phrases } from './phrases.ts';

const REQUESTED = 'blocked_words';

/** The gate of one task. */
export class Policy {
  readonly #phrases: Phrases;
  readonly #moderator: ModelProvider | null;

  /** `requested` phrases come on top of the operator's. */
  constructor(
    blocked: readonly BlockedPhrase[],
    requested: readonly string[],
    moderator: ModelProvider | null,
  ) {
    this.#phrases = new Phrases([...requested.map(phrase => ({ category: REQUESTED, phrase })), ...blocked]);
    this.#moderator = moderator;
  }

  /** Whether a text must be whole before it may be shown: a moderation model judges no pieces. */
  get needsWhole(): boolean {
    return this.#moderator !== null;
  }

  /** Who judges, for the result. */
  get judges(): readonly string[] {
    return [
      ...(this.#phrases.isEmpty ? [] : [REQUESTED]),
      ...(this.#moderator === null ? [] : [`${this.#moderator.name}/${this.#moderator.moderationModel}`]),
    ];
  }

  /** Throws `policy_violation` with category and judge; a moderation model that does not answer lets nothing through. */
  async judge(text: string, where: 'prompt' | 'result', signal: AbortSignal): Promise<void> {
    refuse(this.#phrases.find(text), where);
    if (this.#moderator === null || text === '') return;
    const { flagged, categories } = await this.#moderator.moderate(text, signal);
    if (!flagged) return;
    const judge = `${this.#moderator.name}/${this.#moderator.moderationModel}`;
    throw violation(where, categories[0] ?? 'flagged', judge, { categories });
  }

  /** Judges a text as it is written, by words alone; throws as `judge` does. */
  watch(): (piece: string) => void {
    const look = this.#phrases.watch();
    return piece => refuse(look(piece), 'result');
  }
}

function refuse(category: string | null, where: 'prompt' | 'result'): void {
  if (category !== null) throw violation(where, category, REQUESTED, {});
}

/** Never says what was found: the failure is shown to whoever may not read it. */
export function violation(
  where: 'prompt' | 'result',
  category: string,
  judge: string,
  more: JsonObject | { readonly categories: readonly string[] },
): FinalError {
  return new FinalError('policy_violation', `the ${where} is not permitted: ${category}`, {
    details: { rule: 'moderation', where, category, judge, ...more },
  });
}
