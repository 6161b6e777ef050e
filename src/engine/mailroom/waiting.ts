// Who waits for mail in this process. A wake carries nothing, so a lost or doubled one is harmless: whoever waits also looks.

import type { TenantId } from '../../domain/ids.ts';
import type { InboxName } from '../../domain/message.ts';

/** Wakes readers of inboxes and of tenants' logs. */
export class Waiting {
  readonly #rooms = new Map<string, Set<() => void>>();

  /** Calls back at every wake of one of the inboxes, or of the tenant's log, until what is answered is called. */
  join(tenant: TenantId, inboxes: readonly InboxName[] | 'log', wake: () => void): () => void {
    const keys = inboxes === 'log' ? [logKey(tenant)] : inboxes.map(inbox => keyOf(tenant, inbox));
    for (const key of keys) {
      const room = this.#rooms.get(key) ?? new Set();
      this.#rooms.set(key, room);
      room.add(wake);
    }
    return () => {
      for (const key of keys) {
        const room = this.#rooms.get(key);
        room?.delete(wake);
        if (room?.size === 0) this.#rooms.delete(key);
      }
    };
  }

  /** Something came into these inboxes, and into the tenant's log. */
  wake(tenant: TenantId, inboxes: Iterable<InboxName>): void {
    for (const inbox of inboxes) for (const wake of this.#rooms.get(keyOf(tenant, inbox)) ?? []) wake();
    for (const wake of this.#rooms.get(logKey(tenant)) ?? []) wake();
  }

  /** Something came into inboxes of whatever tenant, on another node; null: nobody knows which. */
  wakeNamed(inboxes: readonly InboxName[] | null): void {
    const names = inboxes === null ? null : new Set<string>(inboxes);
    for (const [key, room] of this.#rooms) {
      const inbox = key.slice(key.indexOf('\n') + 1);
      if (names === null || inbox === '' || names.has(inbox)) for (const wake of room) wake();
    }
  }

  /** Wakes everyone. */
  wakeAll(): void {
    this.wakeNamed(null);
  }
}

function keyOf(tenant: TenantId, inbox: InboxName): string {
  return `${tenant}\n${inbox}`;
}

function logKey(tenant: TenantId): string {
  return `${tenant}\n`;
}
