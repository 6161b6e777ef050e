// HTML as far as validation reads it: whether every tag, comment and attribute is closed, and its headings with their text.

/** A heading, and the text until the next one. */
export interface Heading {
  readonly level: number;
  readonly name: string;
  readonly text: string;
}

const FAULTS_MAX = 20;
const VOID = setOf('area base br col embed hr img input link meta source track wbr');
/** Their end may be left out. */
const LENIENT = setOf('p li dt dd tr td th thead tbody tfoot option optgroup colgroup html head body');
const RAW = setOf('script style textarea title');
const NAME = /^[a-z][a-z0-9:-]{0,100}/i;

type Token =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'open' | 'close'; readonly name: string; readonly isClosed: boolean }
  | { readonly kind: 'fault'; readonly message: string };

/** What is not well formed, in the order it stands. */
export function htmlFaults(html: string): readonly string[] {
  const faults: string[] = [];
  const open: string[] = [];
  for (const token of tokensOf(html)) {
    if (faults.length >= FAULTS_MAX) break;
    if (token.kind === 'fault') faults.push(token.message);
    else if (token.kind === 'open' && !token.isClosed && !VOID.has(token.name)) open.push(token.name);
    else if (token.kind === 'close') close(token.name, open, faults);
  }
  for (const name of open.toReversed())
    if (!LENIENT.has(name) && faults.length < FAULTS_MAX) faults.push(`<${name}> is not closed`);
  return faults;
}

/** The headings `h1`–`h6`, each with the text until the next. */
export function htmlHeadings(html: string): readonly Heading[] {
  const headings: { level: number; name: string; text: string }[] = [];
  let isInside = false;
  for (const token of tokensOf(html)) {
    const last = headings.at(-1);
    if (token.kind === 'text') {
      if (last !== undefined) last[isInside ? 'name' : 'text'] += token.text;
    } else if (token.kind !== 'fault' && /^h[1-6]$/.test(token.name)) {
      isInside = token.kind === 'open';
      if (isInside) headings.push({ level: Number(token.name[1]), name: '', text: '' });
    }
  }
  return headings;
}

function close(name: string, open: string[], faults: string[]): void {
  const at = open.lastIndexOf(name);
  if (at < 0) {
    if (!VOID.has(name) && name !== 'p') faults.push(`</${name}> closes nothing`);
    return;
  }
  for (const inner of open.splice(at).slice(1))
    if (!LENIENT.has(inner)) faults.push(`<${inner}> is not closed before </${name}>`);
}

function* tokensOf(html: string): Generator<Token> {
  let at = 0;
  while (at < html.length) {
    const start = html.indexOf('<', at);
    const end = start < 0 ? html.length : start;
    if (end > at) yield { kind: 'text', text: html.slice(at, end) };
    if (start < 0) return;
    if (html.startsWith('<!', start) || html.startsWith('<?', start)) {
      const mark = html.startsWith('<!--', start) ? '-->' : '>';
      const closed = html.indexOf(mark, start + 2);
      if (closed < 0) return yield { kind: 'fault', message: 'a comment or declaration is not closed' };
      at = closed + mark.length;
      continue;
    }
    const isClose = html[start + 1] === '/';
    const nameAt = start + (isClose ? 2 : 1);
    const name = NAME.exec(html.slice(nameAt, nameAt + 101))?.[0].toLowerCase();
    if (name === undefined) {
      yield { kind: 'text', text: '<' };
      at = start + 1;
      continue;
    }
    const stop = tagEnd(html, nameAt + name.length);
    if (stop === null) return yield { kind: 'fault', message: `the tag of <${name}> is not closed` };
    const isClosed = html[stop - 1] === '/';
    yield { kind: isClose ? 'close' : 'open', name, isClosed };
    at = stop + 1;
    if (isClose || isClosed || !RAW.has(name)) continue;
    const close = closeOf(html, name, at);
    if (close === null) return yield { kind: 'fault', message: `<${name}> is not closed` };
    at = close;
  }
}

/** Where a tag ends, attributes in quotes skipped; null where it does not. */
function tagEnd(html: string, from: number): number | null {
  let quote: string | null = null;
  for (let at = from; at < html.length; at++) {
    const letter = html[at];
    if (quote !== null) {
      if (letter === quote) quote = null;
    } else if ((letter === '"' || letter === "'") && html[at - 1] === '=') quote = letter;
    else if (letter === '>') return at;
    else if (letter === '<') return null;
  }
  return null;
}

/** Where the end tag of text that is no markup stands. */
function closeOf(html: string, name: string, from: number): number | null {
  for (let at = html.indexOf('</', from); at >= 0; at = html.indexOf('</', at + 2))
    if (html.slice(at + 2, at + 2 + name.length).toLowerCase() === name) return at;
  return null;
}

function setOf(names: string): ReadonlySet<string> {
  return new Set(names.split(' '));
}
