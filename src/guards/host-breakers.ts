// Breakers around the outside: after five failures in a row a host is left alone for half a minute, and whoever needs it fails
// fast instead of waiting for it (`SAM-126`). Webhook endpoints have breakers of their own, in the engine.

import { DomainError } from '../domain/errors.ts';
import type { Outbound, OutboundAnswer, OutboundRequest } from '../engine/ports/outbound.ts';
import type { Clock } from '../runtime/clock.ts';

const FAILURES_MAX = 5;
const OPEN_MS = 30_000;
const HOSTS_MAX = 10_000;

interface Breaker {
  failures: number;
  openUntil: number;
}

/** The same way out, with a breaker per host: throws `circuit_open` while one is open. */
export function withHostBreakers(outbound: Outbound, clock: Clock): Outbound {
  const breakers = new Map<string, Breaker>();
  return {
    check: url => outbound.check(url),
    stop: () => outbound.stop(),
    async send(request: OutboundRequest): Promise<OutboundAnswer> {
      const host = URL.canParse(request.url) ? new URL(request.url).host : '';
      const breaker = breakers.get(host) ?? { failures: 0, openUntil: 0 };
      const waitMs = breaker.openUntil - clock.now();
      if (waitMs > 0) {
        throw new DomainError(
          'circuit_open',
          `${host} failed ${FAILURES_MAX} times in a row and is left alone for now`,
          {
            retryAfterMs: waitMs,
            details: { host },
          },
        );
      }
      try {
        const answer = await outbound.send(request);
        note(answer.status < 500);
        return answer;
      } catch (error) {
        if (blamesHost(error)) note(false);
        throw error;
      }

      function note(good: boolean): void {
        if (good) {
          breakers.delete(host);
          return;
        }
        breaker.failures++;
        if (breaker.failures >= FAILURES_MAX) breaker.openUntil = clock.now() + OPEN_MS;
        if (breakers.size >= HOSTS_MAX) breakers.clear();
        breakers.set(host, breaker);
      }
    },
  };
}

/** A target that is not permitted, or a caller that gave up, says nothing about the host. */
function blamesHost(error: unknown): boolean {
  return (
    error instanceof DomainError && (error.code === 'dependency_failed' || error.code === 'upstream_timeout')
  );
}
