// Network addresses as the guards see them: one spelling, ranges, and the network a caller comes from.

import ipaddr from 'ipaddr.js';

/** A parsed CIDR range. */
export type AddressRange = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/** The range of a CIDR or single address, or null where it is neither; only dotted-decimal IPv4 counts. */
export function parseRange(text: string): AddressRange | null {
  const [address = '', bits, ...rest] = text.split('/');
  const parsed = parseAddress(address);
  if (parsed === null || rest.length > 0) return null;
  const width = parsed.kind() === 'ipv4' ? 32 : 128;
  if (bits === undefined) return [parsed, width];
  return /^\d{1,3}$/.test(bits) && Number(bits) <= width ? [parsed, Number(bits)] : null;
}

/** Whether the address lies in one of the ranges; one that cannot be read lies in none. */
export function isWithin(address: string, ranges: readonly AddressRange[]): boolean {
  const parsed = parseAddress(address);
  if (parsed === null) return false;
  return ranges.some(([base, bits]) => parsed.kind() === base.kind() && parsed.match(base, bits));
}

/** The /24 (IPv4) or /48 (IPv6) an address lies in, as CIDR (`SAM-21`); `unknown` where it cannot be read. */
export function networkOf(address: string): string {
  return prefixOf(address, 24, 48);
}

/** What one caller surely shares with nobody: the IPv4 address, or the IPv6 /64, within which anyone may change addresses at will. */
export function callerNetworkOf(address: string): string {
  return prefixOf(address, 32, 64);
}

function prefixOf(address: string, bitsOf4: number, bitsOf6: number): string {
  const parsed = parseAddress(address);
  if (parsed === null) return 'unknown';
  const bits = parsed.kind() === 'ipv4' ? bitsOf4 : bitsOf6;
  const bytes = parsed.toByteArray().map((byte, at) => byte & masked(bits - at * 8));
  return `${ipaddr.fromByteArray(bytes).toString()}/${bits}`;
}

/** The mask of a byte of which so many leading bits count. */
function masked(bits: number): number {
  return bits >= 8 ? 0xff : bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}

function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  const [address = ''] = text.split('%');
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return ipaddr.IPv4.parse(address);
  return ipaddr.IPv6.isValid(address) ? ipaddr.process(address) : null;
}
