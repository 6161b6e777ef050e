// Looks at one thing after another: the right probe for each check, within its time. What goes wrong on the way is what was found.

import { asDomainError, DomainError } from '../../domain/errors.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Tunnels } from '../../engine/ports/tunnels.ts';
import { metered } from '../../guards/metered.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Finding } from './finding.ts';
import { type HostFigures, probeDisk, probeMemory, probeProcess, probeProcessors } from './host-probes.ts';
import { probeHttp } from './http-probe.ts';
import type { LookUp } from './names.ts';
import { probeCertificate, probeName, probeReachable, probeTcp } from './network-probes.ts';
import type { PlannedCheck } from './plan.ts';

/** Looks once; rejects with the signal's reason once it aborts, and in no other way. */
export type Probe = (check: PlannedCheck, signal: AbortSignal) => Promise<Finding>;

/** Begins a run: what it opens stays open until it is over. */
export type BeginRun = (context: Pick<AttemptContext, 'secrets' | 'traffic'>) => {
  readonly probe: Probe;
  over(): Promise<void>;
};

/** What probes work with. */
export interface ProberParts {
  readonly clock: Clock;
  /** A way out of one run's own, so that each run connects afresh and no breaker hides what it would find. */
  readonly openOutbound: () => Outbound;
  readonly tunnels: Tunnels;
  readonly lookUp: LookUp;
  readonly figures: HostFigures;
}

/** Runs that look at the real thing. */
export function createProber(parts: ProberParts): BeginRun {
  return ({ secrets, traffic }) => {
    const outbound = metered(parts.openOutbound(), traffic);
    return {
      probe: (check, signal) =>
        lookWithin(parts.clock, check, signal, within =>
          look(check, { ...parts, outbound, secrets, signal: within }),
        ),
      over: () => outbound.stop(),
    };
  };
}

type Scene = ProberParts & {
  readonly outbound: Outbound;
  readonly secrets: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
};

async function look(check: PlannedCheck, scene: Scene): Promise<Finding> {
  const { spec } = check;
  switch (spec.type) {
    case 'http':
      return await probeHttp({ ...check, spec }, scene);
    case 'tcp':
      return await probeTcp(spec, scene);
    case 'reachable':
      return await probeReachable(spec, scene);
    case 'tls_expiry':
      return await probeCertificate(spec, scene);
    case 'dns':
      return await probeName(spec, scene);
    case 'process':
      return await probeProcess(spec, scene.figures);
    case 'disk':
      return await probeDisk(spec, scene.figures);
    case 'memory':
      return probeMemory(scene.figures);
    case 'cpu':
      return probeProcessors(scene.figures);
  }
}

/** A look that takes too long is over then, whatever becomes of it. */
async function lookWithin(
  clock: Clock,
  { timeoutMs }: PlannedCheck,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<Finding>,
): Promise<Finding> {
  const stop = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<Finding>();
  const onAbort = (): void => {
    reject(signal.reason);
    stop.abort(signal.reason);
  };
  if (signal.aborted) throw signal.reason;
  signal.addEventListener('abort', onAbort, { once: true });
  const cancel = clock.after(timeoutMs, () => {
    const late = new DomainError('upstream_timeout', `no result within ${timeoutMs} ms`);
    resolve(missed(late));
    stop.abort(late);
  });
  run(stop.signal).then(resolve, (error: unknown) => resolve(missed(asDomainError(error))));
  try {
    return await promise;
  } finally {
    cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

/** A finding that is nothing but a fault. */
export function missed({ code, message }: DomainError): Finding {
  return { value: null, latencyMs: null, fault: { code, message }, detail: {} };
}
