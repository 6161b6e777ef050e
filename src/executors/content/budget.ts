// What a task may still spend: tokens written and cost, over all its calls and attempts. Asked before each call, told after it, and
// looking on while a model writes.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { ModelPrice, ModelUsage } from '../../engine/ports/model-provider.ts';
import { FinalError } from './failure.ts';

/** Tokens a task writes at most when it does not say. */
export const TOKENS_MAX_DEFAULT = 4_096;
/** Few tokens are longer; a model that writes more bytes does not keep to its limit. */
const BYTES_PER_TOKEN_MAX = 12;
const BYTES_GRACE = 1_024;
const MILLION = 1_000_000;

/** What was spent so far. */
export interface Spent {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cost: number;
}

/** The limits of one task, and what of them is left. */
export class Budget {
  readonly #tokensMax: number;
  readonly #costMax: number;
  readonly #before: Spent;
  #inputTokens = 0;
  #outputTokens = 0;
  #cost = 0;
  #priced = true;
  #estimated = false;

  /** `before` is what earlier attempts left with `checkpoint`. */
  constructor(limits: { readonly tokensMax?: number; readonly costMax?: number }, before: Json | null) {
    this.#tokensMax = limits.tokensMax ?? TOKENS_MAX_DEFAULT;
    this.#costMax = limits.costMax ?? Number.POSITIVE_INFINITY;
    this.#before = spentIn(before);
  }

  /**
   * Tokens the next call may write, sharing what is left among `calls`; throws `resource_exhausted` where nothing is left, and
   * `unprocessable` where cost is limited and the model has no price.
   */
  room(inputTokens: number, price: ModelPrice | null, calls = 1): number {
    const left = this.#tokensMax - this.#before.outputTokens - this.#outputTokens;
    if (left < 1) throw exhausted('tokens', this.#tokensMax, this.#tokensMax - left);
    const share = Math.max(1, Math.floor(left / calls));
    if (this.#costMax === Number.POSITIVE_INFINITY) return share;
    const { inputPerMillion, outputPerMillion } = pricedByToken(price);
    const money = this.#moneyLeft() - (inputTokens * inputPerMillion) / MILLION;
    const affordable =
      outputPerMillion === 0 ? share : Math.floor((money * MILLION) / outputPerMillion / calls);
    if (money < 0 || affordable < 1) throw exhausted('cost', this.#costMax, this.#spentMoney());
    return Math.min(share, affordable);
  }

  /** Throws `resource_exhausted` unless so many pictures can be paid. */
  roomForImages(count: number, price: ModelPrice | null): void {
    if (this.#costMax === Number.POSITIVE_INFINITY) return;
    if (price === null || !('perImage' in price)) throw unpriced();
    if (count * price.perImage > this.#moneyLeft())
      throw exhausted('cost', this.#costMax, this.#spentMoney());
  }

  /** Looks on while a call writes; throws `resource_exhausted` once it cannot be keeping to its limit. */
  watch(outputTokensMax: number): (piece: string) => void {
    let bytes = 0;
    return piece => {
      bytes += Buffer.byteLength(piece);
      if (bytes > outputTokensMax * BYTES_PER_TOKEN_MAX + BYTES_GRACE)
        throw exhausted('tokens', this.#tokensMax, this.#tokensMax);
    };
  }

  /** Counts a call that ended, well or not. */
  spend(usage: ModelUsage, price: ModelPrice | null): void {
    this.#inputTokens += usage.inputTokens;
    this.#outputTokens += usage.outputTokens;
    this.#estimated ||= usage.estimated;
    if (price === null || 'perImage' in price) this.#priced = false;
    else
      this.#cost +=
        (usage.inputTokens * price.inputPerMillion + usage.outputTokens * price.outputPerMillion) / MILLION;
  }

  /** Counts pictures. */
  spendImages(count: number, usage: ModelUsage | null, price: ModelPrice | null): void {
    this.#inputTokens += usage?.inputTokens ?? 0;
    this.#outputTokens += usage?.outputTokens ?? 0;
    if (price === null || !('perImage' in price)) this.#priced = false;
    else this.#cost += count * price.perImage;
  }

  /** Tokens and cost of this attempt; the cost is null where a model had no price. */
  get spent(): { readonly tokens: number; readonly cost: number | null; readonly usage: JsonObject } {
    return {
      tokens: this.#inputTokens + this.#outputTokens,
      cost: this.#priced ? rounded(this.#cost) : null,
      usage: {
        input_tokens: this.#inputTokens,
        output_tokens: this.#outputTokens,
        estimated: this.#estimated,
      },
    };
  }

  /** What a further attempt must know, so that limits hold over all of them. */
  get checkpoint(): JsonObject {
    return {
      spent: {
        input_tokens: this.#before.inputTokens + this.#inputTokens,
        output_tokens: this.#before.outputTokens + this.#outputTokens,
        cost: rounded(this.#spentMoney()),
      },
    };
  }

  #spentMoney(): number {
    return this.#before.cost + this.#cost;
  }

  #moneyLeft(): number {
    return this.#costMax - this.#spentMoney();
  }
}

function pricedByToken(price: ModelPrice | null) {
  if (price === null || 'perImage' in price) throw unpriced();
  return price;
}

function unpriced(): FinalError {
  return new FinalError('unprocessable', 'max_cost cannot be kept: the model has no price', {
    details: { setting: 'BATUTA_MODEL_PRICES' },
  });
}

function exhausted(resource: 'tokens' | 'cost', limit: number, spent: number): FinalError {
  const message = `the task may spend ${limit} (${resource === 'tokens' ? 'max_tokens' : 'max_cost'}) and needs more`;
  return new FinalError('resource_exhausted', message, {
    details: { resource, limit, spent: rounded(spent) },
  });
}

/** Sums of cents are not exact in binary. */
function rounded(amount: number): number {
  return Math.round(amount * 1e9) / 1e9;
}

function spentIn(checkpoint: Json | null): Spent {
  const spent = isJsonObject(checkpoint) && isJsonObject(checkpoint.spent ?? null) ? checkpoint.spent : {};
  const { input_tokens: input, output_tokens: output, cost } = spent as JsonObject;
  const number = (value: Json | undefined): number => (typeof value === 'number' ? value : 0);
  return { inputTokens: number(input), outputTokens: number(output), cost: number(cost) };
}
