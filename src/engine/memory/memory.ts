// What agents remember and tenants know: records that are stored, found, and gone when their time is over. Who may do so is decided
// at the doors; here is only what a record may be, how much an agent may keep, and that nothing crosses tenants.

import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import {
  DEFAULT_COLLECTION,
  type MemoryRecord,
  type RecordChunk,
  type RecordName,
  type RecordUsage,
} from '../../domain/record.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/service.ts';
import type {
  MemoryStore,
  NewChunk,
  RecordOutcome,
  RecordQuery,
  RecordWrite,
  StoredRecord,
} from '../../store/memory.ts';
import type { Embedder, Reranker } from '../ports/embedder.ts';
import { Chores } from './chores.ts';
import { Indexes, type IndexMeasure } from './indexes.ts';
import { LocalEmbedder } from './local-embedder.ts';
import { checkDocument, checkNote } from './notes.ts';
import { Search, type SearchAnswer, type SearchQuery } from './search.ts';
import { chunksOfDocument, chunksOfValue } from './texts.ts';
import { encodeVector } from './vectors.ts';

/** How much may be kept. */
export interface MemoryOptions {
  /** Records an agent may keep, and how many bytes. */
  readonly agentRecordsMax: number;
  readonly agentBytesMax: number;
  /** What the search indexes may take in this process; with it, how many passages a tenant may keep. */
  readonly searchBytesMax: number;
}

/** What there is room for unless said otherwise. */
export const MEMORY_DEFAULTS: MemoryOptions = {
  agentRecordsMax: 100_000,
  agentBytesMax: 256 * 1_048_576,
  searchBytesMax: 512 * 1_048_576,
};

/** What a passage takes in an index at most, about; so that any tenant's index fits. */
const PASSAGE_BYTES = 1_536;
const PAGE = 200;
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** What all records have. */
export interface NoteBase {
  readonly tenant: TenantId;
  readonly collection?: string;
  readonly owner: AgentId;
  /** The person it is about. */
  readonly userId?: string;
  readonly tags?: readonly string[];
  readonly metadata?: JsonObject;
  /** How long to keep it; for ever without. */
  readonly ttlMs?: number;
  /** Only if that is the version there is, or if there is none. */
  readonly expected?: 'absent' | number;
}

/** Something to remember (`ARMY-35`). */
export interface Note extends NoteBase {
  readonly key: string;
  readonly value: Json;
}

/** A text to be found by its passages; the same id again replaces it whole (`NOOB-82`). */
export interface KnowledgeDocument extends NoteBase {
  /** The knowledge base. */
  readonly collection: string;
  readonly id: string;
  readonly content: string;
  /** Kept as the record's value, beside its text. */
  readonly about?: JsonObject;
}

/** The parts the memory is made of. */
export interface MemoryParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly store: MemoryStore;
  /** In place of the local one. */
  readonly embedder?: Embedder;
  readonly reranker?: Reranker;
  /** Whether the chores of all nodes are this one's. */
  readonly leads: () => boolean;
}

/** The memory of all tenants. */
export class Memory implements Service {
  readonly #log: Log;
  readonly #store: MemoryStore;
  readonly #embedders: readonly Embedder[];
  readonly #indexes: Indexes;
  readonly #search: Search;
  readonly #chores: Chores;
  readonly #limits: { readonly agent: RecordUsage; readonly tenant: RecordUsage };

  constructor(parts: MemoryParts, options: MemoryOptions = MEMORY_DEFAULTS) {
    const { log, clock, store, embedder, reranker = null, leads } = parts;
    const local = new LocalEmbedder();
    this.#log = log;
    this.#store = store;
    // The first is the one that is to be in force; the local one can always still be asked.
    this.#embedders = embedder === undefined ? [local] : [embedder, local];
    this.#indexes = new Indexes(store, this.#embedders, options.searchBytesMax);
    this.#search = new Search(log, store, this.#indexes, reranker);
    this.#chores = new Chores(log, clock, store, embedder ?? local, leads);
    this.#limits = {
      agent: { records: options.agentRecordsMax, chunks: UNLIMITED, bytes: options.agentBytesMax },
      tenant: {
        records: UNLIMITED,
        chunks: Math.max(1, Math.floor(options.searchBytesMax / PASSAGE_BYTES)),
        bytes: UNLIMITED,
      },
    };
  }

  /** Sees to an embedder being in force, and begins the chores. */
  start(): Promise<void> {
    return this.#chores.start();
  }

  stop(): Promise<void> {
    return this.#chores.stop();
  }

  /**
   * Stores a note, replacing the one of its key with a version one higher; durable when it answers, and found by every search
   * that begins after. Throws `invalid_request`; `conflict` where its expectation fails; `resource_exhausted` beyond a quota.
   */
  async remember(note: Note): Promise<MemoryRecord> {
    return this.#keep(await this.writeOf(note));
  }

  /** Stores a document in passages that replace all old ones at once; answers it with their number. Throws as `remember`. */
  async learn(
    document: KnowledgeDocument,
  ): Promise<{ readonly record: MemoryRecord; readonly chunks: number }> {
    checkDocument(document);
    const { tenant, collection, id, content, about = {} } = document;
    const chunks = chunksOfDocument(content);
    const name = { tenant, collection, key: id };
    const record = await this.#keep(await this.#written(document, name, about, chunks));
    return { record, chunks: chunks.length };
  }

  /** What `remember` would write, for whoever writes it together with something else; throws `invalid_request`. */
  async writeOf(note: Note): Promise<RecordWrite> {
    checkNote(note);
    const { tenant, collection = DEFAULT_COLLECTION, key, value } = note;
    return this.#written(note, { tenant, collection, key }, value, chunksOfValue(key, value));
  }

  /** Removes a record with all its passages; whether there was one. Throws `conflict` where the expectation fails. */
  async forget(name: RecordName, expected?: number): Promise<boolean> {
    const outcome = await this.#write({
      ...name,
      record: null,
      ...(expected === undefined ? {} : { expected }),
    });
    return outcome.status === 'removed' && outcome.version > 0;
  }

  /** The record of a name as it is now. */
  async recall(name: RecordName): Promise<MemoryRecord | null> {
    const [record = null] = await this.#store.read([name]);
    return record === null ? null : withoutNumber(record);
  }

  /** The passages of a record in reading order, or null where there is no such record. */
  async passages(name: RecordName): Promise<readonly RecordChunk[] | null> {
    const [record = null] = await this.#store.read([name]);
    if (record === null) return null;
    const chunks: RecordChunk[] = [];
    for (;;) {
      const from = chunks.length;
      const refs = Array.from({ length: PAGE }, (_, at) => ({ id: record.id, chunk: from + at }));
      const page = (await this.#store.passages(name.tenant, refs)).filter(one => one !== null);
      chunks.push(...page.map(({ chunk }) => chunk));
      if (page.length < PAGE) return chunks;
    }
  }

  /** Records that match, in the order they were first stored; `next` is where the rest begins, null where there is none. */
  async list(
    query: RecordQuery,
  ): Promise<{ readonly records: readonly MemoryRecord[]; readonly next: number | null }> {
    const found = await this.#store.find({ ...query, limit: query.limit + 1 });
    const page = found.slice(0, query.limit);
    return {
      records: page.map(withoutNumber),
      next: found.length > page.length ? (page.at(-1)?.id ?? null) : null,
    };
  }

  /** What matches a query, best first; throws `invalid_request` for one that cannot be answered. */
  search(query: SearchQuery): Promise<SearchAnswer> {
    return this.#search.run(query);
  }

  /** How much each agent of a tenant keeps. */
  usage(tenant: TenantId): Promise<readonly (RecordUsage & { readonly owner: AgentId })[]> {
    return this.#store.usage(tenant);
  }

  /** All records about a person (`ARMY-76`). */
  async exportOf(tenant: TenantId, userId: string): Promise<readonly MemoryRecord[]> {
    const all: MemoryRecord[] = [];
    let after: number | null = 0;
    while (after !== null) {
      const page: Awaited<ReturnType<Memory['list']>> = await this.list({
        tenant,
        userId,
        after,
        limit: PAGE,
      });
      all.push(...page.records);
      after = page.next;
    }
    return all;
  }

  /** Removes all records about a person; answers how many (`ARMY-76`). */
  async eraseOf(tenant: TenantId, userId: string): Promise<number> {
    let erased = 0;
    for (;;) {
      const some = await this.#store.erase(tenant, userId, PAGE);
      erased += some;
      if (some < PAGE) return erased;
    }
  }

  /** How the search indexes of this process are. */
  measure(): IndexMeasure {
    return this.#indexes.measure();
  }

  async #written(
    base: NoteBase,
    name: RecordName,
    value: Json,
    chunks: readonly RecordChunk[],
  ): Promise<RecordWrite> {
    const { owner, userId = null, tags = [], metadata = {}, ttlMs = null, expected } = base;
    return {
      ...name,
      record: {
        ...{ value, tags: [...new Set(tags)], metadata, owner, userId, ttlMs },
        chunks: await this.#embedded(chunks),
        limits: this.#limits,
      },
      ...(expected === undefined ? {} : { expected }),
    };
  }

  async #keep(write: RecordWrite): Promise<MemoryRecord> {
    const outcome = await this.#write(write);
    if (outcome.status !== 'stored') throw new Error('a record that is written is stored or refused');
    return withoutNumber(outcome.record);
  }

  async #write(write: RecordWrite): Promise<Extract<RecordOutcome, { status: 'stored' | 'removed' }>> {
    const [outcome] = await this.#store.put([write]);
    if (outcome === undefined) throw new Error('a write of one record answered none');
    if (outcome.status === 'conflict') {
      throw new DomainError('conflict', `${write.key} has version ${outcome.version}`, {
        details: { key: write.key, version: outcome.version, expected: write.expected ?? null },
      });
    }
    if (outcome.status === 'full') throw this.#overQuota(outcome, write);
    return outcome;
  }

  #overQuota({ of, used }: Extract<RecordOutcome, { status: 'full' }>, { record }: RecordWrite): DomainError {
    const whose = of === 'agent' ? `the agent ${record?.owner}` : 'the tenant';
    const { records, chunks, bytes } = this.#limits[of];
    const limits = { records, chunks, bytes };
    return new DomainError(
      'resource_exhausted',
      `${whose} may keep no more: ${used.records} records, ${used.chunks} passages and ${used.bytes} bytes are kept`,
      {
        details: {
          quota: of === 'agent' ? 'memory_of_agent' : 'memory_of_tenant',
          used: { ...used },
          limit: Object.fromEntries(Object.entries(limits).filter(([, most]) => most < UNLIMITED)),
          hint: 'forget some, or give them a time to live',
        },
      },
    );
  }

  /** The chunks with the vectors of the embedder in force and of the one that is to be; without those that cannot be made now. */
  async #embedded(chunks: readonly RecordChunk[]): Promise<readonly NewChunk[]> {
    const texts = chunks.map(({ content }) => content);
    const wanted = this.#embedders.filter(({ name }, place) => place === 0 || name === this.#chores.inForce);
    const made = await Promise.all(
      wanted.map(async embedder => {
        const { name } = embedder;
        try {
          const vectors = await embedder.embed(texts);
          return { name, vectors };
        } catch (error) {
          this.#log.warn('texts are kept without vectors for now', { embedder: name, error: String(error) });
          this.#chores.owe();
          return { name, vectors: [] };
        }
      }),
    );
    return chunks.map((chunk, at) => ({
      ...chunk,
      vectors: Object.fromEntries(
        made.flatMap(({ name, vectors }) => {
          const vector = vectors[at];
          return vector === undefined ? [] : [[name, encodeVector(vector)]];
        }),
      ),
    }));
  }
}

function withoutNumber({ id: _, ...record }: StoredRecord): MemoryRecord {
  return record;
}
