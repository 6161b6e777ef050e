// Finds personal data in texts (`ARMY-75`): e-mail addresses, telephone numbers, identity and card numbers by their check digits, IBANs,
// IP addresses; and masks them. Each search is bounded around what starts it, so a long text takes time in proportion.

import { isIP } from 'node:net';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { MASK } from '../mask.ts';
import { ibanLength, isCard, isIban, isSpanishId, isUsSsn } from './check-digits.ts';
import { type DigitGroup, digitGroups, isTouched, type Span, telephones, windowsOf } from './digit-groups.ts';

/** What was found. */
export type PersonalDataKind =
  | 'email'
  | 'telephone'
  | 'spanish_id'
  | 'us_ssn'
  | 'card'
  | 'iban'
  | 'ip_address';

/** One piece of personal data and where it stands, in UTF-16 units. */
export interface PersonalData extends Span {
  readonly kind: PersonalDataKind;
}

const LOCAL_MAX = 64;
const DOMAIN_MAX = 253;
const DOMAIN = /^(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.){1,8}\p{L}{2,24}/u;
const LOCAL_CHARACTERS = tableOf(
  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-",
);
const HEX_CHARACTERS = tableOf('0123456789abcdefABCDEF:.');
const WORD_CHARACTER = /[\p{L}\p{N}_]/u;
const SPANISH_ID = /(?:\d{8}|\d{2}\.\d{3}\.\d{3}|\d{7})[-. ]?[A-Za-z](?![\p{L}\p{N}_])/uy;
const US_SSN = /\d{3}([- ])\d{2}\1\d{4}(?![\p{L}\p{N}_]|-\d)/uy;
const IPV4 = /\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\p{L}\p{N}_]|\.\d)/uy;
const IPV6_MAX = 45;
const SPACING = tableOf(' \n\t,.:;-+(0123456789');
/** Text without any of these has nothing to find. */
const HINT = /[\d@]/;

/** What is found, by its place; of two that overlap the more certain one. */
export function personalDataIn(text: string): readonly PersonalData[] {
  if (!HINT.test(text)) return [];
  const groups = digitGroups(text);
  // The more a kind proves itself, the earlier it comes: whatever overlaps an earlier one is part of that.
  const found: readonly PersonalData[] = [
    ...spansOf('iban', ibans(text, groups)),
    ...spansOf('email', emails(text)),
    ...spansOf('card', windowsOf(text, groups, { digitsMin: 13, digitsMax: 19 }, isCard)),
    ...spansOf('spanish_id', spanishIds(text, groups)),
    ...spansOf('ip_address', ipv4(text, groups)),
    ...spansOf('ip_address', ipv6(text)),
    ...spansOf('us_ssn', usSsns(text, groups)),
    ...spansOf('telephone', telephones(text, groups)),
  ];
  return found.length === 0 ? found : apart(found, text.length);
}

/** The text with every piece of personal data replaced by `***`, also what only shows as such once its neighbours are gone. */
export function maskPersonalData(text: string): string {
  let masked = '';
  let copied = 0;
  for (const { start, end } of personalDataIn(text)) {
    masked += text.slice(copied, start) + MASK;
    copied = end;
  }
  return copied === 0 ? text : maskPersonalData(masked + text.slice(copied));
}

/** The same for every string, name and number of a JSON value. */
export function maskPersonalJson(value: Json): Json {
  if (typeof value === 'string') return maskPersonalData(value);
  if (typeof value === 'number') return personalDataIn(String(value)).length === 0 ? value : MASK;
  if (Array.isArray(value)) return value.map(maskPersonalJson);
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).map(
    ([name, one]) => [maskPersonalData(name), one === undefined ? one : maskPersonalJson(one)] as const,
  );
  return Object.fromEntries(entries) as JsonObject;
}

function spansOf(kind: PersonalDataKind, spans: Iterable<Span>): readonly PersonalData[] {
  return [...spans].map(({ start, end }) => ({ kind, start, end }));
}

function apart(found: readonly PersonalData[], length: number): readonly PersonalData[] {
  const covered = new Uint8Array(length);
  const kept = found.filter(({ start, end }) => {
    if (covered.subarray(start, end).includes(1)) return false;
    covered.fill(1, start, end);
    return true;
  });
  return kept.sort((one, other) => one.start - other.start);
}

/** What the sticky pattern finds at a place, or null. */
function matchAt(text: string, pattern: RegExp, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

function tableOf(characters: string): ReadonlySet<number> {
  return new Set(Array.from(characters, one => one.charCodeAt(0)));
}

function bare(text: string): string {
  return text.replace(/[-. ]/g, '').toUpperCase();
}

function* spanishIds(text: string, groups: readonly DigitGroup[]): Generator<Span> {
  for (const group of groups) {
    const length = group.end - group.start;
    if (length !== 8 && length !== 7 && length !== 2) continue;
    const start = length === 7 ? nieStart(text, group.start) : group.start;
    if (start === null || isTouched(text, start - 1, -1)) continue;
    const found = matchAt(text, SPANISH_ID, group.start);
    if (found === null) continue;
    const end = group.start + found.length;
    if (isSpanishId(bare(text.slice(start, end)))) yield { start, end };
  }
}

/** Where the X, Y or Z before the digits of a NIE stands. */
function nieStart(text: string, digitsStart: number): number | null {
  const letter = /[XYZ][-. ]?$/i.exec(text.slice(Math.max(0, digitsStart - 2), digitsStart));
  return letter === null ? null : digitsStart - letter[0].length;
}

function* usSsns(text: string, groups: readonly DigitGroup[]): Generator<Span> {
  for (const { start, end, gap } of groups) {
    if (end - start !== 3 || gap !== 'one' || isTouched(text, start - 1, -1)) continue;
    const found = matchAt(text, US_SSN, start);
    if (found !== null && isUsSsn(bare(found))) yield { start, end: start + found.length };
  }
}

function* ipv4(text: string, groups: readonly DigitGroup[]): Generator<Span> {
  for (const { start, end, gap } of groups) {
    if (end - start > 3 || gap !== 'one' || text[end] !== '.') continue;
    if (text[start - 1] === '.' || isTouched(text, start - 1, -1)) continue;
    const found = matchAt(text, IPV4, start);
    if (found !== null && isIP(found) === 4) yield { start, end: start + found.length };
  }
}

function* emails(text: string): Generator<Span> {
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    let start = at;
    while (start > 0 && at - start < LOCAL_MAX && isLocal(text, start - 1)) start--;
    while (start < at && !WORD_CHARACTER.test(text[start] ?? '')) start++;
    if (start === at || text[at - 1] === '.') continue;
    const domain = DOMAIN.exec(text.slice(at + 1, at + 1 + DOMAIN_MAX));
    if (domain !== null) yield { start, end: at + 1 + domain[0].length };
  }
}

function isLocal(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code < 128 ? LOCAL_CHARACTERS.has(code) : WORD_CHARACTER.test(text[at] ?? '');
}

/** As many letters and digits as the country's IBANs have, in groups or in one. */
function* ibans(text: string, groups: readonly DigitGroup[]): Generator<Span> {
  for (const group of groups) {
    const index = group.start - 2;
    const isLettered = index >= 0 && !SPACING.has(text.charCodeAt(index + 1));
    const length = !isLettered ? undefined : ibanLength(text.slice(index, group.start).toUpperCase());
    if (length === undefined || WORD_CHARACTER.test(text[index - 1] ?? '')) continue;
    let iban = '';
    let end = index;
    while (iban.length < length && /[A-Za-z0-9]/.test(text[end] ?? '')) {
      iban += text[end];
      end++;
      if (iban.length < length && /[ \u00a0-]/.test(text[end] ?? '')) end++;
    }
    if (!WORD_CHARACTER.test(text[end] ?? '') && isIban(iban.toUpperCase())) yield { start: index, end };
  }
}

/** With a digit and two groups at least, so that neither `std::vector` nor `a::b` is one. */
function* ipv6(text: string): Generator<Span> {
  let from = 0;
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', from)) {
    let start = at;
    while (start > from && HEX_CHARACTERS.has(text.charCodeAt(start - 1))) start--;
    let end = at;
    while (HEX_CHARACTERS.has(text.charCodeAt(end))) end++;
    const isBounded = !WORD_CHARACTER.test(text[start - 1] ?? '') && !WORD_CHARACTER.test(text[end] ?? '');
    from = end;
    while (start < end && text[start] === '.') start++;
    while (start < end && /[.:]/.test(text[end - 1] ?? '') && text.slice(end - 2, end) !== '::') end--;
    if (isBounded && end - start <= IPV6_MAX && isIpv6(text.slice(start, end))) yield { start, end };
  }
}

function isIpv6(address: string): boolean {
  const groups = address.split(':').filter(group => group !== '');
  return groups.length >= 2 && /\d/.test(address) && isIP(address) === 6;
}
