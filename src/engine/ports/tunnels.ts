// What an executor needs to let a program it cannot see into (a browser) reach the outside: bytes to an address the guard permits.

import type { Socket } from 'node:net';

/** The far end of a tunnel. */
export interface TunnelTarget {
  /** A name or address, without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** Whether plain HTTP will go through, which only allow-listed hosts may be sent. */
  readonly plainHttp: boolean;
  readonly signal?: AbortSignal;
}

/** Connections to the outside, through the SSRF guard (`SAM-122`). */
export interface Tunnels {
  /**
   * Connects to an address that was judged, the name resolved afresh. Throws `DomainError`: `policy_violation` (address not permitted),
   * `unprocessable` (plain HTTP not permitted), `upstream_timeout`, `dependency_failed`; or the signal's reason once it aborts.
   */
  open(target: TunnelTarget): Promise<Socket>;
}
