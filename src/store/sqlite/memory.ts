// Records and the text they are found by. A tenant's changes bear growing positions; what is gone leaves a number behind for a while,
// so that whoever keeps an index hears of it.

import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { RecordName, RecordUsage } from '../../domain/record.ts';
import {
  type ChunkPlace,
  GONE_MS,
  type MemoryStore,
  type NewRecord,
  type Passage,
  type PassageRef,
  type RecordFeed,
  type RecordOutcome,
  type RecordQuery,
  type RecordWrite,
  type StoredRecord,
} from '../memory.ts';
import {
  type FeedRow,
  feedOf,
  limitBroken,
  type PassageRow,
  packRecord,
  passageOf,
  type RecordRow,
  recordOf,
} from '../memory-row.ts';
import type { Connection, Value } from './connection.ts';
import { Sequence } from './sequences.ts';

interface Kept extends RecordUsage {
  readonly id: number;
  readonly owner: AgentId;
  readonly version: number;
  readonly created_at: number;
  readonly expires_at: number | null;
}

const NOTHING: RecordUsage = { records: 0, chunks: 0, bytes: 0 };
const LIVE = '(m.expires_at IS NULL OR m.expires_at > ?)';

/** All records. */
export class Memories {
  readonly #connection: Connection;
  readonly #positions: Sequence;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#positions = new Sequence(connection, 'memory');
  }

  /** Writes or removes a record whose expectation holds. */
  put(write: RecordWrite): RecordOutcome {
    const { tenant, collection, key, record, expected } = write;
    const kept = this.#kept(write);
    const version = kept === null || this.#isOver(kept) ? 0 : kept.version;
    if (expected !== undefined && version !== (expected === 'absent' ? 0 : expected))
      return { status: 'conflict', version };
    if (record === null) {
      if (kept !== null) this.#remove(tenant, kept);
      return { status: 'removed', version };
    }
    const packed = packRecord(write);
    if (packed === null) throw new Error('a record to keep is packed');
    const size: RecordUsage = { records: 1, chunks: record.chunks.length, bytes: packed.bytes };
    const full = this.#limitBroken(tenant, record, kept, size);
    if (full !== null) return full;
    const id = kept?.id ?? this.#positions.next();
    const { now } = this.#connection;
    const createdAt = version === 0 || kept === null ? now : kept.created_at;
    const expiresAt = record.ttlMs === null ? null : now + record.ttlMs;
    if (kept !== null) this.#clear(tenant, kept);
    this.#connection
      .prepare(
        `INSERT INTO memory (id, tenant, collection, key, version, position, owner, user_id, created_at, updated_at, expires_at,
           chunks, bytes, tags, metadata, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        ...[id, tenant, collection, key, version + 1, this.#positions.next(), record.owner, record.userId],
        ...[createdAt, now, expiresAt, size.chunks, size.bytes, packed.tags, packed.metadata, packed.value],
      );
    this.#keepChunks(id, record);
    this.#count(tenant, record.owner, size);
    const { value, tags, metadata, owner, userId } = record;
    const stored = { value, tags, metadata, owner, userId, createdAt, expiresAt };
    return {
      status: 'stored',
      record: { id, tenant, collection, key, version: version + 1, updatedAt: now, ...stored },
    };
  }

  /** The record of a name, null where there is none. */
  read({ tenant, collection, key }: RecordName): StoredRecord | null {
    const row = this.#connection
      .prepare<RecordRow>(
        `SELECT * FROM memory m WHERE key = ? AND collection = ? AND tenant = ? AND ${LIVE}`,
      )
      .get(key, collection, tenant, this.#connection.now);
    return row === undefined ? null : recordOf(row);
  }

  /** Records that match, by number. */
  find(query: RecordQuery): readonly StoredRecord[] {
    const conditions = ['m.tenant = ?', LIVE];
    const values: Value[] = [query.tenant, this.#connection.now];
    const add = (condition: string, ...given: readonly (Value | undefined)[]): void => {
      const known = given.filter(value => value !== undefined);
      if (known.length < given.length) return;
      conditions.push(condition);
      values.push(...known);
    };
    const list = (items: readonly string[] | undefined): string | undefined => items && JSON.stringify(items);
    add('m.collection IN (SELECT value FROM json_each(?))', list(query.collections));
    add('substr(m.key, 1, length(?)) = ?', query.keyPrefix, query.keyPrefix);
    add(
      `NOT EXISTS (SELECT 1 FROM json_each(?) w WHERE w.value NOT IN (SELECT t.value FROM json_each(m.tags) t))`,
      list(query.tags),
    );
    for (const [field, value] of Object.entries(query.metadata ?? {})) {
      add(
        `EXISTS (SELECT 1 FROM json_each(m.metadata) f WHERE f.key = ? AND f.type = json_type(?)
           AND f.value IS json_extract(?, '$'))`,
        ...[field, JSON.stringify(value), JSON.stringify(value)],
      );
    }
    add('m.owner = ?', query.owner);
    add('m.user_id = ?', query.userId);
    add('m.updated_at >= ?', query.since);
    add('m.updated_at <= ?', query.until);
    add('m.id > ?', query.after);
    return this.#connection
      .prepare<RecordRow>(`SELECT * FROM memory m WHERE ${conditions.join(' AND ')} ORDER BY m.id LIMIT +?`)
      .all(...values, query.limit)
      .map(recordOf);
  }

  /** A part of a record, null where it is no more. */
  passage(tenant: TenantId, { id, chunk }: PassageRef): Passage | null {
    const row = this.#connection
      .prepare<PassageRow>(
        `SELECT m.*, c.id AS chunk_id, c.content FROM memory m JOIN memory_chunk c ON c.memory = m.id AND c.number = ?
         WHERE m.id = ? AND m.tenant = ? AND ${LIVE}`,
      )
      .get(chunk, id, tenant, this.#connection.now);
    return row === undefined ? null : passageOf(row);
  }

  /** What changed after a position. */
  feed(tenant: TenantId, after: number, limit: number): RecordFeed {
    const embedder = this.embedder();
    const changes = (table: string, columns: string): string =>
      `SELECT * FROM (SELECT position, ${columns} FROM ${table} WHERE tenant = ? AND position > ? ORDER BY position LIMIT +?)`;
    const rows = this.#connection
      .prepare<FeedRow>(
        `SELECT f.position, f.change, m.*, f.position AS position, CASE WHEN f.live THEN (
           SELECT json_group_array(json_array(c.content, v.vector)) FROM (
             SELECT * FROM memory_chunk WHERE memory = f.change ORDER BY number) c
           LEFT JOIN memory_vector v ON v.memory = c.memory AND v.number = c.number AND v.embedder = ?) END AS chunks
         FROM (${changes('memory', 'id AS change, 1 AS live')} UNION ALL ${changes('memory_gone', 'memory AS change, 0 AS live')}
           ORDER BY position LIMIT +?) f LEFT JOIN memory m ON f.live AND m.id = f.change ORDER BY f.position`,
      )
      .all(...[embedder, tenant, after, limit + 1, tenant, after, limit + 1, limit + 1]);
    return feedOf(rows, { at: this.#connection.now, embedder, after, limit });
  }

  /** How much each agent keeps. */
  usage(tenant: TenantId): Awaited<ReturnType<MemoryStore['usage']>> {
    return this.#connection
      .prepare<RecordUsage & { readonly owner: AgentId }>(
        'SELECT owner, records, chunks, bytes FROM memory_usage WHERE tenant = ? AND records > 0 ORDER BY owner',
      )
      .all(tenant)
      .map(row => ({ ...row }));
  }

  /** Chunks without a vector of an embedder. */
  unembedded(embedder: string, after: ChunkPlace | null, limit: number) {
    return this.#connection
      .prepare<ChunkPlace & { readonly content: string }>(
        `SELECT c.memory AS id, c.number AS chunk, c.content FROM memory_chunk c
         WHERE (c.memory, c.number) > (?, ?) AND NOT EXISTS (SELECT 1 FROM memory_vector v
           WHERE v.memory = c.memory AND v.number = c.number AND v.embedder = ?)
         ORDER BY c.memory, c.number LIMIT +?`,
      )
      .all(after?.id ?? -1, after?.chunk ?? -1, embedder, limit)
      .map(row => ({ ...row }));
  }

  /** Keeps vectors of chunks that are as they were. */
  putVectors(embedder: string, vectors: Parameters<MemoryStore['putVectors']>[1]): void {
    const put = this.#connection.prepare(
      `INSERT OR REPLACE INTO memory_vector (memory, number, embedder, vector)
       SELECT memory, number, ?, ? FROM memory_chunk WHERE memory = ? AND number = ? AND content = ?`,
    );
    const move = this.#connection.prepare('UPDATE memory SET position = ? WHERE id = ?');
    const moved = new Set<number>();
    for (const { id, chunk, content, vector } of vectors) {
      if (put.run(embedder, vector, id, chunk, content).changes > 0) moved.add(id);
    }
    if (this.embedder() !== embedder) return;
    for (const id of moved) move.run(this.#positions.next(), id);
  }

  /** The embedder in force. */
  embedder(): string | null {
    return this.#connection.prepare<{ name: string }>('SELECT name FROM memory_embedder').get()?.name ?? null;
  }

  /** Puts an embedder in force. */
  enforce(embedder: string, expected: string | null): string {
    const present = this.embedder();
    if (present !== expected) return present ?? embedder;
    this.#connection
      .prepare('INSERT OR REPLACE INTO memory_embedder (one, name) VALUES (1, ?)')
      .run(embedder);
    return embedder;
  }

  /** Deletes vectors of others. */
  pruneVectors(kept: readonly string[], limit: number): number {
    return this.#connection
      .prepare(
        `DELETE FROM memory_vector WHERE (memory, number, embedder) IN (SELECT memory, number, embedder FROM memory_vector
           WHERE embedder NOT IN (SELECT value FROM json_each(?)) LIMIT +?)`,
      )
      .run(JSON.stringify(kept), limit).changes;
  }

  /** Deletes what has expired, and forgets what is long gone. */
  sweep(limit: number): number {
    const { now } = this.#connection;
    const over = this.#connection
      .prepare<Kept & { readonly tenant: TenantId }>(
        `SELECT *, 1 AS records FROM memory WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT +?`,
      )
      .all(now, limit);
    for (const one of over) this.#remove(one.tenant, one);
    const forgotten = this.#connection
      .prepare(
        `DELETE FROM memory_gone WHERE (tenant, position) IN
           (SELECT tenant, position FROM memory_gone WHERE at <= ? ORDER BY at LIMIT +?)`,
      )
      .run(now - GONE_MS, limit).changes;
    return over.length + forgotten;
  }

  /** Removes what is about a person. */
  erase(tenant: TenantId, userId: string, limit: number): number {
    const about = this.#connection
      .prepare<Kept>('SELECT *, 1 AS records FROM memory WHERE user_id = ? AND tenant = ? LIMIT +?')
      .all(userId, tenant, limit);
    for (const one of about) this.#remove(tenant, one);
    return about.length;
  }

  #kept({ tenant, collection, key }: RecordName): Kept | null {
    const row = this.#connection
      .prepare<Kept>('SELECT *, 1 AS records FROM memory WHERE key = ? AND collection = ? AND tenant = ?')
      .get(key, collection, tenant);
    return row ?? null;
  }

  #isOver({ expires_at: expiresAt }: Kept): boolean {
    return expiresAt !== null && expiresAt <= this.#connection.now;
  }

  #limitBroken(tenant: TenantId, { owner, limits }: NewRecord, kept: Kept | null, size: RecordUsage) {
    const ofAgents = this.usage(tenant);
    const sum = ofAgents.reduce(plus, NOTHING);
    const ofAgent = ofAgents.find(one => one.owner === owner) ?? NOTHING;
    const inTenant = kept === null ? size : minus(size, kept);
    return (
      limitBroken(kept?.owner === owner ? inTenant : size, [
        { of: 'agent', used: plus(NOTHING, ofAgent), limit: limits.agent },
      ]) ?? limitBroken(inTenant, [{ of: 'tenant', used: sum, limit: limits.tenant }])
    );
  }

  #keepChunks(id: number, { chunks }: NewRecord): void {
    const keep = this.#connection.prepare(
      'INSERT INTO memory_chunk (memory, number, id, content) VALUES (?, ?, ?, ?)',
    );
    const embed = this.#connection.prepare(
      'INSERT INTO memory_vector (memory, number, embedder, vector) VALUES (?, ?, ?, ?)',
    );
    for (const [number, chunk] of chunks.entries()) {
      keep.run(id, number, chunk.id, chunk.content);
      for (const [embedder, vector] of Object.entries(chunk.vectors)) embed.run(id, number, embedder, vector);
    }
  }

  /** Deletes a record, leaving only its number. */
  #remove(tenant: TenantId, kept: Kept): void {
    this.#clear(tenant, kept);
    this.#connection
      .prepare('INSERT INTO memory_gone (tenant, position, memory, at) VALUES (?, ?, ?, ?)')
      .run(tenant, this.#positions.next(), kept.id, this.#connection.now);
  }

  #clear(tenant: TenantId, kept: Kept): void {
    for (const table of ['memory_chunk', 'memory_vector'])
      this.#connection.prepare(`DELETE FROM ${table} WHERE memory = ?`).run(kept.id);
    this.#connection.prepare('DELETE FROM memory WHERE id = ?').run(kept.id);
    this.#count(tenant, kept.owner, minus(NOTHING, kept));
  }

  #count(tenant: TenantId, owner: AgentId, { records, chunks, bytes }: RecordUsage): void {
    this.#connection
      .prepare(
        `INSERT INTO memory_usage (tenant, owner, records, chunks, bytes) VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, owner)
         DO UPDATE SET records = records + excluded.records, chunks = chunks + excluded.chunks, bytes = bytes + excluded.bytes`,
      )
      .run(tenant, owner, records, chunks, bytes);
  }
}

function plus(a: RecordUsage, b: RecordUsage): RecordUsage {
  return { records: a.records + b.records, chunks: a.chunks + b.chunks, bytes: a.bytes + b.bytes };
}

function minus(a: RecordUsage, b: RecordUsage): RecordUsage {
  return { records: a.records - b.records, chunks: a.chunks - b.chunks, bytes: a.bytes - b.bytes };
}
