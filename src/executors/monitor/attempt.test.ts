import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lease } from '../../domain/task.ts';
import { AttemptAbort } from '../../engine/ports/executor.ts';
import type { Finding } from './finding.ts';
import { errorOf, type Found, type Loose, Scheduled } from './fixture.test.ts';

const API = { type: 'http', name: 'api', url: 'https://api.example.com/' };
const every = (seconds: number, more: object = {}) => ({
  checks: [API],
  schedule: { interval: seconds, ...more },
});
/** Down from one instant to before another. */
const down =
  (from: number, until: number) =>
  (_: string, seconds: number): Found =>
    seconds >= from && seconds < until ? 'the status is 503' : 12;

test('SAM-171 runs are due at the interval from the start on, as many as the count says, however long each takes', async () => {
  const monitor = new Scheduled(() => async () => {
    await monitor.clock.advance(0);
    monitor.clock.leap(1_500);
    return { value: 1, latencyMs: 1, fault: null, detail: {} };
  });
  const { output } = await monitor.finish(every(10, { count: 4 }));
  assert.deepEqual(monitor.at, [0, 10, 20, 30]);
  const { runs, runs_missed: missed, ended_by: by } = output as Loose;
  assert.deepEqual([runs, missed, by], [4, 0, 'count']);
});

test('SAM-171 a duration ends the schedule before the run that would be due at its end, and progress is told by time', async () => {
  const monitor = new Scheduled(() => 5);
  const { output } = await monitor.finish(every(20, { duration: 60 }));
  assert.deepEqual(monitor.at, [0, 20, 40]);
  assert.equal((output as Loose).ended_by, 'duration');
  const percentages = monitor.reports.flatMap(({ percentage }) => percentage ?? []);
  assert.deepEqual(percentages, [0, 33, 66]);
});

test('SAM-171 a schedule by cron keeps to the time of its zone', async () => {
  const monitor = new Scheduled(() => 5);
  // Midnight of 1 January in UTC is 05:30 there.
  const schedule = { cron: '0 6 * * *', timezone: 'Asia/Kolkata', count: 2 };
  await monitor.finish({ checks: [API], schedule });
  assert.deepEqual(monitor.at, [1_800, 1_800 + 86_400]);
});

test('SAM-170 two failures in a row raise an alert, once, and two good results resolve it', async () => {
  const monitor = new Scheduled(down(20, 60));
  const { output } = await monitor.finish(every(10, { count: 12 }));
  assert.deepEqual(monitor.words, ['error api is critical: the status is 503', 'alert_resolved api']);
  const [raised, resolved] = monitor.reports
    .filter(({ alerts }) => (alerts?.length ?? 0) > 0)
    .map(({ intermediate }) => intermediate as Loose);
  assert.deepEqual([raised.run, resolved.run], [4, 8]);
  assert.deepEqual(
    raised.state_changes.map(({ check, from, to, told }: Loose) => [check, from, to, told]),
    [['api', 'ok', 'critical', true]],
  );
  const [check] = (output as Loose).checks;
  assert.deepEqual([check.state, check.failures, check.alerts, check.state_changes_total], ['ok', 4, 1, 2]);
  assert.deepEqual(monitor.lines, [
    'DEBUG api: ok',
    'DEBUG api: the status is 503',
    'WARN api is critical: the status is 503',
    'DEBUG api: ok',
    'INFO api is ok again',
  ]);
});

test('SAM-170 one failure among good results is counted, and nobody is told', async () => {
  const monitor = new Scheduled(down(30, 40));
  const { output } = await monitor.finish(every(10, { count: 10 }));
  assert.deepEqual(monitor.words, []);
  const [check] = (output as Loose).checks;
  assert.deepEqual([check.failures, check.availability_percent, check.state_changes], [1, 90, []]);
});

test('SAM-170 a threshold that is passed is a warning about a resource, and getting worse is told anew', async () => {
  const disk = { type: 'disk', name: 'root', thresholds: { warning: 80, critical: 90 } };
  const full = [70, 85, 86, 95, 96, 85, 84, 70, 70];
  const monitor = new Scheduled((_, seconds) => full[seconds / 10] ?? 0);
  await monitor.finish({ checks: [disk], schedule: { interval: 10, count: full.length } });
  assert.deepEqual(monitor.words, [
    'warning root 86 of 80',
    'warning root 96 of 90',
    'warning root 84 of 80',
    'alert_resolved root',
  ]);
});

test('SAM-170 a check that flaps is told of once, and what it has become when it calmed down', async () => {
  // Down and up by turns for ten minutes, each long enough to count; then down for good.
  const monitor = new Scheduled((_, seconds) =>
    seconds < 600 ? (Math.floor(seconds / 20) % 2 === 1 ? 'down' : 1) : 'down',
  );
  const { output } = await monitor.finish(every(10, { duration: 1_800 }));
  assert.deepEqual(monitor.words, [
    'error api is critical: down',
    'alert_resolved api',
    'error api is critical: down',
    'error api is flapping: 4 changes of state in a short time',
    'error api is critical: down',
  ]);
  const [check] = (output as Loose).checks;
  assert.equal(check.flapping, false);
  assert.ok(check.state_changes.some(({ told }: Loose) => !told));
  assert.ok(check.state_changes_total > 20);
});

test('SAM-171 a run that is due while another is under way is skipped, waits, or ends it, as the task says', async () => {
  const slow = (seconds: number): Found => (seconds === 0 ? takes(25_000) : 1);
  const takes =
    (ms: number) =>
    (signal: AbortSignal): Promise<Finding> =>
      new Promise((resolve, reject) => {
        monitor.clock.after(ms, () => resolve({ value: ms, latencyMs: ms, fault: null, detail: {} }));
        signal.addEventListener('abort', () => reject(signal.reason));
      });
  let monitor = new Scheduled(() => 0);
  const runsOf = async (overlap: string): Promise<Loose> => {
    monitor = new Scheduled((_, seconds) => slow(seconds));
    const { output } = await monitor.finish(every(10, { count: 3, overlap }));
    return [monitor.at, (output as Loose).runs_missed, monitor.intermediates[0].checks[0].message];
  };
  assert.deepEqual(await runsOf('skip'), [[0, 30, 40], 2, undefined]);
  assert.deepEqual(await runsOf('wait'), [[0, 25, 30], 1, undefined]);
  assert.deepEqual(await runsOf('restart'), [[0, 10, 20], 0, 'no result before the next run was due']);
});

test('SAM-171 SAM-69 after a pause the schedule goes on where its grid is: missed runs become one at once, or none', async () => {
  const resumed = async (catch_up: string): Promise<Loose> => {
    const monitor = new Scheduled(() => 1);
    const payload = every(10, { count: 6, catch_up });
    const stop = new AbortController();
    const first = monitor.start(payload, { signal: stop.signal });
    await monitor.clock.advance(12_000);
    stop.abort(new AttemptAbort('paused'));
    await assert.rejects(first, { cause: 'paused' });
    monitor.clock.leap(33_000);
    const { output } = await monitor.finish(payload, { checkpoint: monitor.checkpoint });
    return [monitor.at, (output as Loose).runs, (output as Loose).runs_missed];
  };
  assert.deepEqual(await resumed('once'), [[0, 10, 45, 50, 60, 70], 6, 2]);
  assert.deepEqual(await resumed('skip'), [[0, 10, 50, 60, 70, 80], 6, 3]);
});

test('SAM-170 SAM-172 wherever an attempt is cut off, the next one neither loses nor repeats a change, an alert or a result', async () => {
  const find = (_: string, seconds: number): Found => (seconds % 70 >= 40 ? 'down' : 10 + (seconds % 7));
  const payload = every(10, { count: 30, catch_up: 'once' });
  const whole = new Scheduled(find);
  const uncut = (await whole.finish(payload)).output as Loose;
  assert.ok(whole.words.length > 3);
  for (const cutEvery of [7_000, 10_000, 13_000, 41_000]) {
    const monitor = new Scheduled(find);
    let result: Loose = null;
    while (result === null) {
      const stop = new AbortController();
      const attempt = monitor.start(payload, { signal: stop.signal, checkpoint: monitor.checkpoint });
      attempt.then(
        done => (result = done),
        () => {},
      );
      await monitor.clock.advance(cutEvery);
      stop.abort(new AttemptAbort('lease_lost'));
      await attempt.catch(() => {});
    }
    assert.deepEqual(monitor.words, whole.words);
    assert.deepEqual(
      monitor.intermediates.map(({ run }) => run),
      whole.intermediates.map(({ run }) => run),
    );
    assert.deepEqual(result.output.checks, uncut.checks);
    assert.deepEqual(monitor.files, whole.files);
  }
});

test('a checkpoint that is none of this task’s begins anew', async () => {
  const monitor = new Scheduled(() => 1);
  for (const checkpoint of [{ version: 1, book: { standings: [] } }, { other: true }, [1]]) {
    const { output } = await monitor.finish(every(10, { count: 1 }), { checkpoint });
    assert.equal((output as Loose).runs, 1);
  }
});

test('SAM-66 SAM-67 a cancel ends the wait and the look under way at once, and what was found is kept', async () => {
  const hanging = new Scheduled(
    () => signal => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  const stop = new AbortController();
  const attempt = hanging.start(every(10), { signal: stop.signal });
  await hanging.clock.advance(1_000);
  stop.abort(new AttemptAbort('cancelled'));
  await assert.rejects(attempt, { cause: 'cancelled' });

  const waiting = new Scheduled(() => 1);
  const end = new AbortController();
  const second = waiting.start(every(3_600), { signal: end.signal });
  await waiting.clock.advance(3_700_000);
  end.abort(new AttemptAbort('cancelled'));
  await assert.rejects(second, { cause: 'cancelled' });
  assert.equal(JSON.parse(waiting.files.get('history-1.json') ?? '').points.length, 2);
});

test('SAM-129 a schedule without an end is over, well, before the time of its task is, and warns of that', async () => {
  const monitor = new Scheduled(() => 1);
  const claimedAt = monitor.clock.now();
  const lease = { claimedAt, deadlineAt: claimedAt + 60_000 } as Lease;
  const { status, output } = await monitor.finish(every(10), { timeoutMs: 100_000, ranMs: 20_000, lease });
  assert.equal(status, 'completed');
  assert.equal((output as Loose).ended_by, 'timeout');
  assert.deepEqual(monitor.at, [0, 10, 20, 30, 40, 50, 60]);
  assert.deepEqual(monitor.warnings, ['time 80 of 100']);
});

test('SAM-173 a failing target is a result, unless fail_on makes it a failure, at once and for good', async () => {
  const monitor = new Scheduled(down(20, 1_000));
  const kept = await monitor.finish(every(10, { count: 6 }));
  assert.deepEqual([kept.status, (kept.output as Loose).state], ['completed', 'critical']);
  const strict = new Scheduled(down(20, 1_000));
  const result = await strict.finish({ ...every(10, { count: 6 }), fail_on: 'critical' });
  const { code, message, recoverable, details } = errorOf(result);
  assert.deepEqual([code, message, recoverable], ['task_failed', 'api is critical', false]);
  assert.deepEqual(details?.checks, [{ check: 'api', state: 'critical', message: 'the status is 503' }]);
  assert.deepEqual(strict.at, [0, 10, 20, 30]);
  assert.equal((result.output as Loose).ended_by, 'fail_on');
  const once = new Scheduled(() => 'the status is 500');
  assert.equal(errorOf(await once.finish({ checks: [API], fail_on: 'warning' })).code, 'task_failed');
});

test('SAM-172 the output sums up each check, and its history is a file, as JSON or CSV', async () => {
  const monitor = new Scheduled((_, seconds) => (seconds === 30 ? 'down' : seconds + 10));
  const { output } = await monitor.finish({ ...every(10, { count: 5 }), history: { format: 'csv' } });
  const { checks, history } = output as Loose;
  const [{ last, latency_ms: latency, availability_percent: availability }] = checks;
  const { p50, ...exact } = latency;
  assert.deepEqual(exact, { min: 10, mean: 27.5, p95: 50, p99: 50, max: 50 });
  assert.ok(Math.abs(p50 - 20) <= 0.2, String(p50));
  assert.deepEqual([availability, last.value, last.level], [80, 50, 'ok']);
  assert.equal(history[0].name, 'history-1.csv');
  const lines = monitor.files.get('history-1.csv')?.trimEnd().split('\r\n') ?? [];
  assert.equal(lines.length, 6);
  assert.equal(lines[4], '2026-01-01T00:00:30.000Z,api,http,critical,,ms,,dependency_failed');
});

test('SAM-172 a checkpoint stays small however many runs there were: what is old lies in files', async () => {
  const monitor = new Scheduled((_, seconds) => 1 + (seconds % 60_000) / 1_000);
  const checks = Array.from({ length: 50 }, (_, n) => ({ ...API, name: `api ${n}` }));
  const { output } = await monitor.finish({ checks, schedule: { interval: 60, count: 140 } });
  const sizes = monitor.reports.map(({ checkpoint }) => JSON.stringify(checkpoint ?? null).length);
  assert.ok(Math.max(...sizes) < 200_000, String(Math.max(...sizes)));
  const points = [...monitor.files.values()].flatMap(text => JSON.parse(text).points as Loose[]);
  assert.equal(points.length, 7_000);
  assert.equal(new Set(points.map(({ at, check }) => at + check)).size, 7_000);
  assert.ok((output as Loose).history.length > 1);
});

test('SAM-171 jitter makes a run late by less than it says, and the next ones no later', async () => {
  const monitor = new Scheduled(() => 1);
  await monitor.finish(every(10, { count: 20, jitter: 4 }));
  const late = monitor.at.map((seconds, run) => seconds - 10 * run);
  assert.ok(late.every(one => one >= 0 && one < 4));
  assert.ok(new Set(late).size > 10);
});
