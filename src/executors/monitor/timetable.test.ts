import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byCron, everyInterval, type Timetable } from './timetable.ts';

function dues(timetable: Timetable, from: string, count: number): readonly string[] {
  const found: string[] = [];
  for (let due = timetable.dueFrom(Date.parse(from), 0); due !== null && found.length < count; ) {
    found.push(new Date(due).toISOString().slice(0, 16));
    due = timetable.dueFrom(due + 1, 0);
  }
  return found;
}

test('SAM-171 the grid of an interval begins with the task, and an instant on it is due itself', () => {
  const grid = everyInterval(10_000);
  assert.deepEqual(
    [0, 1_003, 1_004, 11_003, 11_004].map(instant => grid.dueFrom(instant, 1_003)),
    [1_003, 1_003, 11_003, 11_003, 21_003],
  );
  assert.equal(grid.dueBetween(1_003, 31_003, 1_003), 3);
  assert.equal(grid.dueBetween(1_004, 31_004, 1_003), 3);
  assert.equal(grid.dueBetween(0, Number.MAX_SAFE_INTEGER, 0), 1_000);
});

test('SAM-171 by cron a run is due once a day where a zone sets its clocks, neither twice nor never', () => {
  const nightly = byCron('30 2 * * *', 'Europe/Madrid');
  assert.deepEqual(dues(nightly, '2026-03-28T00:00:00Z', 3), [
    '2026-03-28T01:30',
    // 02:30 does not exist that night.
    '2026-03-29T01:00',
    '2026-03-30T00:30',
  ]);
  assert.deepEqual(dues(nightly, '2026-10-24T12:00:00Z', 2), ['2026-10-25T00:30', '2026-10-26T01:30']);
});

test('SAM-171 counting by cron agrees with going from one to the next', () => {
  const working = byCron('*/20 9-10 * * MON-FRI', 'UTC');
  const from = Date.parse('2026-01-02T10:00:00Z');
  const until = Date.parse('2026-01-05T09:20:00Z');
  assert.deepEqual(dues(working, '2026-01-02T10:00:00Z', 4), [
    '2026-01-02T10:00',
    '2026-01-02T10:20',
    '2026-01-02T10:40',
    '2026-01-05T09:00',
  ]);
  assert.equal(working.dueBetween(from, until, 0), 4);
});
