// How answers look: one JSON document (or one a line, for streams) for machines, words and tables for people. Colours only on a
// terminal that wants them.

import type { CliHost } from './host.ts';

/** Wraps text in a style, or leaves it alone where styles are off. */
export type Paint = Readonly<
  Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan', (text: string) => string>
>;

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;
const ESCAPE = String.fromCharCode(27);
const COLOURS = new RegExp(`${ESCAPE}\\[[0-9;]*m`, 'g');
const BAR_WIDTH = 24;

/** Where a command's answers go, in the form its user asked for. */
export class Output {
  readonly json: boolean;
  readonly isTerminal: boolean;
  readonly paint: Paint;
  readonly columns: number;
  readonly #host: CliHost;
  #drawn = false;

  constructor(
    host: CliHost,
    options: { readonly json?: boolean | undefined; readonly color?: boolean | undefined },
  ) {
    this.#host = host;
    this.json = options.json === true;
    this.isTerminal = host.isTerminal && !this.json;
    this.columns = host.columns;
    const { NO_COLOR: refused = '', TERM: terminal } = host.environment;
    this.paint = paintOf(this.isTerminal && options.color !== false && refused === '' && terminal !== 'dumb');
  }

  /** The command's answer: the value as JSON, or the text made of it. */
  answer(value: unknown, text: () => string): void {
    this.#settle();
    this.#host.stdout.write(
      this.json ? `${JSON.stringify(value, null, 2)}\n` : `${printable(text()).trimEnd()}\n`,
    );
  }

  /** One item of a stream: a line of JSON, or the text made of it (null for none). */
  item(value: unknown, text: () => string | null): void {
    const line = this.json ? JSON.stringify(value) : text();
    if (line === null) return;
    this.#settle();
    this.#host.stdout.write(`${this.json ? line : printable(line)}\n`);
  }

  /** A remark beside the answer; machines are spared it. */
  note(text: string): void {
    if (this.json) return;
    this.#settle();
    this.#host.stderr.write(`${this.paint.dim(printable(text))}\n`);
  }

  /** Draws over the line drawn last; only on a terminal. */
  draw(text: string): void {
    if (!this.isTerminal) return;
    this.#host.stdout.write(`\r${clipped(printable(text), this.columns - 1)}${ESCAPE}[K`);
    this.#drawn = true;
  }

  #settle(): void {
    if (this.#drawn) this.#host.stdout.write('\n');
    this.#drawn = false;
  }
}

/** A bar of the given share (0–100). */
export function bar(percentage: number): string {
  const filled = Math.round((Math.min(100, Math.max(0, percentage)) / 100) * BAR_WIDTH);
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
}

/** Rows under their heads, each column as wide as its widest cell; on a terminal the last is clipped to fit. */
export function table(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  output: Pick<Output, 'paint' | 'isTerminal' | 'columns'>,
): string {
  const cells = rows.map(row => row.map(cell => cell.replace(/\s*\n\s*/g, ' ')));
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...cells.map(row => visibleLength(row[column] ?? ''))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - visibleLength(cell))))
      .join('  ')
      .trimEnd();
  const lines = [output.paint.bold(line(heads)), ...cells.map(line)];
  return lines.map(text => (output.isTerminal ? clipped(text, output.columns) : text)).join('\n');
}

/** Names and values under one another, aligned; absent values are left out. */
export function facts(
  entries: readonly (readonly [string, string | null | undefined])[],
  paint: Paint,
): string {
  const present = entries.filter(([, value]) => value !== null && value !== undefined && value !== '');
  const width = Math.max(0, ...present.map(([name]) => name.length));
  return present
    .map(([name, value]) => `  ${paint.dim(name.padEnd(width))}  ${indented(value ?? '', width + 4)}`)
    .join('\n');
}

/** Bytes in the unit a person would use. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

function indented(text: string, by: number): string {
  return text.split('\n').join(`\n${' '.repeat(by)}`);
}

function visibleLength(text: string): number {
  return text.replace(COLOURS, '').length;
}

/** Text cut to a width, its colours closed. */
function clipped(text: string, width: number): string {
  if (visibleLength(text) <= width) return text;
  let shown = '';
  let room = Math.max(0, width - 1);
  for (const part of text.split(new RegExp(`(${ESCAPE}\\[[0-9;]*m)`))) {
    if (part.startsWith(ESCAPE)) shown += part;
    else {
      shown += part.slice(0, room);
      room -= Math.min(room, part.length);
    }
  }
  return `${shown}…`;
}

/** What comes from elsewhere must not move the cursor or ring the bell: only our own colours pass. */
function printable(text: string): string {
  return text
    .split(new RegExp(`(${ESCAPE}\\[[0-9;]*m)`))
    .map((part, index) => (index % 2 === 1 ? part : part.replace(CONTROLS, '')))
    .join('');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it removes
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

function paintOf(on: boolean): Paint {
  const styled = (code: number) => (text: string) => (on ? `${ESCAPE}[${code}m${text}${ESCAPE}[0m` : text);
  const entries = Object.entries(STYLES).map(([name, code]) => [name, styled(code)]);
  return Object.fromEntries(entries) as Paint;
}
