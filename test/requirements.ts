// `npm run requirements`: writes docs/requirements.md, which requirement each test's title claims to hold. With `--strict` it
// also fails while one of the first release has no test. The requirements themselves are named in docs/requirements/*.json.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Node } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isNoSubstitutionTemplateLiteral,
  isStringLiteral,
  isTemplateExpression,
} from 'typescript/unstable/ast';
import { parse, ROOT, readFiles, type Tree, walkNodes } from './tree.ts';

/** Consecutive requirements of one section; those of the first release are marked with it, except the ones for later. */
export interface Section {
  readonly number: number;
  readonly title: string;
  readonly first: number;
  readonly last: number;
  readonly release?: string;
  readonly later?: readonly number[];
}

/** The requirements of one protocol. */
export interface Protocol {
  readonly protocol: string;
  readonly prefix: string;
  readonly sections: readonly Section[];
}

/** A test's full title and where it stands. */
export interface Title {
  readonly title: string;
  readonly path: string;
}

const PAGE = join(ROOT, 'docs/requirements.md');
const ID = /\b(?:SAM|TASK|ARMY|BLOG|NOOB)-\d+\b/g;

/** Every protocol's requirements, in the order of the page. */
export function readProtocols(): readonly Protocol[] {
  return ['sam', 'task', 'army', 'blog', 'nooble'].map(name =>
    JSON.parse(readFileSync(join(ROOT, `docs/requirements/${name}.json`), 'utf8')),
  );
}

/** The page as it stands on disk. */
export function readPage(): string {
  return readFileSync(PAGE, 'utf8');
}

/** The titles of all tests and suites in a tree, in order of file and line. */
export function titlesOf(tree: Tree): readonly Title[] {
  const titles: Title[] = [];
  for (const [path, file] of tree)
    walkNodes(file, node => {
      if (
        !isCallExpression(node) ||
        !/^(?:\w+\.)?(?:test|it|suite|describe)$/.test(node.expression.getText())
      )
        return;
      const title = textOf(node.arguments[0]);
      if (title !== null) titles.push({ title, path });
    });
  return titles;
}

/** The repository's own test titles. */
export function readTitles(): readonly Title[] {
  return titlesOf(parse(readFiles(['src', 'test'])));
}

/** Titles naming a requirement that does not exist, as `path: id`. */
export function unknownIds(protocols: readonly Protocol[], titles: readonly Title[]): readonly string[] {
  const known = new Set(protocols.flatMap(one => one.sections.flatMap(section => idsOf(one, section))));
  return titles.flatMap(({ title, path }) =>
    named(title)
      .filter(id => !known.has(id))
      .map(id => `${path}: ${id}`),
  );
}

/** The requirements of the first release that no title names. */
export function missingIds(protocols: readonly Protocol[], titles: readonly Title[]): readonly string[] {
  const covered = new Set(titles.flatMap(({ title }) => named(title)));
  return protocols
    .flatMap(one => one.sections.flatMap(section => releaseIdsOf(one, section)))
    .filter(id => !covered.has(id));
}

/** The page: for each requirement the tests that hold it. */
export function renderPage(protocols: readonly Protocol[], titles: readonly Title[]): string {
  const tests = new Map<string, Title[]>();
  for (const one of titles) for (const id of named(one.title)) tests.set(id, [...(tests.get(id) ?? []), one]);
  const count = (ids: readonly string[]): string =>
    ids.length === 0 ? '' : `${ids.filter(id => tests.has(id)).length} of ${ids.length}`;
  const row = (id: string): string => {
    const held = (tests.get(id) ?? []).map(
      ({ title, path }) => `${title.replaceAll('|', '\\|')} (\`${path}\`)`,
    );
    return `| ${id} | ${held.length === 0 ? '—' : `✓ ${held.join('<br>')}`} |`;
  };
  const summary = protocols.map(one => {
    const all = one.sections.flatMap(section => idsOf(one, section));
    const release = one.sections.flatMap(section => releaseIdsOf(one, section));
    return `| ${one.protocol} | ${count(all)} | ${count(release)} |`;
  });
  const chapters = protocols.flatMap(one => [
    `\n## ${one.protocol}`,
    ...one.sections.flatMap(section => {
      const ids = idsOf(one, section);
      const mark = section.release === undefined ? '' : `, release ${section.release}`;
      const heading = `\n### ${section.number}. ${section.title} (${count(ids)}${mark})\n`;
      return [heading, '| id | held by |', '|---|---|', ...ids.map(row)];
    }),
  ]);
  return `${[
    '# Requirements and the tests that hold them\n',
    'Generated from the titles of all tests by `npm run requirements`; do not edit.\n',
    '| protocol | held by a test | of the first release |',
    '|---|---|---|',
    ...summary,
    ...chapters,
  ].join('\n')}\n`;
}

function named(title: string): readonly string[] {
  return [...new Set(title.match(ID) ?? [])];
}

function idsOf({ prefix }: Protocol, { first, last }: Section): readonly string[] {
  return Array.from({ length: last - first + 1 }, (_, at) => `${prefix}-${first + at}`);
}

function releaseIdsOf(protocol: Protocol, section: Section): readonly string[] {
  if (section.release === undefined) return [];
  const later = (section.later ?? []).map(number => `${protocol.prefix}-${number}`);
  return idsOf(protocol, section).filter(id => !later.includes(id));
}

/** A literal's text, with what a template inserts left out. */
function textOf(node: Node | undefined): string | null {
  if (node === undefined) return null;
  if (isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!isTemplateExpression(node)) return null;
  return node.head.text + node.templateSpans.map(span => `…${span.literal.text}`).join('');
}

if (import.meta.main) {
  const [protocols, titles] = [readProtocols(), readTitles()];
  writeFileSync(PAGE, renderPage(protocols, titles));
  const missing = missingIds(protocols, titles);
  console.log(`${missing.length} requirements of the first release have no test yet: ${missing.join(' ')}`);
  if (process.argv.includes('--strict') && missing.length > 0) process.exitCode = 1;
}
