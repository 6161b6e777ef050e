// How well a text reads, by rules: how long it is, how easy its sentences are (Spanish or English), how it is built, how much it repeats
// itself. Pure: the same text always has the same marks (`BLOG-53`).

import { paragraphsOf, sentencesOf } from './passages.ts';
import { fold, languageOf } from './words.ts';

/** What is looked at; each has a mark of 0–100. */
export const QUALITY_POINTS = ['length', 'readability', 'structure', 'repetition'] as const;

/** One of them. */
export type QualityPoint = (typeof QUALITY_POINTS)[number];

/** What is found of a text. */
export interface Quality {
  readonly language: 'es' | 'en' | null;
  readonly words: number;
  readonly sentences: number;
  readonly paragraphs: number;
  readonly headings: number;
  readonly points: Readonly<Record<QualityPoint, number>>;
}

const WORD = /[\p{L}\p{N}]+(?:['’]\p{L}+)*/gu;
const HEADING = /^(?:#{1,6}\s+\S|<h[1-6][\s>])/i;
const WORDS_ENOUGH = 150;
const SENTENCE_LONG = 40;
const PARAGRAPH_LONG = 200;
/** What is looked at of texts without end. */
const CHARACTERS_MAX = 200_000;

/** The marks of a text. */
export function qualityOf(text: string): Quality {
  const looked = text.slice(0, CHARACTERS_MAX);
  const lines = looked.split(/\r?\n/);
  const headings = lines.filter(line => HEADING.test(line)).length;
  const prose = lines.map(line => (HEADING.test(line) ? '' : line)).join('\n');
  const paragraphs = paragraphsOf(prose);
  const sentences = sentencesOf(prose);
  const words = wordsIn(prose);
  const language = languageOf(prose);
  return {
    ...{
      language,
      words: words.length,
      sentences: sentences.length,
      paragraphs: paragraphs.length,
      headings,
    },
    points: {
      length: Math.round(Math.min(1, words.length / WORDS_ENOUGH) * 100),
      readability: readabilityOf(prose),
      structure: structureOf(paragraphs, sentences, { headings, words: words.length }),
      repetition: freshnessOf(words, sentences),
    },
  };
}

/**
 * How easy a text is, 0–100: Flesch's formula for English, Fernández Huerta's for Spanish, both from words a sentence and syllables a
 * word; 0 for a text without words.
 */
export function readabilityOf(text: string): number {
  const words = wordsIn(text);
  const sentences = Math.max(1, sentencesOf(text).length);
  if (words.length === 0) return 0;
  const perSentence = words.length / sentences;
  const spanish = languageOf(text) === 'es';
  const syllables = words.reduce((sum, word) => sum + syllablesOf(word, spanish), 0) / words.length;
  const ease = spanish
    ? 206.84 - 60 * syllables - 1.02 * perSentence
    : 206.835 - 1.015 * perSentence - 84.6 * syllables;
  return markOf(ease);
}

/** Syllables of a folded word; at least one. */
export function syllablesOf(word: string, spanish: boolean): number {
  const groups = (spanish ? word.replace(/[iu](?=[aeo])|(?<=[aeo])[iu]/g, '') : word.replace(/e$/, '')).match(
    spanish ? /[aeo]|[iu]/g : /[aeiouy]+/g,
  );
  return Math.max(1, groups?.length ?? 0);
}

/** Paragraphs that can be taken in, sentences that end, headings in what is long. */
function structureOf(
  paragraphs: readonly string[],
  sentences: readonly string[],
  { headings, words }: { readonly headings: number; readonly words: number },
): number {
  if (words === 0) return 0;
  const longParagraphs = share(paragraphs, one => wordsIn(one).length > PARAGRAPH_LONG);
  const longSentences = share(sentences, one => wordsIn(one).length > SENTENCE_LONG);
  const isLong = words >= 2 * WORDS_ENOUGH;
  const parted = !isLong || headings > 0 ? 0 : paragraphs.length > 2 ? 10 : 40;
  const oneSentence = words > WORDS_ENOUGH / 2 && sentences.length < 3 ? 40 : 0;
  return markOf(100 - 40 * longParagraphs - 40 * longSentences - parted - oneSentence);
}

/** Less for sentences said twice, for one word over and over, and for few different words. */
function freshnessOf(words: readonly string[], sentences: readonly string[]): number {
  if (words.length === 0) return 0;
  const folded = sentences.map(one => fold(one).trim());
  const twice = 1 - new Set(folded).size / Math.max(1, folded.length);
  const counts = new Map<string, number>();
  for (const word of words) if (word.length > 3) counts.set(word, (counts.get(word) ?? 0) + 1);
  const most = Math.max(0, ...[...counts.values()].slice(0, 50_000)) / words.length;
  // Long texts use the same words again: what counts is how many differ in a stretch of a hundred.
  const variety = varietyOf(words);
  return markOf(100 - 150 * twice - 300 * Math.max(0, most - 0.08) - 150 * Math.max(0, 0.45 - variety));
}

function varietyOf(words: readonly string[]): number {
  const stretch = 100;
  const shares: number[] = [];
  for (let from = 0; from === 0 || from + stretch <= words.length; from += stretch) {
    const some = words.slice(from, from + stretch);
    shares.push(new Set(some).size / Math.max(1, some.length));
  }
  return shares.reduce((sum, one) => sum + one, 0) / shares.length;
}

function wordsIn(text: string): readonly string[] {
  return (text.match(WORD) ?? []).map(fold);
}

function share<One>(all: readonly One[], holds: (one: One) => boolean): number {
  return all.length === 0 ? 0 : all.filter(holds).length / all.length;
}

function markOf(value: number): number {
  return Math.round(Math.max(0, Math.min(100, value)));
}
