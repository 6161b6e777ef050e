// The codec: what is written is read as the same, whatever is read is answered, and what other wires say reads sensibly here.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { player } from '../../../test/army-stage.ts';
import { openPost } from '../../../test/post.ts';
import { createToyDialect } from '../../../test/toy-dialect.ts';
import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TaskId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Meaning, Message, MessageId } from '../../domain/message.ts';
import { permissionsOf } from '../../domain/principal.ts';
import type { EnvelopeScene } from '../dialect/dialect.ts';
import { bodyCheck } from '../validation.ts';
import { decode, type ReadingParts } from './decode.ts';
import { durationMs, durationText } from './durations.ts';
import { encode } from './encode.ts';
import { idFrom } from './ids.ts';
import { meaningOf, wordsFor } from './meanings.ts';
import { MESSAGES, PAYLOADS } from './schemas.ts';
import { PRIORITIES, priorityWord, RULES, TYPES, type Type } from './words.ts';

const text = fc.string({ minLength: 1, maxLength: 20 });
const id = fc.stringMatching(/^[A-Za-z0-9._:-]{1,20}$/);
const object = fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.oneof(text, fc.integer(), fc.boolean()), {
  minKeys: 1,
  maxKeys: 3,
  noNullPrototype: true,
});
const optional = { requiredKeys: [] };
const error = fc.record({
  ...{
    error_type: fc.constant('execution_error'),
    error_code: fc.constantFrom('API_TIMEOUT', 'ODD', 'FORBIDDEN'),
  },
  ...{
    message: text,
    context: fc.record({ task_id: id, attempt: fc.nat(9) }),
    recoverable: fc.constant(true),
  },
  suggested_action: fc.constant('retry_with_backoff'),
});

/** Payloads of every type, as this server would send them. */
const SAID: Readonly<Record<Type, fc.Arbitrary<JsonObject>>> = {
  task_request: fc
    .record({ task_id: id, task_type: fc.stringMatching(/^[a-z_]{1,9}$/), description: text })
    .chain(most =>
      fc
        .record(
          {
            parameters: object,
            context: object,
            expected_output: fc.record({ format: text }),
            extra: object,
          },
          optional,
        )
        .map(rest => ({ ...most, ...rest })),
    ),
  task_response: fc.record({
    ...{ task_id: id, status: fc.constantFrom('completed', 'failed', 'cancelled') },
    result: fc.oneof(
      fc.constant(null),
      object.map(content => ({ content })),
    ),
  }),
  task_update: fc.record({
    ...{
      task_id: id,
      status: fc.constantFrom('pending', 'running', 'paused'),
      progress: fc.integer({ min: 0, max: 100 }),
    },
    message: text,
  }),
  error,
  status_query: fc.oneof(
    fc.record({ task_id: id }),
    fc.constant({ scope: 'system' }),
    fc.record({ role: fc.constantFrom('writer', 'tool') }),
  ),
  status_response: object,
  coordination: fc.record({ action: text, more: object }),
  validation_request: fc.record({
    content: text,
    validation_rules: fc.constant([...RULES]),
    context: object,
  }),
  validation_response: fc.record({
    ...{ valid: fc.boolean(), score: fc.double({ min: 0, max: 1, noNaN: true }) },
    ...{ issues: fc.array(text), recommendations: fc.array(text) },
  }),
  memory_store: fc.record({
    ...{ key: text, value: object, tags: fc.array(text, { minLength: 1 }) },
    ttl: fc.integer({ min: 1, max: 10_000_000 }).map(s => durationText(s * 1_000)),
  }),
  memory_query: fc.record({
    query: fc.record({ type: fc.constant('key'), text }),
    limit: fc.integer({ min: 1, max: 100 }),
  }),
  memory_response: object,
  heartbeat: fc.record({ load: fc.nat(9), capacity: fc.nat(9) }),
  shutdown: fc.record({ reason: text, grace: fc.constant('PT5S') }),
  config_update: fc.record({ settings: fc.record({ max_tokens: fc.integer({ min: 1, max: 9_999 }) }) }),
};

const tenant = 'default' as TenantId;
const message = (meaning: Meaning, more: Partial<Message> = {}): Message => ({
  ...{
    tenant,
    id: 'm' as MessageId,
    dialect: 'army',
    type: 'coordination',
    from: 'writer:ann',
    to: ['coordinator'],
  },
  ...{
    correlationId: 'c',
    replyTo: null,
    taskId: null,
    priority: 5,
    sentAt: 0,
    expiresAt: null,
    traceId: '',
  },
  ...{
    actor: 'system',
    agentId: null,
    meaning,
    envelope: null,
    position: '1',
    acceptedAt: 1_700_000_000_000,
  },
  ...more,
});

test('ARMY-17 ARMY-22 ARMY-24 a payload of any type that is read and written again is the same, and what is written meets its schema', () => {
  for (const type of TYPES) {
    const check = bodyCheck(PAYLOADS[type]);
    fc.assert(
      fc.property(SAID[type], said => {
        const payload = JSON.parse(JSON.stringify(said)) as JsonObject;
        assert.equal(check(payload), null, JSON.stringify(payload));
        const meaning = meaningOf(type, payload, 0);
        const words = wordsFor(meaning, type);
        assert.deepEqual(words, { type, payload });
        const envelope = encode(message(meaning, { type }));
        assert.deepEqual(envelope.payload, payload);
        assert.equal(bodyCheck(MESSAGES[type])(envelope), null);
      }),
      { numRuns: 60 },
    );
  }
});

test('ARMY-21 ARMY-22 context, expected output and unknown members of a request are kept as they are', () => {
  const payload = {
    ...{ task_id: 't', task_type: 'research', description: 'd' },
    context: { user_id: 'u', session_id: 's', anything: { deep: [1] } },
    expected_output: { format: 'poem', sections: ['a'] },
    novelty: 7,
  };
  const meaning = meaningOf('task_request', payload, 2);
  assert.equal(meaning.act === 'request_task' && meaning.task.retryCount, 2);
  assert.deepEqual(wordsFor(meaning, null)?.payload, payload);
});

test('ARMY-6 a priority is written as the nearest named level that is not more urgent', () => {
  const words = ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const).map(priorityWord);
  const [c, h, n, l] = ['critical', 'high', 'normal', 'low'];
  assert.deepEqual(words, [c, h, h, n, n, n, l, l, l, l]);
  for (const [word, priority] of Object.entries(PRIORITIES)) assert.equal(priorityWord(priority), word);
});

test('ARMY-23 durations of weeks to seconds are read, whatever is none is not, and what is written is read as the same', () => {
  assert.deepEqual(
    ['PT5M', 'P7D', 'PT2M30S', 'P1W', 'PT0.5S', 'P1DT12H', 'PT0S'].map(durationMs),
    [300_000, 604_800_000, 150_000, 604_800_000, 500, 129_600_000, 0],
  );
  for (const none of ['', 'P', 'PT', '5M', 'P1Y', 'P1M', '-PT5M', 'PT-5M', 'pt5m', 'P1H', 'PT5M ', 'PT1e3S'])
    assert.equal(durationMs(none), null, none);
  fc.assert(fc.property(fc.nat(10_000_000_000), ms => assert.equal(durationMs(durationText(ms)), ms)));
});

test('ARMY-2 ids made of the same parts are the same UUID, of others another', () => {
  assert.equal(idFrom('a', 1), idFrom('a', 1));
  assert.notEqual(idFrom('a', 1), idFrom('a', 2));
  assert.match(idFrom('x'), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('ARMY-8 ARMY-127 whatever object comes is a message or is refused for a reason the sender can act on, and one that wants TLS is not taken without', async () => {
  const parts = {
    engine: { task: () => Promise.reject(new DomainError('not_found', 'none')) },
    mailroom: () => ({
      message: () => Promise.resolve(null),
      directory: { agent: () => Promise.resolve(null) },
    }),
    store: { leases: () => Promise.resolve([]), read: () => Promise.resolve([null]) },
    settings: { of: () => Promise.resolve({ maxTimeMs: 300_000, maxTokens: 4_000, maxDepth: 8 }) },
  } as unknown as ReadingParts;
  const scene: EnvelopeScene = {
    caller: {
      principal: { tenant, id: 'key:x', method: 'api_key', permissions: permissionsOf(['admin']) },
      ...{ tenant, agentId: null as AgentId | null, agent: null, isOperator: true },
    },
    ...{ now: 1_700_000_000_000, traceId: 't', headers: {}, isPrivate: false, newId: () => 'n' },
  };
  const judge = async (envelope: JsonObject): Promise<string> => {
    try {
      const { draft } = await decode(envelope, scene, parts);
      return draft.type;
    } catch (thrown) {
      assert.ok(thrown instanceof DomainError, String(thrown));
      assert.notEqual(thrown.code, 'internal');
      return thrown.code;
    }
  };
  const good = {
    ...{
      id: 'm',
      timestamp: '2026-01-01T00:00:00Z',
      from: 'coordinator',
      to: 'validator',
      type: 'validation_request',
    },
    payload: { content: 'x' },
  };
  assert.equal(await judge(good), 'validation_request');
  assert.equal(await judge({ ...good, encryption: 'tls' }), 'policy_violation');
  const member = fc.constantFrom(
    ...Object.keys(good),
    'metadata',
    'reply_to',
    'signature',
    'encryption',
    'protocol_version',
  );
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom(...TYPES, 'final_response', '\ud800', 1e308));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(member, anything), { maxLength: 4 }), async spoilt => {
      await judge({ ...good, ...(Object.fromEntries(spoilt) as JsonObject) });
    }),
    { numRuns: 1_000 },
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), async value => {
      assert.notEqual(await judge(value as JsonObject), 'validation_request');
    }),
  );
});

suite('translation', () => {
  test('ARMY-17 what another wire means reads here in this wire’s words, from a coordinator under the stranger’s name, and what has no words is refused', () => {
    const taskId = 't' as TaskId;
    const task = { taskId, taskType: 'toy', description: 'd', input: { a: 1 }, terms: {}, retryCount: 0 };
    const fault = { code: 'task_failed', message: 'm', recoverable: false, details: {} } as const;
    const meanings: readonly (readonly [Meaning, Type])[] = [
      [{ act: 'request_task', task }, 'task_request'],
      [{ act: 'report_outcome', taskId, status: 'completed', result: 5, error: null }, 'task_response'],
      [{ act: 'refuse', taskId, fault }, 'error'],
      [{ act: 'ask_status', taskId }, 'status_query'],
      [{ act: 'control_task', taskId, command: 'cancel', reason: 'r', checkpoint: null }, 'coordination'],
      [{ act: 'accept', status: 'accepted', taskId, detail: {} }, 'status_response'],
      [{ act: 'remember', key: 'k', value: 1, ttlMs: 1_000, tags: [] }, 'memory_store'],
      [{ act: 'beat', condition: { load: 1 } }, 'heartbeat'],
      [{ act: 'notify', topic: 'x', data: 1 }, 'coordination'],
      [{ act: 'say', body: 'hello' }, 'coordination'],
    ];
    for (const [meaning, type] of meanings) {
      const envelope = encode(message(meaning, { dialect: 'toy', type: 'note', from: 'bo b', to: ['ann'] }));
      assert.deepEqual(
        [envelope.type, envelope.from, envelope.to],
        [type, 'coordinator', 'specialist'],
        type,
      );
      const { from_agent, to_agent } = envelope.metadata as JsonObject;
      assert.deepEqual([from_agent, to_agent], ['bo_b', 'ann']);
    }
    const mute: Meaning = { act: 'tell_validation', verdict: { fine: 'yes' } };
    assert.throws(
      () => encode(message(mute, { dialect: 'toy' })),
      (thrown: unknown) => thrown instanceof DomainError && thrown.code === 'unprocessable',
    );
  });

  test('ARMY-17 a note and a piece of work of another wire reach an agent of this one in its words, and its answer ends that work', async t => {
    const post = await openPost({}, { dialects: [createToyDialect] });
    t.after(() => post.stop());
    const toy = await post.register('toy-ann');
    const bob = await player(post, 'writer', 'toy-bob', ['toy']);
    await toy.send('toy', { id: 'n1', type: 'note', from: 'toy-ann', to: 'toy-bob', text: 'hi' });
    const note = await bob.next('coordination');
    assert.deepEqual(
      [note.payload, note.metadata.from_agent],
      [{ action: 'message', body: 'hi' }, 'toy-ann'],
    );
    const asked = await toy.send('toy', { id: 'w1', type: 'work', from: 'toy-ann', to: 'x', text: { n: 2 } });
    assert.equal(asked.status, 202);
    const work = await bob.next('task_request');
    assert.deepEqual([work.payload.task_id, work.payload.parameters], ['w1', { n: 2 }]);
    await bob.tell('task_response', 'coordinator', {
      task_id: 'w1',
      status: 'completed',
      result: { content: 4 },
    });
    const { body } = await post.admin.ask('GET', '/api/v2/task-status/w1');
    assert.equal(body.current_status.state, 'completed');
  });
});
