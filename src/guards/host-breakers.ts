// Breakers around the outside: after five failures in a row a host is left alone for half a minute, on all nodes, and whoever needs it
// fails fast instead of waiting for it (`SAM-126`); then one request tries it. Webhook endpoints have breakers of their own, in the
// engine.

import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { type BreakerStore, Breakers, FIVE_IN_A_ROW } from '../engine/breakers.ts';
import type { Outbound, OutboundAnswer, OutboundRequest } from '../engine/ports/outbound.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Log, silentLog } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';

const TERMS = { kind: 'host_breaker', ...FIVE_IN_A_ROW };

/** The breakers of hosts, one for each whoever asks: what one way out finds, all of them know. */
export class HostBreakers implements Service {
  readonly #breakers: Breakers;

  /** Without a store it knows only what happens here. */
  constructor(log: Log, clock: Clock, store: BreakerStore | null) {
    this.#breakers = new Breakers(log, clock, store, TERMS);
  }

  start(): Promise<void> {
    return this.#breakers.start();
  }

  stop(): Promise<void> {
    return this.#breakers.stop();
  }

  /** The same way out, with these breakers: throws `circuit_open` while the host's is open. */
  around(outbound: Outbound): Outbound {
    return {
      check: url => outbound.check(url),
      stop: () => outbound.stop(),
      send: request => this.#send(outbound, request),
    };
  }

  async #send(outbound: Outbound, request: OutboundRequest): Promise<OutboundAnswer> {
    const host = URL.canParse(request.url) ? new URL(request.url).host : '';
    const passage = await this.#breakers.pass(DEFAULT_TENANT, host);
    if (!passage.go) {
      throw new DomainError(
        'circuit_open',
        `${host} failed ${TERMS.failuresMax} times in a row and is left alone for now`,
        { retryAfterMs: passage.waitMs, details: { host } },
      );
    }
    try {
      const answer = await outbound.send(request);
      this.#breakers.note(DEFAULT_TENANT, host, answer.status < 500);
      return answer;
    } catch (error) {
      if (blamesHost(error)) this.#breakers.note(DEFAULT_TENANT, host, false);
      else this.#breakers.noteNothing(DEFAULT_TENANT, host);
      throw error;
    }
  }
}

/** A way out with breakers of its own, which no other knows of. */
export function withHostBreakers(outbound: Outbound, clock: Clock): Outbound {
  return new HostBreakers(silentLog, clock, null).around(outbound);
}

/** A target that is not permitted, or a caller that gave up, says nothing about the host. */
function blamesHost(error: unknown): boolean {
  return (
    error instanceof DomainError && (error.code === 'dependency_failed' || error.code === 'upstream_timeout')
  );
}
