// Runs content_generation tasks: holds the configured model providers, and refuses what none of them can do.

import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ExecutorStatus } from '../../engine/ports/executor.ts';
import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/service.ts';
import { runAttempt } from './attempt.ts';
import { checkPayload } from './check.ts';
import { type Choice, Lineup } from './lineup.ts';
import { CONTENT_PAYLOAD, type ContentPayload } from './payload.ts';
import type { BlockedPhrase } from './policy.ts';

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
  /** What may neither be asked nor answered. */
  readonly blocked: readonly BlockedPhrase[];
}

const UNSET =
  'no model provider is configured: set BATUTA_MODEL_URL and BATUTA_MODEL (and BATUTA_MODEL_KEY, where it wants one)';

/** The executor of `content_generation` (`SAM-153` to `SAM-156`); without a provider its status says which settings are missing. */
export function createContentExecutor(parts: ContentParts): Executor {
  return new ContentExecutor(parts);
}

class ContentExecutor implements Executor {
  readonly type = 'content_generation';
  readonly payloadSchema = CONTENT_PAYLOAD as unknown as JsonObject;
  readonly defaults = { resources: { memoryMb: 128, cpuCores: 0.1, diskMb: 64 }, expectedMs: 30_000 };
  readonly #parts: ContentParts;
  readonly #lineup: Lineup;

  constructor(parts: ContentParts) {
    this.#parts = parts;
    this.#lineup = new Lineup(parts.log, parts.clock, parts.providers);
  }

  async start(): Promise<void> {
    await Promise.all(this.#parts.providers.map(provider => provider.start()));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#parts.providers, this.#parts.schemas].map(service => service.stop()));
  }

  status(): ExecutorStatus {
    const { providers } = this.#parts;
    const available = providers.length > 0;
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
      },
    };
  }

  async check(spec: TaskSpec): Promise<void> {
    const payload = checkPayload(spec);
    const { output_schema: schema, tools = [] } = payload;
    if (schema !== undefined) await this.#parts.schemas.admit(schema, 'task_data.output_schema');
    for (const [index, { parameters, endpoint }] of tools.entries()) {
      await this.#parts.schemas.admit(parameters, `task_data.tools.${index}.parameters`);
      if (endpoint !== undefined) await this.#parts.outbound.check(endpoint);
    }
    requirePrice(payload, this.#choices(payload));
  }

  run(context: AttemptContext): Promise<AttemptResult> {
    const { clock, outbound, schemas, blocked } = this.#parts;
    return runAttempt(context, checkPayload(context.task.spec), {
      clock,
      lineup: this.#lineup,
      outbound,
      schemas,
      blocked,
    });
  }

  #choices({ kind, model }: ContentPayload): readonly Choice[] {
    return kind === 'image' ? this.#lineup.painters(model) : this.#lineup.writers(model);
  }
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
