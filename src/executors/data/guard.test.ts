import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openSession } from './fixture.test.ts';
import { JobError } from './job-error.ts';

const DECLARED = new Set(['orders']);

async function setup(t: TestContext) {
  const { session, workspace } = await openSession(t);
  await session.run("CREATE TABLE main.orders AS SELECT 1 AS id, 'ana' AS name");
  const outside = join(workspace, 'outside.csv');
  await writeFile(outside, 'secret\n42\n');
  let made = 0;
  return {
    session,
    workspace,
    outside,
    /** The rows of a user's statement. */
    ask: async (sql: string) => {
      const { name } = await session.createFromSql(`made_${++made}`, sql, DECLARED);
      return await session.rows(`SELECT * FROM ${name}`);
    },
  };
}

/** Ways out, each with what it must be refused by; `FILE` stands for a file that exists. */
const ESCAPES: Readonly<Record<string, readonly string[]>> = {
  table: [
    "SELECT * FROM 'FILE'",
    'SELECT * FROM "FILE"',
    'SELECT * FROM "FILE" AS t(a)',
    'FROM orders, "FILE"',
    "SELECT * FROM orders JOIN 'FILE' ON true",
    "SELECT (SELECT secret FROM 'FILE')",
    "SELECT * FROM orders WHERE EXISTS (FROM 'FILE')",
    "WITH t AS (FROM 'FILE') FROM t",
    'SELECT * FROM (WITH "FILE" AS (SELECT 1) FROM "FILE") a, "FILE" b',
    "SELECT * FROM orders UNION ALL (SELECT 1, secret FROM 'FILE')",
    "FROM (VALUES ((SELECT secret FROM 'FILE'))) v(x)",
    'SELECT list_transform([1], lambda x: (SELECT max(secret) FROM "FILE"))',
    "/* SELECT 1 */ SELECT * /* hidden */ FROM -- 'orders'\n'FILE'",
    'SELECT * FROM information_schema.tables',
    'SELECT * FROM pg_catalog.pg_tables',
    'SELECT * FROM duckdb_settings',
    'SELECT * FROM main.orders',
    'SELECT * FROM memory.main.orders',
    'SELECT * FROM work.rejects',
    'SELECT * FROM sqlite_master',
    'FROM (FROM "FILE") PIVOT (count(*) FOR secret IN (42))',
    "SUMMARIZE 'FILE'",
    "FROM (DESCRIBE 'FILE')",
  ],
  function: [
    "SELECT * FROM read_csv('FILE')",
    "SELECT * FROM READ_CSV_AUTO('FILE')",
    "SELECT * FROM read_text('FILE')",
    "SELECT * FROM read_blob('FILE')",
    "SELECT * FROM read_json('FILE')",
    "SELECT * FROM read_ndjson_objects('FILE')",
    "SELECT * FROM read_parquet('FILE')",
    "SELECT * FROM parquet_metadata('FILE')",
    "SELECT * FROM parquet_scan(['FILE'])",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    "SELECT * FROM read_duckdb('FILE')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM sniff_csv('FILE')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('orders')",
    "SELECT * FROM histogram('orders', 'id')",
    'SELECT * FROM duckdb_settings()',
    'SELECT * FROM duckdb_secrets()',
    'SELECT * FROM duckdb_views()',
    "SELECT * FROM pragma_table_info('orders')",
    'SELECT * FROM enable_logging()',
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "FROM range(1), LATERAL (SELECT * FROM read_text('FILE'))",
    "SELECT getenv('HOME')",
    "SELECT current_setting('temp_directory')",
    "SELECT CURRENT_SETTING('temp_directory')",
    "SELECT id, ('x'), write_log('x') FROM orders",
    "SELECT * FROM orders ORDER BY current_setting('threads')",
    "SELECT * FROM orders QUALIFY row_number() OVER (ORDER BY getvariable('x')) = 1",
  ],
  statement: [
    "COPY orders TO 'FILE'",
    "COPY (SELECT 1) TO 'FILE.out' (FORMAT csv)",
    "/* harmless */ COPY orders TO 'FILE' -- SELECT",
    "COPY orders FROM 'FILE'",
    "ATTACH 'FILE' AS other",
    'DETACH memory',
    'INSTALL httpfs',
    'LOAD httpfs',
    "LOAD 'FILE'",
    'PRAGMA database_list',
    "PRAGMA memory_limit='90GB'",
    'SET threads = 64',
    'SET VARIABLE x = (SELECT 1)',
    'RESET threads',
    "SET GLOBAL temp_directory = '/tmp'",
    'USE memory',
    'CREATE TABLE x AS SELECT 1',
    "CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'y')",
    'CREATE MACRO m() AS 1',
    'DROP TABLE orders',
    'ALTER TABLE orders ADD COLUMN x INTEGER',
    "INSERT INTO orders VALUES (2, 'bo')",
    'UPDATE orders SET id = 2',
    'DELETE FROM orders',
    'MERGE INTO orders USING orders o ON true WHEN MATCHED THEN DELETE',
    'BEGIN; SELECT 1',
    "SELECT 1; COPY orders TO 'FILE'",
    "SELECT 1; ATTACH 'FILE' AS other",
    'PREPARE p AS SELECT 1',
    'EXPLAIN ANALYZE SELECT 1',
    'CALL pragma_version()',
    "EXPORT DATABASE '/tmp/x'",
    "IMPORT DATABASE '/tmp/x'",
    'VACUUM',
    'CHECKPOINT',
  ],
  show: ['SHOW TABLES', 'FROM (SHOW ALL TABLES)', 'SHOW DATABASES'],
};

test('SAM-152 SQL that would leave its declared sources is a policy violation, and changes nothing', async t => {
  const { ask, session, outside } = await setup(t);
  for (const [rule, statements] of Object.entries(ESCAPES)) {
    for (const statement of statements) {
      const sql = statement.replaceAll('FILE', outside);
      await assert.rejects(
        ask(sql),
        error => {
          assert.ok(error instanceof JobError, String(error));
          assert.equal(error.code, 'policy_violation', `${sql} => ${error.message}`);
          assert.equal(error.details.rule, rule, sql);
          return true;
        },
        sql,
      );
    }
  }
  assert.deepEqual(await session.rows('SELECT * FROM orders'), [{ id: 1, name: 'ana' }]);
});

test('SAM-152 what passes the parser still meets a database that can reach only the directories of its job', async t => {
  const { session, workspace, outside } = await setup(t);
  const inside = join(workspace, 'out', 'x.csv');
  const reaching = [
    `SELECT * FROM read_csv('${outside}')`,
    `SELECT * FROM read_text('/etc/hostname')`,
    `SELECT * FROM read_text('${workspace}/src/../outside.csv')`,
    "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    `COPY orders TO '${workspace}/escaped.csv'`,
    `ATTACH '${workspace}/escaped.db' AS other`,
    "CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'y')",
    'INSTALL httpfs',
    'LOAD httpfs',
  ];
  for (const sql of reaching) await assert.rejects(session.run(sql), { code: 'policy_violation' }, sql);
  for (const sql of [
    'SET enable_external_access = true',
    'SET lock_configuration = false',
    'SET threads = 64',
  ]) {
    await assert.rejects(session.run(sql), { code: 'task_failed', message: /locked|running/ }, sql);
  }
  await session.run(`COPY orders TO '${inside}'`);
});

test('what SELECT can do, it may: common tables, windows, pivots, lateral joins, summaries, values', async t => {
  const { ask } = await setup(t);
  const permitted = [
    'SELECT * FROM Orders',
    'SELECT * FROM orders;',
    'SELECT * FROM orders; -- done',
    'FROM orders',
    'TABLE orders',
    'VALUES (1), (2)',
    'WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) FROM t',
    'WITH a AS (FROM orders), b AS (FROM a) SELECT * FROM b WHERE id IN (SELECT id FROM a)',
    'SELECT (SELECT max(id) FROM orders), o.* FROM orders o',
    'SELECT *, row_number() OVER (ORDER BY id) AS n FROM orders QUALIFY n = 1',
    "FROM orders PIVOT (max(id) FOR name IN ('ana', 'bo'))",
    "PIVOT orders ON name IN ('ana') USING count(*)",
    'UNPIVOT orders ON id INTO NAME n VALUE v',
    'FROM range(3) t(n), LATERAL (SELECT n * 2 AS m)',
    'SELECT unnest(range(3)) AS n',
    'SELECT columns(*) FROM orders',
    'FROM orders TABLESAMPLE 100 PERCENT',
    'SUMMARIZE orders;',
    'FROM (DESCRIBE SELECT * FROM orders)',
    "SELECT 'COPY orders TO ''x''' AS text, '/etc/passwd' AS path",
  ];
  for (const sql of permitted) assert.ok((await ask(sql)).length > 0, sql);
});

test('SAM-152 errors of SQL carry the place in the text the user wrote, counted in characters', async t => {
  const { ask } = await setup(t);
  const faults: readonly (readonly [string, number, number])[] = [
    ['SELEC 1', 1, 1],
    ['SELECT 1 +', 1, 11],
    ["SELECT 'é',\n  nope FROM orders", 2, 3],
    ["SELECT 'é', 'ü',\n\n  id FROM gone", 3, 11],
    ['SELECT id\n  , sum(name) FROM orders', 2, 5],
    ['SELECT name,\n CAST(name || id AS INTEGER) FROM orders', 2, 2],
    ["SELECT '日本', read_text('x') FROM orders", 1, 14],
  ];
  for (const [sql, line, column] of faults) {
    await assert.rejects(ask(sql), error => {
      assert.ok(error instanceof JobError);
      assert.deepEqual({ line: error.details.line, column: error.details.column }, { line, column }, sql);
      return true;
    });
  }
});

test('an expression is one expression: nothing in it can end it, add a column or bring in a table', async t => {
  const { session } = await setup(t);
  const admit = (text: string) => session.admitExpression(text, DECLARED);
  for (const text of [
    'id > 1',
    'id -- one',
    'id /* one */',
    '(SELECT max(id) FROM orders) + id',
    "name = ')'",
  ]) {
    await admit(text);
  }
  for (const text of [
    'id), (2',
    'id) FROM orders WHERE (1',
    '1) UNION SELECT (2',
    'id); SELECT (1',
    '1) LIMIT (1',
  ]) {
    await assert.rejects(admit(text), { code: 'task_failed' }, text);
  }
  await assert.rejects(admit("(SELECT max(a) FROM read_csv('x') t(a))"), { code: 'policy_violation' });
  await assert.rejects(admit('(SELECT 1 FROM gone)'), { code: 'policy_violation' });
  await assert.rejects(admit('id >\n > 1'), error => {
    assert.ok(error instanceof JobError);
    assert.deepEqual([error.details.line, error.details.column], [2, 2]);
    return true;
  });
});
