// Words of Spanish and English texts: where they are, which of them say nothing by themselves, and which mean the same. One way for
// both languages, because a query of two words does not say which it is in.

/** A word of a text. */
export interface Word {
  /** As it is written. */
  readonly surface: string;
  /** What its forms have in common. */
  readonly stem: string;
  /** Whether it says nothing by itself: articles, prepositions, auxiliaries. */
  readonly empty: boolean;
  /** Where it begins, and where what follows it does. */
  readonly start: number;
  readonly end: number;
}

/** Longer words are cut: nobody looks for them, and they would fill an index. */
const WORD_MAX = 40;
const WORDS_KEPT = 50_000;
const WORD = /[\p{L}\p{N}]+(?:['’]\p{L}+)*/gu;

const SPANISH_EMPTY =
  `a al algo algunos ante antes así aun aunque bajo bien cada casi como con contra cual cuales cuando de del desde donde dos
  durante e el él ella ellas ellos en entre era eran es esa esas ese eso esos esta está están estas este esto estos fue fueron
  ha haber había habían hacia han hasta hay he la las le les lo los más me mi mientras mis muy ni no nos nosotros nuestra
  nuestro o os otra otras otro otros para pero poco por porque pues que qué quien se sea según ser si sí sido sin sobre son
  su sus también tan tanto te tiene tienen toda todas todo todos tras tu tus u un una unas uno unos usted ustedes y ya yo`.split(
    /\s+/,
  );
const ENGLISH_EMPTY =
  `a about after all also am an and any are as at be because been before being between both but by can could did do does
  doing down during each few for from further had has have having he her here him his how i if in into is it its just me more
  most my no nor not of off on once only or other our out over own same she should so some such than that the their them then
  there these they this those through to too under until up very was we were what when where which while who whom why will
  with would you your`.split(/\s+/);

const SPANISH = new Set(SPANISH_EMPTY.map(fold));
const ENGLISH = new Set(ENGLISH_EMPTY.map(fold));
const known = new Map<string, Pick<Word, 'stem' | 'empty'>>();

/** The words of a text, in order. */
export function wordsOf(text: string): readonly Word[] {
  const words: Word[] = [];
  for (const { 0: surface, index: start } of text.matchAll(WORD))
    words.push({ surface, ...sense(surface), start, end: start + surface.length });
  return words;
}

/** The stems of the words that say something, in order; of all words where none does. */
export function stemsOf(text: string): readonly string[] {
  const found = (text.match(WORD) ?? []).map(sense);
  const telling = found.filter(({ empty }) => !empty);
  return (telling.length > 0 ? telling : found).map(({ stem }) => stem);
}

/** Lower case and without accents, but for the ñ: `año` and `ano` are two words. */
export function fold(text: string): string {
  const lower = text.toLowerCase();
  // Nothing to take off: most words.
  if (!/[^\0-\x7f]/.test(lower)) return lower;
  return lower
    .normalize('NFD')
    .replace(/n\u0303/g, 'ñ')
    .replace(/\p{M}/gu, '');
}

/** Which of the two languages a text is in, by its empty words; null where they do not tell. */
export function languageOf(text: string): 'es' | 'en' | null {
  let spanish = 0;
  let english = 0;
  for (const [surface] of text.matchAll(WORD)) {
    const folded = fold(surface);
    // What both languages have tells nothing.
    if (SPANISH.has(folded) !== ENGLISH.has(folded)) SPANISH.has(folded) ? spanish++ : english++;
  }
  if (spanish === english) return null;
  return spanish > english ? 'es' : 'en';
}

/** What the forms of a folded word have in common: number, gender, tense and the commonest endings off. */
export function stemOf(folded: string): string {
  return stripped(folded.slice(0, WORD_MAX));
}

/** What is to be known of a word as it is written. */
function sense(surface: string): Pick<Word, 'stem' | 'empty'> {
  const found = known.get(surface);
  if (found !== undefined) return found;
  const folded = fold(surface).replace(/['’].*$/, '');
  const made = { stem: stemOf(folded), empty: SPANISH.has(folded) || ENGLISH.has(folded) };
  // Texts use few words; who sends endless different ones must not fill the memory.
  if (known.size >= WORDS_KEPT) known.clear();
  if (surface.length <= WORD_MAX) known.set(surface, made);
  return made;
}

/** Endings by which words of one family differ, in Spanish and English, longest first; each with what must be left at least. */
const ENDINGS: readonly (readonly [ending: string, least: number])[] = [
  ...(['izacion', 'ization', 'amiento', 'imiento', 'iendo', 'ieron', 'aciones'] as const).map(at(3)),
  ...(['acion', 'ation', 'aban', 'aron', 'ando', 'ador', 'iend', 'aste'] as const).map(at(3)),
  ...(['and', 'ing', 'aba', 'ian'] as const).map(at(3)),
  ...(['ad', 'id', 'ed', 'ar', 'ir', 'ly'] as const).map(at(3)),
  ...(['er'] as const).map(at(4)),
];

function at(least: number): (ending: string) => readonly [string, number] {
  return ending => [ending, least];
}

function stripped(word: string): string {
  // What has a digit in it is a name.
  if (/\d/.test(word)) return word;
  if (word.length > 7 && word.endsWith('mente')) return stripped(word.slice(0, -5));
  const single = singular(word);
  for (const [ending, least] of ENDINGS) {
    if (single.length - ending.length < least || !single.endsWith(ending)) continue;
    const rest = single.slice(0, -ending.length);
    return tidied(/^(?:ing|ed)$/.test(ending) ? rest.replace(/([bdfgmnprt])\1$/, '$1') : rest);
  }
  return tidied(single);
}

/** Without the plural’s s and the last vowels: `ventas`, `venta` and `vent`; `tomatoes` and `tomato`. */
function singular(word: string): string {
  if (word.length < 4) return word;
  if (word.endsWith('ies') && word.length > 4) return `${word.slice(0, -3)}i`;
  let one = /[^siu]s$/.test(word) ? word.slice(0, -1) : word;
  while (one.length > 3 && /[aeo]$/.test(one)) one = one.slice(0, -1);
  return one;
}

/** `strategy` meets `strategies`, `luz` meets `luces`, `lucha` meets `luchas`. */
function tidied(stem: string): string {
  return stem.replace(/y$/, 'i').replace(/z$/, 'c').replace(/qu$/, 'c');
}
