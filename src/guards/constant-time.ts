// Comparison that takes as long for a near miss as for a far one. The only place a secret is ever compared.

import { timingSafeEqual } from 'node:crypto';

/** Whether both are the same bytes; only their lengths may show in the time it takes. */
export function sameBytes(given: Uint8Array, expected: Uint8Array): boolean {
  if (given.length === expected.length) return timingSafeEqual(given, expected);
  timingSafeEqual(expected, expected);
  return false;
}
