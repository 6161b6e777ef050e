import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSession } from './fixture.test.ts';

const VALUES: readonly (readonly [string, unknown])[] = [
  ['NULL', null],
  ['true', true],
  ['42::BIGINT', 42],
  ['9007199254740991::BIGINT', 9_007_199_254_740_991],
  ['9007199254740993::BIGINT', '9007199254740993'],
  ['(-9223372036854775807 - 1)::BIGINT', '-9223372036854775808'],
  ['sum(3::BIGINT)', 3],
  ['170141183460469231731687303715884105727::HUGEINT', '170141183460469231731687303715884105727'],
  ['1.50::DECIMAL(9,2)', 1.5],
  ['999999999999.999::DECIMAL(18,3)', 999_999_999_999.999],
  ['1234567890123456.78::DECIMAL(18,2)', '1234567890123456.78'],
  ['0.1::DOUBLE', 0.1],
  ["'NaN'::DOUBLE", 'NaN'],
  ["'-inf'::DOUBLE", '-Infinity'],
  ["DATE '2026-02-03'", '2026-02-03'],
  ["TIME '10:20:30.5'", '10:20:30.5'],
  ["TIMESTAMP '2026-02-03 04:05:06.789'", '2026-02-03T04:05:06.789'],
  ["TIMESTAMP_NS '2026-02-03 04:05:06.123456789'", '2026-02-03T04:05:06.123456789'],
  ["TIMESTAMP_S '2026-02-03 04:05:06'", '2026-02-03T04:05:06'],
  ["TIMESTAMPTZ '2026-02-03 04:05:06+02'", '2026-02-03T02:05:06Z'],
  ["TIMESTAMP 'infinity'", 'infinity'],
  ["INTERVAL '1 day 2 hours'", '1 day 02:00:00'],
  ["UUID '0198c2f4-3a51-7cc2-9d7b-1f0c6f9f3c11'", '0198c2f4-3a51-7cc2-9d7b-1f0c6f9f3c11'],
  ["'\\x00\\xFF'::BLOB", 'AP8='],
  ["'é'::VARCHAR", 'é'],
  ['\'{"a":1}\'::JSON', '{"a":1}'],
  ['[1, NULL, 9007199254740993]', [1, null, '9007199254740993']],
  ["{'a': DATE '2026-01-01', 'b': [1.5]}", { a: '2026-01-01', b: [1.5] }],
  ["MAP {'k': 1}", [{ key: 'k', value: 1 }]],
  ['union_value(n := 5)', { tag: 'n', value: 5 }],
  ["'x'::ENUM('x', 'y')", 'x'],
];

test('SAM-150 every type has a JSON form that keeps its exact value', async t => {
  const { session } = await openSession(t);
  for (const [sql, expected] of VALUES) {
    const [row] = await session.rows(`SELECT ${sql} AS value`);
    assert.deepEqual(row, { value: expected }, sql);
    assert.deepEqual(JSON.parse(JSON.stringify(row)), row, sql);
  }
});
