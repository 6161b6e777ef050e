import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openSession } from './fixture.test.ts';
import type { Step, StepOf } from './payload.ts';
import type { Session } from './session.ts';
import { compileStep, compileValidation, type Relation } from './steps.ts';

type Plain = Exclude<Step, StepOf<'sql' | 'validate'>>;

async function setup(t: TestContext) {
  const { session } = await openSession(t);
  await session.run(`
    CREATE TABLE main.orders AS SELECT * FROM (VALUES
      (1, 'ana', 10.5, DATE '2026-01-03'), (2, 'bo', -2.0, NULL), (3, 'ana', NULL, DATE '2026-01-01'),
      (4, 'cy', 7.0, DATE '2026-02-01'), (4, 'cy', 7.0, DATE '2026-02-01')) v(id, "who, exactly", amount, day);
    CREATE TABLE main.people AS SELECT * FROM (VALUES ('ana', 30, 1), ('bo', 40, 2), ('di', 50, 3)) v(name, age, id)`);
  const orders = await session.relation('main.orders');
  const people = await session.relation('main.people');
  return {
    session,
    orders,
    /** The rows of the step over `orders`. */
    apply: (step: Plain, input: Relation = orders) =>
      rowsOf(session, compileStep(step, input, () => people).select),
    rows: (sql: string) => rowsOf(session, sql),
  };
}

async function rowsOf(session: Session, select: string) {
  const rows = await session.rows(select);
  // Order means something only where the query says so.
  if (!/ORDER BY/.test(select)) rows.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return { columns: (await session.columns(`(${select})`)).map(({ name }) => name), rows };
}

const EQUIVALENTS: readonly (readonly [Plain, string])[] = [
  [{ type: 'select', columns: ['AMOUNT', 'id'] }, 'SELECT amount, id FROM orders'],
  [
    { type: 'filter', where: 'amount > 0 OR "who, exactly" = \'bo\' -- either' },
    'SELECT * FROM orders WHERE amount > 0 OR "who, exactly" = \'bo\'',
  ],
  [
    { type: 'derive', columns: { double: 'amount * 2', id: 'id + 100' } },
    'SELECT id + 100 AS id, "who, exactly", amount, day, amount * 2 AS double FROM orders',
  ],
  [
    { type: 'cast', columns: { id: 'VARCHAR', amount: 'DECIMAL(9, 3)' } },
    'SELECT id::VARCHAR AS id, "who, exactly", amount::DECIMAL(9,3) AS amount, day FROM orders',
  ],
  [
    { type: 'cast', columns: { 'who, exactly': 'INTEGER' }, on_error: 'null' },
    'SELECT id, NULL::INTEGER AS "who, exactly", amount, day FROM orders',
  ],
  [
    { type: 'rename', columns: { 'who, exactly': 'who', id: 'order"s id' } },
    'SELECT id AS "order""s id", "who, exactly" AS who, amount, day FROM orders',
  ],
  [
    { type: 'join', with: 'people', on: { 'who, exactly': 'name' } },
    'SELECT o.*, p.age, p.id AS id_right FROM orders o JOIN people p ON o."who, exactly" = p.name',
  ],
  [
    { type: 'join', with: 'people', on: { 'who, exactly': 'name' }, kind: 'left', suffix: '2' },
    'SELECT o.*, p.age, p.id AS id2 FROM orders o LEFT JOIN people p ON o."who, exactly" = p.name',
  ],
  [
    { type: 'join', with: 'people', on: { 'who, exactly': 'name' }, kind: 'full' },
    `SELECT o.id, coalesce(o."who, exactly", p.name) AS "who, exactly", o.amount, o.day, p.age, p.id AS id_right
     FROM orders o FULL JOIN people p ON o."who, exactly" = p.name`,
  ],
  [
    { type: 'join', with: 'people', on: ['id'], kind: 'right' },
    'SELECT id, o."who, exactly", o.amount, o.day, p.name, p.age FROM orders o RIGHT JOIN people p USING (id)',
  ],
  [
    { type: 'join', with: 'people', on: ['id'], kind: 'semi' },
    'SELECT * FROM orders WHERE id IN (SELECT id FROM people)',
  ],
  [
    { type: 'join', with: 'people', on: ['id'], kind: 'anti' },
    'SELECT * FROM orders WHERE id NOT IN (SELECT id FROM people)',
  ],
  [
    {
      type: 'aggregate',
      group_by: ['who, exactly'],
      columns: { total: 'sum(amount)', best: 'max(amount) FILTER (day IS NOT NULL)' },
    },
    `SELECT "who, exactly", sum(amount) AS total, max(amount) FILTER (day IS NOT NULL) AS best
     FROM orders GROUP BY "who, exactly"`,
  ],
  [{ type: 'aggregate', columns: { n: 'count(*)' } }, 'SELECT count(*) AS n FROM orders'],
  [
    { type: 'sort', by: [{ column: 'amount', direction: 'desc', nulls: 'first' }, 'id'] },
    'SELECT * FROM orders ORDER BY amount DESC NULLS FIRST, id',
  ],
  [{ type: 'sort', by: ['day', 'id'] }, 'SELECT * FROM orders ORDER BY day ASC NULLS LAST, id'],
  [{ type: 'limit', count: 2, offset: 1 }, 'SELECT * FROM orders LIMIT 2 OFFSET 1'],
  [{ type: 'deduplicate' }, 'SELECT DISTINCT * FROM orders'],
  [
    { type: 'deduplicate', columns: ['who, exactly'], order_by: ['id'] },
    'SELECT * FROM orders QUALIFY row_number() OVER (PARTITION BY "who, exactly" ORDER BY id) = 1 ORDER BY id',
  ],
  [
    { type: 'fill_missing', columns: { amount: 0, day: '2026-12-31' } },
    'SELECT id, "who, exactly", coalesce(amount, 0) AS amount, coalesce(day, DATE \'2026-12-31\') AS day FROM orders',
  ],
  [
    { type: 'fill_missing', columns: { amount: { method: 'mean' } } },
    `SELECT id, "who, exactly", coalesce(amount, (SELECT avg(amount) FROM orders)) AS amount, day FROM orders`,
  ],
];

test('SAM-149 every step answers what its hand-written query answers, columns and rows', async t => {
  const { apply, rows } = await setup(t);
  for (const [step, query] of EQUIVALENTS) {
    assert.deepEqual(await apply(step), await rows(query), JSON.stringify(step));
  }
  assert.deepEqual(
    new Set(EQUIVALENTS.map(([step]) => step.type)).size,
    11,
    'all but sample, validate and sql, which have tests of their own',
  );
});

test('the ways to fill a missing value are those of the column', async t => {
  const { apply } = await setup(t);
  const filled = { mean: 5.625, median: 7, mode: 7, min: -2, max: 10.5 } as const;
  for (const method of ['mean', 'median', 'mode', 'min', 'max'] as const) {
    const { rows } = await apply({ type: 'fill_missing', columns: { amount: { method } } });
    assert.equal(Number(rows.find(row => row.id === 3)?.amount), filled[method], method);
  }
});

test('a sample of a seed is the same each time, of the size asked, and another for another seed', async t => {
  const { session } = await setup(t);
  await session.run('CREATE TABLE main.numbers AS SELECT * FROM range(50000) t(n)');
  const numbers = await session.relation('main.numbers');
  const sample = (step: StepOf<'sample'>) => session.rows(compileStep(step, numbers, () => numbers).select);
  const counted = await sample({ type: 'sample', count: 100, seed: 7 });
  assert.equal(counted.length, 100);
  assert.deepEqual(await sample({ type: 'sample', count: 100, seed: 7 }), counted);
  assert.notDeepEqual(await sample({ type: 'sample', count: 100, seed: 8 }), counted);
  const tenth = await sample({ type: 'sample', percent: 10, seed: 7 });
  assert.deepEqual(tenth, await session.rows('FROM numbers USING SAMPLE 10% (bernoulli, 7)'));
  assert.ok(tenth.length > 4_000 && tenth.length < 6_000);
});

test('validation parts rows by their rules, a rule that is NULL counting as broken', async t => {
  const { session, orders } = await setup(t);
  const rules = [
    { name: 'positive', check: 'amount > 0' },
    { name: "has a day's date", check: 'day IS NOT NULL' },
  ];
  const { marked, passed, rejected } = compileValidation({ type: 'validate', rules }, orders, 3);
  const table = await session.create('marked', marked.select, marked.keep);
  assert.deepEqual(
    await session.rows(passed(table.name)),
    await session.rows('SELECT * FROM orders WHERE amount > 0 AND day IS NOT NULL'),
  );
  const rejects = (await session.rows(rejected(table.name))).map(row => Object.values(row));
  assert.deepEqual(rejects, [
    [3, ['positive', "has a day's date"], '{"id":2,"who, exactly":"bo","amount":-2.0,"day":null}'],
    [3, ['positive'], '{"id":3,"who, exactly":"ana","amount":null,"day":"2026-01-01"}'],
  ]);
});

test('a column that is not there is named with those that are, and no two columns get one name', async t => {
  const { orders } = await setup(t);
  const compile = (step: Plain) => () => compileStep(step, orders, () => orders);
  assert.throws(compile({ type: 'select', columns: ['id', 'nope'] }), {
    code: 'task_failed',
    message: 'there is no column "nope"; there are id, who, exactly, amount, day',
  });
  assert.throws(compile({ type: 'rename', columns: { id: 'Day' } }), /two columns would be named "day"/);
});

test('names and values of users stay names and values', async t => {
  const { apply, rows } = await setup(t);
  const hostile = 'x" FROM orders; DROP TABLE orders; --';
  assert.deepEqual((await apply({ type: 'rename', columns: { id: hostile } })).columns[0], hostile);
  const { rows: filled } = await apply({
    type: 'fill_missing',
    columns: { 'who, exactly': "'; DROP TABLE orders; --" },
  });
  assert.equal(filled.length, 5);
  assert.equal((await rows('SELECT * FROM orders')).rows.length, 5);
});
