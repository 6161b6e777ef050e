// Bringing a database up to date from outside any server: what is said, what is changed, and what is left alone.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { freshDatabase, postgresMissing } from '../../test/postgres.ts';
import { openPostgres } from '../store/postgres/open.ts';
import { openSqlite } from '../store/sqlite/open.ts';
import { loadConfig } from './config.ts';
import { type MigrateReport, migrateStore } from './migrate.ts';

function directory(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'batuta-migrate-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return join(made, 'data');
}

const steps = ({ schema_from, schema_to, changes }: MigrateReport): readonly [number, number, boolean] => [
  schema_from,
  schema_to,
  changes,
];

test('the embedded database is made where there is none, and looking alone makes nothing', async t => {
  const dataDir = directory(t);
  const config = loadConfig({ environment: { BATUTA_DATA: dataDir } });
  const [from, to, changes] = steps(await migrateStore(config, { check: true }));
  assert.deepEqual([from, changes, to > 0, existsSync(dataDir)], [0, true, true, false]);
  assert.deepEqual(steps(await migrateStore(config, { check: false })), [0, to, true]);
  for (const check of [true, false])
    assert.deepEqual(steps(await migrateStore(config, { check })), [to, to, false]);
  const path = join(dataDir, 'batuta.db');
  const store = await openSqlite({ path, auditKey: 'k' });
  assert.deepEqual(
    steps(await migrateStore(config, { check: true })),
    [to, to, false],
    'looking disturbs no server',
  );
  await assert.rejects(migrateStore(config, { check: false }), {
    code: 'unavailable',
    message: /another process/,
  });
  await store.stop();
  const database = new DatabaseSync(path);
  database.exec('PRAGMA user_version = 99');
  database.close();
  for (const check of [true, false])
    await assert.rejects(migrateStore(config, { check }), { code: 'unavailable', message: /schema 99/ });
});

test('SAM-227 a PostgreSQL is migrated while a server has it open, and a schema too new is refused', {
  skip: postgresMissing,
}, async t => {
  const { url, drop } = await freshDatabase();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  t.after(async () => {
    await client.end();
    await drop();
  });
  const config = loadConfig({ environment: { BATUTA_DATABASE_URL: url } });
  const [from, to, changes] = steps(await migrateStore(config, { check: true }));
  assert.deepEqual([from, changes], [0, true]);
  const { rows } = await client.query(`SELECT to_regnamespace('batuta') AS made`);
  assert.deepEqual(rows, [{ made: null }], 'looking makes nothing');
  assert.deepEqual(steps(await migrateStore(config, { check: false })), [0, to, true]);
  const store = await openPostgres({ url, auditKey: 'k' });
  t.after(() => store.stop());
  assert.deepEqual(steps(await migrateStore(config, { check: false })), [to, to, false]);
  await client.query(`UPDATE batuta.meta SET home = 'elsewhere'`);
  assert.deepEqual(
    steps(await migrateStore(config, { check: true })),
    [to, to, true],
    'a restored dump settles in',
  );
  assert.equal((await migrateStore(config, { check: false })).changes, true);
  assert.equal((await migrateStore(config, { check: true })).changes, false);
  assert.equal((await store.measure()).writable, true, 'the server went on');
  await client.query('UPDATE batuta.meta SET schema = schema + 1');
  assert.deepEqual(
    steps(await migrateStore(config, { check: true })),
    [to + 1, to + 1, false],
    'newer and usable',
  );
  await client.query('UPDATE batuta.meta SET min_program = schema');
  for (const check of [true, false])
    await assert.rejects(migrateStore(config, { check }), { code: 'unavailable', message: /too old/ });
});
