// How long what is asked may take, by what it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import type { Envelope } from './envelope.ts';
import { message } from './fixture.test.ts';
import { KINDS, kindOf, timeoutOf } from './task-terms.ts';
import { ALL_PAIRS, halvesOf, ruleOf } from './vocabulary.ts';

const TALK = { conversation_id: 'c-1' };

/** Pair, payload, what else it says, the kind, its time. */
const TABLE: readonly (readonly [string, JsonObject, JsonObject, keyof typeof KINDS, number])[] = [
  ['agent.execute', { query: 'q' }, TALK, 'chat', 30_000],
  ['agent.execute', { query: 'q' }, {}, 'batch', 300_000],
  ['tool.execute', { tool_name: 't' }, {}, 'tool', 10_000],
  ['tool.execute', { tool_name: 't' }, TALK, 'tool', 10_000],
  ['workflow.start', { execution_mode: 'sync' }, {}, 'interactive_workflow', 60_000],
  ['workflow.start', { execution_mode: 'async' }, {}, 'batch', 300_000],
  ['workflow.start', {}, {}, 'batch', 300_000],
  ['workflow.step', {}, {}, 'batch', 300_000],
  ['conversation.query', {}, TALK, 'query', 5_000],
  ['tool.query', {}, {}, 'query', 5_000],
  ['system.query', {}, {}, 'query', 5_000],
  ['auth.validate', {}, {}, 'query', 5_000],
  ['conversation.update', {}, TALK, 'batch', 300_000],
  ['knowledge.search', { query: 'q' }, {}, 'batch', 300_000],
  ['knowledge.update', {}, {}, 'batch', 300_000],
  ['tool.update', {}, {}, 'batch', 300_000],
  ['system.update', {}, {}, 'batch', 300_000],
  ['system.execute', {}, {}, 'maintenance', 1_800_000],
];

test('NOOB-110 NOOB-111 every pair that asks for something is of its kind, with the time of that kind', () => {
  for (const [pair, payload, more, kind, timeoutMs] of TABLE) {
    const envelope = message(pair, payload, more) as Envelope;
    assert.equal(kindOf(envelope), kind, `${pair} ${JSON.stringify(payload)}`);
    assert.equal(timeoutOf(envelope), timeoutMs, pair);
    const idle = message(pair, payload, { ...more, priority: 10 }) as Envelope;
    assert.deepEqual([kindOf(idle), timeoutOf(idle)], ['maintenance', 1_800_000], pair);
    const own = message(pair, payload, { ...more, metadata: { timeout_ms: 77 } }) as Envelope;
    assert.equal(timeoutOf(own), 77, pair);
  }
  const asking = ALL_PAIRS.filter(pair => {
    const { domain, action } = halvesOf(pair);
    return ruleOf(domain, action)?.kind === 'ask';
  });
  assert.deepEqual([...new Set(TABLE.map(([pair]) => pair))].toSorted(), asking.toSorted());
});

test('NOOB-110 each kind has the priority that is recommended for it', () => {
  assert.deepEqual(
    Object.fromEntries(Object.entries(KINDS).map(([kind, { priority }]) => [kind, priority])),
    {
      ...{ chat: 1, tool: 2, interactive_workflow: 3, query: 4, batch: 5, maintenance: 10 },
    },
  );
});
