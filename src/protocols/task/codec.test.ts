// The codec of the task wire by itself: forms, schemas, coercion, errors; no server is needed for what it claims.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Message, MessageId } from '../../domain/message.ts';
import { permissionsOf } from '../../domain/principal.ts';
import type { EnvelopeScene } from '../dialect/dialect.ts';
import { decode, normalized, typeOf } from './decode.ts';
import { fieldsOf, meaningOf } from './meaning.ts';
import { isMessageType, SCHEMAS, type TaskMessageType } from './schemas.ts';
import { emitted } from './utterance.ts';
import { actingPriority } from './vocabulary.ts';

const NOW = Date.parse('2026-03-01T12:00:00.000Z');
const AT = new Date(NOW).toISOString();
const scene: EnvelopeScene = {
  caller: {
    principal: {
      tenant: DEFAULT_TENANT,
      id: 'jwt:ann',
      method: 'jwt',
      agentId: 'ann' as never,
      permissions: permissionsOf(['task:execute']),
    },
    tenant: DEFAULT_TENANT,
    agentId: 'ann' as never,
    agent: null,
    isOperator: false,
  },
  now: NOW,
  traceId: '0'.repeat(32),
  headers: {},
  isPrivate: true,
  newId: () => 'new-id',
};
const read = (envelope: JsonObject, headers: EnvelopeScene['headers'] = {}) =>
  decode(envelope, { ...scene, headers }, async () => ['coordinator']);
const refusal = async (
  envelope: JsonObject,
  headers: EnvelopeScene['headers'] = {},
): Promise<DomainError> => {
  const thrown = await read(envelope, headers).then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof DomainError, `was taken: ${JSON.stringify(envelope)}`);
  return thrown;
};

test('TASK-1 TASK-5 a flat object with its type beside its fields is read, every envelope field optional', async () => {
  const { draft } = await read({ type: 'task.submit', task_id: 't', task_type: 'x' });
  assert.deepEqual(
    [draft.id, draft.type, draft.from, draft.correlationId, draft.sentAt, draft.priority],
    ['new-id', 'task.submit', 'ann', 't', NOW, 5],
  );
  const full = await read({
    ...{ type: 'task.status', task_id: 't', message_id: 'm', from: 'ann', to: 'coordinator' },
    ...{ correlation_id: 'c', reply_to: 'r', timestamp: AT, protocol_version: '1.0.0', signature: 'x..y' },
    expires_at: new Date(NOW + 1).toISOString(),
  });
  const { id, correlationId, replyTo, expiresAt } = full.draft;
  assert.deepEqual([id, correlationId, replyTo, expiresAt], ['m', 'c', 'r', NOW + 1]);
});

test('TASK-2 all known types and no other are types', async () => {
  const known = [
    ...['task.submit', 'task.status', 'task.control.pause', 'task.control.resume', 'task.control.cancel'],
    ...['task.control.ack', 'task.control.reject', 'resource.allocate', 'resource.release'],
    ...['resource.allocated', 'resource.denied', 'state.changed', 'state.sync', 'state.verify'],
    ...['state.verified', 'protocol.error'],
  ];
  for (const type of known) assert.ok(isMessageType(type), type);
  const error = await refusal({ type: 'task.fly', task_id: 't' });
  assert.deepEqual([error.code, error.details.types], ['invalid_request', Object.keys(SCHEMAS)]);
});

test('TASK-3 task.control with a command is that command’s own type', async () => {
  for (const command of ['pause', 'resume', 'cancel']) {
    const { draft } = await read({ type: 'task.control', command, task_id: 't' });
    assert.equal(draft.type, `task.control.${command}`);
    assert.equal(draft.meaning.act, 'control_task');
  }
  assert.equal(
    (await refusal({ type: 'task.control', command: 'fly', task_id: 't' })).code,
    'invalid_request',
  );
});

test('TASK-4 the source’s bare form is read by header, message_type, status, or task_id with type', () => {
  assert.equal(typeOf({ task_id: 't' }, { 'x-message-type': 'task.control.cancel' }), 'task.control.cancel');
  assert.equal(typeOf({ task_id: 't', message_type: 'state.verify' }), 'state.verify');
  assert.equal(typeOf({ task_id: 't', status: 'running' }), 'task.status');
  assert.equal(typeOf({ task_id: 't', type: 'data_processing' }), 'task.submit');
  assert.equal(
    normalized({ task_id: 't', type: 'data_processing' }, 'task.submit').task_type,
    'data_processing',
  );
  assert.throws(() => typeOf({ task_id: 't' }));
  assert.throws(() => typeOf({ task_id: 't', type: 'x', message_type: 'nonsense' }));
});

test('TASK-10 TASK-92 a task id follows the canonical rule and a task type has 1–200 characters', async () => {
  const submit = { type: 'task.submit', task_id: 'task-123e4567-e89b', task_type: 'x' };
  assert.equal((await read(submit)).draft.taskId, 'task-123e4567-e89b');
  for (const wrong of ['', 'a b', 'ä', 'x'.repeat(201), 7]) {
    const error = await refusal({ ...submit, task_id: wrong });
    assert.deepEqual((error.details.errors as JsonObject[])[0]?.field, 'task_id');
  }
  for (const wrong of ['', 'x'.repeat(201)])
    assert.equal((await refusal({ ...submit, task_type: wrong })).code, 'invalid_request');
  const { task_id: _, ...without } = submit;
  assert.deepEqual(
    ((await refusal(without)).details.errors as JsonObject[]).map(({ field }) => field),
    ['task_id'],
  );
});

test('TASK-12 a priority is an integer from 0; above 9 it acts as 9 and is kept as given', async () => {
  const submit = { type: 'task.submit', task_id: 't', task_type: 'x' };
  for (const [given, acts] of [
    [0, 0],
    [1, 1],
    [9, 9],
    [10, 9],
    [1_000, 9],
  ] as const) {
    const { draft } = await read({ ...submit, priority: given });
    assert.equal(draft.priority, acts);
    assert.ok(draft.meaning.act === 'request_task' && draft.meaning.task.terms.priority === given);
    assert.equal(actingPriority(given), acts);
  }
  for (const wrong of [-1, 1.5, '1', null])
    assert.equal((await refusal({ ...submit, priority: wrong })).code, 'invalid_request');
});

test('TASK-20 TASK-21 TASK-23 a report has a known status, a progress within 0–1 and numbers as metrics', async () => {
  const report = { type: 'task.status', task_id: 't', status: 'running' };
  const { draft } = await read({ ...report, progress: 0.45, metrics: { cpu_usage: 75.5, own: 1 } });
  assert.ok(draft.meaning.act === 'report_progress');
  assert.deepEqual([draft.meaning.percentage, draft.meaning.metrics], [45, { cpu_usage: 75.5, own: 1 }]);
  for (const wrong of [
    { status: 'done' },
    { progress: 1.1 },
    { progress: -0.1 },
    { metrics: { a: 'x' } },
    { progress: '1' },
  ])
    assert.equal((await refusal({ ...report, ...wrong })).code, 'invalid_request', JSON.stringify(wrong));
});

test('TASK-27 a status of nothing but task_id asks', async () => {
  assert.equal((await read({ type: 'task.status', task_id: 't' })).draft.meaning.act, 'ask_status');
  assert.equal(
    (await read({ type: 'task.status', task_id: 't', progress: 0 })).draft.meaning.act,
    'report_progress',
  );
});

test('TASK-72 TASK-92 expires_at is later than timestamp', async () => {
  const message = { type: 'task.status', task_id: 't', timestamp: AT, expires_at: AT };
  assert.deepEqual(((await refusal(message)).details.errors as JsonObject[])[0]?.field, 'expires_at');
});

test('TASK-82 a from other than the caller’s own is refused unless it may act for all', async () => {
  assert.equal((await refusal({ type: 'task.status', task_id: 't', from: 'bob' })).code, 'forbidden');
  const operator = { ...scene, caller: { ...scene.caller, agentId: null, isOperator: true } };
  const message = { type: 'task.status', task_id: 't', from: 'bob' };
  assert.equal((await decode(message, operator, async () => [])).draft.from, 'bob');
});

test('TASK-105 TASK-106 the same major version is taken with its unknown fields, another lists those spoken', async () => {
  const message = { type: 'task.status', task_id: 't', new_field: { a: 1 } };
  for (const version of ['1.0.0', '1.7.3', '1'])
    assert.deepEqual((await read({ ...message, protocol_version: version })).draft.envelope?.new_field, {
      a: 1,
    });
  assert.equal((await read(message, { 'protocol-version': '1.2.0' })).draft.taskId, 't');
  for (const given of [
    await refusal({ ...message, protocol_version: '2.0.0' }),
    await refusal(message, { 'protocol-version': '2.0.0' }),
  ])
    assert.deepEqual([given.code, given.details.versions], ['invalid_request', ['1.0.0']]);
});

test('TASK-7 TASK-108 messages recorded from version 1.0.0 are read, and written back the same', async () => {
  const recorded: readonly JsonObject[] = [
    {
      type: 'task.submit',
      message_id: 'r1',
      task_id: 't1',
      task_type: 'research',
      input: { q: 'x' },
      priority: 1,
      dependencies: ['t0', { task_id: 't2', condition: 'ended' }],
      metadata: { source: 's' },
      requirements: { cpu_cores: 1, memory_gb: 0.5 },
      deadline: '2026-03-02T00:00:00Z',
    },
    {
      type: 'task.status',
      message_id: 'r2',
      task_id: 't1',
      status: 'running',
      progress: 0.45,
      metrics: { throughput: 1000 },
      timestamp: AT,
      checkpoint: { id: 'c1', data: [1] },
    },
    {
      type: 'task.status',
      message_id: 'r3',
      task_id: 't1',
      status: 'failed',
      error: { code: 'boom', message: 'm', recoverable: true },
    },
    { type: 'task.control.pause', message_id: 'r4', task_id: 't1', reason: 'why' },
    { type: 'task.control.resume', message_id: 'r5', task_id: 't1', checkpoint: 'c1' },
    { type: 'task.control.cancel', message_id: 'r6', task_id: 't1', reason: 'why' },
    { type: 'task.control.ack', message_id: 'r7', command_id: 'r4', status: 'applied' },
    { type: 'task.control.reject', message_id: 'r8', command_id: 'r4', reason: 'conflict: no' },
    { type: 'resource.allocate', message_id: 'r9', task_id: 't1', requirements: { gpu_units: 1 } },
    { type: 'resource.release', message_id: 'r10', task_id: 't1', resource_ids: ['gpu_units.r9'] },
    { type: 'state.sync', message_id: 'r11', task_id: 't1', state: { a: null }, expected_version: 3 },
    { type: 'state.verify', message_id: 'r12', task_id: 't1', version: 3, hash: 'ab' },
    {
      task_id: 'task-123e4567-e89b',
      status: 'running',
      progress: 0.45,
      metrics: { cpu_usage: 75.5 },
      timestamp: AT,
    },
  ];
  for (const message of recorded) {
    const { draft } = await read(message);
    assert.deepEqual(JSON.parse(JSON.stringify(draft.envelope)), message);
  }
});

test('TASK-7 what is said in another wire’s words and has words here is written by its schema, and reads as it was meant', () => {
  const text = fc.stringMatching(/^[A-Za-z0-9._:-]{1,40}$/);
  const number = fc.integer({ min: 0, max: 100 });
  const meanings = fc.oneof(
    fc
      .record({
        taskId: text,
        status: fc.constantFrom('running' as const, 'paused' as const, 'pending' as const),
        percentage: number,
      })
      .map(one => ({
        act: 'report_progress' as const,
        ...one,
        taskId: one.taskId as TaskId,
        note: null,
        metrics: {},
        checkpoint: null,
      })),
    fc.record({ taskId: text, result: fc.jsonValue() }).map(({ taskId, result }) => ({
      act: 'report_outcome' as const,
      taskId: taskId as TaskId,
      status: 'completed' as const,
      result: JSON.parse(JSON.stringify(result)),
      error: null,
    })),
    fc
      .record({
        taskId: text,
        command: fc.constantFrom('pause' as const, 'cancel' as const),
        reason: fc.string({ minLength: 1, maxLength: 50 }),
      })
      .map(one => ({
        act: 'control_task' as const,
        ...one,
        taskId: one.taskId as TaskId,
        checkpoint: null,
      })),
  );
  fc.assert(
    fc.property(meanings, meaning => {
      const message = {
        meaning,
        type: 'other',
        replyTo: 'm0' as MessageId,
        traceId: '0',
      } as unknown as Message;
      const fields = emitted({
        message_id: 'x',
        timestamp: AT,
        protocol_version: '1.0.0',
        ...fieldsOf(message),
      });
      const back = meaningOf(fields.type as TaskMessageType, fields);
      assert.deepEqual(JSON.parse(JSON.stringify(back)), JSON.parse(JSON.stringify(meaning)));
    }),
  );
});

test('TASK-104 whatever JSON arrives is either read or refused as not valid', async () => {
  const names = [
    'type',
    'task_id',
    'status',
    'progress',
    'metrics',
    'command',
    'to',
    'from',
    'priority',
    'timestamp',
  ];
  const object = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), fc.jsonValue(), {
    maxKeys: 8,
  });
  const typed = fc
    .tuple(object, fc.constantFrom(...Object.keys(SCHEMAS)))
    .map(([one, type]) => ({ ...one, type }));
  await fc.assert(
    fc.asyncProperty(fc.oneof(object, typed), async envelope => {
      try {
        await read(JSON.parse(JSON.stringify(envelope)));
      } catch (error) {
        assert.ok(
          error instanceof DomainError && ['invalid_request', 'forbidden'].includes(error.code),
          String(error),
        );
      }
    }),
    { numRuns: 1_000 },
  );
});
