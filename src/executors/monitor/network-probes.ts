// Looks at what can be reached: a port, a host, a certificate, a name. Every connection is a guarded tunnel (`SAM-122`).

import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { DomainError } from '../../domain/errors.ts';
import type { Tunnels } from '../../engine/ports/tunnels.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Finding } from './finding.ts';
import { asLookUpFault, type LookUp } from './names.ts';
import type { CheckOf } from './payload.ts';
import { hostIn } from './plan.ts';

/** What these probes work with; `signal` aborts when their time is up. */
export interface NetworkParts {
  readonly clock: Clock;
  readonly tunnels: Tunnels;
  readonly lookUp: LookUp;
  readonly signal: AbortSignal;
}

const BANNER_BYTES_MAX = 1_024;
const DAY_MS = 86_400_000;
const RECORDS_SHOWN_MAX = 20;

/** Connects to a port, and listens to what the other side says first where that matters. */
export async function probeTcp(spec: CheckOf<'tcp'>, parts: NetworkParts): Promise<Finding> {
  const { socket, latencyMs } = await dial(parts, spec.host, spec.port);
  try {
    if (spec.banner === undefined || (await says(socket, spec.banner, parts.signal)))
      return good(latencyMs, {});
    return bad(latencyMs, 'the other side does not say what it must');
  } finally {
    socket.destroy();
  }
}

/** Finds out whether there is a host at all: one that refuses a connection is there too. */
export async function probeReachable(spec: CheckOf<'reachable'>, parts: NetworkParts): Promise<Finding> {
  const startedAt = parts.clock.monotonic();
  const stop = new AbortController();
  const signal = AbortSignal.any([parts.signal, stop.signal]);
  const attempts = (spec.ports ?? [443, 80]).map(async port => {
    try {
      const { socket } = await dial({ ...parts, signal }, spec.host, port);
      socket.destroy();
      return { port, answer: 'accepted' };
    } catch (error) {
      const isRefusal = error instanceof DomainError && /ECONNREFUSED/.test(error.message);
      if (isRefusal) return { port, answer: 'refused' };
      throw error;
    }
  });
  try {
    const first = await Promise.any(attempts);
    return good(rounded(parts.clock.monotonic() - startedAt), first);
  } catch (error) {
    parts.signal.throwIfAborted();
    throw (error as AggregateError).errors[0];
  } finally {
    stop.abort(new Error('another port answered'));
  }
}

/** Reads a certificate: how many days are left, and whether it is one to trust. Nothing but the handshake is sent. */
export async function probeCertificate(spec: CheckOf<'tls_expiry'>, parts: NetworkParts): Promise<Finding> {
  const { socket } = await dial(parts, spec.host, spec.port ?? 443);
  const startedAt = parts.clock.monotonic();
  const tls = await shakeHands(socket, spec.host, parts.signal);
  try {
    const latencyMs = rounded(parts.clock.monotonic() - startedAt);
    const certificate = tls.getPeerCertificate();
    if (certificate.valid_to === undefined) return bad(latencyMs, 'the other side shows no certificate');
    const now = parts.clock.now();
    const days = Math.floor(((Date.parse(certificate.valid_to) - now) / DAY_MS) * 10) / 10;
    const detail = {
      valid_from: new Date(certificate.valid_from).toISOString(),
      valid_to: new Date(certificate.valid_to).toISOString(),
      subject: String(certificate.subject?.CN ?? ''),
      issuer: String(certificate.issuer?.CN ?? ''),
      protocol: tls.getProtocol() ?? '',
      trusted: tls.authorized,
    };
    const message =
      days < 0
        ? `the certificate expired on ${detail.valid_to}`
        : Date.parse(certificate.valid_from) > now
          ? `the certificate is valid from ${detail.valid_from} only`
          : spec.validate !== false && !tls.authorized
            ? `the certificate is not to be trusted: ${String(tls.authorizationError)}`
            : null;
    const fault = message === null ? null : ({ code: 'dependency_failed', message } as const);
    return { value: days, latencyMs, fault, detail };
  } finally {
    tls.destroy();
  }
}

/** Asks for the records of a name. */
export async function probeName(
  spec: CheckOf<'dns'>,
  { clock, lookUp, signal }: NetworkParts,
): Promise<Finding> {
  const hostname = hostIn(spec.host) ?? spec.host;
  const startedAt = clock.monotonic();
  const records = await lookUp(hostname, spec.record ?? 'A', signal).catch((error: unknown) => {
    throw asLookUpFault(error, hostname);
  });
  const latencyMs = rounded(clock.monotonic() - startedAt);
  const detail = { records: records.slice(0, RECORDS_SHOWN_MAX) };
  const known = new Set(records.map(one => one.toLowerCase()));
  const missing = (spec.expected ?? []).filter(one => !known.has(one.toLowerCase()));
  if (records.length > 0 && missing.length === 0) return good(latencyMs, detail);
  const message =
    records.length === 0 ? `${hostname} has no such record` : `the answer lacks ${missing.join(', ')}`;
  return { ...bad(latencyMs, message), detail };
}

async function dial(
  { clock, tunnels, signal }: Pick<NetworkParts, 'clock' | 'tunnels' | 'signal'>,
  host: string,
  port: number,
): Promise<{ readonly socket: Socket; readonly latencyMs: number }> {
  const startedAt = clock.monotonic();
  const socket = await tunnels.open({ hostname: hostIn(host) ?? host, port, plainHttp: false, signal });
  return { socket, latencyMs: rounded(clock.monotonic() - startedAt) };
}

async function says(socket: Socket, text: string, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  let heard = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    heard = Buffer.concat([heard, bytes]).subarray(0, BANNER_BYTES_MAX);
    if (heard.includes(text)) resolve(true);
    else if (heard.length === BANNER_BYTES_MAX) resolve(false);
  });
  socket.once('end', () => resolve(false));
  socket.once('error', () => resolve(false));
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The certificate is what is looked at, so one that is not to be trusted must be let in; nothing is ever sent to it. */
function shakeHands(socket: Socket, host: string, signal: AbortSignal): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const hostname = hostIn(host) ?? host;
  const isName = !/^[\d.]+$|:/.test(hostname);
  const tls = connectTls({
    socket,
    rejectUnauthorized: false,
    // Whose name the certificate must bear is asked for even where no name is sent.
    host: hostname,
    ...(isName ? { servername: hostname } : {}),
  });
  const onAbort = (): void => void tls.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  tls.once('secureConnect', () => resolve(tls));
  tls.on('error', error => {
    const code = 'code' in error ? String(error.code) : 'unknown cause';
    const told = new DomainError('dependency_failed', `there is no TLS: ${code}`, { cause: error });
    reject(error === signal.reason ? error : told);
  });
  tls.once('close', () => {
    signal.removeEventListener('abort', onAbort);
    socket.destroy();
    reject(new DomainError('dependency_failed', 'there is no TLS: the connection was closed'));
  });
  return promise;
}

function good(latencyMs: number, detail: Finding['detail']): Finding {
  return { value: latencyMs, latencyMs, fault: null, detail };
}

function bad(latencyMs: number, message: string): Finding {
  return { value: latencyMs, latencyMs, fault: { code: 'dependency_failed', message }, detail: {} };
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
