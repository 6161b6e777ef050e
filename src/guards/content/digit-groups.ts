// Numbers as people write them: groups of digits with single separators between. Of such groups cards are made, and telephone numbers.
// Works on character codes, and on text only where the number of digits is right, so that long texts of numbers stay cheap.

/** A part of a text, in UTF-16 units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Digits without anything but digits between; `gap` says what stands before the next group. */
export interface DigitGroup extends Span {
  /** `one`: a single separator; `brackets`: those of an area code; `far`: anything else. */
  readonly gap: 'one' | 'brackets' | 'far';
}

const GROUPS_MAX = 8;
const SEPARATORS = new Set(
  [...' .-/\u00a0\u2009\u202f\u2010\u2011\u2012\u2013'].map(one => one.charCodeAt(0)),
);
const BRACKETS = /^(?:\) ?|\)-| ?\()$/;
const GAP_MAX = 2;
const CUE = /(?<!\p{L})(?:tel|tlf|tfno|tel[eé]f|phone|m[oó]vil|mobile|call|ll[aá]m|whats|fax|contact)/iu;
const CUE_REACH = 32;
const TELEPHONE_DIGITS_MAX = 15;

/** Every group of digits in a text. */
export function digitGroups(text: string): readonly DigitGroup[] {
  const groups: DigitGroup[] = [];
  for (let at = 0; at < text.length; at++) {
    if (!isDigit(text.charCodeAt(at))) continue;
    const start = at;
    while (isDigit(text.charCodeAt(at))) at++;
    groups.push({ start, end: at, gap: gapAt(text, at) });
  }
  return groups;
}

/** Neighbouring groups, the first of 4 digits or more, that together have so many and pass; of several from one start the longest. */
export function* windowsOf(
  text: string,
  groups: readonly DigitGroup[],
  { digitsMin, digitsMax }: { readonly digitsMin: number; readonly digitsMax: number },
  holds: (digits: string) => boolean,
): Generator<Span> {
  for (const [from, first] of groups.entries()) {
    if (first.end - first.start < 4) continue;
    let longest: Span | null = null;
    let count = 0;
    for (let to = from; to < groups.length && to < from + GROUPS_MAX; to++) {
      const last = groups[to] ?? first;
      count += last.end - last.start;
      if (count > digitsMax) break;
      if (count >= digitsMin && stands(text, first, last) && holds(digitsOf(text, first, last)))
        longest = { start: first.start, end: last.end };
      if (last.gap !== 'one') break;
    }
    if (longest !== null) yield longest;
  }
}

/** International numbers with `+` or `00`, Spanish ones of nine digits, and North American ones of ten, as they are written. */
export function* telephones(text: string, groups: readonly DigitGroup[]): Generator<Span> {
  let coveredTo = 0;
  for (const [from, first] of groups.entries()) {
    if (first.start < coveredTo) continue;
    const span = telephoneFrom(text, groups, from);
    if (span === null) continue;
    coveredTo = span.end;
    yield span;
  }
}

/** Whether the character code is that of an ASCII digit. */
export function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** Whether a letter, or a mark with more of the same beyond it (a decimal, a date, an id), makes what stands beside it a part of it. */
export function isTouched(text: string, at: number, outward: -1 | 1): boolean {
  const code = text.charCodeAt(at);
  if (code === 32 || Number.isNaN(code)) return false;
  if (isLetter(code)) return true;
  const isMark = code === 46 || code === 44 || code === 58 || code === 45 || code === 47;
  const beyond = text.charCodeAt(at + outward);
  return isMark && (isDigit(beyond) || isLetter(beyond));
}

function isLetter(code: number): boolean {
  if (code < 128) return (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
  return /\p{L}/u.test(String.fromCharCode(code));
}

function gapAt(text: string, end: number): DigitGroup['gap'] {
  if (SEPARATORS.has(text.charCodeAt(end)) && isDigit(text.charCodeAt(end + 1))) return 'one';
  for (let length = 1; length <= GAP_MAX; length++)
    if (isDigit(text.charCodeAt(end + length)))
      return BRACKETS.test(text.slice(end, end + length)) ? 'brackets' : 'far';
  return 'far';
}

function stands(text: string, first: Span, last: Span): boolean {
  return !isTouched(text, first.start - 1, -1) && !isTouched(text, last.end, 1);
}

function digitsOf(text: string, first: Span, last: Span): string {
  return text.slice(first.start, last.end).replace(/\D/g, '');
}

/** The longest telephone number that begins with the group. */
function telephoneFrom(text: string, groups: readonly DigitGroup[], from: number): Span | null {
  const first = groups[from];
  if (first === undefined) return null;
  const isInternational = text[first.start - 1] === '+';
  let found: Span | null = null;
  let count = 0;
  let shape = '';
  for (let to = from; to < groups.length && to < from + GROUPS_MAX; to++) {
    const last = groups[to] ?? first;
    count += last.end - last.start;
    if (count > TELEPHONE_DIGITS_MAX) break;
    shape += `${shape === '' ? '' : '-'}${last.end - last.start}`;
    const isPlausible = isInternational ? count >= 8 : beginsLike(text.charCodeAt(first.start), count);
    if (isPlausible && stands(text, first, last)) {
      const isOne = isInternational || isNational(text, first, digitsOf(text, first, last), shape);
      if (isOne) found = { start: startOf(text, first, last), end: last.end };
    }
    if (last.gap === 'far') break;
  }
  return found;
}

/** Whether a national number of so many digits may begin with this one. */
function beginsLike(code: number, count: number): boolean {
  if (count === 9) return code >= 54;
  if (count === 10) return code >= 50;
  if (count === 11) return code === 49 || code === 51 || code === 48;
  return count > 11 && code === 48;
}

/** With its `+`, or the bracket that is closed inside it. */
function startOf(text: string, first: Span, last: Span): number {
  const before = text[first.start - 1];
  const isBracketed = before === '(' && text.slice(first.end, last.end).startsWith(')');
  return before === '+' || isBracketed ? first.start - 1 : first.start;
}

function isNational(text: string, first: Span, digits: string, shape: string): boolean {
  if (/^00[1-9]\d{8,12}$/.test(digits)) return true;
  if (/^34[6-9]\d{8}$/.test(digits)) return shape.startsWith('2-');
  if (/^[6-9]\d{8}$/.test(digits)) {
    // Any nine digits may be an order's number; in the groups people speak, or a mobile's, they are none.
    if (/^(?:3-3-3|3-2-2-2|2-3-2-2|3-6)$/.test(shape)) return true;
    return shape === '9' && (/^(?:6|7[1-9])/.test(digits) || isAnnounced(text, first.start));
  }
  if (!/^1?[2-9]\d{2}[2-9]\d{6}$/.test(digits)) return false;
  return /^(?:1-)?3-3-4$/.test(shape) || isAnnounced(text, first.start);
}

function isAnnounced(text: string, start: number): boolean {
  return CUE.test(text.slice(Math.max(0, start - CUE_REACH), start));
}
