// What DuckDB's errors mean to the person whose data or SQL it is: a canonical code, and the place. Paths on this machine stay here.

import { JobError } from './job-error.ts';
import { fieldStart, type Place, placeInJson } from './places.ts';
import type { SourceFile } from './readers.ts';

/** The SQL an error may speak of. */
export interface Statement {
  readonly text: string;
  /** Bytes that stand before it in what DuckDB was given. */
  readonly offset: number;
}

/** A source's file, with its columns once they are known. */
export interface ReadFile {
  readonly file: SourceFile;
  readonly columns: readonly string[];
}

interface DuckDbError {
  readonly exception_type: string;
  readonly exception_message: string;
  readonly position?: string;
}

/** The error as a `JobError`, its place looked up in the file it speaks of; a `JobError` is returned as it is. */
export async function explain(
  error: unknown,
  files: readonly ReadFile[],
  statement?: Statement,
): Promise<JobError> {
  if (error instanceof JobError) return error;
  const cause = parse(error);
  if (cause === undefined) return new JobError('internal', 'the data engine failed', {}, error);
  const { exception_type: type, exception_message: message } = cause;
  if (type === 'Out of Memory' || message.includes('No space left on device')) {
    const resource = /temp_directory|No space left/.test(message) ? 'disk' : 'memory';
    return new JobError('resource_exhausted', `the job ran out of ${resource}`, { resource }, error);
  }
  if (type === 'Permission') {
    return new JobError('policy_violation', 'SQL reaches declared sources only', { rule: 'access' }, error);
  }
  if (type === 'INTERNAL' || type === 'FATAL') {
    return new JobError('internal', 'the data engine failed', {}, error);
  }
  const read = fileIn(message, files);
  if (read !== undefined) return await explainSource(message, read, error);
  if (type === 'IO') return new JobError('internal', 'the data engine cannot use its files', {}, error);
  const position = statement && cause.position ? Number(cause.position) - statement.offset : -1;
  const place = statement && position >= 0 ? placeInText(statement.text, position) : {};
  return new JobError('task_failed', `SQL: ${firstLines(message)}`, { ...place }, error);
}

/** Line, column and position (a count of bytes from 0, as DuckDB has it) in a text; nothing where the text is shorter. */
export function placeInText(text: string, position: number): Partial<Place> & { readonly position?: number } {
  const bytes = Buffer.from(text);
  if (position > bytes.length) return {};
  const before = bytes.subarray(0, position).toString().split('\n');
  return { position, line: before.length, column: [...(before.at(-1) ?? '')].length + 1 };
}

/** One path may begin another: the longest that occurs is the one meant. */
function fileIn(message: string, files: readonly ReadFile[]): ReadFile | undefined {
  return files
    .filter(({ file }) => message.includes(file.path))
    .sort((one, other) => other.file.path.length - one.file.path.length)[0];
}

function parse(error: unknown): DuckDbError | undefined {
  const text = error instanceof Error ? error.message : String(error);
  try {
    // Some kinds stand before their JSON: `Parser Error: {…}`.
    const value: unknown = JSON.parse(text.slice(text.indexOf('{')));
    return value !== null && typeof value === 'object' && 'exception_message' in value
      ? (value as DuckDbError)
      : undefined;
  } catch {
    return undefined;
  }
}

async function explainSource(message: string, read: ReadFile, cause: unknown): Promise<JobError> {
  const { file } = read;
  const fault = (await csvFault(message, read)) ?? (await jsonFault(message, file));
  const what = fault?.what ?? firstLines(message).replaceAll(file.path, file.name);
  const place = fault?.place ?? {};
  const where = [
    `source ${file.name}`,
    ...(place.line === undefined ? [] : [`line ${place.line}`]),
    ...(place.column === undefined ? [] : [`column ${place.column}`]),
  ].join(', ');
  const details = { source: file.name, ...place, ...fault?.details };
  return new JobError('task_failed', `${where}: ${what}`, details, cause);
}

interface Fault {
  readonly what: string;
  readonly place: Partial<Place>;
  readonly details?: { readonly column_name: string };
}

async function csvFault(message: string, { file, columns }: ReadFile): Promise<Fault | undefined> {
  const found = /CSV Error on Line: (\d+)\nOriginal Line: ([\s\S]*?)\n(?=Error|Expected|Value|Invalid)/.exec(
    message,
  );
  if (found === null) return undefined;
  const [whole, number, original = ''] = found;
  const line = Number(number);
  const text = original.trimStart();
  const what = message.slice(message.indexOf(whole) + whole.length).split('\n')[0] ?? '';
  const { delimiter = ',', quote = '"' } = file.options;
  const start = (field: number): number => fieldStart(text, field, delimiter, quote);

  const count = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(what);
  if (count !== null) {
    const [, expected, got] = count.map(Number);
    const place = { line, column: start(Math.min(expected ?? 0, got ?? 0) + 1) };
    return { what: `expected ${expected} columns, found ${got}`, place };
  }
  const conversion = /Error when converting column "(.*?)"\. (.*)/.exec(what);
  if (conversion !== null) {
    const [, name = '', why = what] = conversion;
    const index = columns.indexOf(name);
    const column = index < 0 ? {} : { column: start(index + 1) };
    return { what: why, place: { line, ...column }, details: { column_name: name } };
  }
  if (what.startsWith('Value with unterminated quote')) {
    let field = 1;
    while (start(field + 1) <= text.length) field++;
    return { what: 'a quoted value does not end as it should', place: { line, column: start(field) } };
  }
  return { what, place: { line } };
}

async function jsonFault(message: string, file: SourceFile): Promise<Fault | undefined> {
  const malformed =
    /Malformed JSON in file .*, at byte (\d+) in (?:line|record\/value) (\d+): (.*?)\.? /.exec(`${message} `);
  if (malformed !== null) {
    const [, byte, record, what = ''] = malformed;
    // DuckDB has counted the record already when it finds it broken.
    const place = await placeOf(file, Number(record) - 1, Number(byte));
    return { what: `malformed JSON: ${what}`, place };
  }
  const mismatch = /JSON transform error in file .*, in (?:line|record\/value) (\d+): (.*)/.exec(message);
  if (mismatch === null) return undefined;
  const [, record, what = ''] = mismatch;
  // For lists DuckDB counts the list's values, not the records.
  if (what.startsWith('Expected ARRAY')) return { what, place: {} };
  return { what, place: await placeOf(file, Number(record), 1) };
}

function placeOf(file: SourceFile, record: number, byte: number): Promise<Place> {
  return placeInJson(file.path, { record, byte, byLine: file.format === 'ndjson' });
}

/** Without DuckDB's advice on settings nobody here can change. */
function firstLines(message: string): string {
  return message.split(/\n(?:\n|Possible|Try |The search space|See also)/)[0] ?? message;
}
