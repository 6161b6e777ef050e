// Moving a single node's store into PostgreSQL: what arrives is what was there, nothing arrives by halves, and an engine goes on.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import pg from 'pg';
import { feedGoesOn, growMemory } from '../../test/grown-memory.ts';
import {
  type House,
  type HouseOptions,
  openHouse,
  orderOf,
  planOf,
  until,
  workAs,
} from '../../test/harness.ts';
import { growMail, toldOfMail } from '../../test/mail.ts';
import { freshDatabase, postgresMissing } from '../../test/postgres.ts';
import { DomainError } from '../domain/errors.ts';
import type { TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { Json } from '../domain/json.ts';
import type { SendOutcome } from '../engine/ports/channel.ts';
import { systemRandom } from '../runtime/random.ts';
import { auditHash } from '../store/audit-chain.ts';
import { letter, takenIds } from '../store/conformance-mail-setup.ts';
import {
  ACME,
  artifact,
  auditEntry,
  cancelling,
  claimed,
  claimedOne,
  document,
  ending,
  logLine,
  order,
  rejection,
  reporting,
  requeueing,
  submitted,
  telling,
} from '../store/conformance-setup.ts';
import { blobPath, openFileBlobs } from '../store/files/blobs.ts';
import { openPostgres } from '../store/postgres/open.ts';
import { receive } from '../store/postgres/transfer.ts';
import { openSqlite } from '../store/sqlite/open.ts';
import { openSource } from '../store/sqlite/transfer.ts';
import type { Store } from '../store/store.ts';
import { TRANSFER_FIELDS } from '../store/transfer.ts';
import { loadConfig } from './config.ts';
import { copyStore } from './copy-store.ts';
import { openBlobs } from './registry.ts';

const auditKey = Buffer.alloc(32, 5);
const SHA = 'ab'.repeat(32);
const HOUR_MS = 3_600_000;
const OUT: SendOutcome = { status: 503, durationMs: 1, answer: '', verdict: 'retry', retryAfterMs: 2_000 };

/** A data directory and an empty database. */
async function setup(t: TestContext) {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-move-'));
  const { url, drop } = await freshDatabase();
  const path = join(dataDir, 'batuta.db');
  const opened: { stop(): Promise<void> }[] = [];
  const kept = async <Stopped extends { stop(): Promise<void> }>(
    made: Promise<Stopped>,
  ): Promise<Stopped> => {
    opened.push(await made);
    return made;
  };
  t.after(async () => {
    for (const one of opened.toReversed()) await one.stop();
    await drop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return {
    dataDir,
    url,
    path,
    kept,
    sqlite: () => kept(openSqlite({ path, auditKey })),
    postgres: () => kept(openPostgres({ url, auditKey, connections: 4 })),
    copy: (settings: Readonly<Record<string, string>> = {}) =>
      copyStore({ from: `sqlite:${dataDir}`, to: url }, loadConfig({ environment: settings })),
  };
}

/** Fills a store with a task in every place a task can be, and with everything that stands beside tasks. */
async function grow(store: Store): Promise<readonly string[]> {
  const other = 'other' as TenantId;
  await submitted(
    store,
    order('done', { notify: ['task_started', 'task_completed'] }),
    order('retried', { spec: { resources: { memoryMb: 64, cpuCores: 0.5 } } }),
    order('held', { notify: ['task_progress'] }),
    rejection('refused'),
  );
  const [done, retried, held] = await claimed(store, { limit: 3 });
  assert.ok(done !== undefined && retried !== undefined && held !== undefined);
  await store.commit([
    ending(done, 'completed', { deliveries: [telling('d-end', 'task_completed')] }),
    requeueing(retried, {
      timers: [{ kind: 'ready', dueInMs: HOUR_MS }],
      placement: 'nowhere',
      state: 'queued',
    }),
    reporting(held, 40, { checkpoint: { page: 4 }, deliveries: [telling('d-40', 'task_progress')] }),
  ]);
  await store.dueDeliveries(1, HOUR_MS);
  await submitted(
    store,
    order('waiting', { priority: 1, spec: { description: 'días ½ 🎼 "quoted" \\ back' } }),
    order('waiting-2', { priority: 9, requester: 'someone else', task: { idempotencyKey: 'key-2' } }),
    order('elsewhere', { tenant: other, spec: { typeName: 'ocr', type: 'custom' } }),
    order('cancelled'),
    order('after', { spec: { dependsOn: ['held' as TaskId, 'done' as TaskId] } }),
    order('later', { task: { timers: [{ kind: 'ready', dueInMs: HOUR_MS }] } }),
  );
  const [cancelled] = await store.read([{ tenant: ACME, id: 'cancelled' as TaskId }]);
  if (cancelled === null || cancelled === undefined) assert.fail();
  await store.commit([cancelling(cancelled)]);
  await store.record(
    [
      logLine('ÄRGER and “trouble”', { key: held.task.key, metadata: { deep: [1.5, null] } }),
      logLine('zero \0 in it', { key: 999 as TaskKey }),
    ],
    [{ tenant: ACME, key: held.task.key, attempt: 1, at: 5, cpuPercent: 0.1, memoryMb: 1e-7 }],
  );
  await store.putArtifacts([artifact('a-1', SHA), artifact('a-2', 'cd'.repeat(32), { quarantined: true })]);
  await store.putDocuments([document('one'), document('two', { expiresAt: 9e12 }), document('one')]);
  await growMemory(store.memory);
  for (let at = 0; at < 5; at++)
    await store.appendAudit([auditEntry(`action.${at}`, { object: `task ${at}` })]);
  await growMail(store.mail, HOUR_MS);
  return ['done', 'retried', 'held', 'refused', 'waiting', 'waiting-2', 'cancelled', 'after', 'later'];
}

async function emptied(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('TRUNCATE batuta.artifact');
  await client.end();
}

/** All a store can be asked about these tasks; cursors are the store's own. */
async function told(store: Store, ids: readonly string[]): Promise<Json> {
  const tasks = await store.read(ids.map(id => ({ tenant: ACME, id: id as TaskId })));
  const events: unknown[] = [];
  for (const task of tasks) {
    const key = task?.key ?? assert.fail();
    const list = await store.events({ of: 'task', key, afterSequence: 0, limit: 100 });
    events.push(list.map(({ cursor: _, ...event }) => event));
    events.push(await store.dependencies(key), await store.position(key, 100));
    events.push(await store.logs({ key, limit: 10 }), await store.samples({ key, limit: 10 }));
  }
  const page = { tenant: ACME, limit: 100, offset: 0 };
  const leases = await store.leases({});
  return JSON.parse(
    JSON.stringify({
      ...{ tasks, events, leases },
      list: await store.list(page),
      deliveries: await store.deliveries(page),
      queues: (await store.queues()).toSorted((one, another) => one.id - another.id),
      artifacts: await store.artifacts({ tenant: ACME }),
      documents: await store.documents({ kind: 'agent' }),
      records: await store.memory.find({ tenant: ACME, limit: 100 }),
      recordFeed: { ...(await store.memory.feed(ACME, 0, 100)), at: null },
      recordUse: await store.memory.usage(ACME),
      audit: await store.audit({ tenant: ACME, limit: 100 }),
      mail: await toldOfMail(store.mail),
      stream: (await store.events({ of: 'tenant', tenant: ACME, afterCursor: null, limit: 1_000 })).map(
        ({ sequence, taskId }) => `${taskId} ${sequence}`,
      ),
    }),
  );
}

describe('copying into PostgreSQL', { skip: postgresMissing }, () => {
  test('tasks of every state, with leases, timers, deliveries, edges, documents and the audit’s chain, arrive as they were', async t => {
    const { sqlite, postgres, copy } = await setup(t);
    const source = await sqlite();
    const ids = await grow(source);
    const before = await told(source, ids);
    const [last] = (
      await source.events({ of: 'tenant', tenant: ACME, afterCursor: null, limit: 1_000 })
    ).slice(-1);
    await source.stop();
    const report = await copy();
    const rowsOf = (table: string): number => report.tables.find(one => one.table === table)?.rows ?? 0;
    for (const table of Object.keys(TRANSFER_FIELDS))
      assert.ok(rowsOf(table) > 0, `nothing of ${table} was copied`);
    assert.deepEqual([report.altered, report.blobs, report.blobs_missing], [{ log: 1 }, 2, 2]);
    assert.equal(report.blobs_stay_in, null);
    const target = await postgres();
    assert.deepEqual(await told(target, ids), before);
    let hash = '';
    for (const entry of await target.audit({ tenant: ACME, limit: 100 })) {
      assert.equal(entry.hash, auditHash(auditKey, hash, entry));
      hash = entry.hash;
    }
    const [kept = assert.fail()] = await target.mail.mail({ tenant: ACME, taskId: 't', limit: 1 });
    const another = letter('fresh', { from: '5' });
    assert.deepEqual(
      (await target.mail.post([letter('kept'), another])).map(({ status }) => status),
      ['same', 'stored'],
    );
    assert.deepEqual(
      (await target.mail.mail({ tenant: ACME, after: kept.position, limit: 9 })).map(({ id }) => id),
      ['behind', 'fresh'],
    );
    assert.deepEqual(await takenIds(target.mail, 'another'), ['fresh']);
    assert.deepEqual(await takenIds(target.mail, 'reader'), ['behind']);
    await target.appendAudit([auditEntry('after the move')]);
    const [next] = (await target.audit({ tenant: ACME, limit: 100 })).slice(-1);
    assert.ok(next !== undefined && next.hash === auditHash(auditKey, hash, next), 'the chain goes on');
    await submitted(target, order('new'));
    assert.ok(await feedGoesOn(target.memory), 'the feed goes on');
    const since = { of: 'tenant', tenant: ACME, afterCursor: last?.cursor ?? '', limit: 100 } as const;
    const fresh = await target.events(since);
    assert.deepEqual(
      new Set(fresh.map(({ taskId }) => taskId)),
      new Set(['new']),
      'a reader goes on where it was',
    );
  });

  test('numbers given out before the move are never given out again', async t => {
    const { sqlite, postgres, copy } = await setup(t);
    const source = await sqlite();
    const [key] = await submitted(source, order('a'), order('b'));
    const { token } = await claimedOne(source);
    await source.stop();
    await copy();
    const target = await postgres();
    const [later] = await submitted(target, order('c'));
    assert.ok(Number(later) > Number(key) + 1);
    const [claim] = await claimed(target, { limit: 1 });
    assert.ok(claim !== undefined && claim.task.id === 'b' && claim.token > token);
    await target.record([logLine('new')], []);
    await target.putArtifacts([artifact('x', SHA)]);
  });

  test('the bytes of artifacts go along, or stay where nodes that share files look for them', async t => {
    const { kept, sqlite, copy, dataDir, url } = await setup(t);
    const files = await openFileBlobs(dataDir, systemRandom);
    const whole = await files.write(Buffer.alloc(700_000, 'bytes'), 1e6);
    const spoilt = await files.write(Buffer.from('as they were'), 1e6);
    writeFileSync(join(dataDir, blobPath(spoilt.sha256)), 'as they are');
    const source = await sqlite();
    const named = [whole.sha256, spoilt.sha256, SHA].map((sha256, index) => artifact(`a-${index}`, sha256));
    await source.putArtifacts(named);
    await source.stop();
    await assert.rejects(
      copyStore(
        { from: `sqlite:${dataDir}`, to: url },
        loadConfig({ environment: {} }),
        ({ table, rows }) => {
          if (table === 'artifact' && rows > 0) throw new DomainError('unavailable', 'the far end is out');
        },
      ),
      /the far end is out/,
    );
    const config = loadConfig({ environment: { BATUTA_DATABASE_URL: url } });
    const there = await kept(openBlobs(config, systemRandom));
    await assert.rejects(
      there.read(whole.sha256),
      { code: 'not_found' },
      'nothing is left of a move that failed',
    );
    const stayed = await copy({ BATUTA_BLOBS: 'files' });
    assert.deepEqual(
      [stayed.blobs, stayed.blobs_missing, stayed.blobs_stay_in],
      [3, 1, join(dataDir, 'blobs')],
    );
    await emptied(url);
    const moved = await copy();
    assert.deepEqual([moved.blobs, moved.blobs_missing, moved.blobs_stay_in], [3, 2, null]);
    assert.equal((await buffer(await there.read(whole.sha256))).toString(), 'bytes'.repeat(140_000));
    await assert.rejects(there.read(spoilt.sha256), { code: 'not_found' });
  });

  test('a database that holds anything is refused and left as it is', async t => {
    const { sqlite, postgres, copy } = await setup(t);
    const source = await sqlite();
    await submitted(source, order('mine'));
    await source.stop();
    const target = await postgres();
    await submitted(target, order('theirs'));
    await assert.rejects(copy(), { code: 'conflict', message: /not empty/ });
    const { items } = await target.list({ tenant: ACME, limit: 10, offset: 0 });
    assert.deepEqual(
      items.map(({ id }) => id),
      ['theirs'],
    );
  });

  test('a transfer that breaks off, or whose rows arrive changed, leaves nothing', async t => {
    const { kept, sqlite, path, url, postgres } = await setup(t);
    const source = await sqlite();
    const ids = await grow(source);
    await source.stop();
    const given = openSource(path);
    t.after(() => given.close());
    const broken = {
      ...given,
      *rows(table: Parameters<typeof given.rows>[0]) {
        yield* given.rows(table);
        if (table === 'delivery') throw new DomainError('unavailable', 'the disk went away');
      },
    };
    await assert.rejects(receive(broken, { url, pooled: false }), /the disk went away/);
    const short = { ...given, count: (table: Parameters<typeof given.count>[0]) => given.count(table) + 1 };
    await assert.rejects(receive(short, { url, pooled: false }), { code: 'unavailable', message: /arrived/ });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await kept(Promise.resolve({ stop: () => client.end() }));
    await client.query(`CREATE FUNCTION batuta.spoil() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN NEW.detail := '{}'; RETURN NEW; END $$;
      CREATE TRIGGER spoil BEFORE INSERT ON batuta.audit FOR EACH ROW EXECUTE FUNCTION batuta.spoil()`);
    await assert.rejects(receive(given, { url, pooled: false }), {
      code: 'unavailable',
      message: /the audit rows that arrived are not the ones that were sent/,
    });
    await client.query('DROP FUNCTION batuta.spoil CASCADE');
    const target = await postgres();
    assert.deepEqual(
      (await target.read(ids.map(id => ({ tenant: ACME, id: id as TaskId })))).filter(task => task !== null),
      [],
    );
  });

  test('while a server is in the data directory nothing is copied', async t => {
    const { sqlite, copy } = await setup(t);
    await sqlite();
    await assert.rejects(copy(), { code: 'unavailable', message: /open in another process/ });
  });
});

describe('going on in PostgreSQL', { skip: postgresMissing }, () => {
  test('an engine on the copy ends every task the single node had, and a worker’s lease is good there', async t => {
    const { kept, sqlite, postgres, copy, dataDir } = await setup(t);
    const houseOn = (store: Store, choice: HouseOptions): Promise<House> =>
      kept(openHouse({ store, dir: join(dataDir, 'house'), ...choice }));
    const first = await houseOn(await sqlite(), { types: [], send: () => OUT });
    const remote = workAs(first, 'remote', ['custom:ocr']);
    await remote.hello();
    const custom = { type: 'custom', typeName: 'ocr' } as const;
    for (const id of ['r-0', 'r-1', 'r-2'])
      await first.engine.submit([
        orderOf(id, { ...custom, notification: planOf(['task_started', 'task_completed']) }),
      ]);
    const { leases } = await remote.ask(2);
    assert.equal(leases.length, 2);
    await remote.report(leases[1], { percentage: 50, checkpoint: { page: 5 } });
    await first.engine.submit([
      orderOf('child', { ...custom, dependsOn: ['r-0' as TaskId] }),
      orderOf('soon', { ...custom, notBefore: Date.now() + 1_500 }),
    ]);
    await first.engine.stop();
    await first.store.stop();
    await copy();
    const second = await houseOn(await postgres(), { types: [] });
    const worker = workAs(second, 'remote', ['custom:ocr']);
    await worker.complete(leases[0], { by: 'the lease from before' });
    assert.deepEqual((await until(second, 'r-0', task => task.outcome !== null)).result?.output, {
      by: 'the lease from before',
    });
    await worker.complete(leases[1], {});
    for (const wanted = new Set(['r-2', 'child', 'soon']); wanted.size > 0; ) {
      const answer = await worker.exchange({ slots: 3, waitMs: 5_000 });
      assert.ok(answer.leases.length > 0, `nobody hands out ${[...wanted]}`);
      for (const lease of answer.leases) {
        await worker.complete(lease, {});
        wanted.delete(lease.task.id);
      }
    }
    for (const id of ['r-0', 'r-1', 'r-2', 'child', 'soon']) {
      const task = await until(second, id, ({ outcome }) => outcome === 'completed');
      const events = await second.store.events({
        of: 'task',
        key: task.key as TaskKey,
        afterSequence: 0,
        limit: 99,
      });
      assert.deepEqual(
        events.map(({ sequence }) => sequence),
        events.map((_, at) => at + 1),
      );
    }
    for (const id of ['r-0', 'r-1', 'r-2'])
      await until(second, id, ({ state }) => ['notified', 'archiving', 'archived'].includes(state));
    assert.equal(second.sent.filter(({ event }) => event === 'task_completed').length, 3);
    assert.equal((await second.store.list({ tenant: DEFAULT_TENANT, limit: 9, offset: 0 })).total, 5);
  });
});
