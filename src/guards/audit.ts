// The guards' and the wires' way into the audit: buffered, so that no request waits for it, in order, and without secrets. Who
// verifies the chain the store has made of it is `verifyChain`.

import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';
import { auditHash } from '../store/audit-chain.ts';
import type { AuditEntry, NewAuditEntry } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { sameBytes } from './constant-time.ts';
import { mask, maskJson } from './mask.ts';

/** Where audit entries go; never throws, never waits. */
export interface AuditRecorder {
  record(entry: NewAuditEntry): void;
}

/** What is told of each entry the moment it is recorded, for alerts and metrics. */
export type AuditObserver = (entry: NewAuditEntry) => void;

/** Who is told whose chains grew. */
export interface ChainFollower {
  grow(tenants: Iterable<TenantId>): void;
}

/** Something that holds entries back to merge them, and gives them away when the buffer is written. */
export type AuditSource = () => readonly NewAuditEntry[];

const FLUSH_MS = 400;
const RETRY_MS = 1_000;
const BATCH_MAX = 500;
const ENTRIES_MAX = 50_000;

/** Writes entries within a second of their recording; while the store cannot, keeps up to 50,000 and says how many it had to drop. */
export class AuditWriter implements AuditRecorder, Service {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'appendAudit'>;
  readonly #observe: AuditObserver;
  readonly #heads: ChainFollower | null;
  readonly #sources: AuditSource[] = [];
  #entries: NewAuditEntry[] = [];
  #dropped = 0;
  #cancelFlush: Cancel | null = null;
  #flushing: Promise<void> = Promise.resolve();

  constructor(
    log: Log,
    clock: Clock,
    store: Pick<Store, 'appendAudit'>,
    options: { readonly observe?: AuditObserver; readonly heads?: ChainFollower } = {},
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#observe = options.observe ?? (() => undefined);
    this.#heads = options.heads ?? null;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    await this.flush();
    this.#cancelFlush?.();
    this.#cancelFlush = null;
  }

  record(entry: NewAuditEntry): void {
    const clean = cleaned(entry);
    this.#observe(clean);
    if (this.#entries.length >= ENTRIES_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#entries.push(clean);
    this.wake();
  }

  /** Adds somebody whose entries are fetched at each writing; it calls `wake` when it has some. */
  addSource(source: AuditSource): void {
    this.#sources.push(source);
  }

  /** Sees to it that a writing is due. */
  wake(): void {
    this.#wakeAfter(FLUSH_MS);
  }

  /** Resolves when everything recorded until now was written, or could not be and waits for the next time. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flush());
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    for (const source of this.#sources) for (const entry of source()) this.record(entry);
    while (this.#entries.length > 0) {
      const batch = this.#entries.slice(0, BATCH_MAX);
      try {
        await this.#store.appendAudit(batch);
      } catch (error) {
        this.#log.error('the audit cannot be written', {
          waiting: this.#entries.length,
          error: String(error),
        });
        this.#wakeAfter(RETRY_MS);
        return;
      }
      this.#entries = this.#entries.slice(batch.length);
      this.#heads?.grow(batch.map(({ tenant }) => tenant));
    }
    if (this.#dropped > 0) this.#log.error('audit entries were lost', { dropped: this.#dropped });
    this.#dropped = 0;
  }

  #wakeAfter(ms: number): void {
    this.#cancelFlush ??= this.#clock.after(ms, () => {
      this.#cancelFlush = null;
      void this.flush();
    });
  }
}

/** Callers choose ids and names too, and some paste their secret into the wrong field. */
function cleaned(entry: NewAuditEntry): NewAuditEntry {
  const { principal, object, requestId, detail } = entry;
  return {
    ...entry,
    principal: mask(principal),
    detail: maskJson(detail) as JsonObject,
    ...(object === undefined ? {} : { object: mask(object) }),
    ...(requestId === undefined ? {} : { requestId: mask(requestId) }),
  };
}

/** A link of a tenant's chain that is known to be true; `{ sequence: 0, hash: '' }` stands before the first. */
export interface ChainLink {
  readonly sequence: number;
  readonly hash: string;
}

/** What came of verifying: how far the chain is whole, or the first entry that is missing or not what was written. */
export type ChainVerdict =
  | { readonly intact: true; readonly head: ChainLink }
  | { readonly intact: false; readonly sequence: number; readonly fault: 'missing' | 'altered' };

/**
 * Verifies consecutive entries of one tenant, from after a known link (the beginning by default) up to the head they must reach,
 * where one is known: without it nothing shows that the newest entries were cut off (`SAM-205`).
 */
export function verifyChain(
  entries: readonly AuditEntry[],
  auditKey: string | Uint8Array,
  known: { readonly after?: ChainLink; readonly head?: ChainLink } = {},
): ChainVerdict {
  let { sequence, hash } = known.after ?? { sequence: 0, hash: '' };
  for (const { hash: kept, ...entry } of entries) {
    sequence += 1;
    if (entry.sequence !== sequence) return { intact: false, sequence, fault: 'missing' };
    hash = auditHash(auditKey, hash, entry);
    if (!sameText(kept, hash)) return { intact: false, sequence, fault: 'altered' };
    if (known.head?.sequence === sequence && !sameText(known.head.hash, hash))
      return { intact: false, sequence, fault: 'altered' };
  }
  if (known.head !== undefined && known.head.sequence > sequence)
    return { intact: false, sequence: sequence + 1, fault: 'missing' };
  return { intact: true, head: { sequence, hash } };
}

function sameText(one: string, other: string): boolean {
  return sameBytes(Buffer.from(one), Buffer.from(other));
}
