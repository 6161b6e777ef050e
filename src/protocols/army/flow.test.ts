// Flows as pure steps: what is asked when, and what is no news.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TenantId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { MessageId } from '../../domain/message.ts';
import { delayAfter, retries } from '../../domain/retry.ts';
import {
  after,
  begin,
  type Flow,
  type FlowFact,
  type FlowStep,
  isCircular,
  isOver,
  resultOf,
} from './flow.ts';
import { childOf, saidAs, sayings } from './flow-messages.ts';
import { DEFAULTS } from './settings.ts';
import { retryPolicy } from './task-terms.ts';

const limits = { minQualityScore: 0.7, roundsMax: 3 };
const tenant = 'default' as TenantId;

function step(id: string, dependsOn: readonly string[] = []): FlowStep {
  return {
    ...{ id, role: 'writer', taskType: 'w', description: 'd', parameters: null, dependsOn },
    ...{ state: 'waiting', round: 0, issues: [], result: null },
  };
}

function flowOf(steps: readonly FlowStep[], more: Partial<Flow> = {}): Flow {
  return begin({
    ...{
      root: 'r',
      requestId: 'm' as MessageId,
      correlationId: 'c',
      traceId: '',
      priority: 5,
      expiresAt: null,
    },
    ...{ taskType: 'x', terms: {}, needsReview: false, steps },
    ...more,
  });
}

const done = (id: string, result: Json = { content: id }, round = 0): FlowFact => ({
  ...{ fact: 'result', step: id, round, result },
});
const verdict = (score: number, more: object = {}): FlowFact => ({
  ...{ fact: 'verdict', by: 'validator', round: 0, valid: true, score, issues: [] },
  ...more,
});

test('ARMY-60 a task has three retries after its first try, after 1, 2 and 4 seconds, for what is recoverable alone', () => {
  const policy = retryPolicy(DEFAULTS);
  assert.deepEqual(
    [1, 2, 3].map(attempt => delayAfter(policy, attempt)),
    [1_000, 2_000, 4_000],
  );
  const failed = { code: 'upstream_timeout', message: '', recoverable: true } as const;
  assert.deepEqual(
    [1, 2, 3, 4].map(attempt => retries(policy, attempt, failed)),
    [true, true, true, false],
  );
  assert.equal(retries(policy, 1, { ...failed, recoverable: false }), false);
});

test('ARMY-66 a step is asked for once all it depends on is done, and the result is that of the last', () => {
  let flow = flowOf([step('a'), step('b', ['a']), step('c', ['a', 'b'])]);
  const asked = (): readonly string[] =>
    flow.steps.filter(({ state }) => state === 'asked').map(({ id }) => id);
  assert.deepEqual(asked(), ['a']);
  flow = after(flow, done('a'), limits);
  assert.deepEqual(asked(), ['b']);
  flow = after(after(flow, done('b'), limits), done('c'), limits);
  assert.equal(flow.phase, 'validating');
  assert.deepEqual(resultOf(flow), { content: 'c' });
  assert.equal(isCircular([step('a', ['b']), step('b', ['a'])]), true);
  assert.equal(isCircular(flow.steps), false);
});

test('ARMY-78 a score of 0.69 sends the result back, 0.70 releases it', () => {
  const ready = after(flowOf([step('a')]), done('a'), limits);
  assert.equal(after(ready, verdict(0.69), limits).phase, 'working');
  assert.equal(after(ready, verdict(0.7), limits).phase, 'storing');
  assert.equal(after(ready, verdict(1, { valid: false }), limits).phase, 'working');
});

test('ARMY-79 where a person is to decide, a good verdict leads to them, and their word needs no score', () => {
  const ready = after(flowOf([step('a')], { needsReview: true }), done('a'), limits);
  const reviewing = after(ready, verdict(1), limits);
  assert.equal(reviewing.phase, 'reviewing');
  assert.equal(after(reviewing, verdict(1), limits), reviewing);
  assert.equal(after(reviewing, verdict(0, { by: 'supervisor' }), limits).phase, 'storing');
  assert.equal(after(reviewing, verdict(1, { by: 'supervisor', valid: false }), limits).phase, 'working');
});

test('ARMY-68 a fact heard twice, of an earlier round or after the end changes nothing, and what is to be said is the same each time', () => {
  const fact = fc.oneof(
    fc.record({
      fact: fc.constant('result' as const),
      step: fc.constantFrom('a', 'b', 'z'),
      round: fc.nat(2),
      result: fc.constant('x'),
    }),
    fc.record({
      ...{
        fact: fc.constant('verdict' as const),
        by: fc.constantFrom('validator' as const, 'supervisor' as const),
      },
      ...{ round: fc.nat(3), valid: fc.boolean(), score: fc.constantFrom(0.5, 0.9), issues: fc.constant([]) },
    }),
    fc.record({ fact: fc.constant('stored' as const), round: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(fact, { maxLength: 30 }), fc.boolean(), (facts, needsReview) => {
      let flow = flowOf([step('a'), step('b', ['a'])], { needsReview });
      for (const one of facts) {
        const next = after(flow, one, limits);
        assert.equal(after(next, one, limits), next);
        assert.deepEqual(sayings(next, tenant), sayings(next, tenant));
        for (const draft of sayings(next, tenant)) assert.notEqual(saidAs(next, draft.id), null);
        if (isOver(flow)) assert.equal(next, flow);
        assert.ok(next.round <= limits.roundsMax);
        flow = next;
      }
    }),
  );
});

test('ARMY-69 only the last steps are asked again, with the issues, as another task of the flow', () => {
  let flow = flowOf([step('a'), step('b', ['a'])]);
  flow = after(after(flow, done('a'), limits), done('b'), limits);
  const before = sayings(after(flowOf([step('b')]), { fact: 'stored', round: 0 }, limits), tenant)[0];
  flow = after(flow, verdict(0, { valid: false, issues: ['thin'] }), limits);
  assert.deepEqual(
    flow.steps.map(({ state, round }) => [state, round]),
    [
      ['done', 0],
      ['asked', 1],
    ],
  );
  const [again] = sayings(flow, tenant);
  assert.notEqual(again?.id, before?.id);
  assert.equal(again?.taskId, 'r.b.r1');
  assert.ok(again?.meaning.act === 'request_task');
  const { retryCount, terms } = again.meaning.task;
  assert.deepEqual([retryCount, (terms.context as { issues?: Json }).issues], [1, ['thin']]);
});

test('ARMY-66 the task of a step has an id of its own, at most 200 characters however long the root’s', () => {
  const root = 'x'.repeat(200);
  const ids = ['a', 'b'].flatMap(id => [0, 1].map(round => childOf({ root }, { id, round })));
  assert.equal(new Set(ids).size, 4);
  for (const id of ids) assert.ok(id.length <= 200);
  assert.notEqual(childOf({ root: `${'x'.repeat(199)}y` }, { id: 'a', round: 0 }), ids[0]);
});
