// Markdown as far as validation reads it: its headings with their text, and what in it is not well formed.

import type { Heading } from './html.ts';

const FAULTS_MAX = 20;
const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;

/** What is not well formed: fences left open, headings without a name, links left open, tables whose rows differ in width. */
export function markdownFaults(text: string): readonly string[] {
  const faults: string[] = [];
  let fence: { readonly mark: string; readonly line: number } | null = null;
  let columns: number | null = null;
  text.split('\n').forEach((line, index) => {
    const at = index + 1;
    const mark = FENCE.exec(line)?.[1];
    if (fence !== null) {
      if (mark?.startsWith(fence.mark) === true && line.trim() === mark) fence = null;
      return;
    }
    if (mark !== undefined) {
      fence = { mark, line: at };
      return;
    }
    const heading = HEADING.exec(line);
    if (heading !== null && nameOf(heading[2] ?? '') === '')
      faults.push(`line ${at}: a heading without a name`);
    if (/\]\((?:[^()]|\([^()]*\))*$/.test(line.slice(-2_000)))
      faults.push(`line ${at}: a link that is not closed`);
    const width = /^\s*\|.*\|\s*$/.test(line) ? cells(line) : null;
    if (width !== null && columns !== null && width !== columns)
      faults.push(`line ${at}: a table row of ${width} cells among rows of ${columns}`);
    columns = width === null ? null : (columns ?? width);
  });
  const open: { readonly mark: string; readonly line: number } | null = fence;
  if (open !== null) faults.push(`line ${(open as { readonly line: number }).line}: code that is not closed`);
  return faults.slice(0, FAULTS_MAX);
}

/** Its headings, each with the text until the next; in plain text a line of its own with nothing but a name is one too. */
export function markdownHeadings(text: string, isPlain: boolean): readonly Heading[] {
  const headings: { level: number; name: string; text: string }[] = [];
  let isCode = false;
  const lines = text.split('\n');
  lines.forEach((line, index) => {
    if (FENCE.test(line)) isCode = !isCode;
    const [, marks, rest] = isCode ? [] : (HEADING.exec(line) ?? []);
    const isUnderlined =
      !isCode && /^ {0,3}(?:=+|-{2,})\s*$/.test(lines[index + 1] ?? '') && line.trim() !== '';
    const isName = isPlain && !isCode && /^[^.!?]{1,120}$/.test(line.trim()) && stands(lines, index);
    const last = headings.at(-1);
    if (marks !== undefined) headings.push({ level: marks.length, name: nameOf(rest ?? ''), text: '' });
    else if (isUnderlined)
      headings.push({ level: lines[index + 1]?.includes('=') === true ? 1 : 2, name: line, text: '' });
    else if (isName) headings.push({ level: 6, name: line.trim().replace(/:$/, ''), text: '' });
    else if (last !== undefined) last.text += `${line}\n`;
  });
  return headings;
}

function nameOf(rest: string): string {
  return rest
    .replace(/[ \t]+#+[ \t]*$/, '')
    .replace(/^#+$/, '')
    .trim();
}

/** Whether a line of plain text stands apart like a title: after a blank line or at the start, or with a colon at its end. */
function stands(lines: readonly string[], index: number): boolean {
  const line = lines[index] ?? '';
  return line.trim() !== '' && (line.trim().endsWith(':') || index === 0 || lines[index - 1]?.trim() === '');
}

function cells(line: string): number {
  return line.trim().slice(1, -1).replace(/\\\|/g, '').split('|').length;
}
