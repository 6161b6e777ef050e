// Who may say what to whom, for every pair and every service.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import { permissionsOf } from '../../domain/principal.ts';
import type { Caller } from '../dialect/dialect.ts';
import type { Envelope } from './envelope.ts';
import { message } from './fixture.test.ts';
import { requireMaySay } from './permissions.ts';
import { ALL_PAIRS, halvesOf, SERVICES } from './vocabulary.ts';

const EVERYBODY = [...SERVICES, 'billing'];
const CALLERS = ['agent_orchestrator', 'agent_execution', 'workflow_engine'];

/** The table of the specification, written out once more by hand. */
const TABLE: Readonly<Record<string, readonly [from: readonly string[], to: readonly string[]]>> = {
  'agent.execute': [['agent_orchestrator', 'workflow_engine'], ['agent_execution']],
  'agent.update': [['agent_orchestrator', 'workflow_engine'], ['agent_execution']],
  'agent.query': [['agent_orchestrator', 'workflow_engine'], ['agent_execution']],
  'agent.status': [['agent_execution'], EVERYBODY],
  'agent.response': [['agent_execution'], EVERYBODY],
  'workflow.start': [['agent_orchestrator'], ['workflow_engine']],
  'workflow.update': [['agent_orchestrator'], ['workflow_engine']],
  'workflow.query': [['agent_orchestrator'], ['workflow_engine']],
  'workflow.step': [['workflow_engine'], ['agent_orchestrator']],
  'workflow.status': [['workflow_engine', 'agent_orchestrator'], EVERYBODY],
  'conversation.update': [['agent_orchestrator', 'agent_execution'], ['conversation']],
  'conversation.query': [['agent_orchestrator', 'agent_execution'], ['conversation']],
  'conversation.status': [['conversation'], EVERYBODY],
  'conversation.response': [['conversation'], EVERYBODY],
  'knowledge.search': [CALLERS, ['knowledge_base']],
  'knowledge.update': [['agent_orchestrator'], ['knowledge_base']],
  'knowledge.results': [['knowledge_base'], EVERYBODY],
  'knowledge.status': [['knowledge_base'], EVERYBODY],
  'auth.validate': [EVERYBODY, ['authentication']],
  'auth.result': [['authentication'], EVERYBODY],
  'tool.execute': [CALLERS, ['tool_registry']],
  'tool.update': [['agent_orchestrator'], ['tool_registry']],
  'tool.query': [EVERYBODY, ['tool_registry']],
  'tool.result': [['tool_registry'], EVERYBODY],
  'tool.status': [['tool_registry'], EVERYBODY],
  'tool.response': [['tool_registry'], EVERYBODY],
  'system.query': [EVERYBODY, ['agent_orchestrator']],
  'system.status': [EVERYBODY, ['agent_orchestrator']],
  'system.update': [EVERYBODY, ['agent_orchestrator']],
  'system.execute': [EVERYBODY, ['agent_orchestrator']],
  'system.response': [['agent_orchestrator'], EVERYBODY],
};
const NEEDS: Readonly<Record<string, string>> = {
  ...{ 'knowledge.update': 'memory:write', 'tool.update': 'admin' },
  ...{ 'system.update': 'admin', 'system.execute': 'admin' },
};

function caller(agent: string, permissions: readonly string[]): Caller {
  const tenant = 'default' as TenantId;
  const agentId = agent as AgentId;
  const principal = {
    tenant,
    id: `jwt:${agent}`,
    method: 'jwt',
    agentId,
    permissions: permissionsOf(permissions),
  } as const;
  return { principal, tenant, agentId, agent: null, isOperator: false };
}

function says(who: Caller, envelope: Envelope): boolean {
  try {
    requireMaySay(envelope, who, null);
    return true;
  } catch (error) {
    assert.equal((error as { readonly code: string }).code, 'forbidden');
    return false;
  }
}

test('NOOB-133 the table holds for every pair, every sender and every receiver', () => {
  for (const pair of ALL_PAIRS) {
    const [from, to] = TABLE[pair] ?? [EVERYBODY, EVERYBODY];
    assert.ok(TABLE[pair] !== undefined || /\.(?:notify|error)$/.test(pair), pair);
    for (const source of EVERYBODY)
      for (const target of EVERYBODY) {
        const envelope = { ...message(pair, {}), source_service: source, target_service: target } as Envelope;
        const who = caller(source, ['message:send', ...(NEEDS[pair] === undefined ? [] : [NEEDS[pair]])]);
        assert.equal(
          says(who, envelope),
          from.includes(source) && to.includes(target),
          `${source} ${pair} ${target}`,
        );
      }
  }
  assert.ok(Object.keys(TABLE).every(pair => ALL_PAIRS.includes(pair as never)));
});

test('NOOB-70 NOOB-71 NOOB-133 pairs that need a permission of their own are refused without it', () => {
  for (const [pair, needed] of Object.entries(NEEDS)) {
    const target = TABLE[pair]?.[1][0] ?? '';
    const envelope = { ...message(pair, {}), target_service: target } as Envelope;
    assert.equal(says(caller('agent_orchestrator', ['message:send']), envelope), false, pair);
    assert.equal(says(caller('agent_orchestrator', ['message:send', needed]), envelope), true, pair);
  }
});

test('NOOB-17 NOOB-132 credentials of another service or tenant say nothing', () => {
  const envelope = message('agent.execute', { query: 'q' }) as Envelope;
  assert.equal(says(caller('agent-orchestrator', []), envelope), true);
  assert.equal(says(caller('billing', []), envelope), false);
  assert.equal(says(caller('agent_orchestrator', []), { ...envelope, tenant_id: 'other' }), false);
  for (const pair of ALL_PAIRS) assert.equal(halvesOf(pair).domain.length > 0, true);
});
