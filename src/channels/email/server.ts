// The mail server as an operator names it: `smtps://user:password@mail.example.com`, or `smtp://` with STARTTLS. Between machines
// nothing is said in clear, unless the operator says so with `?tls=off`.

import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { rootCertificates } from 'node:tls';
import { DomainError } from '../../domain/errors.ts';

/** How to reach a mail server. */
export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly secure: boolean;
  /** TLS before anything else is said; where neither this nor `secure` is, there is none. */
  readonly requireTLS: boolean;
  readonly ignoreTLS: boolean;
  readonly auth?: { readonly user: string; readonly pass: string };
  readonly tls: { readonly minVersion: 'TLSv1.2'; readonly ca?: string };
}

const SCHEMES: Readonly<Record<string, { readonly port: number; readonly secure: boolean }>> = {
  'smtp:': { port: 587, secure: false },
  'smtps:': { port: 465, secure: true },
};
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/**
 * The server a URL names; the file holds authorities in PEM whose certificates it may show beside the usual ones. Throws `invalid_request`
 * where the URL names none or the file cannot be read.
 */
export function mailServerAt(text: string, authorities: string | null = null): MailServer {
  const url = URL.parse(text);
  const scheme = url === null ? undefined : SCHEMES[url.protocol];
  if (url === null || scheme === undefined || url.hostname === '')
    throw wrong('it must be like smtps://user:password@mail.example.com');
  const asked = url.searchParams.get('tls');
  const unknown = [...url.searchParams.keys()].find(name => name !== 'tls');
  if (unknown !== undefined || (asked !== null && asked !== 'off' && asked !== 'required'))
    throw wrong('after its "?" it may have tls=off or tls=required and nothing else');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const isClear = !scheme.secure && (asked === 'off' || (asked === null && isLoopback(host)));
  const [user, pass] = [url.username, url.password].map(decoded);
  return {
    ...{ host, port: url.port === '' ? scheme.port : Number(url.port), secure: scheme.secure },
    ...{ requireTLS: !scheme.secure && !isClear, ignoreTLS: isClear },
    ...(user === undefined || pass === undefined || user === '' ? {} : { auth: { user, pass } }),
    tls: { minVersion: 'TLSv1.2', ...(authorities === null ? {} : { ca: authoritiesIn(authorities) }) },
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw wrong('a "%" in its user or password is written %25');
  }
}

function authoritiesIn(file: string): string {
  try {
    return [...rootCertificates, readFileSync(file, 'utf8')].join('\n');
  } catch (cause) {
    throw new DomainError('invalid_request', `BATUTA_SMTP_CA is wrong: ${file} cannot be read`, {
      details: { setting: 'BATUTA_SMTP_CA' },
      cause,
    });
  }
}

function isLoopback(host: string): boolean {
  const family = isIP(host);
  return host === 'localhost' || (family !== 0 && LOOPBACK.check(host, family === 4 ? 'ipv4' : 'ipv6'));
}

function wrong(why: string): DomainError {
  return new DomainError('invalid_request', `BATUTA_SMTP_URL is wrong: ${why}`, {
    details: { setting: 'BATUTA_SMTP_URL' },
  });
}
