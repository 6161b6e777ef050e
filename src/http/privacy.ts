// Who can read a connection on its way, and who is at its other end by certificate.

import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { type AddressRange, isWithin, parseRange } from '../guards/network.ts';

/** The ranges of addresses that were checked as such before. */
export function rangesOf(texts: readonly string[]): readonly AddressRange[] {
  return texts.map(parseRange).filter(range => range !== null);
}

const LOOPBACK = rangesOf(['127.0.0.0/8', '::1']);

/**
 * Whether nobody else can read what comes by a request: it is under TLS all the way, here or to a proxy that is believed, or never leaves
 * this machine. What a proxy says speaks against it whoever the proxy is.
 */
export function isPrivate(request: IncomingMessage, proxies: readonly AddressRange[]): boolean {
  const { socket, headers } = request;
  const told = lastOf(headers['x-forwarded-proto']);
  if (told !== null && told !== 'https') return false;
  if (isTls(socket)) return true;
  const address = socket.remoteAddress ?? '';
  if (told === 'https' && isWithin(address, proxies)) return true;
  const forwardedFor = lastOf(headers['x-forwarded-for']);
  return isWithin(address, LOOPBACK) && (forwardedFor === null || isWithin(forwardedFor, LOOPBACK));
}

/** The thumbprint of the certificate the caller showed and proved, if it was issued by who is believed. */
export function certificateOf({ socket }: IncomingMessage): { readonly clientCertificateSha256?: string } {
  if (!isTls(socket) || !socket.authorized) return {};
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined
    ? {}
    : { clientCertificateSha256: hash('sha256', certificate.raw, 'base64url') };
}

/** `https` where this server itself ends the TLS. */
export function schemeOf({ socket }: IncomingMessage): 'http' | 'https' {
  return isTls(socket) ? 'https' : 'http';
}

function isTls(socket: IncomingMessage['socket']): socket is TLSSocket {
  return 'encrypted' in socket && socket.encrypted === true;
}

/** The word of the proxy next to us. */
function lastOf(header: string | readonly string[] | undefined): string | null {
  const said = [header ?? []].flat().join(',').split(',').at(-1)?.trim();
  return said === undefined || said === '' ? null : said;
}
