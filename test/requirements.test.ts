// The page of requirements is what the tests' titles say, and titles name only requirements that exist.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialectsAtRest } from '../src/app/offline.ts';
import {
  missingIds,
  type Protocol,
  readPage,
  readProtocols,
  readTitles,
  renderPage,
  titlesOf,
  unknownIds,
} from './requirements.ts';
import { synthetic } from './tree.ts';

const protocols = readProtocols();
const titles = readTitles();

const EXAMPLE: readonly Protocol[] = [
  {
    protocol: 'SAM v2',
    prefix: 'SAM',
    sections: [
      { number: 1, title: 'Conventions', first: 1, last: 3, release: '0.1', later: [3] },
      { number: 2, title: 'Authentication', first: 4, last: 4 },
    ],
  },
];

test('docs/requirements.md is what `npm run requirements` writes', () => {
  assert.equal(readPage(), renderPage(protocols, titles));
});

test('test titles name only requirements that exist', () => {
  assert.deepEqual(unknownIds(protocols, titles), []);
});

test('fields of messages answer to requirements that exist, and the whole message to one', () => {
  for (const { name, requirements } of dialectsAtRest()) {
    const named = Object.values(requirements).map(title => ({ title, path: name }));
    assert.deepEqual(unknownIds(protocols, named), []);
    assert.equal(typeof requirements[''], 'string', name);
  }
});

test('every protocol numbers its requirements from 1 without a gap', () => {
  for (const { sections } of protocols) {
    let next = 1;
    for (const { first, last } of sections) {
      assert.equal(first, next);
      assert.ok(last >= first);
      next = last + 1;
    }
  }
});

test('titles are read from literals and templates, of tests, suites and subtests, and of nothing else', () => {
  const tree = synthetic({
    'src/a.test.ts': [
      "test('SAM-1 a', () => {});",
      `describe('b', () => { it(\`\${driver} SAM-2 c | d\`, t => t.test('e', () => {})); });`,
      "log('SAM-3'); test(name, () => {});",
    ].join('\n'),
  });
  assert.deepEqual(
    titlesOf(tree).map(({ title }) => title),
    ['SAM-1 a', 'b', '… SAM-2 c | d', 'e'],
  );
});

test('a requirement of the first release without a test is missing, one for later is not', () => {
  const held = [{ title: 'SAM-2 holds, whatever SAM-99 was', path: 'src/a.test.ts' }];
  assert.deepEqual(missingIds(EXAMPLE, held), ['SAM-1']);
  assert.deepEqual(unknownIds(EXAMPLE, held), ['src/a.test.ts: SAM-99']);
});

test('the page shows each requirement with the tests that hold it, or a dash', () => {
  const held = [
    { title: 'SAM-1 a | b', path: 'src/a.test.ts' },
    { title: 'SAM-1 again with SAM-4', path: 'src/b.test.ts' },
  ];
  const page = renderPage(EXAMPLE, held);
  assert.match(page, /^\| SAM v2 \| 2 of 4 \| 1 of 2 \|$/m);
  assert.match(page, /^### 1\. Conventions \(1 of 3, release 0\.1\)$/m);
  assert.match(
    page,
    /^\| SAM-1 \| ✓ SAM-1 a \\\| b \(`src\/a\.test\.ts`\)<br>SAM-1 again with SAM-4 \(`src\/b\.test\.ts`\) \|$/m,
  );
  assert.match(page, /^\| SAM-2 \| — \|$/m);
});
