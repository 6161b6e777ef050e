// Names of queues: what each form means, and that every message is in the queues whose names say so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bandOf, placeOf, placesOf, queueOf } from './queues.ts';
import { ALL_PAIRS, halvesOf } from './vocabulary.ts';

const known = { services: ['billing'], sessions: ['s1', 's2'] };

function holds(
  name: string,
  message: { service: string; pair: string; priority: number; session?: string },
): boolean {
  const place = placeOf(message.service, { ...message, session: message.session ?? null });
  return placesOf(queueOf(name, 'acme'), known).includes(place);
}

test('NOOB-104 NOOB-105 queues of tasks hold what is said to a service, queues of results what it answered', () => {
  for (const [service, pair, answer] of [
    ['agent_execution', 'agent.execute', 'agent.response'],
    ['workflow_engine', 'workflow.start', 'workflow.status'],
    ['conversation', 'conversation.update', 'conversation.status'],
    ['knowledge_base', 'knowledge.search', 'knowledge.results'],
    ['authentication', 'auth.validate', 'auth.result'],
    ['tool_registry', 'tool.execute', 'tool.result'],
  ] as const) {
    assert.ok(holds(`${service}:tasks:acme`, { service, pair, priority: 5 }), service);
    assert.ok(!holds(`${service}:results:acme`, { service, pair, priority: 5 }), service);
    const answered = { service: 'agent_orchestrator', pair: answer, priority: 5 };
    assert.ok(holds(`${service}:results:acme`, answered), service);
    assert.ok(!holds(`${service}:tasks:acme`, answered), service);
  }
  assert.ok(
    holds('orchestrator:tasks:acme', { service: 'agent_orchestrator', pair: 'workflow.step', priority: 5 }),
  );
  assert.ok(
    holds('orchestrator:results:acme', { service: 'workflow_engine', pair: 'workflow.status', priority: 5 }),
  );
});

test('NOOB-104 NOOB-105 results of tools are by session, and those without one in the queue without', () => {
  const result = { service: 'agent_orchestrator', pair: 'tool.result', priority: 5 };
  assert.ok(holds('tool_registry:results:acme:s1', { ...result, session: 's1' }));
  assert.ok(!holds('tool_registry:results:acme:s1', { ...result, session: 's2' }));
  assert.ok(!holds('tool_registry:results:acme:s1', result));
  assert.ok(holds('tool_registry:results:acme', result));
});

test('NOOB-106 a filtered name holds the messages of its priority, domain and action and no others', () => {
  assert.deepEqual([0, 2, 3, 6, 7, 10].map(bandOf), ['high', 'high', 'normal', 'normal', 'low', 'low']);
  const service = 'agent_execution';
  for (const pair of ALL_PAIRS)
    for (const priority of [1, 5, 9]) {
      const one = { service, pair, priority };
      const { domain } = halvesOf(pair);
      assert.equal(
        holds('agent-execution.high.agent.execute', one),
        pair === 'agent.execute' && priority === 1,
      );
      assert.equal(holds('agent-execution.agent.execute', one), pair === 'agent.execute');
      assert.equal(holds('agent-execution.low.agent', one), domain === 'agent' && priority === 9);
      assert.equal(holds('agent_execution', one), true, pair);
    }
});

test('NOOB-107 names of other forms, and of other tenants, are no queues', () => {
  for (const name of [
    ...[
      'agent_execution:tasks:other',
      'agent_execution:stuff:acme',
      'agent_execution:tasks',
      'conversation:dlq:acme',
    ],
    ...[
      'agent-execution.urgent.agent',
      'agent-execution.high',
      'agent-execution.magic.execute',
      'a.agent.execute.x',
    ],
  ])
    assert.throws(() => queueOf(name, 'acme'), { code: 'not_found' }, name);
  assert.equal(queueOf('orchestrator:dlq:acme', 'acme').part, 'dead');
});
