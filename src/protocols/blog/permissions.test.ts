// The table of who may say what to whom, every combination.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPermitted, REQUESTS } from './permissions.ts';
import { BUILT_IN, isBuiltIn, MESSAGE_TYPES } from './vocabulary.ts';

const NAMES = [...BUILT_IN, 'ann', 'bob'];
/** The table of the requirement, pair by pair. */
const TABLE = new Set([
  ...['executor>planner', 'executor>coder', 'executor>reviewer', 'planner>reviewer', 'coder>reviewer'],
  'reviewer>coder',
]);

test('BLOG-97 of all types between all pairs exactly those of the table are permitted', () => {
  for (const from of NAMES)
    for (const to of NAMES)
      for (const type of MESSAGE_TYPES)
        for (const isOperator of [false, true])
          for (const answered of [null, to, 'somebody']) {
            const expected =
              type === 'notification' ||
              (type === 'request'
                ? isBuiltIn(from)
                  ? TABLE.has(`${from}>${to}`)
                  : to === 'executor' || (isOperator && isBuiltIn(to))
                : answered === to);
            const said = { from, type, to, isOperator, answered };
            assert.equal(isPermitted(said), expected, JSON.stringify(said));
          }
  assert.deepEqual(Object.keys(REQUESTS).sort(), [...BUILT_IN].sort());
});
