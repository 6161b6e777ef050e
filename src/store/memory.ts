// The part of the store that keeps records: what agents remember and what tenants know, with the text they are found by and what
// embedders made of it. A verb is one transaction, as in store.ts; instants are epoch milliseconds by the store's clock. Ranking is
// the engine's: the store says what changed, and every node keeps an index of its own.

import type { AgentId, TenantId } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { MemoryRecord, RecordChunk, RecordName, RecordUsage } from '../domain/record.ts';

/** How long the feed tells of what is gone; whoever read it less recently must begin anew. */
export const GONE_MS = 24 * 3_600_000;

/** Part of a text to keep, with what embedders made of it, each as a text of its own choosing. */
export interface NewChunk extends RecordChunk {
  readonly vectors: Readonly<Record<string, string>>;
}

/** What is to be kept under a name. */
export interface NewRecord {
  readonly value: Json;
  readonly tags: readonly string[];
  readonly metadata: JsonObject;
  readonly owner: AgentId;
  readonly userId: string | null;
  /** Null to keep it for ever. */
  readonly ttlMs: number | null;
  /** They replace all of the version before. */
  readonly chunks: readonly NewChunk[];
  /** A write that adds to what is kept is `full` where it would lead beyond these. */
  readonly limits: { readonly agent: RecordUsage; readonly tenant: RecordUsage };
}

/** A record to write, or remove where `record` is null. */
export interface RecordWrite extends RecordName {
  readonly record: NewRecord | null;
  /** `absent`: only if there is none; a number: only if that is its version; omitted: whatever is there. */
  readonly expected?: 'absent' | number;
}

/** What became of a write. */
export type RecordOutcome =
  | { readonly status: 'stored'; readonly record: StoredRecord }
  /** `version` is the one that was removed; 0 where there was none. */
  | { readonly status: 'removed'; readonly version: number }
  /** `version` is the one that is there; 0 where there is none. */
  | { readonly status: 'conflict'; readonly version: number }
  | { readonly status: 'full'; readonly of: 'agent' | 'tenant'; readonly used: RecordUsage };

/** A record with the store's own number, which stays through its replacements. */
export interface StoredRecord extends MemoryRecord {
  readonly id: number;
}

/** Which records of a tenant, in the order in which they were first stored; all given conditions hold together. */
export interface RecordQuery {
  readonly tenant: TenantId;
  readonly collections?: readonly string[];
  readonly keyPrefix?: string;
  /** All of them must be there. */
  readonly tags?: readonly string[];
  /** Equal in each of these fields. */
  readonly metadata?: JsonObject;
  readonly owner?: AgentId;
  readonly userId?: string;
  /** The present version was stored then or later, then or earlier. */
  readonly since?: number;
  readonly until?: number;
  /** Only those with a greater number. */
  readonly after?: number;
  readonly limit: number;
}

/** A part of a record, by the numbers the feed gave. */
export interface PassageRef {
  readonly id: number;
  readonly chunk: number;
}

/** A part of a record with the whole. */
export interface Passage {
  readonly record: StoredRecord;
  readonly chunk: RecordChunk;
}

/** A record as an index needs it: everything but its value. */
export interface FeedRecord extends Omit<StoredRecord, 'value'> {
  /** In reading order; the vector is null where the embedder in force has made none. */
  readonly chunks: readonly { readonly content: string; readonly vector: string | null }[];
}

/** What changed in a tenant's records since a position. */
export interface RecordFeed {
  /** The store's time of this answer. */
  readonly at: number;
  /** Whose vectors these are; null before the first embedder was put in force. */
  readonly embedder: string | null;
  /** In order; what is gone is only a number. */
  readonly changes: readonly { readonly id: number; readonly record: FeedRecord | null }[];
  /** Where to go on: after all that is told here. */
  readonly position: number;
  readonly more: boolean;
}

/** Where a walk through all chunks of all tenants stands. */
export interface ChunkPlace {
  readonly id: number;
  readonly chunk: number;
}

/** A durable store of records. Rejects as `Store` does. */
export interface MemoryStore {
  /** Writes or removes records, answering each in order, each for itself. An expired record counts as none. */
  put(writes: readonly RecordWrite[]): Promise<readonly RecordOutcome[]>;
  /** Records by name, in order; null where there is none. */
  read(names: readonly RecordName[]): Promise<readonly (StoredRecord | null)[]>;
  /** Records that match. */
  find(query: RecordQuery): Promise<readonly StoredRecord[]>;
  /** Parts of a tenant's records, in order; null where there is no such part any more. */
  passages(tenant: TenantId, refs: readonly PassageRef[]): Promise<readonly (Passage | null)[]>;
  /** What changed in a tenant after a position (0: everything), about `limit` records at once. All that was acknowledged is told. */
  feed(tenant: TenantId, after: number, limit: number): Promise<RecordFeed>;
  /** How much each agent of a tenant keeps, expired records that are still to be deleted included. */
  usage(tenant: TenantId): Promise<readonly (RecordUsage & { readonly owner: AgentId })[]>;

  /** Chunks of all tenants after a place for which an embedder has made no vector, in order. */
  unembedded(
    embedder: string,
    after: ChunkPlace | null,
    limit: number,
  ): Promise<readonly (ChunkPlace & { readonly content: string })[]>;
  /** Keeps what an embedder made of chunks; a chunk whose text is another by now is passed over. */
  putVectors(
    embedder: string,
    vectors: readonly (ChunkPlace & { readonly content: string; readonly vector: string })[],
  ): Promise<void>;
  /** The embedder in force; null before the first. */
  embedder(): Promise<string | null>;
  /** Puts an embedder in force, if the one in force is still the expected one; answers which one is in force then. */
  enforce(embedder: string, expected: string | null): Promise<string>;
  /** Deletes vectors of embedders other than these, at most `limit`; answers how many. */
  pruneVectors(kept: readonly string[], limit: number): Promise<number>;

  /** Deletes what has expired and forgets what is gone for longer than `GONE_MS`, at most `limit` of each; answers how many. */
  sweep(limit: number): Promise<number>;
  /** Removes all of a tenant's records about a person, at most `limit`; answers how many. */
  erase(tenant: TenantId, userId: string, limit: number): Promise<number>;
}
