// How easily a text is read: the formulas of Flesch for English and of Fernández Huerta for Spanish, from syllables a word and words a
// sentence. Of other languages nothing is said.

import { sentencesOf, wordsOf } from './texts.ts';

/** The languages whose readability is known. */
export type Language = 'es' | 'en';

const SPANISH = new Set(
  'de la que el en y los se del las un por con no una su para es al lo como más pero sus le ya o este sí porque esta son entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante ni contra ese eso qué'.split(
    ' ',
  ),
);
const ENGLISH = new Set(
  'the of and to in is that it was for on are as with his they be at this have from or had by but what some we can out other were all there when your how said an each she which their if will way about many then them would has these it’s not you'.split(
    ' ',
  ),
);
const NUCLEUS = /[iuü]?[aeoáéó](?:[iuü](?![aeoáéóíú])|y(?![\p{L}]))?|[íú]|[iuü]+|y(?!\p{L})/gu;
/** Fewer words say nothing about how they read. */
const WORDS_MIN = 20;

/** The language a text is in by its small words, or null. */
export function languageOf(words: readonly string[]): Language | null {
  let spanish = 0;
  let english = 0;
  for (const word of words) {
    if (SPANISH.has(word)) spanish++;
    if (ENGLISH.has(word)) english++;
  }
  if (Math.max(spanish, english) < words.length / 20) return null;
  return spanish > english ? 'es' : english > spanish ? 'en' : null;
}

/** 0 for the hardest to 100 for the easiest; null for other languages and for texts that are too short to tell. */
export function readabilityOf(prose: string): number | null {
  const words = wordsOf(prose);
  const language = words.length < WORDS_MIN ? null : languageOf(words);
  if (language === null) return null;
  const sentences = Math.max(1, sentencesOf(prose).length);
  const count = language === 'es' ? spanishSyllables : englishSyllables;
  const syllables = words.reduce((sum, word) => sum + count(word), 0) / words.length;
  const length = words.length / sentences;
  const score =
    language === 'es' ? 206.84 - 60 * syllables - 1.02 * length : 206.835 - 84.6 * syllables - 1.015 * length;
  return Math.min(100, Math.max(0, score));
}

/** Two strong vowels, or an accented weak one, are syllables of their own; others beside each other are one. */
export function spanishSyllables(word: string): number {
  const heard = word.replace(/qu|gu(?=[eéií])/g, 'g');
  return Math.max(1, heard.match(NUCLEUS)?.length ?? 0);
}

/** Groups of vowels, a last silent `e` left out. */
export function englishSyllables(word: string): number {
  const spoken = word.replace(/(?<=[^aeiouy])(?:es|ed|e)$/, '').replace(/(?<=[^aeiouy])l$/, 'el');
  return Math.max(1, spoken.match(/[aeiouy]+/g)?.length ?? 0);
}
