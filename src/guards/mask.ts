// Takes secrets out of text before it is stored or sent (`SAM-63`): the given values, however they are encoded, and whatever looks
// like a credential. Each text is passed over once for all values together.

import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';

/** What stands where a secret stood. */
export const MASK = '***';

/** Shorter values are not masked: they would blot out ordinary text and tell their own length. */
export const MASKED_LENGTH_MIN = 4;

interface Pattern {
  readonly pattern: RegExp;
  readonly replacement: string;
}

// Each runs in linear time: no repetition inside another, no two adjacent ones that match the same character.
const CREDENTIALS: readonly Pattern[] = [
  { pattern: /(\bauthorization["']?[ \t]*[:=][ \t]*["']?)[^\r\n"']+/gi, replacement: `$1${MASK}` },
  // Long, or with a digit: prose speaks of basic authentication.
  {
    pattern: /\b(bearer|basic) +(?=[\w.~+/-]{20}|[a-z_.~+/-]*\d)[\w.~+/-]{8,}=*/gi,
    replacement: `$1 ${MASK}`,
  },
  {
    pattern:
      /(\b(?:x-api-secret|api_?secret|client_?secret|jwt_?secret|(?:access|refresh)_?token|password|passwd)["']?[ \t]*[:=][ \t]*["']?)[^\s"',;&]+/gi,
    replacement: `$1${MASK}`,
  },
  { pattern: /\beyJ[\w-]{5,}(?:\.[\w-]*){2,4}/g, replacement: MASK },
  { pattern: /\b(?:bs|br)_[\w-]{20,}(?:\.[\w-]+)*/g, replacement: MASK },
  { pattern: /\bwhsec_[A-Za-z0-9+/=_-]{16,}/g, replacement: MASK },
  { pattern: /(\bSignature=)[0-9a-f]{32,}/g, replacement: `$1${MASK}` },
  { pattern: /(\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@]{1,200}:)[^\s/@]{1,500}@/gi, replacement: `$1${MASK}@` },
];
const SECRET_NAME =
  /^(?:authorization|x-api-secret|api_?secret|client_?secret|jwt_?secret|(?:access|refresh)_?token|password|passwd)$/i;

// Most text has none of these, and then one look is enough.
const HINT =
  /authorization|bearer|basic|secret|_token|(?:access|refresh)token|passw|eyJ|bs_|br_|whsec_|signature=|:\/\//i;

const NONE: readonly never[] = [];
const compiled = new WeakMap<readonly string[], RegExp | null>();

/** The text with the values and everything that looks like a credential replaced by `***`. */
export function mask(
  text: string,
  values: readonly string[] = NONE,
  patterns: readonly RegExp[] = NONE,
): string {
  let masked = maskValues(text, values);
  if (HINT.test(masked))
    for (const { pattern, replacement } of CREDENTIALS) masked = masked.replace(pattern, replacement);
  for (const pattern of patterns) masked = masked.replace(pattern, MASK);
  return masked;
}

/** The same for every string, number and name in a JSON value; what stands under a credential's name is masked whole. */
export function maskJson(
  value: Json,
  values: readonly string[] = NONE,
  patterns: readonly RegExp[] = NONE,
): Json {
  if (typeof value === 'string') return mask(value, values, patterns);
  if (typeof value === 'number') return maskValues(String(value), values) === String(value) ? value : MASK;
  if (Array.isArray(value)) return value.map(one => maskJson(one, values, patterns));
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).map(([name, one]) => {
    if (one === undefined) return [name, one] as const;
    const isSecret = SECRET_NAME.test(name) && typeof one === 'string';
    return [mask(name, values, patterns), isSecret ? MASK : maskJson(one, values, patterns)] as const;
  });
  return Object.fromEntries(entries) as JsonObject;
}

function maskValues(text: string, values: readonly string[]): string {
  const pattern = patternOf(values);
  if (pattern === null) return text;
  let masked = '';
  let copied = 0;
  pattern.lastIndex = 0;
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    const end = found.index + found[0].length;
    if (found.index >= copied) masked += `${text.slice(copied, found.index)}${MASK}`;
    copied = Math.max(copied, end);
    // Looks again from the next character: a secret may begin inside another.
    pattern.lastIndex = found.index + 1;
  }
  return copied === 0 ? text : masked + text.slice(copied);
}

function patternOf(values: readonly string[]): RegExp | null {
  const known = compiled.get(values);
  if (known !== undefined) return known;
  const spellings = new Set(values.filter(value => value.length >= MASKED_LENGTH_MIN).flatMap(spellingsOf));
  const longestFirst = [...spellings].sort((one, other) => other.length - one.length);
  const pattern = longestFirst.length === 0 ? null : new RegExp(longestFirst.map(escaped).join('|'), 'g');
  compiled.set(values, pattern);
  return pattern;
}

/** How a value may show: plain, in JSON, in a URL, in Base64. */
function spellingsOf(value: string): readonly string[] {
  const bytes = Buffer.from(value, 'utf8');
  return [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value.toWellFormed()),
    bytes.toString('base64'),
    bytes.toString('base64url'),
  ];
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
