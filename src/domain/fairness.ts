// Who is served next: stride scheduling over keys (tenants), by weight. Pure: state in, state out.

/** The service a key has had, in virtual time; `stride = 1 / weight` is added per unit served. */
export interface Stride {
  readonly weight: number;
  readonly pass: number;
}

/** The keys of one pool of workers, and the virtual time of its last service; pools must not share one, or the busy starves the slow. */
export interface StrideState<Key> {
  readonly strides: Map<Key, Stride>;
  floor: number;
}

/** No key served yet. */
export function newStrides<Key>(): StrideState<Key> {
  return { strides: new Map(), floor: 0 };
}

/**
 * The key to serve next among those that wait: the least virtual time, first come on a tie. Null when none waits.
 * A key that was idle joins at the present virtual time, so it neither hoards credit nor starves (`SAM-111`).
 */
export function nextKey<Key>(state: StrideState<Key>, waiting: Iterable<Key>): Key | null {
  let best: Key | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const key of waiting) {
    const pass = Math.max(state.strides.get(key)?.pass ?? 0, state.floor);
    if (pass < least) {
      least = pass;
      best = key;
    }
  }
  return best;
}

/** Records that `units` of service went to the key. */
export function serve<Key>(state: StrideState<Key>, key: Key, weight: number, units = 1): void {
  const start = Math.max(state.strides.get(key)?.pass ?? 0, state.floor);
  state.floor = start;
  state.strides.set(key, { weight, pass: start + units / weight });
  if (state.strides.size > KEYS_KEPT) forgetIdle(state);
}

const KEYS_KEPT = 1_000;

/** A key at or behind the present virtual time counts like one never served. */
function forgetIdle<Key>(state: StrideState<Key>): void {
  for (const [key, { pass }] of state.strides) if (pass <= state.floor) state.strides.delete(key);
}
