// Opens connections for the HTTP client: resolves a name once, has every address judged, connects to one of just those, and
// makes sure of the far end before a byte of the request leaves.

import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { buildConnector } from 'undici';
import { DomainError } from '../../domain/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import { isSameAddress, readAddress } from './addresses.ts';
import { bareHostname, type OutboundHost } from './permission.ts';

/** All addresses of a name; rejects or answers none where it has none. */
export type ResolveHost = (hostname: string) => Promise<readonly string[]>;

/** What a connector needs to know of its house. */
export interface ConnectorOptions {
  readonly clock: Clock;
  readonly resolve: ResolveHost;
  /** Throws unless every address may be contacted. */
  readonly assertPermitted: (host: OutboundHost, addresses: readonly string[]) => void;
  /** For connecting and the TLS handshake together. */
  readonly connectTimeoutMs: number;
}

/** Opens guarded connections for undici; TLS always validates certificate and host (`SAM-201`). */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  return (where, callback) => {
    open(options, where).then(
      socket => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };
}

/** The addresses behind a name or literal, unjudged; throws `dependency_failed` where there are none. */
export async function addressesOf(resolve: ResolveHost, hostname: string): Promise<readonly string[]> {
  if (readAddress(hostname) !== null) return [hostname];
  let cause: unknown;
  const addresses = await resolve(hostname).catch((error: unknown) => {
    cause = error;
    return [];
  });
  if (addresses.length === 0)
    throw new DomainError('dependency_failed', `the host ${hostname} does not resolve`, { cause });
  return addresses;
}

/** Throws `policy_violation` unless the far end of a socket is one of the addresses that were judged. */
export function assertPeer(addresses: readonly string[], peer: string | undefined): void {
  if (peer === undefined || !addresses.some(address => isSameAddress(address, peer)))
    throw new DomainError('policy_violation', 'the connection led to an address that was not checked');
}

async function open(options: ConnectorOptions, where: buildConnector.Options): Promise<Socket> {
  const hostname = bareHostname(where.hostname);
  const plainHttp = where.protocol !== 'https:';
  const addresses = await addressesOf(options.resolve, hostname);
  options.assertPermitted({ hostname, plainHttp }, addresses);
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = dial({ hostname, plainHttp, port: where.port, addresses });
  const cancel = options.clock.after(options.connectTimeoutMs, () =>
    socket.destroy(new DomainError('upstream_timeout', `connecting to ${hostname} took too long`)),
  );
  // Stays for the socket's life: it may fail before undici listens.
  socket.on('error', error => {
    cancel();
    reject(error);
  });
  socket.once(plainHttp ? 'connect' : 'secureConnect', () => {
    cancel();
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

interface Dial extends OutboundHost {
  /** Empty for the scheme's own. */
  readonly port: string;
  readonly addresses: readonly string[];
}

function dial({ hostname, plainHttp, port, addresses }: Dial): Socket {
  const common = {
    host: hostname,
    lookup: answering(addresses),
    autoSelectFamily: true,
    noDelay: true,
    keepAlive: true,
  };
  if (plainHttp) return connectTcp({ ...common, port: port === '' ? 80 : Number(port) });
  return connectTls({
    ...common,
    port: port === '' ? 443 : Number(port),
    ...(isIP(hostname) === 0 && { servername: hostname }),
    ALPNProtocols: ['http/1.1'],
    // Said aloud, because NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    rejectUnauthorized: true,
  });
}

/** A lookup that knows nothing but the judged addresses, so that no second resolution can answer differently. */
export function answering(addresses: readonly string[]): LookupFunction {
  const all = addresses.map(address => ({ address, family: isIP(address) }));
  return (_hostname, options, callback) => {
    const [first] = all;
    if (options.all === true) callback(null, all);
    else callback(null, first?.address ?? '', first?.family);
  };
}
