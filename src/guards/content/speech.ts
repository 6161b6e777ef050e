// Text as words, whatever it is written like: accents, case, full width and invisible characters gone, `ñ` kept. It finds where words
// and sentences end, and what was spelled out letter by letter; what words mean is not its business.

/** A text as its words. */
export interface Speech {
  /** Folded words in order, each as it stands; `.` between sentences. */
  readonly words: readonly string[];
  /** Words that were spelled with separators, put together: `f.u.c.k`, `p u t a`. */
  readonly joined: readonly string[];
}

/** What stands in `Speech.words` where a sentence ends. */
export const SENTENCE_END = '.';

const WORD_UNIT = /[\p{L}\p{N}@$*!]/u;
/** Between the pieces of one word. */
const MARKS = new Set(['.', '_', '-']);
const SENTENCE_ENDS = new Set(Array.from('.!?;\n', one => one.charCodeAt(0)));
const GAP_MAX = 3;
const UNKNOWN = 0;
const INSIDE = 1;
const OUTSIDE = 2;
/** What each UTF-16 unit is, once it was asked for. */
const UNITS = new Uint8Array(65_536);
const JOINED_MAX = 40;
const JOINED_MIN = 3;

/** The words of a text, in time in proportion to its length. */
export function speechOf(text: string): Speech {
  const folded = foldedText(text);
  const words: string[] = [];
  const joined: string[] = [];
  let compound: Compound = NOTHING;
  let end = 0;
  for (let at = 0; at < folded.length; at++) {
    if (!isWordUnit(folded.charCodeAt(at))) continue;
    const start = at;
    while (at < folded.length && isWordUnit(folded.charCodeAt(at))) at++;
    const found = folded.slice(start, at);
    const separator = start - end === 1 ? (folded[end] ?? '') : '';
    const word = trimmed(found);
    if (isLinked(compound, separator, word)) compound = grown(compound, word, separator);
    else {
      if (compound.pieces > 1) collect(compound, joined);
      compound = { letters: word, pieces: 1, separator: '' };
    }
    if (!MARKS.has(separator) && endsSentence(folded, end, start)) words.push(SENTENCE_END);
    if (word !== '') words.push(word);
    if (found.endsWith('!')) words.push(SENTENCE_END);
    end = at;
  }
  collect(compound, joined);
  return { words, joined };
}

/** Lower case without accents, in compatible characters, `ñ` kept. */
export function foldedText(text: string): string {
  // Most text is ASCII, and has nothing to fold.
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase();
  const parts = text.normalize('NFKD').toLowerCase();
  return parts.replace(/n\u0303/g, 'ñ').replace(/[\p{M}\p{Cf}]/gu, '');
}

/** What may be one word in pieces, so far. */
interface Compound {
  readonly letters: string;
  readonly pieces: number;
  readonly separator: string;
}

const NOTHING: Compound = { letters: '', pieces: 0, separator: '' };

function isWordUnit(code: number): boolean {
  if (UNITS[code] === UNKNOWN) UNITS[code] = WORD_UNIT.test(String.fromCharCode(code)) ? INSIDE : OUTSIDE;
  return UNITS[code] === INSIDE;
}

function endsSentence(text: string, from: number, to: number): boolean {
  for (let at = from; at < to && at < from + GAP_MAX; at++)
    if (SENTENCE_ENDS.has(text.charCodeAt(at))) return true;
  return false;
}

/** Pieces of one word have the same mark between them, or single letters have one blank. */
function isLinked(
  { letters, pieces, separator: before }: Compound,
  separator: string,
  word: string,
): boolean {
  if (pieces === 0 || (before !== '' && before !== separator)) return false;
  if (separator === ' ') return word.length === 1 && letters.length === pieces;
  return MARKS.has(separator);
}

function grown({ letters, pieces }: Compound, word: string, separator: string): Compound {
  // One that is too long is no word; it stays too long until it ends.
  const longer = letters.length > JOINED_MAX ? letters : letters + word;
  return { letters: longer, pieces: pieces + 1, separator };
}

function collect({ letters, pieces }: Compound, joined: string[]): void {
  if (pieces > 1 && letters.length >= JOINED_MIN && letters.length <= JOINED_MAX) joined.push(letters);
}

function trimmed(word: string): string {
  if (!/[!*]/.test(word)) return word;
  let start = 0;
  let end = word.length;
  while (start < end && /[!*]/.test(word[start] ?? '')) start++;
  while (end > start && /[!*]/.test(word[end - 1] ?? '')) end--;
  return word.slice(start, end);
}
