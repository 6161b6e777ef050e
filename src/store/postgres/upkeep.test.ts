// The schema over time: who makes it, which programs may use it, what becomes of old weeks and of a restored dump, and what is lost
// behind a pooler.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { POOLER, poolerMissing } from '../../../test/pooler.ts';
import { freshDatabase, postgresMissing } from '../../../test/postgres.ts';
import type { Clock } from '../../runtime/clock.ts';
import {
  ACME,
  claimed,
  claimedOne,
  current,
  ending,
  historyOf,
  idsOf,
  order,
  submitted,
} from '../conformance-setup.ts';
import type { PurgeTerms } from '../rows.ts';
import { Database } from './database.ts';
import { migrate } from './migrate.ts';
import { MIGRATIONS } from './migrations/migrations.ts';
import { openPostgres } from './open.ts';

const AUDIT_KEY = 'k';
const WEEK_MS = 7 * 24 * 3_600_000;

interface Bundle {
  readonly url: string;
  /** Asks in a session of its own. */
  ask(sql: string): Promise<readonly Record<string, unknown>[]>;
}

async function setup(t: TestContext): Promise<Bundle> {
  const { url, drop } = await freshDatabase();
  const session = new pg.Client({ connectionString: url });
  await session.connect();
  t.after(async () => {
    await session.end();
    await drop();
  });
  return { url, ask: async sql => (await session.query(sql)).rows };
}

async function migrated(url: string, more: (typeof MIGRATIONS)[number]): Promise<void> {
  const database = new Database({ url, connections: 3, pooled: false, statementMsMax: 5_000 });
  await migrate(database, [...MIGRATIONS, more]).finally(() => database.stop());
}

describe('the schema of a PostgreSQL', { skip: postgresMissing }, () => {
  test('programs that start at once make it once', async t => {
    const { url, ask } = await setup(t);
    const stores = await Promise.all(
      Array.from({ length: 4 }, () => openPostgres({ url, auditKey: AUDIT_KEY, connections: 3 })),
    );
    const versions = await Promise.all(stores.map(async store => (await store.measure()).schemaVersion));
    await Promise.all(stores.map(store => store.stop()));
    assert.deepEqual(new Set(versions), new Set([MIGRATIONS.length]));
    assert.deepEqual(await ask('SELECT schema FROM batuta.meta'), [{ schema: MIGRATIONS.length }]);
  });

  test('an older program works on a newer schema, beside the program that made it', async t => {
    const { url, ask } = await setup(t);
    const old = await openPostgres({ url, auditKey: AUDIT_KEY });
    t.after(() => old.stop());
    await submitted(old, order('before'));
    await migrated(url, {
      sql: 'ALTER TABLE batuta.task ADD COLUMN colour text',
      programMin: MIGRATIONS.length,
    });
    await submitted(old, order('after'));
    const second = await openPostgres({ url, auditKey: AUDIT_KEY });
    t.after(() => second.stop());
    assert.deepEqual(idsOf(await claimed(second)), ['before', 'after']);
    assert.deepEqual(await ask('SELECT schema FROM batuta.meta'), [{ schema: MIGRATIONS.length + 1 }]);
  });

  test('a program that the schema calls too old is refused', async t => {
    const { url } = await setup(t);
    await migrated(url, { sql: 'SELECT 1', programMin: MIGRATIONS.length + 1 });
    await assert.rejects(openPostgres({ url, auditKey: AUDIT_KEY }), {
      code: 'unavailable',
      message: /use the newer program/,
    });
  });

  test('a migration that fails leaves the schema as it was', async t => {
    const { url, ask } = await setup(t);
    await openPostgres({ url, auditKey: AUDIT_KEY }).then(store => store.stop());
    const broken = { sql: 'CREATE TABLE batuta.half (); SELECT no_such_thing()', programMin: 1 };
    await assert.rejects(migrated(url, broken));
    assert.deepEqual(await ask('SELECT schema FROM batuta.meta'), [{ schema: MIGRATIONS.length }]);
    assert.deepEqual(await ask(`SELECT to_regclass('batuta.half') AS half`), [{ half: null }]);
  });

  test('SAM-183 a week of events goes once nobody may read it, and stays while a task of it lives', async t => {
    const { url, ask } = await setup(t);
    let now = 1_700_000_000_000;
    const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} };
    const store = await openPostgres({ url, auditKey: AUDIT_KEY, clock });
    t.after(() => store.stop());
    const never = 1e12;
    const terms: PurgeTerms = { resultsMs: WEEK_MS, logsMs: never, samplesMs: never, artifactsMs: never };
    const week = Math.floor(now / WEEK_MS);
    const isThere = async (): Promise<boolean> =>
      (await ask(`SELECT FROM pg_class WHERE relname = 'event_${week}'`)).length === 1;
    await submitted(store, order('short'), order('long'));
    await store.commit([ending(await claimedOne(store))]);
    assert.equal((await ask(`SELECT FROM batuta.event_${week}`)).length > 0, true);
    now += 3 * WEEK_MS;
    assert.equal((await store.purge(terms, 10)).tasks, 1);
    assert.equal(await isThere(), true);
    const long = await current(store, 'long');
    assert.equal((await historyOf(store, long.key)).length, 3);
    await store.commit([ending(await claimedOne(store))]);
    now += 3 * WEEK_MS;
    assert.equal((await store.purge(terms, 10)).tasks, 1);
    assert.equal(await isThere(), false);
  });

  test('in a restored dump a tenant’s events go on where they stopped', async t => {
    const { url, ask } = await setup(t);
    const before = await openPostgres({ url, auditKey: AUDIT_KEY });
    await submitted(before, order('a'));
    await before.stop();
    // As in another cluster, whose transactions have not got as far.
    await ask(`UPDATE batuta.event SET txn = txn + 1000000`);
    await ask(`UPDATE batuta.meta SET home = 'elsewhere'`);
    const after = await openPostgres({ url, auditKey: AUDIT_KEY });
    t.after(() => after.stop());
    await submitted(after, order('b'));
    const events = await after.events({ of: 'tenant', tenant: ACME, afterCursor: null, limit: 10 });
    assert.deepEqual(
      events.map(({ taskId, sequence }) => `${taskId}${sequence}`),
      ['a1', 'a2', 'a3', 'b1', 'b2', 'b3'],
    );
  });

  test('without prepared statements and sessions, as behind a pooler, a task lives its whole life', async t => {
    const { url, ask } = await setup(t);
    const store = await openPostgres({ url, auditKey: AUDIT_KEY, pooled: true });
    t.after(() => store.stop());
    await live(store);
    const names = await ask(
      'SELECT DISTINCT application_name AS name FROM pg_stat_activity WHERE datname = current_database()',
    );
    assert.equal(
      names.some(({ name }) => name === 'batuta'),
      false,
    );
  });

  test('through PgBouncer in transaction mode a task lives its whole life', {
    skip: poolerMissing,
  }, async t => {
    const { url } = await setup(t);
    const through = await startPooler(t, new URL(url));
    const stores = await Promise.all([
      openPostgres({ url: through, auditKey: AUDIT_KEY, pooled: true }),
      openPostgres({ url: through, auditKey: AUDIT_KEY, pooled: true }),
    ]);
    for (const store of stores) await live(store);
    await Promise.all(stores.map(store => store.stop()));
  });
});

async function live(store: Awaited<ReturnType<typeof openPostgres>>): Promise<void> {
  const id = `t${Math.round(performance.now() * 1_000)}`;
  await Promise.all(Array.from({ length: 20 }, (_, at) => submitted(store, order(`${id}-${at}`))));
  const claims = await claimed(store);
  assert.equal(claims.length, 20);
  await store.renew(claims.map(({ task, token }) => ({ key: task.key, token, leaseMs: 5_000 })));
  const outcomes = await Promise.all(claims.map(claim => store.commit([ending(claim)])));
  assert.equal(
    outcomes.flat().every(({ status }) => status === 'done'),
    true,
  );
  assert.equal((await current(store, `${id}-7`)).outcome, 'completed');
}

/** A PgBouncer with fewer connections than its clients, so that they do share them. */
async function startPooler(t: TestContext, target: URL): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'batuta-pooler-'));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const name = target.pathname.slice(1);
  const settings = [
    '[databases]',
    `${name} = host=${target.hostname} port=${target.port} dbname=${name} user=${target.username}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 3',
  ];
  writeFileSync(join(folder, 'pooler.ini'), settings.join('\n'));
  const root = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const pooler: ChildProcess = spawn(POOLER, [join(folder, 'pooler.ini')], { ...root, stdio: 'ignore' });
  t.after(async () => {
    if (pooler.exitCode === null) {
      const gone = once(pooler, 'exit');
      pooler.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true });
  });
  const url = new URL(target);
  url.port = String(port);
  for (let tries = 0; tries < 200; tries++) {
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return url.href;
    } catch {
      await pause(20);
    }
  }
  assert.fail('PgBouncer did not start');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : assert.fail();
}
