// Who still writes an old version, said in the log once a sender and day (`NOOB-160`).

import type { TenantId } from '../../domain/ids.ts';
import type { Log } from '../../runtime/log.ts';

const DAY_MS = 86_400_000;
/** Beyond so many senders a day, nobody reads further. */
const SENDERS_MAX = 10_000;

/** Remembers, for the day, who was warned of. */
export class OldVersions {
  readonly #log: Log;
  readonly #told = new Set<string>();
  #day = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Takes note of a message of an old version. */
  note(tenant: TenantId, sender: string, version: string, now: number): void {
    const day = Math.floor(now / DAY_MS);
    if (day !== this.#day) this.#told.clear();
    this.#day = day;
    const key = JSON.stringify([tenant, sender, version]);
    if (this.#told.has(key) || this.#told.size >= SENDERS_MAX) return;
    this.#told.add(key);
    this.#log.warn('a message is of a version that ends', { tenant, sender, version, successor: '1.1' });
  }
}
