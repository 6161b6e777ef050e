import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JsonObject } from '../../domain/json.ts';
import { fold, type Heard, type RemoteEvent, readStatus, readWebhook } from './event.ts';

const NEW: Heard = { sequence: null, eventAt: null, heardAt: 0, progress: null, lines: [], end: null };
const DIGEST = 'a'.repeat(64);

function webhook(event: string, more: JsonObject = {}): RemoteEvent {
  const read = readWebhook({ event_type: event, task_id: 'one', ...more });
  assert.ok(read !== null);
  return read;
}

function heard(events: readonly RemoteEvent[]): Heard {
  return events.reduce((known, event) => fold(known, event, 1), NEW);
}

const progress = (sequence: number): RemoteEvent =>
  webhook('task_progress', { sequence, status: { progress_percentage: sequence } });

test('SAM-97 whatever order progress comes in, the highest sequence is what stays', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: 1 }), sequences => {
      const known = heard(sequences.map(progress));
      const highest = Math.max(...sequences);
      assert.equal(known.progress?.percentage, highest);
      assert.equal(known.sequence, highest);
    }),
  );
});

test('SAM-97 nothing that comes after an end changes anything but when the agent was heard', () => {
  const done = heard([progress(1), webhook('task_completed', { sequence: 2, result: { output: 'x' } })]);
  const laters = [
    progress(3),
    webhook('task_failed', { sequence: 4 }),
    webhook('task_cancelled'),
    webhook('agent_error', { sequence: 5 }),
    readStatus({ current_status: { state: 'failed' } }),
  ];
  for (const later of laters) assert.deepEqual(fold(done, later, 9), { ...done, heardAt: 9 });
});

test('SAM-97 without sequences the timestamps order events, one without a zone being UTC', () => {
  const at = (timestamp: string, percentage: number) =>
    webhook('task_progress', { timestamp, status: { progress_percentage: percentage } });
  const known = heard([at('2026-01-01T00:00:02', 20), at('2026-01-01T00:00:01Z', 10)]);
  assert.equal(known.progress?.percentage, 20);
  assert.equal(known.eventAt, Date.UTC(2026, 0, 1, 0, 0, 2));
  assert.equal(
    heard([at('2026-01-01T00:00:02Z', 20), at('2026-01-01T00:00:03Z', 30)]).progress?.percentage,
    30,
  );
});

test('SAM-97 an event that names no step keeps the step named before', () => {
  const first = webhook('task_progress', { sequence: 1, status: { current_step: 'load', total_steps: 3 } });
  assert.deepEqual(heard([first, progress(2)]).progress, {
    percentage: 2,
    currentStep: 'load',
    totalSteps: 3,
  });
});

test('SAM-97 each of the eight events is read; one nobody knows is none, and one without a name is refused', () => {
  const ends = ['task_completed', 'task_failed', 'task_timeout', 'task_cancelled'].map(
    name => webhook(name).end?.outcome,
  );
  assert.deepEqual(ends, ['completed', 'failed', 'failed', 'cancelled']);
  for (const name of ['task_started', 'agent_error', 'resource_warning']) {
    assert.equal(webhook(name).end, null);
    assert.notEqual(webhook(name).line, null);
  }
  assert.equal(webhook('task_timeout').end?.error?.code, 'task_timeout');
  assert.equal(readWebhook({ event_type: 'task_dreamt' }), null);
  assert.throws(() => readWebhook({}), { code: 'invalid_request' });
});

test('SAM-99 an agent’s error code stays what it is; an unknown one is the task’s own failure and kept beside it', () => {
  const failureOf = (error: JsonObject) => webhook('task_failed', { result: { error } }).end?.error;
  assert.equal(failureOf({ code: 'RESOURCE_EXHAUSTED', message: 'm' })?.code, 'resource_exhausted');
  assert.equal(failureOf({ code: 'RESOURCE_EXHAUSTED' })?.recoverable, true);
  assert.equal(failureOf({ code: 'TASK_EXECUTION_FAILED' })?.code, 'task_failed');
  assert.equal(failureOf({ code: 'INTERNAL_ERROR', recoverable: false })?.recoverable, false);
  const unknown = failureOf({ code: 'E_PRINTER', message: 'on fire' });
  assert.deepEqual(unknown, {
    code: 'task_failed',
    message: 'on fire',
    recoverable: false,
    details: { remote_code: 'E_PRINTER' },
  });
});

test('an agent cannot make its task wait for ever', () => {
  const error = { code: 'RATE_LIMITED', retry_after: 1e9, details: { retry_after_ms: 1e15, rule: 'hourly' } };
  const end = webhook('task_failed', { result: { error } }).end;
  assert.deepEqual(end?.error?.details, { rule: 'hourly', retry_after_ms: 3_600_000 });
});

test('a completed event whose result says no success has failed', () => {
  const { end } = webhook('task_completed', { result: { success: false, error: { message: 'no' } } });
  assert.equal(end?.outcome, 'failed');
});

test('a status answer tells progress while the task runs, and the end once it has ended', () => {
  const running = readStatus({
    current_status: {
      state: 'running',
      progress: { percentage: 45, current_step: 'page 5' },
      timestamps: { last_update: '2026-01-01T00:00:01.000Z' },
    },
  });
  assert.equal(running.end, null);
  assert.deepEqual(running.progress, { percentage: 45, currentStep: 'page 5' });
  const done = readStatus({
    current_status: { state: 'completed' },
    execution_details: { output: 1, artifacts: [{ name: 'a', url: '/a', checksum: `sha256:${DIGEST}` }] },
    metrics: { data_transferred: 2.5 },
  });
  assert.equal(done.end?.output, 1);
  assert.equal(done.end?.metrics.bytesReceived, 2_500_000);
  assert.equal(done.end?.artifacts[0]?.sha256, DIGEST);
  const timedOut = readStatus({ current_status: { state: 'failed', outcome: 'timeout' } });
  assert.equal(timedOut.end?.error?.code, 'task_timeout');
});

test('an artifact nobody can fetch is no artifact', () => {
  const artifacts = ['id-1', { name: 'no address' }, 5, { url: 'https://files.test/x' }];
  const { end } = webhook('task_completed', { result: { artifacts } });
  assert.deepEqual(
    end?.artifacts.map(one => one.url),
    ['/api/v2/artifacts/id-1', 'https://files.test/x'],
  );
});
