// Looks whether messages and decisions that runs wait for have come: all of a process's together, once a second, and at once where somebody
// says so. They are records of the store, so any node may have taken them in.

import type { TenantId } from '../../domain/ids.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { StoredDocument } from '../../store/rows.ts';
import type { Store } from '../../store/store.ts';

/** What is waited for. */
export interface Awaited {
  readonly tenant: TenantId;
  readonly kind: string;
  readonly id: string;
  /** Called each time it is looked at, with the record as it is or null where there is none, until the wait is withdrawn. */
  readonly seen: (document: StoredDocument | null) => void;
}

const LOOK_MS = 1_000;
const IDS_MAX = 500;

/** The post of all runs in this process. */
export class Mail {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'documents'>;
  readonly #awaited = new Set<Awaited>();
  #timer: Cancel | null = null;
  #busy: Promise<void> | null = null;
  #again = false;

  constructor(log: Log, clock: Clock, store: Pick<Store, 'documents'>) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
  }

  /** Waits until withdrawn by what is answered. */
  await(awaited: Awaited): () => void {
    this.#awaited.add(awaited);
    this.look();
    return () => {
      this.#awaited.delete(awaited);
    };
  }

  /** Something has come: looks now. */
  look(): void {
    if (this.#awaited.size === 0) return;
    if (this.#busy !== null) {
      this.#again = true;
      return;
    }
    this.#timer?.();
    this.#busy = this.#look()
      .catch(error => this.#log.warn('messages for workflows could not be read', { error: String(error) }))
      .finally(() => {
        this.#busy = null;
        const inMs = this.#again ? 0 : LOOK_MS;
        this.#again = false;
        this.#timer = this.#clock.after(inMs, () => this.look());
      });
  }

  /** Looks no more. */
  async stop(): Promise<void> {
    this.#awaited.clear();
    await this.#busy;
    this.#timer?.();
  }

  async #look(): Promise<void> {
    for (const [kind, awaited] of Map.groupBy(this.#awaited, one => one.kind)) {
      for (let from = 0; from < awaited.length; from += IDS_MAX) {
        const some = awaited.slice(from, from + IDS_MAX);
        const ids = [...new Set(some.map(({ id }) => id))];
        const found = await this.#store.documents({ kind, ids });
        const byName = new Map(found.map(document => [`${document.tenant}\n${document.id}`, document]));
        for (const one of some)
          if (this.#awaited.has(one)) one.seen(byName.get(`${one.tenant}\n${one.id}`) ?? null);
      }
    }
  }
}
