// Randomness, injected. Secrets come from the system's CSPRNG; the simulator replays a seed.

import { randomBytes, randomUUIDv7 } from 'node:crypto';

/** Where a component gets its random numbers and ids from. */
export interface Random {
  /** In [0, 1). */
  fraction(): number;
  bytes(count: number): Uint8Array;
  /** A UUIDv7: unique, and ordered by time of making. */
  uuid(): string;
}

/** The system's randomness. */
export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: count => randomBytes(count),
  uuid: () => randomUUIDv7(),
};

/** The same numbers for the same seed, for simulation and property tests; never for secrets. */
export function seededRandom(seed: number, now: () => number): Random {
  let state = seed >>> 0;
  const word = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => word() & 0xff);
  return {
    fraction: () => word() / 0x1_0000_0000,
    bytes,
    uuid() {
      const hex = Buffer.from(bytes(10)).toString('hex');
      const time = Math.floor(now()).toString(16).padStart(12, '0');
      return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(0, 3)}-8${hex.slice(3, 6)}-${hex.slice(6, 18)}`;
    },
  };
}
