// Records: what agents remember and what a tenant knows. A record has a name, a value and an end; a document is a record that is
// read in parts.

import type { AgentId, TenantId } from './ids.ts';
import type { Json, JsonObject } from './json.ts';

/** The collection of records that name none. */
export const DEFAULT_COLLECTION = 'memory';

/** The name of a record: unique in its tenant's collection. */
export interface RecordName {
  readonly tenant: TenantId;
  readonly collection: string;
  /** 1–512 characters. */
  readonly key: string;
}

/** A record as it is kept; instants are epoch milliseconds. */
export interface MemoryRecord extends RecordName {
  readonly value: Json;
  readonly tags: readonly string[];
  readonly metadata: JsonObject;
  /** Who stored this version, and whose quota it takes. */
  readonly owner: AgentId;
  /** The person it is about, for whoever asks to see or to erase what is known of them. */
  readonly userId: string | null;
  /** 1, and one more at each replacement. */
  readonly version: number;
  /** When the first version was stored. */
  readonly createdAt: number;
  /** When this version was stored. */
  readonly updatedAt: number;
  /** From this instant on it is gone. */
  readonly expiresAt: number | null;
}

/** Part of a record's text, as it is found. */
export interface RecordChunk {
  /** Unique in its record: `chunk-001` and so on in reading order. */
  readonly id: string;
  readonly content: string;
}

/** How much is kept; bytes of names, values, tags, metadata and text. */
export interface RecordUsage {
  readonly records: number;
  readonly chunks: number;
  readonly bytes: number;
}
