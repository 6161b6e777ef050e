// What a passage is about in a few words, and what else to ask (`NOOB-79`, `NOOB-81`).

import type { TenantId } from '../../domain/ids.ts';
import { stemsOf, type Word, wordsOf } from '../../domain/text/words.ts';

const KEYWORDS = 5;
const RELATED = 5;
const EARLIER_KEPT = 200;
const TENANTS_KEPT = 500;
const QUERY_LENGTH_MAX = 200;
const PHRASE_WORDS_MAX = 4;

/** The words that tell a passage from others: often in it, rare elsewhere; as they are written first. */
export function keywordsOf(content: string, rarity: (stem: string) => number): readonly string[] {
  const found = new Map<string, { readonly surface: string; times: number }>();
  for (const { surface, stem, empty } of wordsOf(content)) {
    if (empty || surface.length < 3) continue;
    const one = found.get(stem) ?? { surface, times: 0 };
    one.times += 1;
    found.set(stem, one);
  }
  return [...found]
    .map(([stem, { surface, times }], place) => ({
      surface,
      place,
      weight: (1 + Math.log(times)) * rarity(stem),
    }))
    .sort((one, another) => another.weight - one.weight || one.place - another.place)
    .slice(0, KEYWORDS)
    .map(({ surface }) => surface);
}

/** What tenants asked lately, in this process; never told to another tenant. */
export class EarlierQueries {
  readonly #byTenant = new Map<TenantId, Map<string, string>>();

  /** Remembers a query that found something. */
  add(tenant: TenantId, query: string): void {
    const text = query.trim().replace(/\s+/g, ' ');
    if (text === '' || text.length > QUERY_LENGTH_MAX) return;
    const queries = this.#byTenant.get(tenant) ?? new Map<string, string>();
    this.#byTenant.delete(tenant);
    this.#byTenant.set(tenant, queries);
    const meaning = meaningOf(text);
    queries.delete(meaning);
    queries.set(meaning, text);
    for (const oldest of [...queries.keys()].slice(0, -EARLIER_KEPT)) queries.delete(oldest);
    for (const idle of [...this.#byTenant.keys()].slice(0, -TENANTS_KEPT)) this.#byTenant.delete(idle);
  }

  /** Up to five phrases: earlier queries that share a word with this one, latest first, then phrases of the passages; never the query. */
  related(tenant: TenantId, query: string, passages: readonly string[]): readonly string[] {
    const wanted = new Set(stemsOf(query));
    const earlier = [...(this.#byTenant.get(tenant)?.values() ?? [])]
      .reverse()
      .filter(text => stemsOf(text).some(stem => wanted.has(stem)));
    const told = new Set([meaningOf(query)]);
    const related: string[] = [];
    for (const phrase of [...earlier.slice(0, RELATED - 2), ...phrasesOf(passages, wanted)]) {
      const meaning = meaningOf(phrase);
      if (told.has(meaning) || related.length === RELATED) continue;
      told.add(meaning);
      related.push(phrase);
    }
    return related;
  }
}

interface Phrase {
  readonly text: string;
  readonly meaning: string;
  readonly words: number;
}

/** Phrases around the query's words: what the passages have most often, longest first among equals. */
function phrasesOf(passages: readonly string[], wanted: ReadonlySet<string>): readonly string[] {
  const counts = new Map<string, { readonly phrase: Phrase; times: number }>();
  for (const phrase of passages.flatMap(passage => phrasesIn(passage, wanted))) {
    const one = counts.get(phrase.meaning) ?? { phrase, times: 0 };
    one.times += 1;
    counts.set(phrase.meaning, one);
  }
  return [...counts.values()]
    .sort((one, another) => another.times - one.times || another.phrase.words - one.phrase.words)
    .map(({ phrase }) => phrase.text);
}

/** Stretches of a sentence that begin and end with a telling word, have one of the query's and one that is not. */
function phrasesIn(passage: string, wanted: ReadonlySet<string>): readonly Phrase[] {
  const words = wordsOf(passage);
  const phrases: Phrase[] = [];
  for (const [from, first] of words.entries()) {
    if (first.empty) continue;
    const stems = [first.stem];
    let known = wanted.has(first.stem) ? 1 : 0;
    for (const [before, word] of pairs(words, from)) {
      // A point, a comma, a bracket: the phrase ends before it.
      if (/[^\s'’-]/.test(passage.slice(before.end, word.start))) break;
      if (word.empty) continue;
      stems.push(word.stem);
      if (stems.length > PHRASE_WORDS_MAX) break;
      if (wanted.has(word.stem)) known += 1;
      if (known === 0 || known === stems.length) continue;
      const text = passage.slice(first.start, word.end).replace(/\s+/g, ' ');
      phrases.push({ text, meaning: meaningOfStems(stems), words: stems.length });
    }
  }
  return phrases;
}

/** Each word after a place with the one before it, as far as a phrase may reach. */
function* pairs(words: readonly Word[], from: number): Iterable<readonly [Word, Word]> {
  for (let at = from + 1; at < Math.min(words.length, from + 2 * PHRASE_WORDS_MAX); at++)
    yield [words[at - 1] as Word, words[at] as Word];
}

/** Equal for texts that ask the same: their telling words, whatever their form, case and order. */
function meaningOf(text: string): string {
  return meaningOfStems(stemsOf(text));
}

function meaningOfStems(stems: readonly string[]): string {
  return [...new Set(stems)].sort().join(' ');
}
