// Decides whether a URL, and then the addresses behind it, may be contacted. Pure: it resolves and connects nothing.

import { DomainError } from '../../domain/errors.ts';
import { isPublicAddress, readAddress } from './addresses.ts';
import { isListedAddress, isListedHost, type PrivateTargets } from './targets.ts';

/** Who may be contacted beyond the public internet over TLS. */
export interface OutboundRules {
  readonly allowed: PrivateTargets;
  /** `http:` is permitted to everyone, not to allow-listed hosts alone. */
  readonly plainHttpEverywhere: boolean;
}

/** A host to contact: its name or address as the URL standard spells it, without brackets or a final dot. */
export interface OutboundHost {
  readonly hostname: string;
  readonly plainHttp: boolean;
}

/** A URL taken apart. */
export interface OutboundTarget extends OutboundHost {
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
}

/** The name or address itself, from the form a URL gives it. */
export function bareHostname(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}

/** Takes a URL apart; throws `invalid_request` where it is not one, `unprocessable` for a scheme but HTTP's, or credentials. */
export function readTarget(text: string): OutboundTarget {
  const url = /[\s\p{Cc}]/u.test(text) ? null : URL.parse(text);
  if (url === null) throw new DomainError('invalid_request', 'the URL is malformed');
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new DomainError('unprocessable', `the scheme ${url.protocol} is not permitted`);
  const hostname = bareHostname(url.hostname);
  if (!/^https?:\/\/[^/\\]/i.test(text) || hostname === '')
    throw new DomainError('invalid_request', 'the URL is malformed');
  if (url.username !== '' || url.password !== '')
    throw new DomainError('unprocessable', 'credentials in a URL are not permitted');
  return {
    hostname,
    plainHttp: url.protocol === 'http:',
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
  };
}

/** Throws `unprocessable` for an `http:` target that no address could make permitted. */
export function assertScheme(rules: OutboundRules, host: OutboundHost): void {
  const { allowed } = rules;
  if (!host.plainHttp || rules.plainHttpEverywhere || isListedHost(allowed, host.hostname)) return;
  const mayBeListed = allowed.everything || allowed.networks.length > 0;
  if (!mayBeListed && readAddress(host.hostname) === null) throw plainHttpRefused(host);
}

/** Throws `policy_violation` unless every address is public or allow-listed, `unprocessable` for `http:` to one that is not listed. */
export function assertAddresses(
  rules: OutboundRules,
  host: OutboundHost,
  addresses: readonly string[],
): void {
  if (isListedHost(rules.allowed, host.hostname)) return;
  let allListed = true;
  for (const text of addresses) {
    const address = readAddress(text);
    const listed = address !== null && isListedAddress(rules.allowed, address);
    if (!listed && (address === null || !isPublicAddress(address))) throw addressRefused(host);
    allListed &&= listed;
  }
  if (host.plainHttp && !rules.plainHttpEverywhere && !allListed) throw plainHttpRefused(host);
}

function plainHttpRefused(host: OutboundHost): DomainError {
  return new DomainError('unprocessable', `http: to ${host.hostname} is not permitted; use https:`);
}

/** Never says which address: the name's private address is none of the requester's business. */
function addressRefused(host: OutboundHost): DomainError {
  return new DomainError(
    'policy_violation',
    `${host.hostname} is at a private or reserved address; only BATUTA_ALLOW_PRIVATE_TARGETS can permit it`,
  );
}
