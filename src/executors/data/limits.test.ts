import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Task } from '../../domain/task.ts';
import { AttemptTraffic } from '../../engine/traffic.ts';
import type { Clock } from '../../runtime/clock.ts';
import { LimitWatch } from './limits.ts';
import { StageProgress } from './stage-progress.ts';

const MIB = 1_048_576;

/** A clock moved by hand. */
function handClock() {
  let now = 0;
  const timers = new Set<{ at: number; callback: () => void }>();
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after(ms, callback) {
      const timer = { at: now + ms, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of [...timers].filter(({ at }) => at <= now)) {
      timers.delete(timer);
      timer.callback();
    }
  };
  return { clock, pass, pending: () => timers.size };
}

function setup(lease: { claimedAt: number; deadlineAt: number } | null = null) {
  const { clock, pass, pending } = handClock();
  const warnings: unknown[] = [];
  const samples: unknown[] = [];
  const traffic = new AttemptTraffic(clock, undefined);
  const context = {
    task: { lease } as Task,
    traffic,
    sample: (usage: object) => void samples.push(usage),
    warn: (...warning: unknown[]) => void warnings.push(warning),
  };
  const watch = new LimitWatch(clock, context, { memoryMb: 100, diskMb: 50 });
  const use = (memoryMb: number, diskMb = 0, cpuMs = 0): void =>
    watch.child(
      {
        residentBytes: (60 + memoryMb) * MIB,
        cpuMicros: cpuMs * 1_000,
        diskBytes: diskMb * MIB,
        diskOperations: 12,
      },
      60 * MIB,
    );
  return { watch, use, pass, pending, warnings, samples, traffic };
}

test('SAM-118 at 80 % of its memory, disk and time an attempt is warned once of each', () => {
  const { watch, use, pass, warnings } = setup({ claimedAt: 0, deadlineAt: 100_000 });
  use(79, 39);
  pass(79_999);
  assert.deepEqual(warnings, []);
  use(80, 39);
  use(95, 40);
  watch.disk(45 * MIB);
  pass(2);
  pass(100_000);
  assert.deepEqual(warnings, [
    ['memory', 80, 100],
    ['disk', 40, 50],
    ['time', 80, 100],
  ]);
});

test('SAM-118 over its memory or disk an attempt ends resource_exhausted, naming which', () => {
  const { watch, use } = setup();
  assert.throws(() => use(101), {
    code: 'resource_exhausted',
    details: { resource: 'memory', limit_mb: 100 },
  });
  assert.throws(() => use(1, 51), {
    code: 'resource_exhausted',
    details: { resource: 'disk', limit_mb: 50 },
  });
  assert.throws(() => watch.disk(51 * MIB), { code: 'resource_exhausted' });
});

test('SAM-124 samples are taken every five seconds, of disk operations every ten, peaks and means at the end; nothing is left pending', () => {
  const { watch, use, pass, pending, samples, traffic } = setup({ claimedAt: 0, deadlineAt: 100_000 });
  pass(1_000);
  use(10, 0, 500);
  pass(4_000);
  use(90, 0, 4_000);
  pass(1_000);
  use(20, 0, 5_500);
  assert.deepEqual(samples, [
    { cpuPercent: 50, memoryMb: 70 },
    { cpuPercent: 100, memoryMb: 80, diskOperations: 12 },
  ]);
  traffic.call();
  traffic.count({ received: 7 });
  const metrics = { executionSeconds: 6, memoryPeakMb: 150, cpuMeanPercent: 91.7 };
  const sent = { apiCalls: 1, bytesSent: 0, bytesReceived: 7 };
  assert.deepEqual(watch.finish(), { ...metrics, ...sent });
  traffic.stop();
  assert.equal(pending(), 0);
});

test('progress counts stages evenly, never falls, is told at most once a second within a stage, and stays below 100', () => {
  const { clock, pass } = handClock();
  const told: unknown[] = [];
  const progress = new StageProgress(clock, report => void told.push(report), 2);
  progress.next('Reading');
  progress.within(0.5);
  pass(1_000);
  progress.within(0.5);
  progress.within(0.6);
  progress.next('Writing');
  pass(1_000);
  progress.within(1);
  assert.deepEqual(told, [
    { percentage: 0, currentStep: 'Reading', totalSteps: 2 },
    { percentage: 25, currentStep: 'Reading', totalSteps: 2 },
    { percentage: 50, currentStep: 'Writing', totalSteps: 2 },
    { percentage: 99, currentStep: 'Writing', totalSteps: 2 },
  ]);
});
