// What doctor finds of a PostgreSQL that is well, of ones that would hinder or hurt nodes, and of one that is not there.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import pg from 'pg';
import { POOLER, poolerMissing } from '../../test/pooler.ts';
import { freshDatabase, postgresMissing } from '../../test/postgres.ts';
import { freePort } from '../../test/server.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { openPostgres } from '../store/postgres/open.ts';
import { loadConfig } from './config.ts';
import { examineInstallation } from './examine.ts';
import { examineDatabase } from './examine-database.ts';
import type { Finding } from './examine-types.ts';
import { migrateStore } from './migrate.ts';

const KEY = Buffer.alloc(32, 1).toString('base64');
const KEYS = {
  BATUTA_MASTER_KEY: KEY,
  BATUTA_AUDIT_KEY: KEY,
  BATUTA_JWT_SECRET: 's'.repeat(32),
  BATUTA_ADMIN_KEY: 'bk_admin',
  BATUTA_ADMIN_SECRET: 'secret',
};

async function setup(t: TestContext) {
  const { url, drop } = await freshDatabase();
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  t.after(async () => {
    await client.end();
    await drop();
  });
  const configOf = (databaseUrl: string, more: object = {}) =>
    loadConfig({ environment: { BATUTA_DATABASE_URL: databaseUrl, ...more } });
  return {
    url,
    configOf,
    sql: (text: string, values: readonly unknown[] = []) => client.query(text, [...values]),
    look: (more: object = {}, at = url) => examineDatabase({ ...configOf(at, more), databaseUrl: at }),
  };
}

function told(findings: readonly Finding[], name: string): string {
  const found = findings.find(finding => finding.name === name);
  return `${found?.state} ${found?.detail} ${found?.hint ?? ''}`;
}

function unwell(findings: readonly Finding[]): readonly string[] {
  return findings.filter(({ state }) => state !== 'ok').map(({ name }) => name);
}

describe('looking at a PostgreSQL', { skip: postgresMissing }, () => {
  test('a database that is well is found well, with its schema and the nodes alive on it', async t => {
    const { url, look, sql } = await setup(t);
    // The server of tests forgets on purpose.
    assert.deepEqual(unwell(await look(KEYS)), ['durability']);
    assert.match(told(await look(KEYS), 'schema'), /^ok none yet/);
    const store = await openPostgres({ url, auditKey: KEY });
    t.after(() => store.stop());
    const alive = { id: 'node-a', version: '1.2.3', state: 'active' };
    await store.putDocuments([
      { tenant: DEFAULT_TENANT, kind: 'node', id: 'node-a', body: alive, expiresAt: 9e12 },
      {
        tenant: DEFAULT_TENANT,
        kind: 'node',
        id: 'node-b',
        body: { ...alive, id: 'node-b' },
        expiresAt: 1,
      },
    ]);
    const findings = await look(KEYS);
    assert.match(told(findings, 'database'), /^ok PostgreSQL \d+/);
    assert.match(told(findings, 'schema'), /^ok \d+ $/);
    assert.match(told(findings, 'nodes'), /^ok 1 alive: node-a \(1\.2\.3, active\)/);
    assert.match(told(findings, 'notifications'), /^ok LISTEN/);
    assert.match(told(findings, 'database clock'), /^ok \d+ ms/);
    assert.match(told(findings, 'connections'), /^ok \d+ of \d+ in use; a node takes up to 14/);
    await sql('UPDATE batuta.meta SET schema = 0');
    assert.match(told(await look(KEYS), 'schema'), /^ok 0, the next start brings it to \d/);
    await sql('UPDATE batuta.meta SET schema = 99, min_program = 98');
    assert.match(told(await look(KEYS), 'schema'), /^failed 99, for programs that know 98; .* use the newer/);
  });

  test('what would lose data, stand still or keep nodes apart is told with what to do', async t => {
    const { url, look, sql, configOf } = await setup(t);
    assert.match(
      told(await look(), 'shared keys'),
      /^warning not set: BATUTA_MASTER_KEY, .*BATUTA_ADMIN_SECRET/,
    );
    assert.match(told(await look(), 'durability'), /^failed .*fsync = off/);
    assert.match(
      told(await look({ BATUTA_DATABASE_CONNECTIONS: '900' }), 'connections'),
      /^warning .* takes up to 904 .*max_connections/,
    );
    await migrateStore(configOf(url), { check: false });
    const name = `poor_${process.pid}`;
    await sql(`CREATE ROLE ${name} LOGIN; GRANT USAGE ON SCHEMA batuta TO ${name};
      GRANT SELECT ON ALL TABLES IN SCHEMA batuta TO ${name}; UPDATE batuta.meta SET schema = schema - 1`);
    const poor = new URL(url);
    poor.username = name;
    const findings = await look({}, poor.href).finally(() => sql(`DROP OWNED BY ${name}; DROP ROLE ${name}`));
    assert.match(told(findings, 'schema'), /^failed .*which this user may not do .*batuta migrate/);
    await sql(`ALTER DATABASE ${new URL(url).pathname.slice(1)} SET default_transaction_read_only = on`);
    assert.match(told(await look(), 'database'), /^failed .* is read-only .*primary/);
  });

  test('a pooler in transaction mode is found out where nobody said so', { skip: poolerMissing }, async t => {
    const { url, look } = await setup(t);
    const { pathname, username, hostname, port } = new URL(url);
    const folder = mkdtempSync(join(tmpdir(), 'batuta-pooler-'));
    chmodSync(folder, 0o755);
    const own = await freePort();
    writeFileSync(
      join(folder, 'pooler.ini'),
      `[databases]\n* = host=${hostname} port=${port} user=${username}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n` +
        `listen_port = ${own}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n`,
    );
    const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    const pooler = spawn(POOLER, [join(folder, 'pooler.ini')], {
      ...user,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    t.after(async () => {
      const gone = once(pooler, 'exit');
      pooler.kill('SIGKILL');
      await gone;
      rmSync(folder, { recursive: true });
    });
    for await (const said of pooler.stderr) if (String(said).includes('process up')) break;
    const pooled = `postgres://${username}@127.0.0.1:${own}${pathname}`;
    assert.match(
      told(await look(KEYS, pooled), 'notifications'),
      /^failed .*does not reach another: a pooler.*BATUTA_DATABASE_POOLED=true/,
    );
    const findings = await look({ ...KEYS, BATUTA_DATABASE_POOLED: 'true' }, pooled);
    assert.deepEqual(unwell(findings), ['durability']);
  });

  test('an old transaction is told with whose it is', async t => {
    const { look, sql } = await setup(t);
    assert.match(told(await look(), 'oldest transaction'), /^ok none/);
    await sql('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await sql('SELECT 1 FROM pg_class LIMIT 1');
    assert.match(told(await look(), 'oldest transaction'), /^ok \d+ s, of process \d+ idle in transaction/);
    await sql('ROLLBACK');
  });

  test('a database that is not there, or no PostgreSQL, is told as such, without its password', async t => {
    const { configOf } = await setup(t);
    const nowhere = `postgres://me:hidden@127.0.0.1:${await freePort()}/b`;
    const findings = await examineInstallation({
      environment: { BATUTA_DATABASE_URL: nowhere, BATUTA_PORT: '0' },
      flags: {},
    });
    assert.match(told(findings, 'database'), /^failed .*cannot be reached .*BATUTA_DATABASE_URL/);
    assert.doesNotMatch(JSON.stringify(findings), /hidden/);
    const mysql = 'mysql://me@127.0.0.1/b';
    assert.match(
      told(await examineDatabase({ ...configOf(mysql), databaseUrl: mysql }), 'database'),
      /^failed there is no store for mysql: databases/,
    );
    await assert.rejects(migrateStore(configOf(mysql), { check: true }), { code: 'invalid_request' });
    await assert.rejects(migrateStore(configOf(nowhere), { check: true }), { code: 'unavailable' });
  });
});
