import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Comparison, counted, figuresOf, NO_RUNS, type Tally, together, verdictOf } from './canary.ts';

const runs = (good: number, bad = 0, durationMs = 100): Tally => {
  let tally = NO_RUNS;
  for (let run = 0; run < good; run++) tally = counted(tally, { failed: false, durationMs });
  for (let run = 0; run < bad; run++) tally = counted(tally, { failed: true, durationMs });
  return tally;
};

const because = (...kinds: readonly Comparison[]) => verdictOf(kinds)?.because ?? 'well';

test('SAM-228 canaries that fail more often than the rest are found, those that fail as often are not', () => {
  assert.equal(because({ canary: runs(15, 5), rest: runs(80) }), 'error_rate');
  assert.equal(because({ canary: runs(15, 5), rest: runs(60, 20) }), 'well');
  assert.equal(because({ canary: runs(20), rest: runs(60, 20) }), 'well');
  assert.equal(because({ canary: runs(19, 1), rest: runs(80) }), 'well');
});

test('SAM-228 canaries whose 95th percentile is above the rest’s are found, those within a fifth or 50 ms are not', () => {
  assert.equal(because({ canary: runs(30, 0, 1_000), rest: runs(200, 0, 500) }), 'latency');
  for (let ms = 60; ms < 5_000; ms += 7) {
    assert.equal(because({ canary: runs(30, 0, 1.2 * ms), rest: runs(200, 0, ms) }), 'well', `${ms}`);
    assert.equal(because({ canary: runs(30, 0, 1.4 * ms), rest: runs(200, 0, ms) }), 'latency', `${ms}`);
  }
  assert.equal(because({ canary: runs(30, 0, 45), rest: runs(200, 0, 1) }), 'well');
  assert.equal(because({ canary: runs(30, 0, 500), rest: runs(200, 0, 1_000) }), 'well');
  const mixed = together(runs(80, 0, 100), runs(20, 0, 5_000));
  assert.equal(because({ canary: mixed, rest: runs(400) }), 'latency');
  assert.equal(because({ canary: mixed, rest: together(runs(320), runs(80, 0, 5_000)) }), 'well');
});

test('SAM-228 too few runs of either say nothing, but those of many kinds of work add up', () => {
  assert.equal(because({ canary: runs(0, 19), rest: runs(500) }), 'well');
  assert.equal(because({ canary: runs(0, 500), rest: runs(19) }), 'well');
  const few = { canary: runs(0, 4), rest: runs(10) };
  assert.equal(because(few, few, few, few), 'well');
  assert.equal(because(few, few, few, few, few), 'error_rate');
});

test('SAM-228 each kind of work is held against itself: who was given the harder one is not worse for it', () => {
  const hard = { canary: runs(50, 50, 9_000), rest: runs(5, 5, 9_000) };
  const easy = { canary: runs(10), rest: runs(1_000) };
  assert.equal(because(hard, easy), 'well');
  assert.equal(because({ canary: hard.canary, rest: NO_RUNS }, easy), 'well');
});

test('SAM-228 like runs are told apart by chance in hardly any of a thousand trials', () => {
  let found = 0;
  let seed = 7;
  const chance = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
  const trial = (count: number): Tally => {
    let tally = NO_RUNS;
    for (let run = 0; run < count; run++)
      tally = counted(tally, { failed: chance() < 0.1, durationMs: 50 * (1 + 20 * chance()) });
    return tally;
  };
  for (let number = 0; number < 1_000; number++)
    if (verdictOf([{ canary: trial(40), rest: trial(300) }]) !== null) found++;
  assert.ok(found <= 5, `${found} of 1000`);
});

test('tallies add up whatever the order, and their figures say what was counted', () => {
  const run = fc.record({ failed: fc.boolean(), durationMs: fc.integer({ min: 0, max: 86_400_000 }) });
  fc.assert(
    fc.property(fc.array(run), fc.array(run), (one, other) => {
      const tally = (all: readonly { failed: boolean; durationMs: number }[]): Tally =>
        all.reduce(counted, NO_RUNS);
      assert.deepEqual(together(tally(one), tally(other)), tally([...one, ...other]));
      const { runs: count, p95Ms } = figuresOf(tally(one));
      assert.equal(count, one.length);
      const longest = Math.max(
        50,
        ...one.filter(({ failed }) => !failed).map(({ durationMs }) => durationMs),
      );
      assert.ok(p95Ms === null || p95Ms <= longest * 1.1 + 1, `${p95Ms} of ${longest}`);
    }),
  );
});
