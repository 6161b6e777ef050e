// The operator's list of targets that may be reached although they are private: hosts, addresses and networks.

import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { DomainError } from '../../domain/errors.ts';
import { type Address, isPublicAddress } from './addresses.ts';

/** What `BATUTA_ALLOW_PRIVATE_TARGETS` permits. */
export interface PrivateTargets {
  /** Every private address is permitted. */
  readonly everything: boolean;
  /** Names as a URL spells them: lower-case, punycode, no final dot. */
  readonly hosts: ReadonlySet<string>;
  readonly networks: readonly (readonly [Address, number])[];
}

/** Reads `true`, or a comma-separated list of hosts, addresses and CIDRs; throws `invalid_request` naming the entry that is none. */
export function parsePrivateTargets(text: string): PrivateTargets {
  const entries = text
    .split(',')
    .map(entry => entry.trim())
    .filter(entry => entry !== '');
  const [only = 'false'] = entries;
  if (entries.length < 2 && (only === 'true' || only === 'false'))
    return { everything: only === 'true', hosts: new Set(), networks: [] };
  const hosts = new Set<string>();
  const networks: (readonly [Address, number])[] = [];
  for (const entry of entries) {
    const network = readNetwork(entry);
    if (network === null) hosts.add(readHost(entry));
    else networks.push(network);
  }
  return { everything: false, hosts, networks };
}

/** True when the list names the host itself, so that any address it has is permitted. */
export function isListedHost(targets: PrivateTargets, hostname: string): boolean {
  return targets.hosts.has(hostname);
}

/** True when the list covers the address. */
export function isListedAddress(targets: PrivateTargets, address: Address): boolean {
  if (targets.everything) return !isPublicAddress(address);
  return targets.networks.some(
    ([network, bits]) => network.kind() === address.kind() && address.match(network, bits),
  );
}

function readNetwork(entry: string): readonly [Address, number] | null {
  const [base = '', bits, ...more] = entry.split('/');
  const literal = base.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(literal);
  if (family === 0) return null;
  const width = family === 4 ? 32 : 128;
  if (more.length > 0 || (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > width)))
    throw unreadable(entry);
  return [ipaddr.parse(literal), bits === undefined ? width : Number(bits)];
}

function readHost(entry: string): string {
  const url = /^[^\s/\\?#@:]+$/.test(entry) ? URL.parse(`https://${entry}`) : null;
  const hostname = url?.hostname.replace(/\.$/, '') ?? '';
  if (hostname === '' || isIP(hostname) !== 0 || hostname.includes('*')) throw unreadable(entry);
  return hostname;
}

function unreadable(entry: string): DomainError {
  return new DomainError(
    'invalid_request',
    `"${entry}" is not a host, an address or a CIDR; give a comma-separated list of those, or true`,
  );
}
