// DuckDB values as JSON. One rule for numbers: a JSON number where a double holds exactly the value, else its decimal text.

import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
  DuckDBVariantValue,
} from '@duckdb/node-api';
import type { Json } from '../../domain/json.ts';

/**
 * Exact or text: integers within ±2^53 and decimals of up to 15 digits are numbers, larger ones, NaN and infinities text; timestamps
 * are ISO 8601 (`Z` only with a time zone), blobs base64, maps lists of {key, value}, and what JSON has no form for is DuckDB's text.
 */
export function toJson(value: DuckDBValue): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof DuckDBDecimalValue) return decimal(value);
  if (value instanceof DuckDBTimestampTZValue) return zoned(value);
  if (isTimestamp(value)) return value.isFinite ? value.toString().replace(' ', 'T') : value.toString();
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(toJson);
  if (value instanceof DuckDBStructValue) {
    return Object.fromEntries(Object.entries(value.entries).map(([name, part]) => [name, toJson(part)]));
  }
  if (value instanceof DuckDBMapValue) {
    return value.entries.map(entry => ({ key: toJson(entry.key), value: toJson(entry.value) }));
  }
  if (value instanceof DuckDBUnionValue) return { tag: value.tag, value: toJson(value.value) };
  if (value instanceof DuckDBVariantValue) return toJson(value.value);
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('base64');
  return value.toString();
}

/** A double keeps 15 significant decimal digits of any decimal. */
const EXACT_DIGITS = 10n ** 15n;

function decimal(value: DuckDBDecimalValue): Json {
  const text = value.toString();
  return value.value < EXACT_DIGITS && value.value > -EXACT_DIGITS ? Number(text) : text;
}

function zoned(value: DuckDBTimestampTZValue): string {
  if (!value.isFinite) return value.toString();
  return `${new DuckDBTimestampValue(value.micros).toString().replace(' ', 'T')}Z`;
}

function isTimestamp(value: DuckDBValue) {
  return (
    value instanceof DuckDBTimestampValue ||
    value instanceof DuckDBTimestampMillisecondsValue ||
    value instanceof DuckDBTimestampNanosecondsValue ||
    value instanceof DuckDBTimestampSecondsValue
  );
}
