// Envelopes in and out: what is accepted, what is refused with which fields, what is always emitted, and how other wires read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Message } from '../../domain/message.ts';
import type { AgentView } from '../../engine/api.ts';
import type { EnvelopeScene } from '../dialect/dialect.ts';
import { type DecodeParts, decode } from './decode.ts';
import { encode } from './encode.ts';
import { BUILT_IN, MESSAGE_TYPES, PRIORITIES, priorityName, uuidOf } from './vocabulary.ts';

const NOW = Date.parse('2026-02-24T10:00:00.000Z');
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function setup({ agents = ['ann', 'bob'], known = [] as readonly Partial<Message>[] } = {}) {
  const parts = {
    directory: {
      agent: async (_tenant: string, id: string) =>
        agents.includes(id) ? ({ agent: { id, roles: [] } } as unknown as AgentView) : null,
    },
    messages: async ({ ids }: { readonly ids?: readonly string[] }) =>
      known.filter(({ id }) => ids?.includes(id ?? '')) as readonly Message[],
  } as unknown as DecodeParts;
  const scene: EnvelopeScene = {
    caller: {
      principal: {
        ...{ tenant: 'default' as TenantId, id: 'key:a', method: 'api_key' },
        permissions: new Set(['admin']),
      },
      ...{ tenant: 'default' as TenantId, agentId: null, agent: null, isOperator: true },
    },
    ...{ now: NOW, traceId: '0'.repeat(32), headers: {}, isPrivate: true, newId: () => 'new' },
  };
  return {
    read: (envelope: unknown, more: Partial<EnvelopeScene> = {}) =>
      decode(envelope as JsonObject, { ...scene, ...more }, parts),
    async refused(envelope: unknown, more: Partial<EnvelopeScene> = {}): Promise<DomainError> {
      try {
        await decode(envelope as JsonObject, { ...scene, ...more }, parts);
      } catch (error) {
        if (error instanceof DomainError) return error;
        throw error;
      }
      throw new assert.AssertionError({ message: `accepted: ${JSON.stringify(envelope).slice(0, 300)}` });
    },
    scene,
  };
}

const note = (more: object = {}, metadata: object = {}): JsonObject =>
  ({
    id: 'n1',
    from: 'ann',
    to: 'bob',
    type: 'notification',
    payload: { a: 1 },
    metadata,
    ...more,
  }) as JsonObject;

const fieldsOf = ({ details }: DomainError): readonly string[] =>
  (details.errors as unknown as readonly { readonly field: string }[]).map(({ field }) => field);

const asMessage = (draft: Awaited<ReturnType<typeof decode>>['draft']): Message => ({
  ...draft,
  position: '1',
  acceptedAt: NOW,
});

test('BLOG-1 each of the six members besides correlationId is demanded by name, and nothing but an object is a message', async () => {
  const { refused } = setup();
  for (const name of ['id', 'from', 'to', 'type', 'payload', 'metadata']) {
    const { [name]: _, ...rest } = note();
    assert.deepEqual(fieldsOf(await refused(rest)), [name]);
  }
  assert.deepEqual(fieldsOf(await refused({})), ['id', 'from', 'to', 'type', 'payload', 'metadata']);
  for (const value of [null, [], 'text', 7, true]) {
    const { code } = await refused(value);
    assert.equal(code, 'invalid_request', JSON.stringify(value));
  }
});

test('BLOG-2 metadata without timestamp or priority gets acceptance time and medium, and both are emitted; bad members are refused', async () => {
  const { read, refused } = setup();
  const emitted = encode(asMessage((await read(note())).draft)).metadata as JsonObject;
  assert.equal(emitted.timestamp, '2026-02-24T10:00:00.000Z');
  assert.equal(emitted.priority, 'medium');
  for (const [name, value] of Object.entries({
    ttl: 0,
    retryCount: -1,
    requiresAck: 'yes',
    priority: 'soon',
  }))
    assert.deepEqual(fieldsOf(await refused(note({}, { [name]: value }))), [`metadata.${name}`]);
  for (const [name, value] of Object.entries({ ttl: 1.5, retryCount: 0.5 }))
    assert.deepEqual(fieldsOf(await refused(note({}, { [name]: value }))), [`metadata.${name}`]);
  const { draft } = await read(note({}, { ttl: 5_000, retryCount: 2, requiresAck: true }));
  assert.equal(draft.expiresAt, NOW + 5_000);
});

test('BLOG-3 ids of 1 to 200 characters of the canonical set are accepted, and those this server gives are UUIDs', async () => {
  const { read, refused } = setup();
  for (const id of ['a', 'x'.repeat(200), 'A.b_c:d-9']) assert.equal((await read(note({ id }))).draft.id, id);
  for (const id of ['', 'x'.repeat(201), 'with space', 'ñ', 7])
    assert.deepEqual(fieldsOf(await refused(note({ id }))), ['id']);
  fc.assert(fc.property(fc.string(), text => UUID.test(uuidOf(text))));
  assert.equal(uuidOf('one'), uuidOf(['o', 'ne'].join('')));
  assert.notEqual(uuidOf('one'), uuidOf('two'));
});

test('BLOG-4 instants with any offset and milliseconds are accepted and emitted in UTC with milliseconds; anything else is refused', async () => {
  const { read, refused } = setup();
  const emitted = async (timestamp: unknown): Promise<unknown> =>
    (encode(asMessage((await read(note({}, { timestamp }))).draft)).metadata as JsonObject).timestamp;
  assert.equal(await emitted('2026-02-24T12:00:00+02:00'), '2026-02-24T10:00:00.000Z');
  assert.equal(await emitted('2026-02-24T10:00:00Z'), '2026-02-24T10:00:00.000Z');
  assert.equal(await emitted(1_771_927_200_123), new Date(1_771_927_200_123).toISOString());
  for (const timestamp of ['yesterday', '2026-13-40T00:00:00Z', 1.5, -1, true, null, {}, 1e300])
    assert.ok(
      fieldsOf(await refused(note({}, { timestamp }))).includes('metadata.timestamp'),
      String(timestamp),
    );
});

test('BLOG-5 BLOG-6 types and priorities are those of the wire, and priorities keep their order', async () => {
  const { read, refused } = setup({
    known: [{ id: 'q' as never, from: 'bob', to: ['ann'], dialect: 'blog' }],
  });
  for (const type of ['request', 'response', 'notification', 'error', 'ack']) {
    const to = type === 'request' ? 'executor' : 'bob';
    assert.equal((await read(note({ type, to, correlationId: 'q' }))).draft.type, type);
  }
  for (const type of ['Request', 'query', '', null])
    assert.deepEqual(fieldsOf(await refused(note({ type }))), ['type']);
  const levels = await Promise.all(
    ['critical', 'high', 'medium', 'low'].map(
      async priority => (await read(note({}, { priority }))).draft.priority,
    ),
  );
  assert.deepEqual(levels, [0, 2, 5, 8]);
  for (const [name, level] of Object.entries(PRIORITIES)) assert.equal(priorityName(level), name);
});

test('BLOG-7 the four and registered agents may stand in from and to; anybody else is refused', async () => {
  const { read, refused } = setup();
  for (const name of [...BUILT_IN, 'ann']) {
    await read(note({ from: name }));
    await read(note({ to: name }));
  }
  assert.equal((await refused(note({ to: 'nobody' }))).code, 'not_found');
  assert.equal((await refused(note({ from: 'nobody' }))).code, 'not_found');
});

test('BLOG-8 an array of receivers is one delivery for each that differs; an empty one or one with a stranger is refused', async () => {
  const { read, refused } = setup();
  assert.deepEqual((await read(note({ to: ['bob', 'planner', 'bob'] }))).draft.to, ['bob', 'planner']);
  assert.equal((await refused(note({ to: [] }))).code, 'invalid_request');
  assert.equal((await refused(note({ to: ['bob', 'nobody'] }))).code, 'not_found');
});

test('BLOG-9 any JSON is a payload, null included', async () => {
  const { read } = setup();
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async payload => {
      const { draft } = await read(note({ payload }));
      assert.deepEqual(encode(asMessage(draft)).payload, payload);
    }),
    { numRuns: 50 },
  );
  assert.equal(encode(asMessage((await read(note({ payload: null }))).draft)).payload, null);
});

test('BLOG-118 BLOG-119 any version 1 is accepted, told always, unknown fields kept; another is refused with those supported', async () => {
  const { read, refused } = setup();
  const plain = encode(asMessage((await read(note({ extra: { kept: 1 } }, { more: 2 }))).draft));
  assert.deepEqual(plain.extra, { kept: 1 });
  assert.deepEqual(plain.metadata, {
    ...{ more: 2, priority: 'medium', protocolVersion: '1.0.0', timestamp: '2026-02-24T10:00:00.000Z' },
  });
  await read(note({}, { protocolVersion: '1.7.0' }));
  await read(note(), { headers: { 'protocol-version': '1' } });
  for (const error of [
    await refused(note({}, { protocolVersion: '2.0.0' })),
    await refused(note(), { headers: { 'protocol-version': '2' } }),
    await refused(note({}, { protocolVersion: 'latest' })),
  ]) {
    assert.equal(error.code, 'invalid_request');
    assert.deepEqual(error.details.supported, ['1.0.0']);
  }
});

test('an encrypted message has a JWE, and one that asks for TLS does not come by an open connection', async () => {
  const { read, refused } = setup();
  assert.deepEqual(fieldsOf(await refused(note({}, { encryption: 'end-to-end' }))), ['payload.jwe']);
  await read(note({ payload: { jwe: { ciphertext: 'x' } } }, { encryption: 'end-to-end' }));
  assert.equal((await refused(note({}, { encryption: 'tls' }), { isPrivate: false })).code, 'forbidden');
  await read(note({}, { encryption: 'tls' }));
});

test('a signed envelope is given out member for member', async () => {
  const { read } = setup();
  const signed = note({ extra: [1] }, { signature: 'a..b', timestamp: 1_771_927_200_123 });
  assert.deepEqual(encode(asMessage((await read(signed)).draft)), signed);
});

const name = fc.constantFrom('ann', 'bob', ...BUILT_IN);
const instants = fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true });

test('BLOG-2 what is emitted is accepted again and emitted the same, whatever it says', async () => {
  const { read } = setup();
  const envelope = fc.record({
    id: fc.stringMatching(/^[A-Za-z0-9._:-]{1,40}$/),
    from: name,
    to: fc.oneof(name, fc.array(name, { minLength: 1, maxLength: 4 })),
    type: fc.constant('notification'),
    payload: fc.jsonValue(),
    metadata: fc.record(
      {
        timestamp: instants.map(one => one.toISOString()),
        priority: fc.constantFrom(...Object.keys(PRIORITIES)),
        ttl: fc.integer({ min: 1, max: 1e12 }),
        requiresAck: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  });
  await fc.assert(
    fc.asyncProperty(envelope, async given => {
      const once = encode(asMessage((await read(given)).draft));
      const twice = encode(asMessage((await read(once)).draft));
      assert.deepEqual(twice, once);
    }),
    { numRuns: 200 },
  );
});

test('BLOG-117 whatever comes is read or refused, and nothing else happens', async () => {
  const { read } = setup();
  const loose = fc.oneof(
    fc.jsonValue(),
    fc.record(
      {
        ...{
          id: fc.jsonValue(),
          from: fc.jsonValue(),
          to: fc.jsonValue(),
          type: fc.constantFrom(...MESSAGE_TYPES),
        },
        ...{ payload: fc.jsonValue(), metadata: fc.jsonValue(), correlationId: fc.jsonValue() },
      },
      { requiredKeys: [] },
    ),
    fc.record({
      ...{ id: fc.constant('a'), from: fc.constant('ann'), to: fc.constant('bob') },
      ...{
        type: fc.constantFrom(...MESSAGE_TYPES),
        payload: fc.jsonValue(),
        metadata: fc.dictionary(fc.string(), fc.jsonValue()),
      },
    }),
  );
  await fc.assert(
    fc.asyncProperty(loose, async given => {
      try {
        await read(given);
      } catch (error) {
        assert.ok(error instanceof DomainError && error.code !== 'internal', String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('BLOG-96 only whose credentials they are sends as an agent', async () => {
  const { refused, read, scene } = setup();
  const caller = { ...scene.caller, agentId: 'bob' as AgentId, isOperator: false };
  assert.equal((await refused(note(), { caller })).code, 'forbidden');
  await read(note({ from: 'bob', to: 'ann' }), { caller });
});

test('BLOG-105 an answer names a message that there is, or is refused as naming none', async () => {
  const { refused } = setup();
  const error = await refused(note({ type: 'response', correlationId: 'lost' }));
  assert.equal(error.code, 'not_found');
  assert.deepEqual(fieldsOf(error), ['correlationId']);
  assert.deepEqual(fieldsOf(await refused(note({ type: 'ack' }))), ['correlationId']);
});
