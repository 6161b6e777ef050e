// How DuckDB reads a source's file: the table function call, as SQL.

import type { DataFormat, ReadOptions } from './payload.ts';
import { listOf, literal, structOf } from './sql-text.ts';

/** A source as the child process finds it: a plain file of its own. */
export interface SourceFile {
  readonly name: string;
  readonly format: DataFormat;
  readonly path: string;
  readonly options: ReadOptions;
}

/** Columns and their types, in order. */
export type ColumnTypes = readonly (readonly [name: string, type: string])[];

/** What the sniffer found out about a CSV file. */
export interface CsvLayout {
  readonly columns: ColumnTypes;
  readonly dateFormat: string | null;
  readonly timestampFormat: string | null;
}

/** Small enough for several threads within little memory, twice the longest line allowed. */
const CSV_BUFFER_BYTES = 4_000_000;

/** The query that guesses a CSV file's columns and their types from its first rows. */
export function sniffCsv(file: SourceFile): string {
  const settings = [...dialect(file.options), `null_padding = false`];
  return `SELECT Columns, DateFormat, TimestampFormat FROM sniff_csv(${call(file.path, settings)})`;
}

/** Reads a CSV file as text by the rules of its dialect alone: finds every line that breaks them. */
export function readCsvStrictly(file: SourceFile, columns: number): string {
  const names = Array.from({ length: columns }, (_, index): [string, string] => [`c${index}`, 'VARCHAR']);
  return csvCall(file, { columns: names, dateFormat: null, timestampFormat: null });
}

/** Reads a CSV file by the layout found, which spares another guess each time it is read. */
export function readCsv(file: SourceFile, layout: CsvLayout): string {
  return csvCall(file, layout);
}

/** Reads a JSON file; without `columns` DuckDB finds them and their types. */
export function readJson(file: SourceFile, columns?: ColumnTypes): string {
  const settings = [
    `format = ${literal(file.format === 'ndjson' ? 'newline_delimited' : 'auto')}`,
    ...formats(file.options.date_format ?? null, file.options.timestamp_format ?? null),
    ...(columns === undefined ? [] : [`columns = ${typesOf(columns)}`]),
  ];
  return `read_json(${call(file.path, settings)})`;
}

/** Reads a Parquet file. */
export function readParquet(file: SourceFile): string {
  return `read_parquet(${literal(file.path)})`;
}

/** The columns found, with the types the user wants in place of those guessed; `unknown` are names that are not there. */
export function withTypes(
  found: ColumnTypes,
  wanted: Readonly<Record<string, string>> | undefined,
): { readonly columns: ColumnTypes; readonly unknown: readonly string[] } {
  const types = new Map(Object.entries(wanted ?? {}).map(([name, type]) => [name.toLowerCase(), type]));
  const columns = found.map(([name, type]) => [name, types.get(name.toLowerCase()) ?? type] as const);
  const names = new Set(found.map(([name]) => name.toLowerCase()));
  return { columns, unknown: Object.keys(wanted ?? {}).filter(name => !names.has(name.toLowerCase())) };
}

function csvCall(file: SourceFile, layout: CsvLayout): string {
  const settings = [
    'auto_detect = false',
    `columns = ${typesOf(layout.columns)}`,
    `buffer_size = ${CSV_BUFFER_BYTES}`,
    ...dialect(file.options, layout),
  ];
  return `read_csv(${call(file.path, settings)})`;
}

/** All that could be guessed is fixed, so that a broken line is an error and never another dialect. */
function dialect(options: ReadOptions, layout?: CsvLayout): string[] {
  const quote = options.quote ?? '"';
  const nulls = options.null_values;
  return [
    `delim = ${literal(options.delimiter ?? ',')}`,
    `quote = ${literal(quote)}`,
    `escape = ${literal(options.escape ?? quote)}`,
    `header = ${options.header ?? true}`,
    'skip = 0',
    "comment = ''",
    'strict_mode = true',
    ...(nulls === undefined ? [] : [`nullstr = ${listOf(nulls)}`]),
    ...(options.decimal_separator === undefined
      ? []
      : [`decimal_separator = ${literal(options.decimal_separator)}`]),
    ...formats(
      options.date_format ?? layout?.dateFormat ?? null,
      options.timestamp_format ?? layout?.timestampFormat ?? null,
    ),
  ];
}

function formats(date: string | null, timestamp: string | null): string[] {
  return [
    ...(date === null ? [] : [`dateformat = ${literal(date)}`]),
    ...(timestamp === null ? [] : [`timestampformat = ${literal(timestamp)}`]),
  ];
}

function typesOf(columns: ColumnTypes): string {
  return structOf(columns.map(([name, type]) => [name, literal(type)]));
}

function call(path: string, settings: readonly string[]): string {
  return [literal(path), ...settings].join(', ');
}
