// Who wants to know that something was written: streams wait here and then read the log. A signal carries nothing, so a lost or
// doubled one is harmless.

import type { TaskKey, TenantId } from '../domain/ids.ts';

/** Wakes readers of the event log in this process. */
export class Signals {
  readonly #byTask = new Map<TaskKey, Set<() => void>>();
  readonly #byTenant = new Map<TenantId, Set<() => void>>();
  readonly #ends = new Map<TaskKey, Set<() => void>>();

  /** Tells everyone who watches the task or its tenant; those who wait for its end only of that. */
  publish(tenant: TenantId, key: TaskKey, isEnd = false): void {
    for (const wake of this.#byTask.get(key) ?? []) wake();
    if (isEnd) for (const wake of this.#ends.get(key) ?? []) wake();
    for (const wake of this.#byTenant.get(tenant) ?? []) wake();
  }

  /** Tells everyone who watches one of the tasks, or any tenant's whole; null: everyone. */
  ring(keys: readonly TaskKey[] | null): void {
    const found = (rooms: ReadonlyMap<TaskKey, Set<() => void>>) =>
      keys === null ? rooms.values() : keys.map(key => rooms.get(key) ?? []);
    for (const room of [...found(this.#byTask), ...found(this.#ends), ...this.#byTenant.values()])
      for (const wake of room) wake();
  }

  /** Calls back at the task's end, and at whatever is done to it elsewhere, of which no more is known; answers how to stop that. */
  onEnd(key: TaskKey, wake: () => void): () => void {
    return join(this.#ends, key, wake);
  }

  /** Yields once at the start and then after every publication, several between two reads as one. */
  async *changes(tenant: TenantId, key: TaskKey | null, signal: AbortSignal): AsyncIterable<void> {
    let ring: () => void = () => {};
    let pending = true;
    const wake = (): void => {
      pending = true;
      ring();
    };
    const leave = key === null ? join(this.#byTenant, tenant, wake) : join(this.#byTask, key, wake);
    signal.addEventListener('abort', wake, { once: true });
    try {
      while (!signal.aborted) {
        if (!pending) await new Promise<void>(resolve => (ring = resolve));
        if (signal.aborted) return;
        pending = false;
        yield;
      }
    } finally {
      signal.removeEventListener('abort', wake);
      leave();
    }
  }
}

function join<Key>(rooms: Map<Key, Set<() => void>>, key: Key, wake: () => void): () => void {
  const room = rooms.get(key) ?? new Set();
  rooms.set(key, room);
  room.add(wake);
  return () => {
    room.delete(wake);
    if (room.size === 0 && rooms.get(key) === room) rooms.delete(key);
  };
}
