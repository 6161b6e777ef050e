// Runs monitoring_task tasks (`SAM-170` to `SAM-173`): owns nothing between attempts, for whatever a task knows is in its checkpoints.

import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ExecutorStatus } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Tunnels } from '../../engine/ports/tunnels.ts';
import type { PrivateTargets } from '../../guards/outbound.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import { runAttempt } from './attempt.ts';
import { type HostFigures, systemFigures } from './host-probes.ts';
import { guardedLookUp, type LookUp, systemLookUp } from './names.ts';
import { MONITOR_PAYLOAD } from './payload.ts';
import { hostIn, isOfHost, type Plan, planOf } from './plan.ts';
import { type BeginRun, createProber } from './prober.ts';

/** What the executor is made from. */
export interface MonitorParts {
  readonly clock: Clock;
  readonly random: Random;
  /** Judges targets at submission. */
  readonly outbound: Outbound;
  /** A way out without breakers, for one run; stopped after it. */
  readonly openOutbound: () => Outbound;
  readonly tunnels: Tunnels;
  readonly allowed: PrivateTargets;
  /** The resolvers of this host unless given. */
  readonly lookUp?: LookUp;
  /** This node's own unless given. */
  readonly figures?: HostFigures;
}

/** A task waits nearly all of its time, perhaps for days: it must keep nobody else waiting. */
const SLOTS = 32;

/** The executor of `monitoring_task`. */
export function createMonitorExecutor(parts: MonitorParts): Executor {
  return new MonitorExecutor(parts);
}

class MonitorExecutor implements Executor {
  readonly type = 'monitoring_task';
  readonly payloadSchema = MONITOR_PAYLOAD as unknown as JsonObject;
  readonly defaults = { resources: { memoryMb: 16, cpuCores: 0.02, diskMb: 16 }, expectedMs: 10_000 };
  readonly slots = SLOTS;
  /** True of its attempts too: all they know is in their checkpoint, and a drain need not wait for the end of a schedule. */
  readonly coordinates = true;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #outbound: Outbound;
  readonly #beginRun: BeginRun;

  constructor(parts: MonitorParts) {
    const { clock, random, outbound, openOutbound, tunnels, allowed } = parts;
    this.#clock = clock;
    this.#random = random;
    this.#outbound = outbound;
    this.#beginRun = createProber({
      ...{ clock, openOutbound, tunnels },
      lookUp: guardedLookUp(parts.lookUp ?? systemLookUp, allowed),
      figures: parts.figures ?? systemFigures,
    });
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  /** No code of a task runs, so there is no level to offer. */
  status(): ExecutorStatus {
    return { available: true, isolation: [], detail: { host_checks: `tenant ${DEFAULT_TENANT} only` } };
  }

  async check(spec: TaskSpec, tenant?: TenantId): Promise<void> {
    const plan = planOf(spec.payload, spec);
    permitHostChecks(plan, tenant);
    for (const { spec: check } of plan.checks) {
      if (check.type === 'http') await this.#outbound.check(check.url);
      else if (check.type === 'dns') continue;
      else if ('host' in check) await this.#outbound.check(`https://${urlHost(check.host)}/`);
    }
  }

  async run(context: AttemptContext): Promise<AttemptResult> {
    const { spec, tenant } = context.task;
    const plan = planOf(spec.payload, spec);
    permitHostChecks(plan, tenant);
    return await runAttempt(context, plan, {
      clock: this.#clock,
      random: this.#random,
      beginRun: this.#beginRun,
    });
  }
}

/** What a node looks like from inside is for those who run it (`SAM-173`). */
function permitHostChecks({ checks }: Plan, tenant: TenantId | undefined): void {
  const ofHost = checks.find(({ spec }) => isOfHost(spec));
  if (ofHost === undefined || tenant === DEFAULT_TENANT) return;
  throw new DomainError(
    'policy_violation',
    `${ofHost.spec.type} checks are for the tenant of the administrators`,
    {
      details: { rule: 'host_checks', field: ofHost.field },
    },
  );
}

function urlHost(host: string): string {
  const name = hostIn(host) ?? host;
  return name.includes(':') ? `[${name}]` : name;
}
