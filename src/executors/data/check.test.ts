import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { checkPayload } from './check.ts';
import { DATA_EXAMPLES } from './payload.ts';

const SOURCES = { orders: { format: 'csv', inline: 'id\n1\n' } } as const;

/** The fields a payload is refused for. */
function refused(payload: JsonObject): string[] {
  try {
    checkPayload(payload);
  } catch (error) {
    const { code, details } = error as DomainError;
    assert.equal(code, 'invalid_request');
    const errors = details.errors as { field: string; message: string }[];
    for (const { message } of errors) assert.match(message, /\S/);
    return errors.map(({ field }) => field);
  }
  return [];
}

function withStep(step: Json): JsonObject {
  return { sources: SOURCES, steps: [step] };
}

function withSource(source: JsonObject): JsonObject {
  return { sources: { orders: source }, sql: 'SELECT 1' };
}

test('SAM-152 an unknown step or format is refused with its field and what is known', () => {
  assert.deepEqual(refused(withStep({ type: 'explode', columns: ['a'] })), ['task_data.steps.0.type']);
  assert.deepEqual(refused(withSource({ format: 'xlsx', inline: 'x' })), ['task_data.sources.orders.format']);
  assert.deepEqual(
    refused({
      sources: SOURCES,
      sql: 'SELECT 1',
      outputs: [
        { name: 'a', format: 'csv' },
        { name: 'b', format: 'xml' },
      ],
    }),
    ['task_data.outputs.1.format'],
  );
  assert.throws(
    () => checkPayload(withStep({ type: 'explode' })),
    /is not a known step \(select, filter, .*sql\)/,
  );
});

test('what a step lacks or has wrong is named within that step', () => {
  assert.deepEqual(refused(withStep({ type: 'filter' })), ['task_data.steps.0.where']);
  assert.deepEqual(refused(withStep({ type: 'select', columns: [] })), ['task_data.steps.0.columns']);
  assert.deepEqual(refused(withStep({ type: 'limit', count: -1 })), ['task_data.steps.0.count']);
  assert.deepEqual(refused(withStep({ type: 'sort', by: [{ direction: 'up' }] })), [
    'task_data.steps.0.by.0.column',
    'task_data.steps.0.by.0.direction',
  ]);
  assert.deepEqual(refused(withStep({ type: 'validate', rules: [{ name: 'x' }] })), [
    'task_data.steps.0.rules.0.check',
  ]);
  assert.deepEqual(refused(withStep({ columns: ['a'] })), ['task_data.steps.0.type']);
});

test('a type of a column can be nothing but a type', () => {
  for (const type of ['BIGINT', 'DECIMAL(18, 2)', 'TIMESTAMP WITH TIME ZONE', 'VARCHAR[]', 'double']) {
    assert.deepEqual(refused(withStep({ type: 'cast', columns: { a: type } })), [], type);
  }
  for (const type of ['INT) FROM x --', "ENUM('a')", 'STRUCT(a INT)', 'INT; DROP', '"x"', '']) {
    assert.deepEqual(refused(withStep({ type: 'cast', columns: { a: type } })).length, 1, type);
  }
});

test('contradictions are refused, all of them at once', () => {
  assert.deepEqual(refused({ sources: SOURCES }), ['task_data']);
  assert.deepEqual(refused({ sources: SOURCES, sql: 'SELECT 1', steps: [] }), ['task_data']);
  assert.deepEqual(refused({ sources: {}, sql: 'SELECT 1' }), ['task_data.sources']);
  assert.deepEqual(refused(withSource({ format: 'csv' })), ['task_data.sources.orders']);
  assert.deepEqual(refused(withSource({ format: 'csv', inline: 'a', url: 'https://x.example' })), [
    'task_data.sources.orders',
  ]);
  assert.deepEqual(refused(withSource({ inline: 'a' })), ['task_data.sources.orders.format']);
  assert.deepEqual(refused(withSource({ inline: [{ a: 1 }], format: 'csv' })), [
    'task_data.sources.orders.format',
  ]);
  assert.deepEqual(refused(withSource({ inline: 'PAR1', format: 'parquet' })), [
    'task_data.sources.orders.format',
  ]);
  assert.deepEqual(
    refused(withSource({ artifact_id: 'a', format: 'json', path: 'rows', options: { quote: '"' } })),
    ['task_data.sources.orders.path', 'task_data.sources.orders.options.quote'],
  );
  assert.deepEqual(refused(withSource({ inline: 'a', format: 'csv', options: { compression: 'gzip' } })), [
    'task_data.sources.orders.options.compression',
  ]);
  const two = { ...SOURCES, ORDERS: SOURCES.orders, input: SOURCES.orders };
  assert.deepEqual(
    refused({ sources: two, steps: [{ type: 'join', with: 'gone', on: ['id'] }, { type: 'sample' }] }),
    [
      'task_data.sources.ORDERS',
      'task_data.from',
      'task_data.sources.input',
      'task_data.steps.0.with',
      'task_data.steps.1',
    ],
  );
  assert.deepEqual(refused({ sources: SOURCES, steps: [], from: 'gone' }), ['task_data.from']);
  assert.deepEqual(refused({ sources: SOURCES, sql: 'SELECT 1', from: 'orders' }), ['task_data.from']);
  const outputs = [
    { name: 'a', format: 'csv' },
    { name: 'a', format: 'json' },
  ];
  assert.deepEqual(refused({ sources: SOURCES, sql: 'SELECT 1', outputs }), ['task_data.outputs.1.name']);
});

test('the examples of the schema are valid, and fields nobody knows are welcome', () => {
  for (const example of DATA_EXAMPLES) assert.deepEqual(refused(example), []);
  assert.deepEqual(
    refused({ sources: SOURCES, steps: [{ type: 'limit', count: 1, note: 'x' }], comment: 'y' }),
    [],
  );
});
