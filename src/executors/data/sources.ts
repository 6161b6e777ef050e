// From files to tables: finds out each source's columns, makes a view of its name, and counts its rows, finding broken lines.

import { createReadStream } from 'node:fs';
import type { JsonObject } from '../../domain/json.ts';
import { JobError } from './job-error.ts';
import { fieldStart } from './places.ts';
import {
  type ColumnTypes,
  readCsv,
  readCsvStrictly,
  readJson,
  readParquet,
  type SourceFile,
  sniffCsv,
  withTypes,
} from './readers.ts';
import type { Session } from './session.ts';
import { identifier } from './sql-text.ts';

/** Makes the view `main.<source>` and answers how many rows it has. */
export async function openSource(session: Session, file: SourceFile): Promise<number> {
  session.know(file, []);
  const reader = await readerOf(session, file);
  const view = `main.${identifier(file.name)}`;
  await session.run(`CREATE VIEW ${view} AS SELECT * FROM ${reader}`);
  return await session.count(`SELECT count(*) FROM ${view}`);
}

async function readerOf(session: Session, file: SourceFile): Promise<string> {
  switch (file.format) {
    case 'csv':
      return await csvReader(session, file);
    case 'json':
    case 'ndjson': {
      const reader = readJson(file);
      if (file.options.columns === undefined) return reader;
      const found = (await session.columns(reader)).map(({ name, type }) => [name, type] as const);
      return readJson(file, typed(file, found));
    }
    case 'parquet':
      return readParquet(file);
  }
}

async function csvReader(session: Session, file: SourceFile): Promise<string> {
  const [layout] = await sniff(session, file);
  const found = structs(layout?.Columns).map(({ name, type }) => [String(name), String(type)] as const);
  const columns = typed(file, found);
  session.know(
    file,
    columns.map(([name]) => name),
  );
  return readCsv(file, {
    columns,
    dateFormat: textOrNull(layout?.DateFormat),
    timestampFormat: textOrNull(layout?.TimestampFormat),
  });
}

/** The sniffer says only that a file is wrong; reading it strictly says where. */
async function sniff(session: Session, file: SourceFile): Promise<JsonObject[]> {
  try {
    return await session.rows(sniffCsv(file));
  } catch (error) {
    if (!(error instanceof JobError) || error.code !== 'task_failed') throw error;
    const first = await firstRecord(file);
    if (first === '') {
      const place = { source: file.name, line: 1, column: 1 };
      throw new JobError(
        'task_failed',
        `source ${file.name}, line 1, column 1: the file is empty`,
        place,
        error,
      );
    }
    const { delimiter = ',', quote = '"' } = file.options;
    let fields = 1;
    while (fieldStart(first, fields + 1, delimiter, quote) <= first.length) fields++;
    if (first.endsWith(delimiter)) fields++;
    await session.count(`SELECT count(*) FROM ${readCsvStrictly(file, fields)}`);
    throw error;
  }
}

/** The first record of a CSV file, without its line's end; a quoted value may hold line ends. */
async function firstRecord({ path, options }: SourceFile): Promise<string> {
  const quote = options.quote ?? '"';
  let text = '';
  for await (const chunk of createReadStream(path, { encoding: 'utf8', end: 2_000_000 })) {
    text += chunk as string;
    let quoted = false;
    for (let at = 0; at < text.length; at++) {
      if (quote !== '' && text[at] === quote) quoted = !quoted;
      else if (!quoted && (text[at] === '\n' || text[at] === '\r')) return text.slice(0, at);
    }
  }
  return text;
}

function typed(file: SourceFile, found: ColumnTypes): ColumnTypes {
  const { columns, unknown } = withTypes(found, file.options.columns);
  if (unknown.length === 0) return columns;
  const names = found.map(([name]) => name).join(', ');
  throw new JobError(
    'task_failed',
    `source ${file.name} has no column ${unknown.map(name => `"${name}"`).join(', ')}; it has ${names}`,
    { source: file.name, field: `task_data.sources.${file.name}.options.columns` },
  );
}

function structs(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? (value as readonly JsonObject[]) : [];
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
