// Envelopes by themselves: what is required, what is lenient, what is written strictly, what is told of faults.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { type Envelope, REQUIRED, strictOf } from './envelope.ts';
import { errorObject } from './errors.ts';
import { message } from './fixture.test.ts';
import { METADATA_FORMS } from './metadata.ts';
import { payloadFaults } from './schemas.ts';
import { ALL_PAIRS, halvesOf, PAIRS } from './vocabulary.ts';

const plain = message('agent.execute', { query: 'q' });

function codeFor(envelope: JsonObject): string {
  try {
    strictOf(envelope);
  } catch (error) {
    return String(errorObject(error as DomainError, { service: 's', origin: '' }).code);
  }
  return 'none';
}

function errorsFor(envelope: JsonObject): readonly { readonly field: string }[] {
  try {
    strictOf(envelope);
  } catch (error) {
    return (error as DomainError).details.errors as never;
  }
  return [];
}

test('NOOB-1 each required field that is missing gets VAL_002 and is named, all of them at once', () => {
  for (const field of REQUIRED) {
    const { [field]: _, ...rest } = plain;
    if (field !== 'schema_version') assert.equal(codeFor(rest), 'VAL_002', field);
    assert.ok(
      errorsFor(rest).some(fault => fault.field === field),
      field,
    );
  }
  assert.deepEqual(
    errorsFor({}).map(fault => fault.field),
    [...REQUIRED],
  );
});

test('NOOB-2 NOOB-34 fields nobody knows are kept, at top level and in the metadata', () => {
  const kept = strictOf({
    ...plain,
    colour: 'red',
    metadata: { shape: [1], step_name: 's', error_code: 'X' },
  });
  assert.equal(kept.colour, 'red');
  assert.deepEqual(kept.metadata, { shape: [1], step_name: 's', error_code: 'X' });
});

test('NOOB-3 ids of 1 to 200 canonical characters are taken as they are, others get VAL_003', () => {
  assert.equal(strictOf({ ...plain, conversation_id: 'conv-123456' }).conversation_id, 'conv-123456');
  assert.equal(strictOf({ ...plain, task_id: 'a'.repeat(200) }).task_id.length, 200);
  for (const bad of ['', 'a'.repeat(201), 'ñ', 'a b', 7]) {
    assert.equal(codeFor({ ...plain, task_id: bad }), 'VAL_003', String(bad));
  }
});

test('NOOB-4 NOOB-35 times of any offset are written in UTC with milliseconds; other forms get VAL_003, an end before the beginning VAL_001', () => {
  const strict = strictOf({
    ...plain,
    created_at: '2025-06-04T12:15:30+02:00',
    expires_at: '2025-06-04T10:16:30.5Z',
    scheduled_for: '2025-06-04T12:15:31+02:00',
    metadata: { valid_until: '2025-06-04T10:20:00Z' },
  });
  assert.equal(strict.created_at, '2025-06-04T10:15:30.000Z');
  assert.equal(strict.expires_at, '2025-06-04T10:16:30.500Z');
  assert.equal(strict.scheduled_for, undefined);
  assert.deepEqual(strict.metadata, {
    scheduled_for: '2025-06-04T10:15:31.000Z',
    valid_until: '2025-06-04T10:20:00.000Z',
  });
  for (const bad of ['yesterday', '04/06/2025', 1_749_032_130])
    assert.equal(codeFor({ ...plain, created_at: bad }), 'VAL_003');
  assert.equal(codeFor({ ...plain, metadata: { scheduled_for: 'soon' } }), 'VAL_003');
  assert.equal(codeFor({ ...plain, expires_at: plain.created_at }), 'VAL_001');
});

test('NOOB-5 the four statuses are taken, error as failed, any other gets VAL_003', () => {
  for (const status of ['pending', 'processing', 'completed', 'failed'])
    assert.equal(strictOf({ ...plain, status }).status, status);
  assert.equal(strictOf({ ...plain, status: 'error' }).status, 'failed');
  assert.equal(codeFor({ ...plain, status: 'done' }), 'VAL_003');
});

test('NOOB-7 NOOB-8 every pair of the table is taken; other domains, actions and pairs get VAL_001', () => {
  for (const pair of ALL_PAIRS)
    assert.deepEqual(strictOf({ ...plain, type: halvesOf(pair) }).type, halvesOf(pair));
  for (const type of [
    { domain: 'magic', action: 'execute' },
    { domain: 'agent', action: 'sing' },
    { domain: 'agent', action: 'validate' },
    { domain: '__proto__', action: 'x' },
  ])
    assert.equal(codeFor({ ...plain, type }), 'VAL_001', JSON.stringify(type));
});

test('NOOB-9 priorities are whole numbers from 0 to 10, digits in a string count, others get VAL_004', () => {
  for (let priority = 0; priority <= 10; priority++) {
    assert.equal(strictOf({ ...plain, priority }).priority, priority);
    assert.equal(strictOf({ ...plain, priority: String(priority) }).priority, priority);
  }
  for (const bad of [-1, 11, 1.5, '11', 'high', true])
    assert.equal(codeFor({ ...plain, priority: bad }), 'VAL_004');
});

test('NOOB-11 hyphens in the names of services are underscores, and orchestrator is agent_orchestrator', () => {
  const strict = strictOf({ ...plain, source_service: 'orchestrator', target_service: 'agent-execution' });
  assert.deepEqual([strict.source_service, strict.target_service], ['agent_orchestrator', 'agent_execution']);
});

test('NOOB-12 delegated services have a service, a task and one of three statuses', () => {
  const one = { service: 'agent-execution', task_id: 'ae-task-001', status: 'pending' };
  assert.deepEqual(strictOf({ ...plain, delegated_services: [one] }).delegated_services, [
    { ...one, service: 'agent_execution' },
  ]);
  for (const bad of [{ ...one, status: 'running' }, { service: 'x' }, 'x'])
    assert.equal(codeFor({ ...plain, delegated_services: [bad] }), 'VAL_003');
});

test('NOOB-19 NOOB-29 NOOB-31 NOOB-34 each field of the metadata has its form, and another gets VAL_003', () => {
  const bad: Readonly<Record<string, unknown>> = {
    ...{ source: 1, user_id: '', timeout_ms: 0, retry_count: -1, expected_duration_ms: 1.5 },
    ...{ deduplication_key: 7, idempotency_key: '', trace_id: {}, client_version: 2, execution_context: [] },
    ...{
      encryption: 'rot13',
      log_level: 'loud',
      workflow_step_id: 1,
      workflow_id: 2,
      step_name: 3,
      user_locale: 'español',
    },
    ...{ experimental: 'yes', sensitive_data: 1, reply_to: 1 },
  };
  assert.deepEqual(Object.keys(bad).toSorted(), Object.keys(METADATA_FORMS).toSorted());
  for (const [field, value] of Object.entries(bad))
    assert.equal(codeFor({ ...plain, metadata: { [field]: value } as never }), 'VAL_003', field);
  const good = {
    source: 'api_gateway',
    log_level: 'warn',
    user_locale: 'es',
    experimental: true,
    timeout_ms: 1,
  };
  assert.deepEqual(strictOf({ ...plain, metadata: good }).metadata, good);
});

test('NOOB-157 a higher 1.x is taken and written 1.1, version is another name of it, another major gets VAL_001 with what is spoken', () => {
  assert.equal(strictOf({ ...plain, schema_version: '1.7', extra: 1 }).schema_version, '1.1');
  const { schema_version: _, ...rest } = plain;
  assert.equal(strictOf({ ...rest, version: '1.1' }).schema_version, '1.1');
  assert.equal(codeFor({ ...plain, schema_version: '2.0' }), 'VAL_001');
  assert.equal(codeFor({ ...plain, schema_version: 'new' }), 'VAL_003');
});

test('NOOB-158 a message of 1.0, its type one string and without the fields of tracing, is one of 1.1 inside', () => {
  const { correlation_id: _, task_id: __, ...rest } = plain;
  const strict = strictOf({ ...rest, schema_version: '1.0', type: 'agent.execute' });
  assert.deepEqual(strict.type, { domain: 'agent', action: 'execute' });
  assert.equal(strict.correlation_id, plain.message_id);
  assert.equal(strict.task_id, plain.message_id);
  assert.equal(strict.metadata?.original_schema_version, '1.0');
});

test('NOOB-156 whatever JSON comes is either a strict message or told its faults, and what is strict stays as it is', () => {
  fc.assert(
    fc.property(fc.object(), fc.constantFrom(...REQUIRED), (noise, field) => {
      for (const envelope of [noise as JsonObject, { ...plain, [field]: noise }]) {
        try {
          const strict: Envelope = strictOf(envelope as JsonObject);
          assert.deepEqual(strictOf(strict), strict);
        } catch (error) {
          assert.equal((error as DomainError).code, 'invalid_request');
        }
      }
    }),
  );
  const pairs = fc.constantFrom(...ALL_PAIRS);
  fc.assert(
    fc.property(
      pairs,
      fc.integer({ min: 0, max: 10 }),
      fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }),
      (pair, priority, at) => {
        const strict = strictOf({ ...plain, type: halvesOf(pair), priority, created_at: at.toISOString() });
        assert.deepEqual(strictOf(JSON.parse(JSON.stringify(strict))), strict);
      },
    ),
  );
});

test('NOOB-37 NOOB-58 NOOB-73 the payload of every pair is checked: what is missing, malformed or too much has its code', () => {
  const cases: readonly (readonly [string, JsonObject, string])[] = [
    ['agent.execute', {}, 'VAL_002'],
    ['agent.execute', { query: '' }, 'VAL_004'],
    ['agent.execute', { query: 'q', max_tokens: 0 }, 'VAL_004'],
    ['agent.execute', { query: 'q', stream: 'yes' }, 'VAL_003'],
    ['agent.status', { progress: 101 }, 'VAL_004'],
    ['agent.status', { stream_content: { type: 'song', content: '' } }, 'VAL_001'],
    ['workflow.start', {}, 'VAL_002'],
    ['workflow.start', { workflow_template_id: 't', execution_mode: 'later' }, 'VAL_001'],
    ['workflow.step', { step_type: 'agent_task', on_failure: 'retry_0_then_fail' }, 'VAL_003'],
    ['knowledge.search', { query: 'q', request_options: { limit: 101 } }, 'VAL_004'],
    ['tool.execute', {}, 'VAL_002'],
  ];
  for (const [pair, payload, code] of cases)
    assert.equal(payloadFaults(pair, payload)[0]?.code, code, `${pair} ${JSON.stringify(payload)}`);
  for (const policy of ['fail', 'continue', 'retry_once_then_fail', 'retry_3_then_continue'])
    assert.deepEqual(payloadFaults('workflow.step', { step_type: 'x', on_failure: policy }), []);
  for (const pair of ALL_PAIRS) assert.ok(PAIRS[pair] !== undefined);
});
