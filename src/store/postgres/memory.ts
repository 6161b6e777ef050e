// Records and the text they are found by.

import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { RecordName, RecordUsage } from '../../domain/record.ts';
import {
  type ChunkPlace,
  GONE_MS,
  type MemoryStore,
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
  type PassageRow,
  packRecord,
  passageOf,
  type RecordRow,
  recordOf,
} from '../memory-row.ts';
import { byCall, gathered } from './calls.ts';
import { Conditions, type Context, reading, repeatable, writing } from './context.ts';
import { plain } from './records.ts';

const LIVE = (given: string): string => `(m.expires_at IS NULL OR m.expires_at > batuta.moment(${given}))`;

// A write whose answer was lost may have happened; asked again it would be one version more, or meet itself as a conflict.
const PUT = writing('put memory', 'SELECT * FROM batuta.put_memory($1, $2) ORDER BY pos');
const READ = reading(
  'read memory',
  `SELECT w.pos, m.* FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY w(tenant, collection, key, pos)
   JOIN batuta.memory m ON md5(m.key) = md5(w.key) AND m.key = w.key AND m.collection = w.collection AND m.tenant = w.tenant
   WHERE ${LIVE('$4')}`,
);
const PASSAGES = reading(
  'memory passages',
  `SELECT w.pos, m.*, c.id AS chunk_id, c.content FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY w(id, chunk, pos)
   JOIN batuta.memory m ON m.id = w.id AND m.tenant = $1
   JOIN batuta.memory_chunk c ON c.memory = w.id AND c.number = w.chunk WHERE ${LIVE('$4')}`,
);
const FEED = reading(
  'memory feed',
  `SELECT now.at, e.name AS embedder, f.change, f.position, f.chunks::text AS chunks, m.id, m.tenant, m.collection, m.key, m.version,
     m.owner, m.user_id, m.created_at, m.updated_at, m.expires_at, m.tags, m.metadata
   FROM (SELECT batuta.moment($4) AS at) now LEFT JOIN batuta.memory_embedder e ON true
   LEFT JOIN LATERAL batuta.memory_feed($1, $2, $3, e.name) f ON true
   LEFT JOIN batuta.memory m ON f.live AND m.id = f.change ORDER BY f.position`,
);
const USAGE = reading(
  'memory usage',
  'SELECT owner, records, chunks, bytes FROM batuta.memory_usage WHERE tenant = $1 AND records > 0 ORDER BY owner COLLATE "C"',
);
const UNEMBEDDED = reading(
  'memory unembedded',
  `SELECT c.memory AS id, c.number AS chunk, c.content FROM batuta.memory_chunk c
   WHERE (c.memory, c.number) > ($2, $3) AND NOT EXISTS (SELECT FROM batuta.memory_vector v
     WHERE v.memory = c.memory AND v.number = c.number AND v.embedder = $1)
   ORDER BY c.memory, c.number LIMIT $4`,
);
const PUT_VECTORS = repeatable('put memory vectors', 'SELECT batuta.put_memory_vectors($1, $2)');
const EMBEDDER = reading('memory embedder', 'SELECT name FROM batuta.memory_embedder');
const ENFORCE = repeatable('enforce embedder', 'SELECT batuta.enforce_embedder($1, $2) AS name');
const PRUNE = repeatable(
  'prune memory vectors',
  `WITH gone AS (DELETE FROM batuta.memory_vector WHERE (memory, number, embedder) IN (SELECT memory, number, embedder
     FROM batuta.memory_vector WHERE embedder <> ALL ($1::text[]) LIMIT $2) RETURNING 1) SELECT count(*) AS many FROM gone`,
);
const SWEEP = repeatable('sweep memory', 'SELECT batuta.sweep_memory($1, $2, $3) AS many');
const ERASE = repeatable('erase memory', 'SELECT batuta.erase_memory($1, $2, $3, $4) AS many');

interface PutRow extends RecordUsage {
  readonly status: RecordOutcome['status'];
  readonly version: number;
  readonly id: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly expires_at: number | null;
  readonly full_of: 'agent' | 'tenant';
}

/** All records. */
export class Memories implements MemoryStore {
  readonly #context: Context;
  readonly #put: (writes: readonly RecordWrite[]) => Promise<readonly RecordOutcome[]>;

  constructor(context: Context) {
    this.#context = context;
    this.#put = gathered(async calls => byCall(calls, await this.#putAll(calls.flat())));
  }

  put(writes: readonly RecordWrite[]): Promise<readonly RecordOutcome[]> {
    return this.#context.write(() => this.#put(writes));
  }

  async read(names: readonly RecordName[]): Promise<readonly (StoredRecord | null)[]> {
    const rows = await this.#context.read<RecordRow & { readonly pos: number }>(READ, [
      names.map(({ tenant }) => plain(tenant)),
      names.map(({ collection }) => plain(collection)),
      names.map(({ key }) => plain(key)),
      this.#context.given,
    ]);
    return inOrder(names.length, rows, recordOf);
  }

  async find(query: RecordQuery): Promise<readonly StoredRecord[]> {
    const conditions = new Conditions(
      `m.tenant = $1 AND ${LIVE('$2')}`,
      plain(query.tenant),
      this.#context.given,
    )
      .add('m.collection = ANY (?::text[])', query.collections?.map(plain))
      .add('starts_with(m.key, ?)', query.keyPrefix === undefined ? undefined : plain(query.keyPrefix))
      .add('m.tags::jsonb @> ?::jsonb', query.tags === undefined ? undefined : encode(query.tags))
      .add('m.owner = ?', query.owner === undefined ? undefined : plain(query.owner))
      .add('m.user_id = ?', query.userId === undefined ? undefined : plain(query.userId))
      .add('m.updated_at >= ?', query.since)
      .add('m.updated_at <= ?', query.until)
      .add('m.id > ?', query.after);
    for (const [field, value] of Object.entries(query.metadata ?? {}))
      conditions.add('m.metadata::jsonb @> ?::jsonb', encode({ [field]: value })).and(
        // Contained is less than equal where the value is an object or a list.
        `m.metadata::jsonb -> ${conditions.param(plain(field))} = ${conditions.param(encode(value ?? null))}::jsonb`,
      );
    const statement = reading(
      `find memory ${conditions.shape}`,
      `SELECT * FROM batuta.memory m ${conditions.where} ORDER BY m.id LIMIT ${conditions.param(query.limit)}`,
    );
    return (await this.#context.read<RecordRow>(statement, conditions.values)).map(recordOf);
  }

  async passages(tenant: TenantId, refs: readonly PassageRef[]): Promise<readonly (Passage | null)[]> {
    const rows = await this.#context.read<PassageRow & { readonly pos: number }>(PASSAGES, [
      plain(tenant),
      refs.map(({ id }) => id),
      refs.map(({ chunk }) => chunk),
      this.#context.given,
    ]);
    return inOrder(refs.length, rows, passageOf);
  }

  async feed(tenant: TenantId, after: number, limit: number): Promise<RecordFeed> {
    type Row = FeedRow & { readonly at: number; readonly embedder: string | null };
    const rows = await this.#context.read<Row>(FEED, [plain(tenant), after, limit + 1, this.#context.given]);
    const [first] = rows;
    if (first === undefined) throw new Error('the feed always tells the time');
    const changes = rows.filter(({ change }) => change !== null);
    return feedOf(changes, { at: first.at, embedder: first.embedder, after, limit });
  }

  usage(tenant: TenantId): Promise<readonly (RecordUsage & { readonly owner: AgentId })[]> {
    return this.#context.read(USAGE, [plain(tenant)]);
  }

  unembedded(embedder: string, after: ChunkPlace | null, limit: number) {
    return this.#context.read<ChunkPlace & { readonly content: string }>(UNEMBEDDED, [
      plain(embedder),
      after?.id ?? -1,
      after?.chunk ?? -1,
      limit,
    ]);
  }

  async putVectors(embedder: string, vectors: Parameters<MemoryStore['putVectors']>[1]): Promise<void> {
    await this.#context.write(() =>
      this.#context.database.ask(PUT_VECTORS, [plain(embedder), JSON.stringify(vectors)]),
    );
  }

  async embedder(): Promise<string | null> {
    const [row] = await this.#context.read<{ name: string }>(EMBEDDER, []);
    return row?.name ?? null;
  }

  async enforce(embedder: string, expected: string | null): Promise<string> {
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<{ name: string }>(ENFORCE, [plain(embedder), expected]),
    );
    return rows[0]?.name ?? embedder;
  }

  pruneVectors(kept: readonly string[], limit: number): Promise<number> {
    return this.#counting(PRUNE, [kept.map(plain), limit]);
  }

  sweep(limit: number): Promise<number> {
    return this.#counting(SWEEP, [GONE_MS, limit, this.#context.given]);
  }

  erase(tenant: TenantId, userId: string, limit: number): Promise<number> {
    return this.#counting(ERASE, [plain(tenant), plain(userId), limit, this.#context.given]);
  }

  async #putAll(writes: readonly RecordWrite[]): Promise<readonly RecordOutcome[]> {
    const packed = writes.map(packWrite);
    const { rows } = await this.#context.database.ask<PutRow>(PUT, [
      JSON.stringify(packed),
      this.#context.given,
    ]);
    return rows.map((row, at) => outcomeOf(row, writes[at]));
  }

  async #counting(
    statement: ReturnType<typeof repeatable>,
    values: Parameters<Context['database']['ask']>[1],
  ): Promise<number> {
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<{ many: number }>(statement, values),
    );
    return rows[0]?.many ?? 0;
  }
}

/** A write, as `batuta.new_memory`. */
export function packWrite(write: RecordWrite, pos: number): object {
  const { tenant, collection, key, record, expected } = write;
  const name = { pos, tenant: plain(tenant), collection: plain(collection), key: plain(key) };
  const packed = packRecord(write, encode);
  const expecting = { ...name, expected: expected === 'absent' ? 0 : (expected ?? null) };
  if (record === null || packed === null) return expecting;
  return {
    ...expecting,
    ...packed,
    owner: plain(record.owner),
    user_id: record.userId === null ? null : plain(record.userId),
    ttl_ms: record.ttlMs,
    chunks: record.chunks.map(({ id, content, vectors }, number) => ({
      ...{ number, id: plain(id), content: plain(content), vectors },
    })),
    of_agent: record.limits.agent,
    of_tenant: record.limits.tenant,
  };
}

function outcomeOf(row: PutRow, write: RecordWrite | undefined): RecordOutcome {
  const { version } = row;
  switch (row.status) {
    case 'conflict':
      return { status: 'conflict', version };
    case 'removed':
      return { status: 'removed', version };
    case 'full': {
      const { records, chunks, bytes } = row;
      return { status: 'full', of: row.full_of, used: { records, chunks, bytes } };
    }
    case 'stored': {
      if (write === undefined || write.record === null) throw new Error('only what was written is stored');
      const { tenant, collection, key, record } = write;
      const { value, tags, metadata, owner, userId } = record;
      const { id, created_at: createdAt, updated_at: updatedAt, expires_at: expiresAt } = row;
      const times = { createdAt, updatedAt, expiresAt };
      return {
        status: 'stored',
        record: { id, tenant, collection, key, version, value, tags, metadata, owner, userId, ...times },
      };
    }
  }
}

function inOrder<Row extends { readonly pos: number }, Item>(
  length: number,
  rows: readonly Row[],
  itemOf: (row: Row) => Item,
): readonly (Item | null)[] {
  const byPos = new Map(rows.map(row => [row.pos, row]));
  return Array.from({ length }, (_, at) => {
    const row = byPos.get(at + 1);
    return row === undefined ? null : itemOf(row);
  });
}

/** JSON without what PostgreSQL cannot read back: the character zero and halves of surrogate pairs, which it would keep as escapes. */
function encode(value: Json): string {
  return JSON.stringify(value).replace(/\\(?:\\|u0000|ud[89a-f][0-9a-f]{2})/g, found =>
    found === '\\\\' ? found : '\uFFFD',
  );
}
