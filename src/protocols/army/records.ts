// A keeper of records for a server that has none better: they are documents, found by key, by tags, and by the words of the query that stand
// in them.

import { hash } from 'node:crypto';
import type { TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Store } from '../../store/store.ts';
import type { FoundRecord, MemoryKeeper, NewRecord, RecordQuery } from './inner.ts';

const KIND = 'army_record';
const LOOKED_AT_MAX = 10_000;

interface Kept extends FoundRecord {
  readonly version: number;
}

/** Keeps records as documents. */
export function createRecords({
  store,
  clock,
}: {
  readonly store: Store;
  readonly clock: Clock;
}): MemoryKeeper {
  return {
    store: (tenant, record) => keep(tenant, record, store, clock.now()),
    query: (tenant, query) => find(tenant, query, store),
  };
}

async function keep(tenant: TenantId, record: NewRecord, store: Store, now: number) {
  const { key, value, ttlMs, tags } = record;
  const expiresAt = ttlMs === null ? null : now + ttlMs;
  const id = idOf(key);
  for (;;) {
    const [known] = await store.documents({ kind: KIND, tenant, ids: [id] });
    const version = known === undefined ? 1 : Number(known.body.version) + 1;
    const body: JsonObject = { key, value, tags, version, created_at: now };
    const expected = known?.version ?? 'absent';
    const [outcome] = await store.putDocuments([
      { tenant, kind: KIND, id, body, expected, ...(expiresAt === null ? {} : { expiresAt }) },
    ]);
    if (outcome?.status === 'done') return { version, expiresAt };
  }
}

async function find(tenant: TenantId, query: RecordQuery, store: Store) {
  const { type, text, tags, from, until, limit } = query;
  const ids = type === 'key' ? { ids: [idOf(text)] } : { limit: LOOKED_AT_MAX };
  const documents = await store.documents({ kind: KIND, tenant, ...ids });
  const words = wordsIn(text);
  const found = documents
    .map(({ body }) => keptIn(body))
    .filter(one => tags.every(tag => one.tags.includes(tag)))
    .filter(one => (from === null || one.createdAt >= from) && (until === null || one.createdAt <= until))
    .map(one => ({ ...one, score: type === 'key' || type === 'tags' ? 1 : scoreOf(one, words) }))
    .filter(one => one.score > 0)
    .sort((one, other) => other.score - one.score || (one.key < other.key ? -1 : 1));
  return { results: found.slice(0, limit), total: found.length };
}

/** The share of the words that stand in the record. */
function scoreOf(record: Kept, words: readonly string[]): number {
  if (words.length === 0) return 0;
  const held = new Set(wordsIn(`${record.key} ${JSON.stringify(record.value)} ${record.tags.join(' ')}`));
  return words.filter(word => held.has(word)).length / words.length;
}

function wordsIn(text: string): readonly string[] {
  return [...new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])];
}

function keptIn(body: JsonObject): Kept {
  const { key, value, tags, version, created_at: createdAt } = body;
  return {
    ...{ key: String(key), value: value ?? (null as Json), score: 0 },
    ...{ version: Number(version), createdAt: Number(createdAt) },
    tags: Array.isArray(tags) ? tags.map(String) : [],
  };
}

/** Keys may be longer and of other characters than ids of documents. */
function idOf(key: string): string {
  return hash('sha256', key, 'hex');
}
