// The indexes of the tenants that are searched, each as fresh as the store when a search begins, and together no larger than they may
// be: the one that was not used for longest goes first, and is made anew when somebody asks again.

import type { TenantId } from '../../domain/ids.ts';
import { Batcher } from '../../runtime/batcher.ts';
import { GONE_MS, type MemoryStore, type RecordFeed } from '../../store/memory.ts';
import type { Embedder } from '../ports/embedder.ts';
import { TenantIndex } from './tenant-index.ts';

/** Records read at once: few, so that the event loop goes on between two pages. */
const PAGE = 32;

/** An index as of an instant. */
export interface FreshIndex {
  readonly index: TenantIndex;
  /** The store's time. */
  readonly at: number;
  /** Whose vectors it has; null where this process does not have the embedder in force. */
  readonly embedder: Embedder | null;
}

interface Kept {
  index: TenantIndex;
  /** By name, as the feed told. */
  embedder: string | null;
  position: number;
  at: number;
}

/** How the indexes are. */
export interface IndexMeasure {
  readonly tenants: number;
  readonly records: number;
  readonly bytes: number;
}

/** One index a tenant. */
export class Indexes {
  readonly #store: Pick<MemoryStore, 'feed'>;
  readonly #embedders: ReadonlyMap<string, Embedder>;
  readonly #bytesMax: number;
  /** In the order of their last use. */
  readonly #kept = new Map<TenantId, Kept>();
  readonly #asking = new Map<TenantId, { readonly batcher: Batcher<null, FreshIndex>; callers: number }>();

  constructor(store: Pick<MemoryStore, 'feed'>, embedders: readonly Embedder[], bytesMax: number) {
    this.#store = store;
    this.#embedders = new Map(embedders.map(embedder => [embedder.name, embedder]));
    this.#bytesMax = bytesMax;
  }

  /** The tenant's index with all that was acknowledged before it was asked for. */
  async fresh(tenant: TenantId): Promise<FreshIndex> {
    // Whoever asks while the feed is being read may have written since: the next reading is for them.
    const asking = this.#asking.get(tenant) ?? {
      batcher: new Batcher<null, FreshIndex>(async callers => {
        const fresh = await this.#catchUp(tenant);
        return callers.map(() => fresh);
      }),
      callers: 0,
    };
    this.#asking.set(tenant, asking);
    asking.callers += 1;
    try {
      return await asking.batcher.add(null);
    } finally {
      asking.callers -= 1;
      if (asking.callers === 0) this.#asking.delete(tenant);
    }
  }

  /** How many there are and how large. */
  measure(): IndexMeasure {
    const kept = [...this.#kept.values()];
    return {
      tenants: kept.length,
      records: kept.reduce((sum, { index }) => sum + index.records, 0),
      bytes: kept.reduce((sum, { index }) => sum + index.bytes, 0),
    };
  }

  async #catchUp(tenant: TenantId): Promise<FreshIndex> {
    let kept = this.#kept.get(tenant);
    for (;;) {
      const feed = await this.#store.feed(tenant, kept?.position ?? 0, PAGE);
      const isFirst = kept === undefined;
      if (kept === undefined || isStale(kept, feed)) {
        kept = this.#empty(feed);
        // What was asked for went on from what is worth nothing any more.
        if (!isFirst) continue;
      }
      for (const { id, record } of feed.changes) kept.index.put(id, record);
      kept.position = feed.position;
      kept.at = feed.at;
      if (feed.more) continue;
      if (!kept.index.wasteful) break;
      kept = this.#empty(feed);
    }
    this.#kept.delete(tenant);
    this.#kept.set(tenant, kept);
    this.#makeRoom(tenant);
    return {
      index: kept.index,
      at: kept.at,
      embedder: kept.embedder === null ? null : (this.#embedders.get(kept.embedder) ?? null),
    };
  }

  #empty({ at, embedder }: RecordFeed): Kept {
    const dimensions = this.#embedders.get(embedder ?? '')?.dimensions ?? 0;
    return { index: new TenantIndex(dimensions), embedder, position: 0, at };
  }

  #makeRoom(used: TenantId): void {
    let { bytes } = this.measure();
    for (const [tenant, { index }] of this.#kept) {
      if (bytes <= this.#bytesMax) break;
      if (tenant === used) continue;
      bytes -= index.bytes;
      this.#kept.delete(tenant);
    }
  }
}

function isStale(kept: Kept, feed: RecordFeed): boolean {
  return kept.embedder !== feed.embedder || feed.at - kept.at > GONE_MS / 2;
}
