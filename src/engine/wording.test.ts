// Notifications in words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Task } from '../domain/task.ts';
import { wordsOf } from './wording.ts';

function task(ranMs: number, more: object = {}, spec: object = {}): Task {
  return {
    ...{ id: 't', spec, outcome: 'failed', state: 'notifying', startedAt: 1_000, endedAt: 1_000 + ranMs },
    result: {
      metrics: {},
      error: { code: 'task_failed', message: 'no\r\nsuch\u202e thing', recoverable: false },
    },
    ...more,
  } as unknown as Task;
}

const about = { title: 'Workflow\r\nx', facts: [['Workflow', 'wf-1']] } as const;

test('NOOB-52 a notification in words says of what, how it ended, how long it took and why, each in one line', () => {
  assert.deepEqual(wordsOf(task(1_234), 'task_failed', about), {
    title: 'Workflow x failed',
    facts: [
      ['Workflow', 'wf-1'],
      ['Status', 'failed'],
      ['Duration', '1.2 s'],
      ['Error', 'task_failed'],
      ['Reason', 'no such\ufffd thing'],
      ['Task', 't'],
    ],
  });
  const durations = [0, 59_900, 60_000, 3_600_000, 7_503_400].map(
    ms => wordsOf(task(ms), 'task_failed', about).facts[2]?.[1],
  );
  assert.deepEqual(durations, ['0 s', '59.9 s', '1 min', '1 h', '2 h 5 min 3 s']);
});

test('NOOB-52 NOOB-33 a timeout is called one whoever is told of it, and of what is sensitive no reason is given', () => {
  const late = wordsOf(task(1_000, { outcome: 'timeout' }), 'task_failed', about);
  assert.equal(late.title, 'Workflow x timed out');
  const secret = wordsOf(task(1_000, {}, { sensitive: true }), 'task_failed', about);
  assert.deepEqual(secret.facts.at(-2), ['Error', 'task_failed']);
  const done = wordsOf(task(1_000, { outcome: 'completed', startedAt: null }), 'task_completed', about);
  assert.deepEqual(done.facts.slice(1), [
    ['Status', 'completed'],
    ['Task', 't'],
  ]);
});
