// What a text is moderated for (`BLOG-26`), and whether it offends (`ARMY-73`): scores of the shipped lists, of what is said about whole
// groups of people, and of the marks of advertising. The same text always scores the same.

import { biasOf } from './bias.ts';
import { Lexicon } from './lexicon.ts';
import { type Speech, speechOf } from './speech.ts';
import { CATEGORIES, type Category, TERMS } from './terms.ts';

/** What was found in a text. */
export interface Moderation {
  /** Some score is 0.5 or more. */
  readonly flagged: boolean;
  /** 0–1, rounded to hundredths. */
  readonly categories: Readonly<Record<Category, number>>;
}

/** Something offensive in a text. */
export interface Offence {
  readonly category: Category;
  /** The word or phrase as the list has it, whatever it was spelled like. */
  readonly term: string;
}

const FLAGGED_FROM = 0.5;
const OFFENSIVE: ReadonlySet<Category> = new Set(['hate', 'harassment', 'sexual', 'profanity']);
const LEXICON = new Lexicon(TERMS);
const LINKS_MANY = 3;
const REPEATED_MANY = 10;
/** Who repeats a word does so from the start. */
const WORDS_COUNTED = 2_000;

/** Scores a text in every category; a score grows with each further term, and never passes 1. */
export function moderationOf(text: string): Moderation {
  const speech = speechOf(text);
  const innocence = new Map<Category, number>(CATEGORIES.map(category => [category, 1]));
  const add = (category: Category, weight: number): void => {
    innocence.set(category, (innocence.get(category) ?? 1) * (1 - weight));
  };
  for (const { label, weight } of LEXICON.in(speech)) add(label, weight);
  if (biasOf(speech).some(({ isDehumanizing }) => isDehumanizing)) add('hate', 0.8);
  for (const weight of advertising(text, speech)) add('spam', weight);
  const scores = CATEGORIES.map(
    category => [category, Math.round((1 - (innocence.get(category) ?? 1)) * 100) / 100] as const,
  );
  return {
    flagged: scores.some(([, score]) => score >= FLAGGED_FROM),
    categories: Object.fromEntries(scores) as Record<Category, number>,
  };
}

/** The terms of a text that each offend by themselves; what is merely coarse is none of them. */
export function offencesIn(text: string): readonly Offence[] {
  const found = LEXICON.in(speechOf(text)).filter(
    ({ label, weight }) => OFFENSIVE.has(label) && weight >= FLAGGED_FROM,
  );
  return found.map(({ label, text: term }) => ({ category: label, term }));
}

/** Many links, one word over and over, and shouting: each a sign, together more than one. */
function* advertising(text: string, { words }: Speech): Generator<number> {
  let links = 0;
  for (let at = text.indexOf('://'); at >= 0 && links < LINKS_MANY; at = text.indexOf('://', at + 1)) links++;
  if (links >= LINKS_MANY) yield 0.4;
  if (/!!!|¡¡¡|\$\$\$/.test(text)) yield 0.2;
  const counts = new Map<string, number>();
  const first = words.slice(0, WORDS_COUNTED);
  for (const word of first) if (word.length > 2) counts.set(word, (counts.get(word) ?? 0) + 1);
  let most = 0;
  for (const count of counts.values()) most = Math.max(most, count);
  if (most >= REPEATED_MANY && most > first.length * 0.4) yield 0.5;
}
