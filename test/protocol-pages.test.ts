import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TSchema } from 'typebox';
import { dialectsAtRest } from '../src/app/offline.ts';
import { bodyCheck } from '../src/protocols/validation.ts';
import { exampleOf, PAGES, pages } from './protocol-pages.ts';
import { ROOT } from './tree.ts';

test('the pages of the wires are what npm run protocols writes, one for each wire', () => {
  const all = pages();
  assert.deepEqual(
    readdirSync(join(ROOT, PAGES)).map(name => `${PAGES}/${name}`),
    [...all.keys()].toSorted(),
  );
  for (const [path, page] of all)
    assert.ok(readFileSync(join(ROOT, path), 'utf8') === page, `${path} is out of date: npm run protocols`);
});

test('every message type is shown with an example that meets its schema', () => {
  for (const dialect of dialectsAtRest()) {
    assert.ok(Object.keys(dialect.types).length > 0, dialect.name);
    for (const [type, schema] of Object.entries(dialect.types)) {
      const example = JSON.parse(JSON.stringify(exampleOf(dialect, type)));
      assert.deepEqual(bodyCheck(schema as TSchema)(example) ?? [], [], `${dialect.name} ${type}`);
    }
  }
});
