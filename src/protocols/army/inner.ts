// What the built-in `memory` and `validator` leave to others: keeping and finding records, and judging content. The army wire says only what
// it asks of them.

import type { TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';

/** A piece of memory to keep. */
export interface NewRecord {
  readonly key: string;
  readonly value: Json;
  /** How long it is kept, in milliseconds; null for ever. */
  readonly ttlMs: number | null;
  readonly tags: readonly string[];
}

/** What is searched for; instants are epoch milliseconds, inclusive. */
export interface RecordQuery {
  readonly type: 'semantic_search' | 'full_text' | 'hybrid' | 'key' | 'tags';
  readonly text: string;
  /** All must be there. */
  readonly tags: readonly string[];
  readonly from: number | null;
  readonly until: number | null;
  readonly limit: number;
}

/** A record that was found. */
export interface FoundRecord {
  readonly key: string;
  readonly value: Json;
  readonly tags: readonly string[];
  readonly score: number;
  readonly createdAt: number;
}

/** Keeps the records of every tenant, each by itself. */
export interface MemoryKeeper {
  /** Keeps a record; one of that key is replaced, its version one higher. */
  store(
    tenant: TenantId,
    record: NewRecord,
  ): Promise<{ readonly version: number; readonly expiresAt: number | null }>;
  /** Records that match, the best first, and how many there are in all. */
  query(
    tenant: TenantId,
    query: RecordQuery,
  ): Promise<{ readonly results: readonly FoundRecord[]; readonly total: number }>;
}

/** What is to be judged. */
export interface Judgeable {
  readonly content: Json;
  readonly rules: readonly string[];
  /** The request's own, and what its task was to bring forth. */
  readonly context: JsonObject;
  readonly expectedOutput: JsonObject | null;
}

/** What was found of it; `score` from 0 to 1. */
export interface Verdict {
  readonly valid: boolean;
  readonly score: number;
  readonly issues: readonly JsonObject[];
  readonly recommendations: readonly string[];
}

/** Judges content; the same always gets the same verdict. */
export interface Judge {
  judge(asked: Judgeable): Promise<Verdict>;
}
