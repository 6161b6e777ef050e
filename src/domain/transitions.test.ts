// The machine's table against the requirement's own words, and the laws every walk through it keeps.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canMove,
  hasEnded,
  isEnd,
  isHeld,
  phaseOf,
  TASK_STATES,
  type TaskState,
  TRANSITIONS,
  walk,
} from './transitions.ts';

const ENDS: readonly TaskState[] = ['completed', 'failed', 'timeout', 'cancelled', 'rejected'];
const BEFORE_END: readonly TaskState[] = [
  'submitted',
  'validated',
  'queued',
  'allocated',
  'running',
  'completing',
  'paused',
];
const PHASES = ['init', 'run', 'notify', 'archive'];

function allowed(states: readonly TaskState[]): Record<string, string> {
  return Object.fromEntries(states.map(state => [state, [...TRANSITIONS[state]].sort().join('|')]));
}

/** A random walk from submission, as the states it visits. */
const walks = fc.array(fc.nat(), { maxLength: 40 }).map(choices => {
  const visited: TaskState[] = ['submitted'];
  let state: TaskState = 'submitted';
  for (const choice of choices) {
    const targets: readonly TaskState[] = TRANSITIONS[state];
    const next = targets[choice % targets.length];
    if (next === undefined) break;
    visited.push(next);
    state = next;
  }
  return visited;
});

test('SAM-101 before its end a task moves exactly along the listed steps', () => {
  assert.deepEqual(allowed(BEFORE_END), {
    submitted: 'cancelled|rejected|validated',
    validated: 'cancelled|queued|rejected',
    queued: 'allocated|cancelled|failed|paused|timeout',
    allocated: 'cancelled|failed|queued|running',
    running: 'cancelled|completing|failed|paused|queued|timeout',
    completing: 'cancelled|completed|failed|timeout',
    paused: 'cancelled|queued',
  });
});

test('SAM-102 after its end a task is notified or not, then archived, and a rejected one goes nowhere', () => {
  assert.deepEqual(allowed(TASK_STATES.filter(state => !BEFORE_END.includes(state))), {
    completed: 'archiving|notifying',
    failed: 'archiving|notifying',
    timeout: 'archiving|notifying',
    cancelled: 'archiving',
    rejected: '',
    notifying: 'notification_failed|notified',
    notified: 'archiving',
    notification_failed: 'archiving',
    archiving: 'archived',
    archived: '',
  });
});

test('SAM-102 no walk passes through two ends: the outcome never changes', () => {
  fc.assert(fc.property(walks, visited => visited.filter(isEnd).length <= 1));
});

test('on every walk a task, once ended, stays ended and is never held again', () => {
  fc.assert(
    fc.property(walks, visited => {
      const end = visited.findIndex(isEnd);
      const after = end < 0 ? [] : visited.slice(end);
      const before = end < 0 ? visited : visited.slice(0, end);
      return after.every(hasEnded) && !after.some(isHeld) && !before.some(hasEnded);
    }),
  );
});

test('on every walk the phase never goes back, except to init for another attempt', () => {
  fc.assert(
    fc.property(walks, visited =>
      visited.every((state, at) => {
        const earlier = visited[at - 1];
        if (earlier === undefined || state === 'queued') return true;
        return PHASES.indexOf(phaseOf(state)) >= PHASES.indexOf(phaseOf(earlier));
      }),
    ),
  );
});

test('every state can be reached from submission, and every one leads to a state without a way out', () => {
  const reach = (from: TaskState): ReadonlySet<TaskState> => {
    const seen = new Set<TaskState>([from]);
    for (const state of seen) for (const next of TRANSITIONS[state]) seen.add(next);
    return seen;
  };
  assert.deepEqual([...reach('submitted')].sort(), [...TASK_STATES].sort());
  for (const state of TASK_STATES) assert.ok(reach(state).has('archived') || reach(state).has('rejected'));
});

test('exactly the five outcomes are ends, and only they and what follows them have ended', () => {
  assert.deepEqual(TASK_STATES.filter(isEnd), ENDS);
  assert.deepEqual(
    TASK_STATES.filter(state => !hasEnded(state)),
    BEFORE_END,
  );
  assert.deepEqual(TASK_STATES.filter(isHeld), ['allocated', 'running', 'completing']);
});

test('a step is allowed exactly when the table lists it, and a walk throws at the first that is not', () => {
  fc.assert(
    fc.property(fc.constantFrom(...TASK_STATES), fc.constantFrom(...TASK_STATES), (from, to) => {
      const listed: readonly TaskState[] = TRANSITIONS[from];
      assert.equal(canMove(from, to), listed.includes(to));
      if (canMove(from, to)) assert.deepEqual(walk(from, [to]), [to]);
      else assert.throws(() => walk(from, [to]), { message: `the machine forbids ${from} -> ${to}` });
    }),
  );
  assert.throws(() => walk('queued', ['allocated', 'completed', 'queued']), /allocated -> completed/);
});
