// All records of one tenant, as they are searched: words, vectors and what filters ask for. Made of the feed alone, so that every node
// and every restart comes to the same answers; values and texts stay in the store.

import { stemsOf } from '../../domain/text/words.ts';
import type { FeedRecord } from '../../store/memory.ts';
import { Best } from './best.ts';
import { type RecordHead, valuesOf } from './filter.ts';
import { WordIndex } from './postings.ts';
import { decodeVector, Vectors } from './vectors.ts';

const RECORD_BYTES = 700;
const ENTRY_BYTES = 16;
/** An index of which more is gone than this and more than lives is made anew. */
const GONE_MAX = 1_000;

interface IndexedRecord {
  readonly head: RecordHead;
  /** Its chunks are the entries from here on. */
  readonly from: number;
  readonly entries: number;
  alive: boolean;
}

/** What to look for. */
export interface IndexQuery {
  readonly stems: readonly string[];
  /** Null to go by words alone. */
  readonly vector: Int8Array | null;
  /** What cosines and words weigh; they add up to 1. */
  readonly weights: { readonly semantic: number; readonly keyword: number };
  readonly nearCosine: number;
  readonly meets: (record: RecordHead) => boolean;
  /** Whether each chunk is a match of its own, or each record by its best chunk. */
  readonly by: 'chunk' | 'record';
  readonly limit: number;
  /** Fields of metadata whose values are counted over all matches. */
  readonly facets: readonly string[];
}

/** A chunk that was found. */
export interface Match {
  readonly record: RecordHead;
  readonly chunk: number;
  /** From 0 to 1. */
  readonly score: number;
}

/** How often each value of each field occurs. */
export type Facets = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The best matches, and what there is to say of all. */
export interface IndexAnswer {
  readonly matches: readonly Match[];
  readonly total: number;
  readonly facets: Facets;
}

/** The index of one tenant. */
export class TenantIndex {
  readonly #dimensions: number;
  readonly #words = new WordIndex();
  readonly #vectors: Vectors;
  readonly #records = new Map<number, IndexedRecord>();
  readonly #byEntry: IndexedRecord[] = [];
  #gone = 0;
  #attributeBytes = 0;
  readonly #lives = (entry: number): boolean => this.#byEntry[entry]?.alive === true;

  constructor(dimensions: number) {
    this.#dimensions = dimensions;
    this.#vectors = new Vectors(dimensions);
  }

  /** Records that live. */
  get records(): number {
    return this.#records.size;
  }

  /** Bytes it takes, about. */
  get bytes(): number {
    const { length } = this.#byEntry;
    return this.#words.bytes + this.#vectors.bytes + length * ENTRY_BYTES + this.#attributeBytes;
  }

  /** Whether so much is gone that it should be made anew. */
  get wasteful(): boolean {
    return this.#gone > GONE_MAX && this.#gone > this.#byEntry.length / 2;
  }

  /** Takes in a record in place of what it was before; null where it is gone. */
  put(id: number, record: FeedRecord | null): void {
    this.#drop(id);
    if (record === null) return;
    const { chunks, ...head } = record;
    const indexed = { head, from: this.#byEntry.length, entries: chunks.length, alive: true };
    this.#records.set(id, indexed);
    this.#attributeBytes += RECORD_BYTES + JSON.stringify([head.key, head.tags, head.metadata]).length * 2;
    for (const { content, vector } of chunks) {
      this.#byEntry.push(indexed);
      this.#words.add(stemsOf(content));
      this.#vectors.add(vector === null ? null : decodeVector(vector, this.#dimensions));
    }
  }

  /** The records that meet a condition, latest first. */
  list(meets: (record: RecordHead) => boolean): readonly RecordHead[] {
    return [...this.#records.values()]
      .flatMap(({ head }) => (meets(head) ? [head] : []))
      .sort((one, another) => another.updatedAt - one.updatedAt || one.id - another.id);
  }

  /** The collections in which a record lives. */
  collections(meets: (record: RecordHead) => boolean): ReadonlySet<string> {
    const names = new Set<string>();
    for (const { head } of this.#records.values())
      if (!names.has(head.collection) && meets(head)) names.add(head.collection);
    return names;
  }

  /** How much a word tells apart the chunks of this tenant. */
  rarity(stem: string): number {
    return this.#words.rarity(stem, this.#lives);
  }

  /** The best matches: chunks that have one of the words, or whose vector is near. */
  search(query: IndexQuery): IndexAnswer {
    const { weights, nearCosine, limit } = query;
    const words = this.#words.scores(query.stems, this.#lives);
    const cosines = query.vector === null ? null : this.#vectors.cosines(query.vector);
    const best = new Best<Match>(limit, isBefore);
    const matching = new Map<RecordHead, number>();
    for (const { head, from, entries } of this.#records.values()) {
      if (!query.meets(head)) continue;
      let found: Match | null = null;
      let many = 0;
      for (let chunk = 0; chunk < entries; chunk++) {
        const word = words[from + chunk] ?? 0;
        const cosine = Math.max(0, cosines?.[from + chunk] ?? 0);
        if (word === 0 && (cosine < nearCosine || weights.semantic === 0)) continue;
        const score = weights.semantic * cosine + weights.keyword * word;
        if (score === 0) continue;
        many += 1;
        const match: Match = { record: head, chunk, score };
        if (query.by === 'chunk') best.offer(match);
        else if (found === null || isBefore(match, found)) found = match;
      }
      if (found !== null) best.offer(found);
      if (many > 0) matching.set(head, query.by === 'chunk' ? many : 1);
    }
    let total = 0;
    for (const many of matching.values()) total += many;
    return { matches: best.list, total, facets: facetsOf(matching, query.facets) };
  }

  #drop(id: number): void {
    const indexed = this.#records.get(id);
    if (indexed === undefined) return;
    this.#records.delete(id);
    indexed.alive = false;
    this.#gone += indexed.entries;
    for (let entry = indexed.from; entry < indexed.from + indexed.entries; entry++) this.#words.drop(entry);
  }
}

/** Which of two matches comes first; where both are as good, the one that was there before. */
function isBefore(one: Match, another: Match): boolean {
  if (one.score !== another.score) return one.score > another.score;
  return one.record.id === another.record.id ? one.chunk < another.chunk : one.record.id < another.record.id;
}

function facetsOf(matching: ReadonlyMap<RecordHead, number>, fields: readonly string[]): Facets {
  return Object.fromEntries(
    fields.map(field => {
      const counts = new Map<string, number>();
      for (const [head, many] of matching)
        for (const value of valuesOf(head, field)) counts.set(value, (counts.get(value) ?? 0) + many);
      const ordered = [...counts].sort(
        ([one, few], [another, more]) => more - few || (one < another ? -1 : 1),
      );
      return [field, Object.fromEntries(ordered.map(([value, many]) => [wordOf(value), many]))];
    }),
  );
}

/** A value as the name of its count: a text as it is, anything else as JSON. */
function wordOf(json: string): string {
  const value: unknown = JSON.parse(json);
  return typeof value === 'string' ? value : json;
}
