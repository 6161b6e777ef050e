// Answering a search: the tenant's index says what matches, the store gives what is shown, a second look puts the best in order.

import { hash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { MemoryRecord, RecordChunk } from '../../domain/record.ts';
import { stemsOf } from '../../domain/text/words.ts';
import type { Log } from '../../runtime/log.ts';
import type { MemoryStore } from '../../store/memory.ts';
import type { Embedder, Reranker } from '../ports/embedder.ts';
import { matcher, type RecordFilter, type RecordHead } from './filter.ts';
import type { FreshIndex, Indexes } from './indexes.ts';
import { byNearness, withoutRepeats } from './nearness.ts';
import { EarlierQueries, keywordsOf } from './phrases.ts';
import type { Facets, IndexAnswer, Match } from './tenant-index.ts';
import { quantized } from './vectors.ts';

/** How to look: by meaning and words, by words alone, by a weighted sum of both, by name, or by tags (`ARMY-39`, `NOOB-74`). */
export type SearchType = 'semantic' | 'keyword' | 'hybrid' | 'key' | 'tags';

/** What cosines and words weigh in a hybrid search; scaled to add up to 1 (`NOOB-74`). */
export interface SearchWeights {
  readonly semantic: number;
  readonly keyword: number;
}

/** A search. */
export interface SearchQuery extends RecordFilter {
  readonly tenant: TenantId;
  readonly type: SearchType;
  /** The question; for `key` a key, or the beginning of keys with `*` after it; for `tags` tags, parted by commas. */
  readonly text: string;
  readonly weights?: SearchWeights;
  /** 1–100, 10 unless said otherwise. */
  readonly limit?: number;
  /** Whether each passage is a result of its own, or each record by its best passage. */
  readonly by?: 'chunk' | 'record';
  /** Whether the 50 best are put in order by a second look, and near-repeats dropped (`NOOB-76`). */
  readonly reranking?: boolean;
  /** Whether its text is neither embedded, nor told to a model, nor offered to anybody later (`NOOB-33`). */
  readonly isSensitive?: boolean;
  /** Fields of metadata whose values are counted over all matches (`NOOB-80`). */
  readonly facets?: readonly string[];
  /** Bytes that all values found may have together, as JSON; as many as they like unless given. */
  readonly bytesMax?: number;
}

/** Something found. */
export interface SearchHit {
  readonly record: MemoryRecord;
  readonly chunk: RecordChunk;
  /** From 0 to 1. */
  readonly score: number;
  readonly keywords: readonly string[];
  /** Names the vector of the passage. */
  readonly vectorId: string;
}

/** What a search answers, best first. */
export interface SearchAnswer {
  readonly hits: readonly SearchHit[];
  /** All that match, whatever the limit. */
  readonly total: number;
  readonly facets: Facets;
  /** What else to ask (`NOOB-81`). */
  readonly related: readonly string[];
  /** Which of the collections asked for there are; all that the tenant has where none was named (`NOOB-77`). */
  readonly searched: readonly string[];
  readonly unknown: readonly string[];
  /** Equal for equal questions to the same embedder. */
  readonly queryVectorId: string;
  /** What could not be done as asked, in words. */
  readonly warnings: readonly string[];
}

type Found = Omit<SearchHit, 'keywords'>;

/** Results that are given at most, and what a second look is at. */
export const LIMIT_MAX = 100;
const LIMIT = 10;
const RERANKED = 50;
/** So many records, of a megabyte each at most, are read before they are weighed. */
const READ_AT_ONCE = 8;
/** How many of the best say what else to ask. */
const RELATED_FROM = 3;
const TEXT_LENGTH_MAX = 2_000;
const DEFAULT_WEIGHTS: SearchWeights = { semantic: 0.7, keyword: 0.3 };
/** By meaning, and among equals by words (`ARMY-41`). */
const SEMANTIC_WEIGHTS: SearchWeights = { semantic: 0.9, keyword: 0.1 };
const KEYWORD_WEIGHTS: SearchWeights = { semantic: 0, keyword: 1 };

/** Searches the records of tenants. */
export class Search {
  readonly #log: Log;
  readonly #store: Pick<MemoryStore, 'passages'>;
  readonly #indexes: Indexes;
  readonly #reranker: Reranker | null;
  readonly #earlier = new EarlierQueries();

  constructor(log: Log, store: Pick<MemoryStore, 'passages'>, indexes: Indexes, reranker: Reranker | null) {
    this.#log = log;
    this.#store = store;
    this.#indexes = indexes;
    this.#reranker = reranker;
  }

  /** What matches a query now; throws `invalid_request` for one that cannot be answered, `resource_exhausted` where it is over `bytesMax`. */
  async run(query: SearchQuery): Promise<SearchAnswer> {
    const { tenant } = query;
    checkQuery(query);
    const fresh = await this.#indexes.fresh(tenant);
    const warnings: string[] = [];
    const known = fresh.index.collections(matcher({}, fresh.at));
    const searched = query.collections?.filter(name => known.has(name)) ?? [...known].sort();
    const unknown = query.collections?.filter(name => !known.has(name)) ?? [];
    for (const name of unknown) warnings.push(`there is no collection ${name}`);
    const meets = matcher(query, fresh.at);
    const { answer, embedder } =
      query.type === 'key' || query.type === 'tags'
        ? { answer: listed(query, fresh, meets), embedder: null }
        : await this.#matches(query, fresh, meets, warnings);
    const found = await this.#shown(query, answer.matches);
    const ordered = await this.#ordered(query, found, warnings);
    const hits = ordered.map(hit => ({
      ...hit,
      keywords: keywordsOf(hit.chunk.content, stem => fresh.index.rarity(stem)),
    }));
    const passages = hits.slice(0, RELATED_FROM).map(({ chunk }) => chunk.content);
    const related = this.#earlier.related(tenant, query.text, passages);
    if (hits.length > 0 && answer.total > 0 && query.isSensitive !== true)
      this.#earlier.add(tenant, query.text);
    return {
      ...{ hits, total: answer.total, facets: answer.facets, related, searched, unknown, warnings },
      queryVectorId: `qvec-${hash('sha256', `${embedder?.name ?? 'words'}\n${query.text}`).slice(0, 16)}`,
    };
  }

  async #matches(
    query: SearchQuery,
    { index, embedder }: FreshIndex,
    meets: (record: RecordHead) => boolean,
    warnings: string[],
  ): Promise<{ readonly answer: IndexAnswer; readonly embedder: Embedder | null }> {
    const wanted = weightsOf(query);
    const vector = wanted.semantic === 0 ? null : await this.#vectorOf(query, embedder, warnings);
    const { by = 'record', facets = [] } = query;
    const answer = index.search({
      stems: stemsOf(query.text),
      vector,
      weights: vector === null ? KEYWORD_WEIGHTS : wanted,
      nearCosine: embedder?.nearCosine ?? 1,
      ...{ meets, by, facets },
      limit: query.reranking === true ? Math.max(RERANKED, limitOf(query)) : limitOf(query),
    });
    return { answer, embedder: vector === null ? null : embedder };
  }

  async #vectorOf(
    { text, isSensitive }: SearchQuery,
    embedder: Embedder | null,
    warnings: string[],
  ): Promise<Int8Array | null> {
    if (isSensitive === true) {
      warnings.push('the query is sensitive: searched by words alone');
      return null;
    }
    try {
      const [vector] = (await embedder?.embed([text])) ?? [];
      if (vector !== undefined) return quantized(vector);
      warnings.push('the embedder in force is not set up on this node: searched by words alone');
    } catch (error) {
      this.#log.warn('a query could not be embedded', { error: String(error) });
      warnings.push('the embedder failed: searched by words alone');
    }
    return null;
  }

  /** The matches with what is shown of them; what went since the index was read is left out. */
  async #shown({ tenant, bytesMax }: SearchQuery, matches: readonly Match[]): Promise<readonly Found[]> {
    const found: Found[] = [];
    const step = bytesMax === undefined ? Math.max(1, matches.length) : READ_AT_ONCE;
    let bytes = 0;
    for (let from = 0; from < matches.length; from += step) {
      const some = matches.slice(from, from + step);
      const refs = some.map(({ record, chunk }) => ({ id: record.id, chunk }));
      const passages = await this.#store.passages(tenant, refs);
      some.forEach(({ record: { id }, chunk: number, score }, at) => {
        const passage = passages[at];
        if (passage === null || passage === undefined) return;
        const { id: _, ...record } = passage.record;
        found.push({ record, chunk: passage.chunk, score, vectorId: `vec-${id}-${number}` });
        if (bytesMax !== undefined) bytes += Buffer.byteLength(JSON.stringify(record.value));
      });
      if (bytesMax !== undefined && bytes > bytesMax)
        throw new DomainError(
          'resource_exhausted',
          `what was found is over ${bytesMax} bytes: ask for less`,
          {
            details: { limit_bytes: bytesMax, asked: matches.length },
          },
        );
    }
    return found;
  }

  /** The hits to give; a second look at the best of them, by a model where there is one. */
  async #ordered(query: SearchQuery, hits: readonly Found[], warnings: string[]): Promise<readonly Found[]> {
    const limit = limitOf(query);
    if (query.reranking !== true) return hits.slice(0, limit);
    const ranked = hits.slice(0, RERANKED).map(hit => ({ ...hit, stems: stemsOf(hit.chunk.content) }));
    const ordered = withoutRepeats(
      this.#reranker === null || query.isSensitive === true
        ? byNearness(query.text, ranked)
        : await this.#byModel(this.#reranker, query.text, ranked, warnings),
    );
    const least = ordered.at(-1)?.score ?? 1;
    const rest = hits.slice(RERANKED).map(hit => ({ ...hit, score: Math.min(hit.score, least) }));
    return [...ordered.map(({ stems: _, ...hit }) => hit), ...rest].slice(0, limit);
  }

  async #byModel<Item extends Found>(
    reranker: Reranker,
    text: string,
    items: readonly Item[],
    warnings: string[],
  ): Promise<readonly Item[]> {
    try {
      const order = await reranker.order(
        text,
        items.map(({ chunk }) => chunk.content),
      );
      // A model may forget some, name some twice, or invent some.
      const named = [...new Set(order)].filter(place => items[place] !== undefined);
      const places = [...named, ...[...items.keys()].filter(place => !named.includes(place))];
      return places.map((place, at) => ({ ...(items[place] as Item), score: (items[at] as Item).score }));
    } catch (error) {
      this.#log.warn('a model could not rank passages', { error: String(error) });
      warnings.push('the model could not rank the results: they are in their first order');
      return items;
    }
  }
}

function listed(
  query: SearchQuery,
  { index }: FreshIndex,
  meets: (record: RecordHead) => boolean,
): IndexAnswer {
  const { text } = query;
  const isNamed = (key: string): boolean =>
    text.endsWith('*') ? key.startsWith(text.slice(0, -1)) : key === text;
  const tags = query.type === 'tags' ? tagsOf(text) : [];
  const found = index.list(
    record =>
      meets(record) &&
      (query.type === 'key' ? isNamed(record.key) : tags.every(tag => record.tags.includes(tag))),
  );
  const matches = found.slice(0, limitOf(query)).map(record => ({ record, chunk: 0, score: 1 }));
  return { matches, total: found.length, facets: {} };
}

function checkQuery(query: SearchQuery): void {
  const { text, limit = LIMIT, type } = query;
  const refuse = (message: string, field: string): never => {
    throw new DomainError('invalid_request', message, { details: { field } });
  };
  const saysNothing = text.trim() === '' && !(type === 'tags' && (query.tags?.length ?? 0) > 0);
  if (saysNothing) refuse('the query has no text', 'text');
  if (text.length > TEXT_LENGTH_MAX) refuse(`the query is longer than ${TEXT_LENGTH_MAX} characters`, 'text');
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    refuse(`limit must be a whole number from 1 to ${LIMIT_MAX}`, 'limit');
  const { semantic, keyword } = query.weights ?? DEFAULT_WEIGHTS;
  if (!(semantic >= 0 && keyword >= 0 && semantic + keyword > 0 && Number.isFinite(semantic + keyword)))
    refuse('weights must not be negative nor both zero', 'weights');
}

function weightsOf({ type, weights = DEFAULT_WEIGHTS }: SearchQuery): SearchWeights {
  if (type === 'semantic') return SEMANTIC_WEIGHTS;
  if (type === 'keyword') return KEYWORD_WEIGHTS;
  const sum = weights.semantic + weights.keyword;
  return { semantic: weights.semantic / sum, keyword: weights.keyword / sum };
}

function limitOf({ limit = LIMIT }: SearchQuery): number {
  return limit;
}

function tagsOf(text: string): readonly string[] {
  return text
    .split(',')
    .map(tag => tag.trim())
    .filter(tag => tag !== '');
}
