// Where in a file a fault lies: DuckDB counts JSON records and bytes, people count lines and columns.

import { createReadStream } from 'node:fs';

/** A place in a text, both from 1; the column counts characters. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

const LINE_FEED = 0x0a;
const SPACES = new Set([0x20, 0x09, 0x0d, LINE_FEED]);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPENING = new Set([0x7b, 0x5b]);
const CLOSING = new Set([0x7d, 0x5d]);

/**
 * The place of a byte (from 1) of a record (from 1) of a JSON file: of lines, of an array, or of one value. A file that ends sooner
 * is at fault where its last record is.
 */
export async function placeInJson(
  path: string,
  at: { readonly record: number; readonly byte: number; readonly byLine: boolean },
): Promise<Place> {
  const scan = new RecordScan(at.byLine);
  let start: Place & { readonly offset: number } = { line: 1, column: 1, offset: 0 };
  let record = 0;
  for await (const chunk of createReadStream(path)) {
    for (const byte of chunk as Buffer) {
      if (record < at.record && scan.begins(byte)) {
        record++;
        start = { line: scan.line, column: scan.column, offset: scan.offset };
      }
      if (record === at.record && scan.offset === start.offset + at.byte - 1) return scan.place();
      scan.pass(byte);
    }
  }
  // Fewer records than DuckDB counted: the file broke off, or two records stand without a comma between them.
  return record === at.record ? scan.place() : placeAfter(path, start, at.byte);
}

async function placeAfter(
  path: string,
  start: Place & { readonly offset: number },
  byte: number,
): Promise<Place> {
  const scan = new RecordScan(true, start);
  for await (const chunk of createReadStream(path, { start: start.offset })) {
    for (const next of chunk as Buffer) {
      if (scan.offset === start.offset + byte - 1) return scan.place();
      scan.pass(next);
    }
  }
  return scan.place();
}

/** The character (from 1) at which a field (from 1) of a CSV line begins; one past the end where the line has no such field. */
export function fieldStart(line: string, field: number, delimiter: string, quote: string): number {
  let seen = 1;
  let quoted = false;
  for (let at = 0; at < line.length; at++) {
    if (seen === field) return at + 1;
    if (quote !== '' && line[at] === quote) quoted = !quoted;
    else if (!quoted && line.startsWith(delimiter, at)) {
      seen++;
      at += delimiter.length - 1;
    }
  }
  return line.length + 1;
}

/** Reads a JSON text byte by byte, knowing only as much of it as tells where records begin. */
class RecordScan {
  readonly #byLine: boolean;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #fresh = true;
  #opened = false;
  line = 1;
  column = 1;
  offset = 0;

  constructor(byLine: boolean, start?: Place & { readonly offset: number }) {
    this.#byLine = byLine;
    if (start !== undefined) ({ line: this.line, column: this.column, offset: this.offset } = start);
  }

  place(): Place {
    return { line: this.line, column: this.column };
  }

  /** Whether a record begins at this byte, not passed yet. */
  begins(byte: number): boolean {
    if (!this.#fresh || SPACES.has(byte)) return false;
    if (this.#byLine) return true;
    if (!this.#opened && byte === 0x5b) return false;
    return this.#depth <= 1 && !CLOSING.has(byte);
  }

  pass(byte: number): void {
    this.#follow(byte);
    this.offset++;
    if (byte === LINE_FEED) {
      this.line++;
      this.column = 1;
      // Bytes that continue a character of UTF-8 are no columns of their own.
    } else if ((byte & 0xc0) !== 0x80) this.column++;
  }

  #follow(byte: number): void {
    if (this.#byLine) {
      if (byte === LINE_FEED) this.#fresh = true;
      else if (!SPACES.has(byte)) this.#fresh = false;
      return;
    }
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#inString = false;
      return;
    }
    if (SPACES.has(byte)) return;
    const opensArray = !this.#opened && byte === 0x5b;
    this.#opened = true;
    this.#fresh = opensArray || (byte === COMMA && this.#depth === 1);
    if (byte === QUOTE) this.#inString = true;
    else if (OPENING.has(byte)) this.#depth++;
    else if (CLOSING.has(byte)) this.#depth--;
  }
}
