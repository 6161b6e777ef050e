// Reads values out of what a page shows: numbers and prices as people write them, addresses, truth.

import type { Json } from '../../../domain/json.ts';
import type { ValueType } from '../payload.ts';

const GROUPED = /[-+−]?\d[\d.,'’\s]*/;
const CURRENCY = String.raw`(?:[A-Z]{0,3}\s?\p{Sc}|[A-Z]{3}|kr\.?|zł|Kč|Ft|lei|Fr\.?|%)`;
const PRICE = new RegExp(
  String.raw`^\s*[-+−]?\s*${CURRENCY}?\s*[-+−]?\d[\d.,'’\s]*(?:[.,]-)?\s*${CURRENCY}?\s*$`,
  'u',
);
const TRUE = /^(?:true|yes|y|1|on|in stock|available|checked)$/i;
const FALSE = /^(?:false|no|n|0|off|out of stock|unavailable|sold out|)$/i;

/** The text as a value of the type; null where it is none. `base` resolves addresses. */
export function readValue(text: string, type: ValueType, base: string): Json {
  switch (type) {
    case 'html':
      return text;
    case 'string':
      return collapse(text);
    case 'number':
      return readNumber(text);
    case 'integer': {
      const value = readNumber(text);
      return value !== null && Number.isSafeInteger(value) ? value : null;
    }
    case 'boolean': {
      const word = collapse(text);
      return TRUE.test(word) ? true : FALSE.test(word) ? false : null;
    }
    case 'url':
      return URL.canParse(text.trim(), base) ? new URL(text.trim(), base).href : null;
  }
}

/** Text as it is seen: white space collapsed and trimmed. */
export function collapse(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** The first number in a text, whichever signs part its thousands and decimals. */
export function readNumber(text: string): number | null {
  const found = GROUPED.exec(text)?.[0];
  if (found === undefined) return null;
  const digits = found
    .replace(/[\s'’]/g, '')
    .replace('−', '-')
    .replace(/[.,]+$/, '');
  const decimal = decimalSign(digits);
  const groups = decimal === '.' ? ',' : '.';
  const plain =
    decimal === null ? digits.replace(/[.,]/g, '') : digits.replaceAll(groups, '').replace(decimal, '.');
  const value = Number(plain);
  return Number.isFinite(value) ? value : null;
}

/** The same for a text that is nothing but a number or a price; null for any other. */
export function readPrice(text: string): number | null {
  return PRICE.test(text) ? readNumber(text) : null;
}

/** Of two kinds of signs the last parts the decimals; of one kind a repeated sign, or a comma before three digits, parts thousands. */
function decimalSign(digits: string): '.' | ',' | null {
  const [dot, comma] = [digits.lastIndexOf('.'), digits.lastIndexOf(',')];
  if (dot >= 0 && comma >= 0) return dot > comma ? '.' : ',';
  const sign = dot >= 0 ? '.' : ',';
  const at = Math.max(dot, comma);
  if (at < 0 || digits.indexOf(sign) !== at) return null;
  return sign === ',' && digits.length - at === 4 ? null : sign;
}
