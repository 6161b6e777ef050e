// Records as rows: the shapes that the tables of every driver hold, and the port's nouns made of them.

import type { AgentId, TenantId } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { RecordUsage } from '../domain/record.ts';
import type { FeedRecord, Passage, RecordFeed, RecordOutcome, RecordWrite, StoredRecord } from './memory.ts';

/** A record but for its value. */
export interface RecordHead {
  readonly id: number;
  readonly tenant: TenantId;
  readonly collection: string;
  readonly key: string;
  readonly version: number;
  readonly owner: AgentId;
  readonly user_id: string | null;
  readonly created_at: number;
  readonly updated_at: number;
  readonly expires_at: number | null;
  readonly tags: string;
  readonly metadata: string;
}

/** A record. */
export interface RecordRow extends RecordHead {
  readonly value: string;
}

/** A record with one of its chunks. */
export interface PassageRow extends RecordRow {
  readonly chunk_id: string;
  readonly content: string;
}

/** One change of the feed; all but the first two are null of what is gone. */
export interface FeedRow extends RecordHead {
  readonly position: number;
  readonly change: number;
  /** JSON: an array of `[content, vector]`; null of what is gone. */
  readonly chunks: string | null;
}

/** A write's part that both drivers keep as columns. */
export interface PackedRecord {
  readonly value: string;
  readonly tags: string;
  readonly metadata: string;
  readonly bytes: number;
}

/** What a write keeps as text, and how much that is; `plain` makes text what the database can hold. */
export function packRecord(
  { key, record }: RecordWrite,
  encode: (value: Json) => string = JSON.stringify,
): PackedRecord | null {
  if (record === null) return null;
  const packed = {
    value: encode(record.value),
    tags: encode(record.tags),
    metadata: encode(record.metadata),
  };
  const texts = [key, ...Object.values(packed), ...record.chunks.map(({ content }) => content)];
  return { ...packed, bytes: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) };
}

/** The record of a row. */
export function recordOf(row: RecordRow): StoredRecord {
  return { ...headOf(row), value: JSON.parse(row.value) as Json };
}

/** The passage of a row. */
export function passageOf(row: PassageRow): Passage {
  return { record: recordOf(row), chunk: { id: row.chunk_id, content: row.content } };
}

/** The feed of its rows, asked for after a position and with one row more than `limit` to know whether there are more. */
export function feedOf(
  rows: readonly FeedRow[],
  about: {
    readonly at: number;
    readonly embedder: string | null;
    readonly after: number;
    readonly limit: number;
  },
): RecordFeed {
  const { at, embedder, after, limit } = about;
  const told = rows.slice(0, limit);
  return {
    at,
    embedder,
    changes: told.map(row => ({
      id: row.change,
      record: row.chunks === null ? null : feedRecord(row, row.chunks),
    })),
    position: told.at(-1)?.position ?? after,
    more: rows.length > limit,
  };
}

/** Which limit an added record would break, if any: `used` is what is kept of whom, `added` how that would change. */
export function limitBroken(
  added: RecordUsage,
  sides: readonly {
    readonly of: 'agent' | 'tenant';
    readonly used: RecordUsage;
    readonly limit: RecordUsage;
  }[],
): Extract<RecordOutcome, { status: 'full' }> | null {
  for (const { of, used, limit } of sides) {
    const breaks = (['records', 'chunks', 'bytes'] as const).some(
      unit => added[unit] > 0 && used[unit] + added[unit] > limit[unit],
    );
    if (breaks) return { status: 'full', of, used };
  }
  return null;
}

function feedRecord(row: FeedRow, chunks: string): FeedRecord {
  const pairs = JSON.parse(chunks) as readonly (readonly [string, string | null])[];
  return { ...headOf(row), id: row.change, chunks: pairs.map(([content, vector]) => ({ content, vector })) };
}

function headOf(row: RecordHead): Omit<StoredRecord, 'value'> {
  return {
    id: row.id,
    tenant: row.tenant,
    collection: row.collection,
    key: row.key,
    tags: JSON.parse(row.tags) as readonly string[],
    metadata: JSON.parse(row.metadata) as JsonObject,
    owner: row.owner,
    userId: row.user_id,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    expiresAt: row.expires_at,
  };
}
