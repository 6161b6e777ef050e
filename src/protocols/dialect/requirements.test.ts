import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requirementOf } from './requirements.ts';

const RULES = { '': 'X-1', id: 'X-2', payload: 'X-3', 'order payload.items': 'X-4', 'a.b payload': 'X-5' };

test('the longest path that holds the field counts, one of the type before one of any, and the empty one is all', () => {
  const of = (type: string | { domain: string; action: string }, field: string) =>
    requirementOf(RULES, { type }, field);
  assert.deepEqual(
    [of('order', 'payload.items[3].name'), of('other', 'payload.items[3].name'), of('order', 'payload')],
    ['X-4', 'X-3', 'X-3'],
  );
  assert.deepEqual([of('order', 'id'), of('order', 'ideas'), of('order', '')], ['X-2', 'X-1', 'X-1']);
  assert.equal(of({ domain: 'a', action: 'b' }, 'payload.x'), 'X-5');
  assert.equal(requirementOf({ id: 'X-2' }, 'no message', 'to'), null);
});
