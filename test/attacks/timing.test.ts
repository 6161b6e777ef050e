import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from 'typescript/unstable/ast';
import {
  isBinaryExpression,
  isCallExpression,
  isPropertyAccessExpression,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { isTest, parse, place, readFiles, synthetic, type Tree, walkNodes } from '../tree.ts';

/** Where secrets are compared. */
const WATCHED = /^src\/(?:guards|channels|http|protocols|executors\/remote|sdk)\//;

/** What is called like something that must not be guessed byte by byte. */
const SECRET = /secret|signature|hmac|password|digest|mac$|apiKey|passphrase|expected$/i;

/** What is called so and is none: lengths, kinds and names of secrets, digests of files that anybody may read. */
const HARMLESS =
  /\.length$|^typeof |^undefined$|^null$|^'[^']*'$|^"[^"]*"$|^-?\d+$|^(?:true|false)$|^EMPTY_BODY_SHA256$/;

const COMPARING = new Set<SyntaxKind>([
  SyntaxKind.EqualsEqualsToken,
  SyntaxKind.EqualsEqualsEqualsToken,
  SyntaxKind.ExclamationEqualsToken,
  SyntaxKind.ExclamationEqualsEqualsToken,
]);
const SEARCHING = new Set(['includes', 'indexOf', 'startsWith', 'endsWith', 'localeCompare', 'equals']);

/** Comparisons that stop at the first difference, of something called like a secret with something unknown. */
function hasty(tree: Tree): string[] {
  const found: string[] = [];
  for (const [path, file] of tree) {
    if (!WATCHED.test(path) || isTest(path)) continue;
    walkNodes(file, node => {
      const sides = compared(node);
      if (sides === null || sides.some(side => HARMLESS.test(side))) return;
      if (sides.some(side => SECRET.test(lastName(side))))
        found.push(`${place(path, node)} ${node.getText()}`);
    });
  }
  return found;
}

function compared(node: Node): readonly string[] | null {
  if (isBinaryExpression(node) && COMPARING.has(node.operatorToken.kind))
    return [node.left.getText(), node.right.getText()];
  if (!isCallExpression(node) || !isPropertyAccessExpression(node.expression)) return null;
  const { name, expression: object } = node.expression;
  const [argument] = node.arguments;
  return SEARCHING.has(name.text) && argument !== undefined ? [object.getText(), argument.getText()] : null;
}

function lastName(expression: string): string {
  const inner = /^Buffer\.from\((.*)\)$/s.exec(expression)?.[1] ?? expression;
  return /([\w$]+)(?:\(.*\)|\[.*\])?$/s.exec(inner)?.[1] ?? inner;
}

/** Found, looked at, and no secret: what each compares instead. */
const EXPLAINED: readonly (readonly [RegExp, string])[] = [
  [
    /receiver\.ts:\d+ earlier\.digest === digest$/,
    'digests of a body whose sender has it, after its signature held',
  ],
];

test('SAM-9 SAM-27 SAM-77 no secret, signature or digest is compared in a way that tells where it differs', () => {
  const all = hasty(parse(readFiles(['src'])));
  const unexplained = all.filter(one => !EXPLAINED.some(([pattern]) => pattern.test(one)));
  assert.deepEqual(unexplained, []);
});

test('a hasty comparison of a secret is caught, and one of its length or presence is not', () => {
  const tree = synthetic({
    'src/guards/a.ts': [
      'if (given.secret === stored.secret) admit();',
      'if (signature !== expected) refuse();',
      'const known = secrets.includes(secret);',
      'if (Buffer.from(digest).equals(other)) admit();',
      'if (secret.length !== 32 || secret === undefined || typeof secret !== "string") refuse();',
      "if (name === 'x') admit();",
    ].join('\n'),
    'src/store/b.ts': 'if (secret === other) go();',
    'src/guards/a.test.ts': 'assert(secret === other);',
  });
  assert.deepEqual(
    hasty(tree).map(one => one.split(' ')[0]),
    ['src/guards/a.ts:1', 'src/guards/a.ts:2', 'src/guards/a.ts:3', 'src/guards/a.ts:4'],
  );
});
