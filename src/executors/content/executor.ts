// Runs content_generation tasks: holds the configured model providers, and refuses what none of them can do.

import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { LimitModes, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ExecutorStatus } from '../../engine/ports/executor.ts';
import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/service.ts';
import { onAccountOf } from './account.ts';
import { runAttempt } from './attempt.ts';
import { checkPayload } from './check.ts';
import { asTaskError, FinalError } from './failure.ts';
import { type Choice, Lineup, UNSET } from './lineup.ts';
import { OwnProviders } from './own.ts';
import { CONTENT_PAYLOAD, type ContentPayload } from './payload.ts';
import type { BlockedPhrase } from './phrases.ts';
import type { ProviderSettings } from './provider.ts';

/** What the executor is made from. */
export interface ContentParts {
  readonly log: Log;
  readonly clock: Clock;
  /** For the endpoints of tools; providers have ways of their own. */
  readonly outbound: Outbound;
  /** Checks objects and arguments by schemas of requesters; stopped with the executor. */
  readonly schemas: PayloadCheck & Service;
  /** First choice first; none makes the type unavailable. Stopped with the executor. */
  readonly providers: readonly ModelProvider[];
  /** Makes providers of tenants' own; null where tenants may not bring any. */
  readonly ownProvider: ((settings: ProviderSettings) => ModelProvider) | null;
  /** What may neither be asked nor answered. */
  readonly blocked: readonly BlockedPhrase[];
}

/** The executor of `content_generation` (`SAM-153` to `SAM-156`); without a provider its status says which settings are missing. */
export function createContentExecutor(parts: ContentParts): Executor {
  return new ContentExecutor(parts);
}

class ContentExecutor implements Executor {
  readonly type = 'content_generation';
  readonly payloadSchema = CONTENT_PAYLOAD as unknown as JsonObject;
  readonly defaults = { resources: { memoryMb: 128, cpuCores: 0.1, diskMb: 64 }, expectedMs: 30_000 };
  /** Most of the time they wait for others. */
  readonly slots = 32;
  readonly #parts: ContentParts;
  readonly #lineup: Lineup;
  readonly #own: OwnProviders | null;

  constructor(parts: ContentParts) {
    const { log, clock, providers, ownProvider } = parts;
    this.#parts = parts;
    this.#lineup = new Lineup(log, clock, providers);
    this.#own = ownProvider === null ? null : new OwnProviders(log, clock, ownProvider);
  }

  async start(): Promise<void> {
    await Promise.all(this.#parts.providers.map(provider => provider.start()));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#parts.providers, this.#parts.schemas].map(service => service.stop()));
  }

  status(): ExecutorStatus {
    const { providers } = this.#parts;
    const available = providers.length > 0 || this.#own !== null;
    return {
      available,
      ...(available ? {} : { missing: UNSET }),
      isolation: [],
      detail: {
        providers: providers.map(({ name, models, anyModel, imageModel, moderationModel }) => ({
          name,
          models,
          any_model: anyModel,
          image_model: imageModel,
          moderation_model: moderationModel,
        })),
        by_tenants: this.#own !== null,
      },
    };
  }

  /** Its work is done elsewhere, and in this process among others of its kind: what it sends is held, the rest is asked for. */
  limitModes(): LimitModes {
    return { memory: 'advisory', cpu: 'advisory', disk: 'advisory', network: 'enforced' };
  }

  async check(spec: TaskSpec): Promise<void> {
    const payload = checkPayload(spec);
    const { output_schema: schema, tools = [] } = payload;
    if (schema !== undefined) await this.#parts.schemas.admit(schema, 'task_data.output_schema');
    for (const [index, { parameters, endpoint }] of tools.entries()) {
      await this.#parts.schemas.admit(parameters, `task_data.tools.${index}.parameters`);
      if (endpoint !== undefined) await this.#parts.outbound.check(endpoint);
    }
    // What a secret holds is known only to a running attempt.
    if (payload.provider_secret === undefined) requirePrice(payload, this.#choices(payload));
    else if (this.#own === null) throw notByTenants();
  }

  async run(context: AttemptContext): Promise<AttemptResult> {
    const { clock, outbound, schemas, blocked } = this.#parts;
    const payload = checkPayload(context.task.spec);
    try {
      const lineup = this.#lineupFor(payload, context.secrets);
      // The operator's judge is passed, whoever writes.
      const moderator = this.#lineup.moderator ?? lineup.moderator;
      const attempt = { clock, lineup, moderator, outbound, schemas, blocked };
      return await onAccountOf(context.traffic, () => runAttempt(context, payload, attempt));
    } catch (error) {
      const failure = asTaskError(error);
      if (failure === null || context.signal.aborted) throw error;
      return { status: 'failed', error: failure };
    }
  }

  #lineupFor({ provider_secret: name }: ContentPayload, secrets: AttemptContext['secrets']): Lineup {
    if (name === undefined) return this.#lineup;
    if (this.#own === null) throw notByTenants();
    return this.#own.lineup(name, secrets[name] ?? '');
  }

  #choices({ kind, model }: ContentPayload): readonly Choice[] {
    return kind === 'image' ? this.#lineup.painters(model) : this.#lineup.writers(model);
  }
}

function notByTenants(): FinalError {
  return new FinalError('unprocessable', 'tenants may not bring model providers of their own here', {
    details: { setting: 'BATUTA_MODEL_BY_TENANTS' },
  });
}

/** A limit of cost that nobody can keep is no limit. */
function requirePrice({ kind, max_cost: limit }: ContentPayload, choices: readonly Choice[]): void {
  if (limit === undefined) return;
  const isPriced = ({ provider, model }: Choice): boolean => {
    const price = provider.priceOf(model);
    return price !== null && 'perImage' in price === (kind === 'image');
  };
  if (choices.some(isPriced)) return;
  throw new DomainError('unprocessable', 'max_cost cannot be kept: the model has no price', {
    details: { setting: 'BATUTA_MODEL_PRICES', models: choices.map(({ model }) => model) },
  });
}
