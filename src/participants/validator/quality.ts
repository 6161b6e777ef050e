// How well a text is written (`ARMY-32`, `BLOG-53`): its length against what was asked, how it reads, how it repeats itself, how it is
// built, whether it names its sources. Each aspect scores 0–1; those that say nothing of a text are left out.

import type { ExpectedContent } from '../../engine/ports/validator.ts';
import { readabilityOf } from './readability.ts';
import { paragraphsOf, proseOf, sentencesOf, wordsOf } from './texts.ts';

/** One aspect of a text; `weakness` says what is weak about it, and what to do. */
export interface Aspect {
  readonly name: 'length' | 'readability' | 'repetition' | 'structure' | 'sources';
  readonly score: number;
  readonly weakness: { readonly code: string; readonly message: string; readonly advice: string } | null;
}

/** What a text is measured by. */
export type QualityTerms = Pick<ExpectedContent, 'wordsMin' | 'wordsMax' | 'sourcesMin'>;

const WEAK_BELOW = 0.7;
/** From this ease on a text reads as well as it needs to. */
const EASE_ENOUGH = 50;
const HEADINGS_FROM = 400;
const PARAGRAPH_WORDS_MAX = 180;
const PHRASE_WORDS = 4;
const REPETITION_FROM = 12;
const FREE_REPETITION = 0.1;
const HEADING = /^ {0,3}#{1,6}[ \t]+\S|<h[1-6][\s>]/im;
const SOURCES_HEADING =
  /^(?: {0,3}#{1,6}[ \t]*|\*\*)?(?:fuentes|referencias|bibliograf[ií]a|sources|references|bibliography)\b/imu;

/** Every aspect that says something of the text. */
export function aspectsOf(text: string, terms: QualityTerms): readonly Aspect[] {
  const prose = proseOf(text);
  const words = wordsOf(prose);
  const length = lengthOf(words.length, terms);
  if (words.length === 0) return [length ?? aspect('length', 0, EMPTY)];
  return [
    length,
    easeOf(prose),
    repetitionOf(prose, words),
    structureOf(text, words.length),
    sourcesOf(text, terms.sourcesMin ?? 0),
  ].filter(one => one !== null);
}

/** The mean of the aspects. */
export function meanOf(aspects: readonly Pick<Aspect, 'score'>[]): number {
  if (aspects.length === 0) return 1;
  return aspects.reduce((sum, { score }) => sum + score, 0) / aspects.length;
}

/** The share of phrases of four words that two texts have in common, 0–1. */
export function likenessOf(one: string, other: string): number {
  const [mine, others] = [phrasesOf(wordsOf(one)), phrasesOf(wordsOf(other))].map(
    phrases => new Set(phrases),
  );
  if (mine === undefined || others === undefined || mine.size === 0 || others.size === 0) return 0;
  let shared = 0;
  for (const phrase of mine) if (others.has(phrase)) shared++;
  return shared / (mine.size + others.size - shared);
}

type Weakness = NonNullable<Aspect['weakness']>;

const EMPTY: Weakness = { code: 'EMPTY', message: 'there is nothing to read', advice: 'Write something.' };

function aspect(name: Aspect['name'], score: number, weakness: Weakness): Aspect {
  return { name, score, weakness: score < WEAK_BELOW ? weakness : null };
}

function lengthOf(words: number, { wordsMin, wordsMax }: QualityTerms): Aspect | null {
  if (wordsMin === undefined && wordsMax === undefined) return null;
  if (wordsMin !== undefined && words < wordsMin)
    return aspect('length', words / wordsMin, {
      code: 'TOO_SHORT',
      message: `it has ${words} words, and ${wordsMin} were asked for`,
      advice: `Write at least ${wordsMin} words.`,
    });
  if (wordsMax !== undefined && words > wordsMax)
    return aspect('length', wordsMax / words, {
      code: 'TOO_LONG',
      message: `it has ${words} words, and at most ${wordsMax} were asked for`,
      advice: `Cut it to ${wordsMax} words.`,
    });
  return aspect('length', 1, EMPTY);
}

function easeOf(prose: string): Aspect | null {
  const ease = readabilityOf(prose);
  if (ease === null) return null;
  return aspect('readability', Math.min(1, ease / EASE_ENOUGH), {
    code: 'HARD_TO_READ',
    message: `its reading ease is ${Math.round(ease)} of 100`,
    advice: 'Use shorter sentences and shorter words.',
  });
}

function repetitionOf(prose: string, words: readonly string[]): Aspect | null {
  if (words.length < REPETITION_FROM) return null;
  const phrases = phrasesOf(words);
  const sentences = sentencesOf(prose).map(one => wordsOf(one).join(' '));
  const repeated = Math.max(repeatedShare(phrases), repeatedShare(sentences));
  const score = Math.min(1, (1 - repeated) / (1 - FREE_REPETITION));
  return aspect('repetition', score, {
    code: 'REPETITIVE',
    message: `${Math.round(repeated * 100)} % of it was said before`,
    advice: 'Say each thing once.',
  });
}

function structureOf(text: string, words: number): Aspect {
  const paragraphs = paragraphsOf(text.replace(/<\/(?:p|div|li|h[1-6])>/gi, '\n\n'));
  const long = paragraphs.filter(one => wordsOf(one).length > PARAGRAPH_WORDS_MAX).length;
  const lacksHeadings = words >= HEADINGS_FROM && !HEADING.test(text);
  const score = (lacksHeadings ? 0.5 : 1) - 0.5 * (paragraphs.length === 0 ? 0 : long / paragraphs.length);
  return aspect(
    'structure',
    score,
    lacksHeadings
      ? { code: 'NO_HEADINGS', message: 'it is long and has no headings', advice: 'Divide it by headings.' }
      : {
          code: 'LONG_PARAGRAPHS',
          message: `${long} of its ${paragraphs.length} paragraphs are over ${PARAGRAPH_WORDS_MAX} words`,
          advice: 'Break up long paragraphs.',
        },
  );
}

function sourcesOf(text: string, wanted: number): Aspect | null {
  if (wanted <= 0) return null;
  const links = new Set(text.match(/https?:\/\/[^\s<>()[\]"']{4,2000}|\b10\.\d{4,9}\/[^\s<>()"']{1,200}/gi))
    .size;
  const cited = new Set(text.match(/\[\d{1,3}\](?!\()/g)).size;
  const named = SOURCES_HEADING.test(text) ? 1 : 0;
  const found = Math.max(links, cited, named);
  return aspect('sources', Math.min(1, found / wanted), {
    code: 'FEW_SOURCES',
    message: `it names ${found} sources, and ${wanted} were asked for`,
    advice: 'Name where what it says comes from.',
  });
}

function phrasesOf(words: readonly string[]): readonly string[] {
  return words.slice(PHRASE_WORDS - 1).map((_, index) => words.slice(index, index + PHRASE_WORDS).join(' '));
}

function repeatedShare(all: readonly string[]): number {
  return all.length === 0 ? 0 : 1 - new Set(all).size / all.length;
}
