// What a job gathered, and how it is told: records and their summary, files, and rates, in the words of the protocol (`SAM-145`).

import type { Json, JsonObject } from '../../../domain/json.ts';
import type { WebPayload } from '../payload.ts';
import { readPrice } from './values.ts';

const ITEMS_INLINE_MAX = 100;
const INLINE_CHARS_MAX = 200_000;

/** Singular, plural and their place in names of fields and files. */
export interface Noun {
  readonly one: string;
  readonly many: string;
}

/** What the records are called: as the task says, else by its first rule of the form `<noun>_name`, else items. */
export function nounOf({ item_name: given, extraction_rules = {}, steps = [] }: WebPayload): Noun {
  const rules = [extraction_rules, ...steps.map(step => (step.type === 'extract' ? (step.rules ?? {}) : {}))];
  const named = rules
    .flatMap(rule => Object.keys(rule))
    .map(name => /^([a-z][a-z0-9_]{0,30})_name$/.exec(name)?.[1]);
  const one = given ?? named.find(name => name !== undefined) ?? 'item';
  return { one, many: pluralOf(one) };
}

/** The name of the data file: `products_20241220.json`, by the day in UTC. */
export function dataFileName({ many }: Noun, at: number): string {
  return `${many}_${new Date(at).toISOString().slice(0, 10).replaceAll('-', '')}.json`;
}

/** Ranges of the fields that hold numbers or prices alone, and how many categories there are. */
export function summaryOf(records: readonly JsonObject[]): JsonObject {
  const summary: Record<string, Json> = {};
  const fields = new Set(records.flatMap(record => Object.keys(record)));
  for (const field of fields) {
    const values = records
      .map(record => record[field] ?? null)
      .filter(value => value !== null && value !== '');
    if (/^categor(?:y|ies)$/.test(field))
      summary.categories = new Set(values.flat().map(value => JSON.stringify(value))).size;
    const numbers = values.map(numberOf);
    if (numbers.length === 0 || !numbers.every(value => value !== null)) continue;
    summary[`${field}_range`] = {
      min: numbers.reduce((least, value) => Math.min(least, value)),
      max: numbers.reduce((most, value) => Math.max(most, value)),
      average: rounded(numbers.reduce((sum, value) => sum + value, 0) / numbers.length),
    };
  }
  return summary;
}

/** As many of the first records as an answer can well hold. */
export function inlineItems(records: readonly JsonObject[]): readonly JsonObject[] {
  const items: JsonObject[] = [];
  let room = INLINE_CHARS_MAX;
  for (const record of records.slice(0, ITEMS_INLINE_MAX)) {
    room -= JSON.stringify(record).length;
    if (room < 0) break;
    items.push(record);
  }
  return items;
}

/** To two decimals, or three digits where it is small. */
export function rounded(value: number): number {
  return Math.abs(value) < 1 ? Number(value.toPrecision(3)) : Math.round(value * 100) / 100;
}

function numberOf(value: Json): number | null {
  return typeof value === 'number' ? value : typeof value === 'string' ? readPrice(value) : null;
}

function pluralOf(noun: string): string {
  if (/[^aeiou]y$/.test(noun)) return `${noun.slice(0, -1)}ies`;
  return /(?:s|x|z|ch|sh)$/.test(noun) ? `${noun}es` : `${noun}s`;
}
