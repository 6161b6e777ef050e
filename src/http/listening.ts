// The bare server beneath the routes: in clear, or under TLS 1.3 with a certificate that is read again when its files change.

import { readFileSync, statSync } from 'node:fs';
import type { RequestListener, Server } from 'node:http';
import { DomainError } from '../domain/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';

/** Files in PEM; who shows a certificate of one of the authorities is known by it. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly clientAuthorities?: string;
}

/** How patient a server is, in milliseconds. */
export interface Patience {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
}

const LOOK_MS = 30_000;

// An import of this module, unlike this, also loads its WebSocket and all that stands behind it: 25 ms of each start.
const { createServer: createPlainServer } = process.getBuiltinModule('node:http');

/** A server that does not listen yet; throws `invalid_request` where its certificate cannot be used. */
export function bareServer(tls: TlsFiles | undefined, patience: Patience, handler: RequestListener): Server {
  const options = { ...patience, noDelay: true };
  if (tls === undefined) return createPlainServer(options, handler);
  try {
    const { createServer } = process.getBuiltinModule('node:https');
    // Whoever shows no certificate is a caller like any other; who needs one is told when its credentials are judged.
    const asks = { requestCert: tls.clientAuthorities !== undefined, rejectUnauthorized: false };
    return createServer({ ...options, ...read(tls), ...asks, minVersion: 'TLSv1.3' }, handler);
  } catch (cause) {
    throw new DomainError('invalid_request', `the TLS certificate cannot be used: ${String(cause)}`, {
      cause,
    });
  }
}

/** Takes up a certificate that was renewed, for the connections that come; answers how to stop that. */
export function followCertificate(server: Server, tls: TlsFiles, clock: Clock, log: Log): () => void {
  let known = stampOf(tls);
  let cancel = clock.after(LOOK_MS, look);
  function look(): void {
    try {
      const now = stampOf(tls);
      if (now !== known && 'setSecureContext' in server) {
        (server as import('node:https').Server).setSecureContext({ ...read(tls), minVersion: 'TLSv1.3' });
        known = now;
        log.info('the TLS certificate was read again', { certificate: tls.certificate });
      }
    } catch (error) {
      log.warn('the TLS certificate could not be read again', { error: String(error) });
    }
    cancel = clock.after(LOOK_MS, look);
  }
  return () => cancel();
}

function read({ certificate, key, clientAuthorities }: TlsFiles) {
  return {
    cert: readFileSync(certificate),
    key: readFileSync(key),
    ...(clientAuthorities === undefined ? {} : { ca: readFileSync(clientAuthorities) }),
  };
}

function stampOf({ certificate, key, clientAuthorities }: TlsFiles): string {
  const files = [certificate, key, ...(clientAuthorities === undefined ? [] : [clientAuthorities])];
  return files.map(file => statSync(file).mtimeMs).join();
}
