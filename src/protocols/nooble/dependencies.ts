// What built-in services depend on elsewhere: endpoints of tools, models. Each has a breaker a tenant, and whoever is told of a failure is told
// how that stands (`NOOB-91`, `NOOB-94`).

import { asDomainError, DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { type BreakerStore, Breakers, FIVE_IN_A_ROW } from '../../engine/breakers.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/service.ts';
import { noobleError } from './errors.ts';

/** Something called, by the name of who answers, and what is asked of it. */
export interface Dependency {
  readonly service: string;
  readonly operation: string;
}

const TERMS = { kind: 'nooble_breaker', ...FIVE_IN_A_ROW };
const STATUSES = { closed: 'closed', open: 'open', probing: 'half_open' } as const;

/** The breakers of all tenants; nodes share them. */
export class Dependencies implements Service {
  readonly #breakers: Breakers;

  constructor(log: Log, clock: Clock, store: BreakerStore | null) {
    this.#breakers = new Breakers(log, clock, store, TERMS);
  }

  start(): Promise<void> {
    return this.#breakers.start();
  }

  stop(): Promise<void> {
    return this.#breakers.stop();
  }

  /** What the call comes to; throws `circuit_open` without a call while the breaker is open, and of a failed call who failed and how its breaker stands. */
  async call<Answer>(
    tenant: TenantId,
    dependency: Dependency,
    call: () => Promise<Answer>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { service } = dependency;
    if (!(await this.#breakers.pass(tenant, service)).go)
      throw noobleError('circuit_open', `${service} failed ${TERMS.failuresMax} times in a row`, {
        ...this.#told(tenant, dependency),
        // Whoever waits for it waits longer than a retry does.
        final: true,
      });
    try {
      const answer = await call();
      this.#breakers.note(tenant, service, true);
      return answer;
    } catch (thrown) {
      const error = asDomainError(thrown);
      if (signal.aborted || error.code === 'internal') {
        this.#breakers.noteNothing(tenant, service);
        throw thrown;
      }
      const { code, message, details, retryAfterMs } = error;
      // The way out has a breaker too, which all that is served here share.
      const isBarred = code === 'circuit_open';
      if (isBarred) this.#breakers.noteNothing(tenant, service);
      else this.#breakers.note(tenant, service, !blames(error));
      const told = this.#told(tenant, dependency);
      const barred = {
        status: 'open',
        retry_after_seconds: Math.ceil((retryAfterMs ?? TERMS.firstOpenMs) / 1_000),
      };
      const barring = { circuit_breaker: { ...told.circuit_breaker, ...barred }, final: true };
      throw new DomainError(code, message, {
        details: { ...told, ...(isBarred ? barring : {}), ...details },
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        cause: error,
      });
    }
  }

  #told(tenant: TenantId, { service, operation }: Dependency) {
    const { state, failures, waitMs } = this.#breakers.standing(tenant, service);
    return {
      dependency_service: service,
      dependency_operation: operation,
      circuit_breaker: {
        status: STATUSES[state],
        retry_after_seconds: Math.ceil(waitMs / 1_000),
        failure_threshold: TERMS.failuresMax,
        current_failures: failures,
      },
    };
  }
}

/** Whoever answers that a request was bad is well itself. */
function blames({ code, details }: DomainError): boolean {
  if (typeof details.status_code === 'number') return details.status_code >= 500;
  return code !== 'invalid_request' && code !== 'forbidden' && code !== 'policy_violation';
}
