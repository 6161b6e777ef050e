// Which events are told to requesters, and as what.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEndNotification } from './delivery.ts';
import { type EventBody, NOTIFICATION_EVENTS, notificationOf } from './event.ts';
import { isEnd, phaseOf, TASK_STATES, type TaskState } from './transitions.ts';

function stateEvent(to: TaskState, attempt?: number): EventBody {
  const base = { kind: 'state', from: null, to, actor: 'system', phase: phaseOf(to) } as const;
  return attempt === undefined ? base : { ...base, attempt };
}

test('SAM-79 each of the eight notifications comes from the event it names', () => {
  const error = { code: 'internal', message: 'crashed', recoverable: true } as const;
  const told = [
    stateEvent('running', 1),
    { kind: 'progress', attempt: 1, progress: { percentage: 5 } } as const,
    stateEvent('completed'),
    stateEvent('failed'),
    stateEvent('timeout'),
    stateEvent('cancelled'),
    { kind: 'agent_error', attempt: 1, agentId: 'a', error } as const,
    { kind: 'resource_warning', attempt: 1, resource: 'memory', value: 80, limit: 100 } as const,
  ].map(notificationOf);
  assert.deepEqual(told, [...NOTIFICATION_EVENTS]);
});

test('SAM-79 only the first attempt is a start; notes and other states are told to nobody', () => {
  assert.equal(notificationOf(stateEvent('running', 2)), null);
  assert.equal(notificationOf({ kind: 'note', name: 'intake.timed', detail: {} }), null);
  const silent = TASK_STATES.filter(state => notificationOf(stateEvent(state, 1)) === null);
  assert.deepEqual(
    silent.filter(state => isEnd(state)),
    ['rejected'],
  );
  assert.ok(silent.includes('notifying') && silent.includes('archived') && silent.includes('queued'));
});

test('the notifications of an end are exactly those that ends are told by', () => {
  const ofEnds = TASK_STATES.filter(isEnd).map(state => notificationOf(stateEvent(state)));
  assert.deepEqual(
    NOTIFICATION_EVENTS.filter(isEndNotification),
    ofEnds.filter(event => event !== null),
  );
});
