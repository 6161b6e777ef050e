// Runs api_integration tasks (`SAM-157` to `SAM-161`): owns what their attempts share, which are tokens, the pace towards hosts, and the
// threads that evaluate expressions and apply schemas.

import type { JsonObject } from '../../domain/json.ts';
import type { LimitModes, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ExecutorStatus } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import { metered } from '../../guards/metered.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import { type AttemptParts, runAttempt } from './attempt.ts';
import { Expressions } from './expressions.ts';
import { Pace } from './pace.ts';
import { API_PAYLOAD } from './payload.ts';
import { isKnownAhead, type Plan, type PlannedRequest, planOf, refuse } from './plan.ts';
import { expressionsIn, renderUrl } from './templates.ts';
import { Tokens } from './tokens.ts';

/** The executor of `api_integration`. `outbound` brings the breakers around hosts with it (`SAM-126`). */
export function createApiExecutor(parts: {
  readonly clock: Clock;
  readonly random: Random;
  readonly outbound: Outbound;
}): Executor {
  return new ApiExecutor(parts.clock, parts.random, parts.outbound);
}

class ApiExecutor implements Executor {
  readonly type = 'api_integration';
  readonly payloadSchema = API_PAYLOAD as unknown as JsonObject;
  readonly defaults = { resources: { memoryMb: 128, cpuCores: 0.25, diskMb: 512 }, expectedMs: 10_000 };
  /** Most of the time they wait for others. */
  readonly slots = 32;
  readonly #shared: Omit<AttemptParts, 'diskMb'>;
  readonly #schemas: SchemaGuard;

  constructor(clock: Clock, random: Random, outbound: Outbound) {
    this.#schemas = new SchemaGuard(clock, []);
    this.#shared = {
      clock,
      random,
      outbound,
      schemas: this.#schemas,
      expressions: new Expressions(clock),
      pace: new Pace(clock),
      tokens: new Tokens(clock, outbound),
    };
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#shared.tokens.stop();
    await Promise.all([this.#schemas.stop(), this.#shared.expressions.stop()]);
  }

  /** No code of a task runs, so there is no level to offer. */
  status(): ExecutorStatus {
    return { available: true, isolation: [], detail: { expressions: 'jmespath' } };
  }

  /** Its work is done in this process, among others of its kind: what it keeps on disk and sends is held, the rest is asked for. */
  limitModes(): LimitModes {
    return { memory: 'advisory', cpu: 'advisory', disk: 'enforced', network: 'enforced' };
  }

  async check(spec: TaskSpec): Promise<void> {
    const plan = planOf(spec.payload, spec);
    for (const planned of plan.requests) {
      const { schema } = planned.spec.expect ?? {};
      if (schema !== undefined) await this.#schemas.admit(schema, `${planned.field}.expect.schema`);
      const auth = planned.auth?.auth;
      if (auth?.type === 'oauth2_client_credentials') await this.#shared.outbound.check(auth.token_url);
      if (isKnownAhead(planned.url))
        await this.#shared.outbound.check(await this.#urlOf(planned, plan, spec));
    }
  }

  async run(context: AttemptContext): Promise<AttemptResult> {
    const { spec } = context.task;
    const diskMb = spec.resources.diskMb ?? this.defaults.resources.diskMb;
    const outbound = metered(this.#shared.outbound, context.traffic);
    return await runAttempt(context, planOf(spec.payload, spec), { ...this.#shared, outbound, diskMb });
  }

  async #urlOf({ url, field }: PlannedRequest, { inputs }: Plan, { variables }: TaskSpec): Promise<string> {
    const expressions = expressionsIn(url);
    try {
      const found = await this.#shared.expressions.evaluate(expressions, { inputs, variables });
      return renderUrl(url, new Map(expressions.map(({ text }, index) => [text, found[index] ?? null])));
    } catch (error) {
      refuse([{ field: `${field}.url`, message: (error as Error).message }]);
      throw error;
    }
  }
}
