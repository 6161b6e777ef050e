// Which provider answers: they are asked in order, one that is out or asked too often is passed over, and one that said when to come
// back is left alone until then, by every task.

import { DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { FinalError } from './failure.ts';

/** Another provider may do what this one cannot now. */
const PASSED_OVER: ReadonlySet<ErrorCode> = new Set([
  'rate_limited',
  'dependency_failed',
  'upstream_timeout',
  'circuit_open',
  'unavailable',
  'unprocessable',
]);

/** What an operator does who has no provider yet. */
export const UNSET =
  'no model provider is configured: set BATUTA_MODEL_URL and BATUTA_MODEL (and BATUTA_MODEL_KEY, where it wants one)';

/** A provider and the model of it to ask. */
export interface Choice {
  readonly provider: ModelProvider;
  readonly model: string;
}

/** The configured providers, first choice first. */
export class Lineup {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #providers: readonly ModelProvider[];
  readonly #restUntil = new Map<ModelProvider, number>();

  constructor(log: Log, clock: Clock, providers: readonly ModelProvider[]) {
    this.#log = log;
    this.#clock = clock;
    this.#providers = providers;
  }

  /** Who moderates: the first that has a model for it. */
  get moderator(): ModelProvider | null {
    return this.#providers.find(({ moderationModel }) => moderationModel !== null) ?? null;
  }

  /** Who writes, in order: first those that offer the model asked for, then the others with their own; throws `unprocessable` if none offers it. */
  writers(asked: string | undefined): readonly Choice[] {
    const offers = (provider: ModelProvider): boolean =>
      asked === undefined || provider.anyModel || provider.models.includes(asked);
    if (this.#providers.length === 0) throw noneSetUp();
    const first = this.#providers.filter(offers);
    if (first.length === 0)
      throw notOffered(
        asked,
        this.#providers.flatMap(({ models }) => models),
      );
    const rest = this.#providers.filter(provider => !offers(provider));
    const choices = [
      ...first.map(provider => ({ provider, model: asked ?? provider.models[0] ?? '' })),
      ...rest.map(provider => ({ provider, model: provider.models[0] ?? '' })),
    ].filter(({ model }) => model !== '');
    if (choices.length > 0) return choices;
    throw new DomainError('unprocessable', 'no language model is configured', {
      details: { setting: 'BATUTA_MODEL' },
    });
  }

  /** Who draws, in order; throws `unprocessable` if nobody does, or none with the model asked for. */
  painters(asked: string | undefined): readonly Choice[] {
    if (this.#providers.length === 0) throw noneSetUp();
    const all = this.#providers.flatMap(provider =>
      provider.imageModel === null ? [] : [{ provider, model: provider.imageModel }],
    );
    if (all.length === 0)
      throw new DomainError('unprocessable', 'no image model is configured', {
        details: { setting: 'BATUTA_MODEL_IMAGE' },
      });
    const chosen = all.filter(({ model }) => asked === undefined || model === asked);
    if (chosen.length === 0)
      throw notOffered(
        asked,
        all.map(({ model }) => model),
      );
    return chosen;
  }

  /** The first answer there is; throws what the last one threw, with what became of each in `details.tried`. */
  async ask<Answer>(
    choices: readonly Choice[],
    signal: AbortSignal,
    call: (choice: Choice) => Promise<Answer>,
  ): Promise<{ readonly answer: Answer; readonly choice: Choice; readonly fellBack: boolean }> {
    const tried: { readonly provider: string; readonly error: DomainError }[] = [];
    for (const choice of choices) {
      const { provider } = choice;
      signal.throwIfAborted();
      try {
        this.#refuseWhileResting(provider);
        return { answer: await call(choice), choice, fellBack: tried.length > 0 };
      } catch (error) {
        if (!(error instanceof DomainError) || !PASSED_OVER.has(error.code) || signal.aborted) throw error;
        if (error.code === 'rate_limited') this.#rest(provider, error);
        this.#log.warn('a model provider was passed over', { provider: provider.name, code: error.code });
        tried.push({ provider: provider.name, error });
      }
    }
    throw summed(tried);
  }

  #refuseWhileResting(provider: ModelProvider): void {
    const waitMs = (this.#restUntil.get(provider) ?? 0) - this.#clock.monotonic();
    if (waitMs <= 0) return;
    throw new DomainError('rate_limited', 'the model provider asked to be left alone for now', {
      retryAfterMs: waitMs,
    });
  }

  #rest(provider: ModelProvider, { retryAfterMs = 0 }: DomainError): void {
    const until = this.#clock.monotonic() + retryAfterMs;
    this.#restUntil.set(provider, Math.max(until, this.#restUntil.get(provider) ?? 0));
  }
}

function noneSetUp(): DomainError {
  return new DomainError('unprocessable', UNSET, { details: { setting: 'BATUTA_MODEL_URL' } });
}

/** One error for all: of those that time may mend the one that says soonest when to come back, else the first. */
function summed(tried: readonly { readonly provider: string; readonly error: DomainError }[]): DomainError {
  const mending = tried
    .map(one => one.error)
    .filter(({ code }) => ERROR_CODES[code].retry === 'yes')
    .sort((one, other) => (one.retryAfterMs ?? 0) - (other.retryAfterMs ?? 0));
  const error =
    mending[0] ?? tried[0]?.error ?? new DomainError('unavailable', 'no model provider is configured');
  const details = {
    ...error.details,
    tried: tried.map(one => ({ provider: one.provider, code: one.error.code })),
  };
  const context = {
    details,
    cause: error,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  };
  const isFinal = tried.every(one => one.error instanceof FinalError);
  return isFinal
    ? new FinalError(error.code, error.message, context)
    : new DomainError(error.code, error.message, context);
}

function notOffered(asked: string | undefined, offered: readonly string[]): DomainError {
  return new DomainError('unprocessable', `the model ${asked} is not offered here`, {
    details: { model: asked ?? null, offered: [...new Set(offered)], setting: 'BATUTA_MODEL' },
  });
}
