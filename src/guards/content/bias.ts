// Bias by rules (`ARMY-74`): a protected group as the subject, a verb that says what all of them are, can or should, and a predicate
// that demeans or pigeonholes them; and set phrases that do it by themselves. What denies or reports such a saying is none.

import {
  ABILITIES,
  COPULAS,
  DEHUMANIZING,
  DEMEANING,
  DUTIES,
  GROUPS,
  type Group,
  HARM,
  PLACES,
  SAYINGS,
} from './bias-terms.ts';
import { stands } from './lexicon.ts';
import { SENTENCE_END, type Speech, speechOf } from './speech.ts';

/** A generalizing or demeaning statement about a group. */
export interface BiasFinding {
  readonly code: `BIAS_${Uppercase<Group>}`;
  /** It denies them being human, or calls for harm to all of them. */
  readonly isDehumanizing: boolean;
}

const ADVERBS = new Set(
  'all just always usually generally naturally simply really basically still todos todas siempre solo generalmente simplemente'.split(
    ' ',
  ),
);
const DENIALS = new Set(
  'not no n nor never tampoco myth false wrong stereotype stereotypes prejudice untrue claim claiming mito falso falsa mentira estereotipo estereotipos prejuicio prejuicios bulo'.split(
    ' ',
  ),
);
const ARTICLES = new Set('los las esos esas estos estas todos todas the these those all most'.split(' '));
/** Before the group they make it an object of something else, which is the subject. */
const RELATIONS = new Set(
  'for against of by to with among between about from in towards at under de del contra para por con entre al sobre hacia en'.split(
    ' ',
  ),
);
/** What people should get is no place they are sent to. */
const RECEIVING = new Set('have get receive tener recibir'.split(' '));
const PREDICATE_REACH = 4;
const NOUN_REACH = 3;
const DUTY_REACH = 6;
const DENIAL_REACH = 6;

/** What is found in a text, each group once. */
export function biasIn(text: string): readonly BiasFinding[] {
  return biasOf(speechOf(text));
}

/** The same in speech. */
export function biasOf({ words }: Speech): readonly BiasFinding[] {
  const found = new Map<Group, boolean>();
  words.forEach((word, at) => {
    for (const { group, phrase } of SAYINGS.get(word) ?? [])
      if (stands(phrase, words, at) && !isDenied(words, at)) note(found, group, false);
    for (const { group, phrase, needsArticle } of GROUPS.get(word) ?? []) {
      if (!stands(phrase, words, at) || !isSubject(words, at, needsArticle) || isDenied(words, at)) continue;
      const verdict = saidOf(words, at + phrase.length);
      if (verdict !== null) note(found, group, verdict === 'dehumanizing');
    }
  });
  return [...found].map(([group, isDehumanizing]) => ({
    code: `BIAS_${group.toUpperCase() as Uppercase<Group>}`,
    isDehumanizing,
  }));
}

function note(found: Map<Group, boolean>, group: Group, isDehumanizing: boolean): void {
  found.set(group, isDehumanizing || found.get(group) === true);
}

function isSubject(words: readonly string[], at: number, needsArticle: boolean): boolean {
  let start = at;
  while (ARTICLES.has(words[start - 1] ?? '')) start--;
  if (needsArticle && start === at) return false;
  const before = words[start - 1] ?? '';
  // In Spanish `a` relates too; in English it is an article, and stands before none of the groups.
  return before !== 'a' && !RELATIONS.has(before);
}

/** Whether the few words before it, in the same sentence, say that it is not so. */
function isDenied(words: readonly string[], at: number): boolean {
  for (let back = at - 1; back >= 0 && back >= at - DENIAL_REACH; back--) {
    const word = words[back] ?? '';
    if (word === SENTENCE_END) return false;
    if (DENIALS.has(word)) return true;
  }
  return false;
}

/** What the words after the group say of it. */
function saidOf(words: readonly string[], from: number): 'demeaning' | 'dehumanizing' | null {
  let at = from;
  while (at < from + 2 && ADVERBS.has(words[at] ?? '')) at++;
  const after = (phrases: readonly (readonly string[])[]): number | null => {
    const phrase = phrases.find(one => stands(one, words, at));
    return phrase === undefined ? null : at + phrase.length;
  };
  const incapable = after(ABILITIES.verbs);
  if (incapable !== null) return reaches(words, incapable, 3, ABILITIES.predicates) ? 'demeaning' : null;
  const obliged = after(DUTIES);
  if (obliged !== null) {
    if (RECEIVING.has(words[obliged] ?? '')) return null;
    if (reaches(words, obliged, DUTY_REACH, HARM)) return 'dehumanizing';
    return reaches(words, obliged, DUTY_REACH, PLACES) ? 'demeaning' : null;
  }
  const being = after(COPULAS);
  if (being === null) return null;
  if (reachesDirectly(words, being, NOUN_REACH, DEHUMANIZING)) return 'dehumanizing';
  return reachesDirectly(words, being, PREDICATE_REACH, DEMEANING) ? 'demeaning' : null;
}

/** Whether one of the predicates stands among the next words of the sentence, with no denial before it. */
function reaches(
  words: readonly string[],
  from: number,
  reach: number,
  predicates: ReadonlySet<string>,
): boolean {
  for (let at = from; at < from + reach; at++) {
    const word = words[at];
    if (word === undefined || word === SENTENCE_END || DENIALS.has(word)) return false;
    if (predicates.has(word)) return true;
  }
  return false;
}

/** The same, where what relates to something else ends what is said of the group: victims `of` criminals are none. */
function reachesDirectly(
  words: readonly string[],
  from: number,
  reach: number,
  predicates: ReadonlySet<string>,
): boolean {
  const relation = words.slice(from, from + reach).findIndex(word => RELATIONS.has(word));
  return reaches(words, from, relation < 0 ? reach : relation, predicates);
}
