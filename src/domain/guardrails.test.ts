import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from './errors.ts';
import { DEFAULT_GUARDRAILS, requireSoundGuardrails, ruleOf, taskBounds } from './guardrails.ts';

function refusal(work: () => unknown): DomainError {
  try {
    work();
  } catch (error) {
    if (error instanceof DomainError) return error;
  }
  throw new Error('it was not refused');
}

test('ARMY-70 a task that may take longer than the maximum, 5 minutes unless set, violates the policy', () => {
  assert.equal(taskBounds(DEFAULT_GUARDRAILS, { timeMs: 300_000 }).timeMs, 300_000);
  assert.equal(taskBounds(DEFAULT_GUARDRAILS, {}).timeMs, 300_000);
  const error = refusal(() => taskBounds(DEFAULT_GUARDRAILS, { timeMs: 300_001 }));
  assert.deepEqual([error.code, ruleOf(error)], ['policy_violation', 'task_time']);
  const longer = { ...DEFAULT_GUARDRAILS, taskTimeMsMax: 600_000 };
  assert.equal(taskBounds(longer, { timeMs: 300_001 }).timeMs, 300_001);
});

test('ARMY-71 a task that may use more tokens than the maximum, 4000 unless set, violates the policy; that is the limit where none is asked', () => {
  assert.equal(taskBounds(DEFAULT_GUARDRAILS, {}).tokens, 4_000);
  assert.equal(taskBounds(DEFAULT_GUARDRAILS, { tokens: 4_000 }).tokens, 4_000);
  const error = refusal(() => taskBounds(DEFAULT_GUARDRAILS, { tokens: 4_001 }));
  assert.deepEqual([error.code, ruleOf(error)], ['policy_violation', 'task_tokens']);
  assert.equal(taskBounds({ ...DEFAULT_GUARDRAILS, taskTokensMax: 9_000 }, {}).tokens, 9_000);
});

test('ARMY-70 ARMY-82 settings out of bounds are refused by their name', () => {
  requireSoundGuardrails({ qualityMin: 0.5, depthMax: 1 });
  for (const settings of [
    { qualityMin: 1.1 },
    { depthMax: 0 },
    { depthMax: 1.5 },
    { messagesPerMinute: Number.NaN },
  ]) {
    const error = refusal(() => requireSoundGuardrails(settings));
    assert.equal(error.code, 'invalid_request');
  }
  assert.match(refusal(() => requireSoundGuardrails({ agentMemoryMbMax: 0 })).message, /agent_memory_mb_max/);
});
