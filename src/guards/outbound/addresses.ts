// Decides which IP addresses belong to the public internet. Everything a host, its network or its cloud keeps to itself does not.

import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** A parsed address. */
export type Address = ipaddr.IPv4 | ipaddr.IPv6;

const ALLOCATED = ipaddr.IPv6.parseCIDR('2000::/3');
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');

/** The address a canonical literal names, an IPv4-mapped one as the IPv4 address it reaches; null for any other text. */
export function readAddress(text: string): Address | null {
  return isIP(text) === 0 ? null : ipaddr.process(text);
}

/** True for an address anyone may reach; one that embeds an IPv4 address behind NAT64 is as public as that is. */
export function isPublicAddress(address: Address): boolean {
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast';
  if (address.match(NAT64)) return isPublicAddress(new ipaddr.IPv4(address.toByteArray().slice(12)));
  return address.match(ALLOCATED) && address.range() === 'unicast';
}

/** True when both texts name one address, however they spell it. */
export function isSameAddress(one: string, other: string): boolean {
  const bytes = readAddress(one)?.toByteArray().join();
  return bytes !== undefined && bytes === readAddress(other)?.toByteArray().join();
}
