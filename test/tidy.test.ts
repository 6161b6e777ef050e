// The laws of tidiness: names, lengths, escapes from the type system, docstrings, and what no file of the repository may say.
// Each rule is a function from files to the places that break it, and is shown to fail beside its verdict on the real ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, SourceFile } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isExportAssignment,
  isExportSpecifier,
  isFunctionLikeDeclaration,
  isIdentifier,
  isPropertyAccessExpression,
  isPropertyAssignment,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { type Files, isTest, parse, place, readFiles, synthetic, type Tree, walkNodes } from './tree.ts';

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 60;
const files = readFiles();
const code = parse(files);

function drawersFound(paths: Iterable<string>): string[] {
  return [...paths].filter(path => /(?:^|\/)(?:util|helper|common)s?(?:\/|\.|$)/i.test(path));
}

function filesTooLong(tree: Tree): string[] {
  return [...tree].flatMap(([path, file]) => {
    const lines = file.text.trimEnd().split('\n').length;
    return lines > FILE_LINES_MAX ? [`${path} has ${lines} lines`] : [];
  });
}

/** Functions over the limit; a suite's callback is a chapter, not a function. */
function functionsTooLong(tree: Tree): string[] {
  return nodesThat(tree, (_, node) => {
    if (!isFunctionLikeDeclaration(node) || isSuite(node.parent)) return null;
    const lines = lineAt(node.getEnd(), node) - lineAt(node.getStart(), node) + 1;
    return lines > FUNCTION_LINES_MAX ? `a function of ${lines} lines` : null;
  });
}

function typesEscaped(tree: Tree): string[] {
  return nodesThat(tree, (_, node) => {
    if (node.kind === SyntaxKind.AnyKeyword) return 'any';
    if (node.kind === SyntaxKind.NonNullExpression) return 'a non-null assertion';
    if (node.kind === SyntaxKind.ExclamationToken) return 'a definite assignment';
    if (node.kind === SyntaxKind.EnumDeclaration) return 'an enum';
    return null;
  });
}

function defaultsExported(tree: Tree): string[] {
  return nodesThat(tree, (_, node) => {
    const isDefault =
      (isExportAssignment(node) && !node.isExportEquals) ||
      node.kind === SyntaxKind.DefaultKeyword ||
      (isExportSpecifier(node) && node.name.text === 'default');
    return isDefault ? 'a default export' : null;
  });
}

/** Exported declarations without a docstring directly above; re-exports have theirs at the source. */
function exportsUntold(tree: Tree): string[] {
  return [...tree].flatMap(([path, file]) => {
    if (isTest(path) || !path.startsWith('src/')) return [];
    return file.statements
      .filter(statement => /^export (?!\{|\*|type [{*])/.test(statement.getText()))
      .filter(statement => !hasDocstring(statement, file))
      .map(
        statement =>
          `${place(path, statement)} ${statement
            .getText()
            .split(/[\n({=]/)[0]
            ?.trim()}`,
      );
  });
}

function hasDocstring(node: Node, file: SourceFile): boolean {
  const above = file.text.slice(node.getFullStart(), node.getStart());
  return /\/\*\*(?:(?!\*\/)[\s\S])*\w(?:(?!\*\/)[\s\S])*\*\/[ \t]*\n?$/.test(above);
}

/** Source files that do not begin by saying what they decide or own. */
function filesUntold(tree: Tree): string[] {
  return [...tree].flatMap(([path, file]) =>
    isTest(path) || !path.startsWith('src/') || /^(?:#!.*\n)?\/[/*]/.test(file.text) ? [] : [path],
  );
}

// Spelled so that none of these patterns finds itself.
const UNSAID = {
  'a machine path': /(?<![\w.~/}-])\/(?:home|Users|root|work|workspaces?)\/[\w.]/,
  'a registry host':
    /\b(?:registry\.[\w-]+\.(?:org|com|io|net)|(?:deb|archive|security)\.(?:debian|ubuntu)|py[p]i\.org|npm\.pkg\.)/,
  'unfinished work': /\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K])\b/,
} as const;

function unsayable(texts: Files): string[] {
  return [...texts].flatMap(([path, text]) =>
    text
      .split('\n')
      .flatMap((line, at) =>
        Object.entries(UNSAID).flatMap(([what, pattern]) =>
          pattern.test(line) ? [`${path}:${at + 1} ${what}`] : [],
        ),
      ),
  );
}

function decisionsMisnumbered(paths: Iterable<string>): string[] {
  const seen = new Map<string, string>();
  return [...paths]
    .filter(path => path.startsWith('docs/decisions/'))
    .sort()
    .flatMap(path => {
      const number = /^docs\/decisions\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1];
      if (number === undefined) return [`${path} is not named NNNN-title.md`];
      const taken = seen.get(number);
      seen.set(number, path);
      return taken === undefined ? [] : [`${path} has the number of ${taken}`];
    });
}

/** Tests that are singled out, or left out without saying why. */
function testsLeftOut(tree: Tree): string[] {
  return nodesThat(tree, (_, node) => {
    if (isPropertyAssignment(node) && isIdentifier(node.name) && isTestOption(node)) {
      const { text } = node.name;
      if (text === 'only' || text === 'todo') return text;
      return text === 'skip' && node.initializer.kind === SyntaxKind.TrueKeyword
        ? 'skip without a reason'
        : null;
    }
    if (!isCallExpression(node) || !isPropertyAccessExpression(node.expression)) return null;
    const { name, expression: object } = node.expression;
    const isRunner = isIdentifier(object) && /^(?:test|it|suite|describe)$/.test(object.text);
    if (name.text === 'only' || name.text === 'todo') return isRunner ? name.text : null;
    const reasonless = isRunner || node.arguments.length === 0;
    return name.text === 'skip' && reasonless ? 'skip without a reason' : null;
  });
}

function isTestOption(node: Node): boolean {
  return isTestCall(node.parent.parent);
}

function isTestCall(node: Node): boolean {
  return isCallExpression(node) && /^(?:\w+\.)?(?:test|it|suite|describe)$/.test(node.expression.getText());
}

function isSuite(node: Node): boolean {
  return isCallExpression(node) && /^(?:suite|describe)$/.test(node.expression.getText());
}

function lineAt(position: number, node: Node): number {
  return node.getSourceFile().getLineAndCharacterOfPosition(position).line;
}

function nodesThat(tree: Tree, fault: (path: string, node: Node) => string | null): string[] {
  const found: string[] = [];
  for (const [path, file] of tree)
    walkNodes(file, node => {
      const what = fault(path, node);
      if (what !== null) found.push(`${place(path, node)} ${what}`);
    });
  return found;
}

test('law 6: nothing lives in a drawer for everything', () => {
  assert.deepEqual(drawersFound(files.keys()), []);
});

test('law 6 catches a folder or file of utilities', () => {
  const paths = ['src/utils/a.ts', 'src/engine/helpers.ts', 'web/common/b.ts', 'src/engine/commonplace.ts'];
  assert.deepEqual(drawersFound(paths), paths.slice(0, 3));
});

test('law 7: no file is over 400 lines, no function over 60', () => {
  assert.deepEqual([...filesTooLong(code), ...functionsTooLong(code)], []);
});

test('law 7 catches a long file, a long function, a long method and a long test, but not a long suite', () => {
  const body = (lines: number): string => '\n  step();'.repeat(lines);
  const tree = synthetic({
    'src/file.ts': `// owns${body(FILE_LINES_MAX)}`,
    'src/short.ts': `function short() {${body(FUNCTION_LINES_MAX - 2)}\n}\n`,
    'src/long.ts': `function long() {${body(FUNCTION_LINES_MAX - 1)}\n}\n`,
    'src/method.ts': `class Long { long(): Promise<{ a: 1 }> {${body(FUNCTION_LINES_MAX)}\n} }`,
    'src/x.test.ts': `describe('a', () => { test('b', () => {${body(FUNCTION_LINES_MAX)}\n}); });`,
  });
  assert.deepEqual(
    [...filesTooLong(tree), ...functionsTooLong(tree)],
    [
      'src/file.ts has 401 lines',
      'src/long.ts:1 a function of 61 lines',
      'src/method.ts:1 a function of 62 lines',
      'src/x.test.ts:1 a function of 62 lines',
    ],
  );
});

test('law 7: nothing escapes the type system, and nothing is exported as default', () => {
  assert.deepEqual([...typesEscaped(code), ...defaultsExported(code)], []);
});

test('law 7 catches any, a non-null assertion, a definite assignment, an enum and a default export', () => {
  const tree = synthetic({
    'src/a.ts': 'const a = b as any;\nconst c = d!;\nclass E { f!: string }\nenum G { h }\nexport default c;',
    'src/b.ts': 'export default function go() { switch (1) { default: return !anyone; } }',
    'src/c.ts': 'const k = 1;\nexport { k as default };',
  });
  assert.deepEqual(
    [...typesEscaped(tree), ...defaultsExported(tree)],
    [
      'src/a.ts:1 any',
      'src/a.ts:2 a non-null assertion',
      'src/a.ts:3 a definite assignment',
      'src/a.ts:4 an enum',
      'src/a.ts:5 a default export',
      'src/b.ts:1 a default export',
      'src/c.ts:2 a default export',
    ],
  );
});

test('law 8: every export has a docstring, and every file begins by saying what it owns', () => {
  assert.deepEqual([...exportsUntold(code), ...filesUntold(code)], []);
});

test('law 8 catches an export without docstring, with an empty one, or with one not directly above', () => {
  const tree = synthetic({
    'src/a.ts': [
      '// Owns.',
      '/** Told. */',
      'export const a = 1;',
      'export const b = 2;',
      '/** */',
      'export function c() {}',
      '/** Told, but far away. */',
      '',
      'export interface D {}',
      "export { e } from './e.ts';",
      '// Not a docstring.',
      'export type F = 1;',
      '/** Told. */ export class G {}',
    ].join('\n'),
    'src/b.ts': 'const a = 1;',
    'src/c.test.ts': 'export const a = 1;',
  });
  assert.deepEqual(
    [...exportsUntold(tree), ...filesUntold(tree)],
    [
      'src/a.ts:4 export const b',
      'src/a.ts:6 export function c',
      'src/a.ts:9 export interface D',
      'src/a.ts:12 export type F',
      'src/b.ts',
    ],
  );
});

test('no file names a path of somebody’s machine, a package registry, or unfinished work', () => {
  assert.deepEqual(unsayable(files), []);
});

test('a machine path, a registry host and unfinished work are caught', () => {
  const [dot, slash] = ['.', '/'];
  const texts = new Map([
    [
      'a.md',
      `see /home${slash}ana/batuta\nand /Users${slash}ana\nbut not api/v2/work/x or /api/home/y or ~/work/z`,
    ],
    ['b.lock', `https://registry${dot}npmjs${dot}org/x\nregistry.protocols.get()`],
    ['c.ts', `// TO${'DO'}: later\n// todos are fine`],
  ]);
  assert.deepEqual(unsayable(texts), [
    'a.md:1 a machine path',
    'a.md:2 a machine path',
    'b.lock:1 a registry host',
    'c.ts:1 unfinished work',
  ]);
});

test('every decision has a number of its own', () => {
  assert.deepEqual(decisionsMisnumbered(files.keys()), []);
});

test('two decisions of one number, and one without, are caught', () => {
  const paths = ['0001-a.md', '0002-b.md', '0002-c.md', 'draft.md'].map(name => `docs/decisions/${name}`);
  assert.deepEqual(decisionsMisnumbered(paths), [
    'docs/decisions/0002-c.md has the number of docs/decisions/0002-b.md',
    'docs/decisions/draft.md is not named NNNN-title.md',
  ]);
});

test('no test is singled out, and none is left out without a reason', () => {
  assert.deepEqual(testsLeftOut(code), []);
});

test('a test singled out, or left out without a reason, is caught', () => {
  const tree = synthetic({
    'src/a.test.ts': [
      "test.only('a', () => {});",
      "describe.skip('b', () => {});",
      "test('c', { skip: true }, () => {});",
      "test('d', { only: true }, () => {});",
      "test('e', t => t.skip());",
      "test('f', t => t.skip('no bubblewrap here'));",
      "test('g', { skip: hasBubblewrap ? false : 'no bubblewrap here' }, () => {});",
      "it.todo('h');",
      'page.skip(3); const query = { only: true };',
    ].join('\n'),
  });
  assert.deepEqual(testsLeftOut(tree), [
    'src/a.test.ts:1 only',
    'src/a.test.ts:2 skip without a reason',
    'src/a.test.ts:3 skip without a reason',
    'src/a.test.ts:4 only',
    'src/a.test.ts:5 skip without a reason',
    'src/a.test.ts:8 todo',
  ]);
});
