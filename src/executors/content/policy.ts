// What may be said: words the operator and the requester block, judged here, and the provider's moderation model where one is
// configured. Prompt and result pass the same gate; what does not pass is withheld.

import type { JsonObject } from '../../domain/json.ts';
import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import { FinalError } from './failure.ts';

/** A phrase that may not be said, and the category a violation is told by. */
export interface BlockedPhrase {
  readonly category: string;
  readonly phrase: string;
}

const REQUESTED = 'blocked_words';

/** The gate of one task. */
export class Policy {
  readonly #categories: ReadonlyMap<string, string>;
  readonly #pattern: RegExp | null;
  readonly #phraseMax: number;
  readonly #moderator: ModelProvider | null;

  /** `requested` phrases come on top of the operator's. */
  constructor(
    blocked: readonly BlockedPhrase[],
    requested: readonly string[],
    moderator: ModelProvider | null,
  ) {
    const all = [...requested.map(phrase => ({ category: REQUESTED, phrase })), ...blocked];
    this.#categories = new Map(all.map(({ category, phrase }) => [plain(phrase).trim(), category]));
    this.#pattern = patternOf([...this.#categories.keys()]);
    this.#phraseMax = Math.max(0, ...[...this.#categories.keys()].map(phrase => phrase.length));
    this.#moderator = moderator;
  }

  /** Whether a text must be whole before it may be shown: a moderation model judges no pieces. */
  get needsWhole(): boolean {
    return this.#moderator !== null;
  }

  /** Who judges, for the result. */
  get judges(): readonly string[] {
    return [
      ...(this.#pattern === null ? [] : ['blocked_words']),
      ...(this.#moderator === null ? [] : [`${this.#moderator.name}/${this.#moderator.moderationModel}`]),
    ];
  }

  /** Throws `policy_violation` with category and judge; a moderation model that does not answer lets nothing through. */
  async judge(text: string, where: 'prompt' | 'result', signal: AbortSignal): Promise<void> {
    this.#judgeHere(plain(text), where);
    if (this.#moderator === null || text === '') return;
    const { flagged, categories } = await this.#moderator.moderate(text, signal);
    if (!flagged) return;
    const judge = `${this.#moderator.name}/${this.#moderator.moderationModel}`;
    throw violation(where, categories[0] ?? 'flagged', judge, { categories });
  }

  /** Judges a text as it is written, by words alone; throws as `judge` does. */
  watch(): (piece: string) => void {
    let tail = '';
    return piece => {
      if (this.#pattern === null) return;
      tail += piece;
      // The last word may go on.
      this.#judgeHere(plain(tail).replace(/[\p{L}\p{N}]+$/u, ''), 'result');
      tail = tail.slice(-2 * this.#phraseMax - TAIL_CHARS);
    };
  }

  #judgeHere(text: string, where: 'prompt' | 'result'): void {
    const found = this.#pattern?.exec(text)?.[0];
    if (found === undefined) return;
    throw violation(where, this.#categories.get(found) ?? REQUESTED, REQUESTED, {});
  }
}

/** Room for the spaces within a phrase, which are one in the list and may be many in a text. */
const TAIL_CHARS = 64;

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

/** One spelling for what reads the same. */
function plain(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/gu, ' ');
}

/** Whole words and phrases; literal alternatives, so that no text makes it slow. */
function patternOf(phrases: readonly string[]): RegExp | null {
  const literal = phrases.filter(phrase => phrase !== '').map(phrase => escaped(phrase));
  if (literal.length === 0) return null;
  const longestFirst = literal.sort((one, other) => other.length - one.length);
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${longestFirst.join('|')})(?![\\p{L}\\p{N}])`, 'u');
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
