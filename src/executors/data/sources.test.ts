import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openSession } from './fixture.test.ts';
import { JobError } from './job-error.ts';
import type { DataFormat, ReadOptions } from './payload.ts';
import { openSource } from './sources.ts';

async function setup(t: TestContext) {
  const { session, workspace } = await openSession(t);
  let made = 0;
  const open = async (format: DataFormat, text: string | Buffer, options: ReadOptions = {}) => {
    const name = `source_${++made}`;
    const path = join(workspace, 'src', name);
    await writeFile(path, text);
    const count = await openSource(session, { name, format, path, options });
    return { count, name };
  };
  return {
    session,
    workspace,
    /** How many rows the source has, their types, and the rows. */
    read: async (format: DataFormat, text: string, options?: ReadOptions) => {
      const { count, name } = await open(format, text, options);
      const types = (await session.columns(name)).map(column => `${column.name} ${column.type}`);
      return { count, types, rows: await session.rows(`SELECT * FROM ${name}`) };
    },
    /** What is wrong with a source, found on opening or on reading all of it. */
    fault: async (format: DataFormat, text: string | Buffer, options?: ReadOptions) => {
      try {
        const { name } = await open(format, text, options);
        await session.run(`CREATE OR REPLACE TABLE work.read AS SELECT * FROM ${name}`);
      } catch (error) {
        assert.ok(error instanceof JobError, String(error));
        const { source, line, column, column_name: name } = error.details;
        assert.equal(error.code, 'task_failed', error.message);
        assert.equal(source, `source_${made}`);
        assert.ok(!error.message.includes(workspace), error.message);
        assert.ok(error.message.startsWith(`source source_${made}`), error.message);
        return { at: [line, column], ...(name === undefined ? {} : { name }) };
      }
      assert.fail(`no fault in ${text.toString('utf8').slice(0, 60)}`);
    },
  };
}

const LONG = 30_000;

test('SAM-149 csv, json and ndjson sources are read with the types DuckDB finds in them', async t => {
  const { read } = await setup(t);
  const rows = [
    { id: 1, day: '2026-01-02', note: 'a, "b"' },
    { id: 2, day: '2026-02-03', note: null },
  ];
  const types = ['id BIGINT', 'day DATE', 'note VARCHAR'];
  const csv = 'id,day,note\n1,2026-01-02,"a, ""b"""\n2,2026-02-03,\n';
  assert.deepEqual(await read('csv', csv), { count: 2, types, rows });
  assert.deepEqual(await read('csv', `\ufeff${csv.replaceAll('\n', '\r\n')}`), { count: 2, types, rows });
  assert.deepEqual(await read('json', JSON.stringify(rows)), { count: 2, types, rows });
  const lines = rows.map(row => JSON.stringify(row)).join('\n');
  assert.deepEqual(await read('ndjson', lines), { count: 2, types, rows });
  assert.equal((await read('json', '[]')).count, 0);
  assert.equal((await read('csv', 'id,note\n')).count, 0);
});

test('options say how a csv file is written', async t => {
  const { read } = await setup(t);
  const options: ReadOptions = {
    delimiter: ';',
    quote: "'",
    null_values: ['-', 'n/a'],
    date_format: '%d.%m.%Y',
    decimal_separator: ',',
    columns: { AMOUNT: 'DECIMAL(9,2)', id: 'VARCHAR' },
  };
  assert.deepEqual(await read('csv', "id;amount;day\n'0;1';1,50;31.12.2026\n-;n/a;-\n", options), {
    count: 2,
    types: ['id VARCHAR', 'amount DECIMAL(9,2)', 'day DATE'],
    rows: [
      { id: '0;1', amount: 1.5, day: '2026-12-31' },
      { id: null, amount: null, day: null },
    ],
  });
  const unquoted = await read('csv', 'a,b\n"1,2\n', { quote: '' });
  assert.deepEqual(unquoted.rows, [{ a: '"1', b: 2 }]);
  const bare = await read('csv', '1,2\n3,4\n', { header: false });
  assert.deepEqual([bare.count, bare.types], [2, ['column0 BIGINT', 'column1 BIGINT']]);
  const typed = await read('ndjson', '{"a":"1","b":"x"}\n', { columns: { a: 'INTEGER' } });
  assert.deepEqual([typed.types, typed.rows], [['a INTEGER', 'b VARCHAR'], [{ a: 1, b: 'x' }]]);
});

test('SAM-152 a csv line that breaks the rules is named with source, line and column', async t => {
  const { fault } = await setup(t);
  const good = '1,"x, y"\n'.repeat(LONG);
  assert.deepEqual(await fault('csv', 'a,b\n1,2\n1,2,3\n4,5\n'), { at: [3, 5] });
  assert.deepEqual(await fault('csv', 'a,b\r\n1,2\r\n1,2,3\r\n'), { at: [3, 5] });
  assert.deepEqual(await fault('csv', 'a,b\n1,2\n1\n4,5\n'), { at: [3, 2] });
  assert.deepEqual(await fault('csv', `a,b\n${good}1,"é, z",3\n${good}`), { at: [LONG + 2, 10] });
  assert.deepEqual(await fault('csv', `a,b\n${good}1\n`), { at: [LONG + 2, 2] });
  assert.deepEqual(await fault('csv', 'a,b\n1,"x\n2,3\n'), { at: [2, 3] });
  assert.deepEqual(await fault('csv', `a,b\n${good}1,"x" y\n`), { at: [LONG + 2, 3] });
  assert.deepEqual(await fault('csv', `a,b\n${good}"q, r",x\n`), { at: [LONG + 2, 1], name: 'a' });
  assert.deepEqual(await fault('csv', 'a,b\n1,2\n3,x\n', { columns: { b: 'INTEGER' } }), {
    at: [3, 3],
    name: 'b',
  });
  assert.deepEqual(await fault('csv', ''), { at: [1, 1] });
  const latin = await fault('csv', Buffer.from('a,b\n1,2\n3,\xff\n', 'latin1'));
  assert.ok(Number(latin.at[0]) >= 1, 'bytes that are no UTF-8 are named by line');
});

test('SAM-152 malformed JSON is named with source, line and column', async t => {
  const { fault } = await setup(t);
  const good = '{"a":1}\n'.repeat(LONG);
  assert.deepEqual(await fault('ndjson', '{"a":1}\n{"a":2}\n{"a" 2}\n'), { at: [3, 6] });
  assert.deepEqual(await fault('ndjson', '{"a":1}\n\n \n{"a":2}\n{"a":@}\n'), { at: [5, 6] });
  assert.deepEqual(await fault('ndjson', '{"a":1}\n{"a":"é", @}\n'), { at: [2, 11] });
  assert.deepEqual(await fault('ndjson', `${good}{"a" 2}\n${good}`), { at: [LONG + 1, 6] });
  assert.deepEqual(await fault('json', '[{"a":1},{"a":2},{"a" 2}]'), { at: [1, 23] });
  assert.deepEqual(await fault('json', '[\n{"a":1},\n{"a":2},\n  {"a":\n\n@2}]'), { at: [6, 1] });
  assert.deepEqual(await fault('json', '[\n{"a":1},\n{"a":2}\n{"a":2}]'), { at: [3, 8] });
  assert.deepEqual(await fault('json', '[{"a":1},{"a":2}'), { at: [1, 17] });
  assert.deepEqual(await fault('json', '[{"a":["x]},{",{"b":[1]}]},\n {"a":?}]'), { at: [2, 7] });
  assert.deepEqual(await fault('json', '{"a":1,\n"b":}'), { at: [2, 5] });
  assert.deepEqual(await fault('json', 'hello'), { at: [1, 1] });
});

test('a JSON value of another type than its column is named by the record it is in', async t => {
  const { fault } = await setup(t);
  const good = '{"a":1}\n'.repeat(LONG);
  assert.deepEqual(await fault('ndjson', `${good}\n{"a":"x"}\n`), { at: [LONG + 2, 1] });
  const array = `[\n${'{"a":{"b":1,"c":"}"}},\n'.repeat(LONG)} {"a":{"b":"x"}}]`;
  assert.deepEqual(await fault('json', array), { at: [LONG + 2, 2] });
  const lists = `[\n${'{"a":[1]},\n'.repeat(LONG)} {"a":"x"}]`;
  assert.deepEqual(await fault('json', lists), { at: [undefined, undefined] });
});

test('a Parquet file that is none, and a type for a column that is not there, name their source', async t => {
  const { fault } = await setup(t);
  assert.deepEqual(await fault('parquet', 'PAR1 nonsense PAR1'), { at: [undefined, undefined] });
  assert.deepEqual(await fault('csv', 'a\n1\n', { columns: { b: 'INTEGER' } }), {
    at: [undefined, undefined],
  });
});
