// Content as texts, and texts as words, sentences and paragraphs: what is to be read of it, without its marks. What they are worth is
// judged elsewhere. Everything takes time in proportion to the text.

import { isJsonObject, type Json } from '../../domain/json.ts';

/** A text within content; the path is empty where the content is the text. */
export interface PlacedText {
  readonly path: string;
  readonly text: string;
}

/** Every text of the content, names of members left out. */
export function textsOf(content: Json): readonly PlacedText[] {
  const found: PlacedText[] = [];
  gather(content, '', found);
  return found;
}

/** Into one list: lists of lists would be copied once a level. */
function gather(content: Json, path: string, found: PlacedText[]): void {
  if (typeof content === 'string') found.push({ path, text: content });
  else if (Array.isArray(content))
    content.forEach((one, index) => {
      gather(one, below(path, String(index)), found);
    });
  else if (isJsonObject(content))
    for (const [name, one] of Object.entries(content))
      if (one !== undefined) gather(one, below(path, name), found);
}

/** All of the content's texts as one. */
export function wholeText(content: Json): string {
  return textsOf(content)
    .map(({ text }) => text)
    .join('\n\n');
}

/** What is read of a text: code, tags, addresses of links and the marks of headings and lists left out. */
export function proseOf(text: string): string {
  const lines: string[] = [];
  let isCode = false;
  for (const line of text.split('\n')) {
    if (/^ {0,3}(?:```|~~~)/.test(line)) isCode = !isCode;
    else if (!isCode) lines.push(line.replace(/^ {0,3}(?:#{1,6}|>|[-*+]|\d{1,3}[.)])[ \t]+/, ''));
  }
  return lines
    .join('\n')
    .replace(/<\/?[a-z][^<>]{0,2000}>/gi, ' ')
    .replace(/\]\([^()\s]{0,2000}\)/g, ']')
    .replace(/https?:\/\/[^\s<>")\]]+/gi, ' ')
    .replace(/[*_`[\]|]/g, ' ');
}

/** The words of a text in lower case. */
export function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? [];
}

/** Its sentences that have words; a line without a stop is one too. */
export function sentencesOf(text: string): readonly string[] {
  return text.split(/[.!?…]+(?=\s|$)|\n+/u).filter(hasWords);
}

/** Its paragraphs, without headings. */
export function paragraphsOf(text: string): readonly string[] {
  return text.split(/\n[ \t]*\n/).filter(one => hasWords(one) && !/^ {0,3}#{1,6}[ \t]/.test(one));
}

/** Lower case without accents or marks around it, for names that are to be the same. */
export function foldedName(name: string): string {
  return name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/** Whether there is anything to read. */
export function hasWords(text: string): boolean {
  return /[\p{L}\p{N}]/u.test(text);
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
