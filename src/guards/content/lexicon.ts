// Finds the words and phrases of a list in speech: words whole, in the spellings people disguise them by (repeated letters, digits and
// signs for letters, stars, separators); phrases word by word. A word inside another is never found.

import { SENTENCE_END, type Speech } from './speech.ts';

/** A word or phrase of a list. */
export interface Term<Label> {
  /** Folded; a last word that ends in `*` stands for all that begin so. */
  readonly text: string;
  readonly label: Label;
  /** How surely it means its label: 0–1. */
  readonly weight: number;
}

interface Spelling<Label> {
  readonly term: Term<Label>;
  readonly word: string;
  readonly runs: readonly number[];
}

interface Phrase<Label> {
  readonly term: Term<Label>;
  readonly words: readonly string[];
}

const WORD_MAX = 40;
const STARRED_MIN = 4;
const SIGNS: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '8': 'b',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/** A list made ready for searching. */
export class Lexicon<Label> {
  readonly #words = new Map<string, Spelling<Label>[]>();
  readonly #starred = new Map<string, Spelling<Label>[]>();
  readonly #phrases = new Map<string, Phrase<Label>[]>();

  constructor(terms: Iterable<Term<Label>>) {
    for (const term of terms) {
      const words = term.text.split(' ');
      const [first = ''] = words;
      if (words.length > 1) put(this.#phrases, first, { term, words });
      else {
        const { letters, runs } = runsOf(first);
        put(this.#words, letters, { term, word: first, runs });
        put(this.#starred, `${first[0]}${first.length}`, { term, word: first, runs });
      }
    }
  }

  /** Every term of the list that a text holds, each once. */
  in({ words, joined }: Speech): readonly Term<Label>[] {
    const found = new Set<Term<Label>>();
    const seen = new Set<string>();
    for (const list of [words, joined])
      for (const word of list) {
        if (seen.has(word)) continue;
        seen.add(word);
        for (const term of this.#termsOf(word)) found.add(term);
      }
    words.forEach((word, at) => {
      const phrases = this.#phrases.get(word);
      if (phrases === undefined) return;
      for (const phrase of phrases) if (stands(phrase.words, words, at)) found.add(phrase.term);
    });
    return [...found];
  }

  #termsOf(word: string): readonly Term<Label>[] {
    if (word.length < 2 || word.length > WORD_MAX || word === SENTENCE_END) return [];
    if (!/[^\p{L}]/u.test(word)) return this.#spelled(word);
    if (word.includes('*')) return this.#masked(word);
    // A number is no word, and a road or a size with one letter in it neither.
    const digits = word.replace(/\D/g, '').length;
    const letters = word.replace(/\P{L}/gu, '').length;
    if (letters === 0 || digits > letters) return [];
    const plain = word.replace(/[^\p{L}]/gu, sign => SIGNS[sign] ?? sign);
    const other = word.replace(/[^\p{L}]/gu, sign => (/[1!]/.test(sign) ? 'l' : (SIGNS[sign] ?? sign)));
    return [...this.#spelled(plain), ...(other === plain ? [] : this.#spelled(other))];
  }

  /** Letters may be repeated, but a double letter of the list is never single in the text: `as` is no `ass`. */
  #spelled(word: string): readonly Term<Label>[] {
    const { letters, runs } = runsOf(word);
    const candidates = this.#words.get(letters) ?? [];
    return candidates.filter(one => one.runs.every((run, at) => (runs[at] ?? 0) >= run)).map(one => one.term);
  }

  #masked(word: string): readonly Term<Label>[] {
    if (word.length < STARRED_MIN) return [];
    const candidates = this.#starred.get(`${word[0]}${word.length}`) ?? [];
    const isLike = (other: string): boolean =>
      [...word].every((letter, at) => letter === '*' || letter === other[at]);
    return candidates.filter(one => isLike(one.word)).map(one => one.term);
  }
}

/** Whether the phrase stands in the words from there on. */
export function stands(phrase: readonly string[], words: readonly string[], at: number): boolean {
  return phrase.every((one, offset) => {
    const word = words[at + offset];
    return one.endsWith('*') ? word?.startsWith(one.slice(0, -1)) === true : word === one;
  });
}

function put<Value>(map: Map<string, Value[]>, name: string, value: Value): void {
  const list = map.get(name);
  if (list === undefined) map.set(name, [value]);
  else list.push(value);
}

/** The letters with each repetition as one, and how often each stood there. */
function runsOf(word: string): { readonly letters: string; readonly runs: readonly number[] } {
  let letters = '';
  const runs: number[] = [];
  for (const letter of word) {
    if (letters.endsWith(letter)) runs[runs.length - 1] = (runs.at(-1) ?? 0) + 1;
    else {
      letters += letter;
      runs.push(1);
    }
  }
  return { letters, runs };
}
