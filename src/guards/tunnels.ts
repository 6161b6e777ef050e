// Tunnels for programs that speak to the outside themselves: the guard judges where each leads, and knows nothing of what goes through.

import { lookup } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import { DomainError } from '../domain/errors.ts';
import type { Tunnels, TunnelTarget } from '../engine/ports/tunnels.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { addressesOf, answering, assertPeer, type ResolveHost } from './outbound/connector.ts';
import { assertAddresses, bareHostname, type OutboundRules } from './outbound/permission.ts';
import type { PrivateTargets } from './outbound/targets.ts';

/** How to build tunnels. */
export interface TunnelOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly allowed: PrivateTargets;
  /** The system's resolver unless given. */
  readonly resolve?: ResolveHost;
  /** Permits plain HTTP to every public host, not to allow-listed ones alone. */
  readonly plainHttpEverywhere?: boolean;
}

const CONNECT_TIMEOUT_MS = 10_000;

/** Guarded tunnels: every address of a name is judged, and one of just those is connected to (`SAM-122`). */
export function createTunnels(options: TunnelOptions): Tunnels {
  const { log, allowed, plainHttpEverywhere = false, resolve = systemResolve } = options;
  const rules: OutboundRules = { allowed, plainHttpEverywhere };
  return {
    async open(target) {
      target.signal?.throwIfAborted();
      const hostname = bareHostname(target.hostname);
      const addresses = await addressesOf(resolve, hostname);
      try {
        assertAddresses(rules, { hostname, plainHttp: target.plainHttp }, addresses);
      } catch (refusal) {
        log.warn('outbound target refused', { host: hostname, addresses });
        throw refusal;
      }
      target.signal?.throwIfAborted();
      return await dial(options.clock, { ...target, hostname }, addresses);
    },
  };
}

async function systemResolve(hostname: string): Promise<readonly string[]> {
  return (await lookup(hostname, { all: true })).map(({ address }) => address);
}

function dial(clock: Clock, target: TunnelTarget, addresses: readonly string[]): Promise<Socket> {
  const { hostname, port, signal } = target;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({
    host: hostname,
    port,
    lookup: answering(addresses),
    autoSelectFamily: true,
    noDelay: true,
    allowHalfOpen: true,
  });
  const onAbort = (): void => void socket.destroy(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const cancel = clock.after(CONNECT_TIMEOUT_MS, () =>
    socket.destroy(new DomainError('upstream_timeout', `connecting to ${hostname} took too long`)),
  );
  const over = (): void => {
    cancel();
    signal?.removeEventListener('abort', onAbort);
  };
  // Stays for the socket's life: it may fail before its user listens.
  socket.on('error', error => {
    over();
    reject(error === signal?.reason ? error : asTunnelError(error, hostname));
  });
  socket.once('connect', () => {
    over();
    try {
      assertPeer(addresses, socket.remoteAddress);
      resolve(socket);
    } catch (refusal) {
      socket.destroy();
      reject(refusal);
    }
  });
  return promise;
}

/** Says no more than the kind of failure: messages of sockets name addresses. */
function asTunnelError(error: Error, hostname: string): DomainError {
  if (error instanceof DomainError) return error;
  const code = 'code' in error ? String(error.code) : 'unknown cause';
  return new DomainError('dependency_failed', `no connection to ${hostname}: ${code}`, { cause: error });
}
