import assert from 'node:assert/strict';
import { test } from 'node:test';
import { played, rowsIn } from '../played.ts';
import { tickets } from './tickets.ts';

test('a thousand tickets are triaged and joined; what cannot be read is counted and hinders no other', async t => {
  const said = await played(t, ['ticket-triage']);

  const all = tickets(1_000);
  const empty = all.filter(({ text }) => text === '').length;
  assert.ok(empty > 0);
  assert.ok(said.startsWith(`${1_000 - empty} tickets triaged, ${empty} could not be read; `), said);
  const urgent = all.filter(({ text }) => text.startsWith('URGENT')).length;
  const rows = rowsIn(said);
  assert.deepEqual(rows.map(([topic]) => topic).toSorted(), ['account', 'billing', 'delivery', 'other']);
  assert.equal(sum(rows.map(([, count]) => count)), 1_000 - empty);
  assert.equal(sum(rows.map(([, , count]) => count)), urgent);
});

function sum(counts: readonly (string | undefined)[]): number {
  return counts.reduce((total, count) => total + Number(count), 0);
}
