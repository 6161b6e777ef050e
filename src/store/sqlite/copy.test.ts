// The file of a database seen from outside the server that has it open: copies, judgements, and waking after a sleep.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import type { Clock } from '../../runtime/clock.ts';
import {
  ACME,
  artifact,
  claimedOne,
  current,
  ending,
  historyOf,
  order,
  requeueing,
  submitted,
  telling,
} from '../conformance-setup.ts';
import {
  blobsOfDatabase,
  copyDatabase,
  countInDatabase,
  faultsInDatabase,
  glanceAtDatabase,
  wakeDatabase,
} from './copy.ts';
import { openSqlite } from './open.ts';

const auditKey = 'the audit’s key';

/** A served store with one task held, one ended and one waiting, and a place for copies. */
async function setup(t: TestContext, clock?: Clock) {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-copy-'));
  const live = join(directory, 'batuta.db');
  const store = await openSqlite({ path: live, auditKey, ...(clock === undefined ? {} : { clock }) });
  t.after(async () => {
    await store.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  await submitted(store, order('ended'), order('held'), order('waiting'));
  await store.commit([ending(await claimedOne(store))]);
  const held = await claimedOne(store);
  return { directory, live, copy: join(directory, 'copy.db'), store, held };
}

function altered(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

test('a copy taken from outside while the store is written to is sound, whole and one file', async t => {
  const { directory, live, copy, store } = await setup(t);
  const during = Array.from({ length: 30 }, (_, at) => store.submit([order(`during-${at}`)]));
  await Promise.all([copyDatabase(live, copy), ...during]);
  assert.deepEqual(faultsInDatabase(copy), []);
  const { tasks, running, active } = countInDatabase(copy);
  assert.deepEqual([tasks >= 3, running, tasks - active], [true, 1, 1]);
  assert.deepEqual(
    readdirSync(directory).filter(name => name.startsWith('copy')),
    ['copy.db'],
  );
  assert.equal((await store.measure()).ready, 31);
  await assert.rejects(copyDatabase(live, copy), { code: 'conflict' });
});

test('the artifacts of a database are known by digest, each once', async t => {
  const { live, store } = await setup(t);
  const [one, other] = ['a'.repeat(64), 'b'.repeat(64)];
  await store.putArtifacts([artifact('1', one), artifact('2', one), artifact('3', other)]);
  assert.deepEqual(blobsOfDatabase(live), [one, other]);
});

test('a glance tells the schema and the last instant, and refuses what is no database or too new', async t => {
  const { directory, live, copy, store } = await setup(t);
  const { updatedAt } = await current(store, 'held');
  const glance = glanceAtDatabase(live);
  assert.deepEqual([glance.schemaVersion, glance.lastEventAt], [glance.schemaKnown, updatedAt]);
  assert.throws(() => glanceAtDatabase(join(directory, 'nowhere.db')), { code: 'not_found' });
  altered(join(directory, 'foreign.db'), 'CREATE TABLE contacts (name TEXT)');
  assert.throws(() => glanceAtDatabase(join(directory, 'foreign.db')), /not a Batuta database/);
  await copyDatabase(live, copy);
  altered(copy, 'PRAGMA user_version = 99');
  assert.throws(() => glanceAtDatabase(copy), /schema 99.*newer program/);
});

test('SAM-220 SAM-221 whatever breaks the sequence of a task’s events is found and named', async t => {
  const { directory, live, store, held } = await setup(t);
  await store.commit([requeueing(held)]);
  for (const [sql, fault] of [
    [
      'DELETE FROM event WHERE task = (SELECT key FROM task WHERE id = ’held’) AND seq = 4',
      /missing within the sequence of task held/,
    ],
    [
      'UPDATE event SET body = ’[]’ WHERE task = (SELECT key FROM task WHERE id = ’ended’) AND seq = 1',
      /not hold as many events as it says, of task ended/,
    ],
    [
      'UPDATE task SET version = version + 1 WHERE id = ’waiting’',
      /not the one .* stands at, of task waiting/,
    ],
    ['DELETE FROM task WHERE id = ’ended’', /events of a task that is not there/],
  ] as const) {
    const copy = join(directory, 'altered.db');
    await copyDatabase(live, copy);
    assert.deepEqual(faultsInDatabase(copy), []);
    altered(copy, sql.replaceAll('’', "'"));
    assert.match(faultsInDatabase(copy).join('; '), fault);
    rmSync(copy);
  }
});

test('SAM-221 a database that wakes gives out no number twice, and its sleep is nobody’s running time', async t => {
  let now = 1_700_000_000_000;
  const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} };
  const { live, copy, store, held } = await setup(t, clock);
  now += 1_000;
  await copyDatabase(live, copy);
  const later = await claimedOne(store);
  const threeDaysMs = 3 * 86_400_000;
  now += threeDaysMs;
  wakeDatabase(copy, threeDaysMs);
  const woken = await openSqlite({ path: copy, auditKey, clock });
  t.after(() => woken.stop());
  await woken.commit([requeueing(held)]);
  const task = await current(woken, 'held');
  assert.deepEqual([task.ranMs, task.startedAt], [1_000, 1_700_000_000_000]);
  const again = await claimedOne(woken);
  assert.equal((again.task.lease?.token ?? 0) > (later.task.lease?.token ?? 0) + 1_000_000_000, true);
  const cursorOf = async (id: string, from: typeof store): Promise<number> =>
    Number((await historyOf(from, (await current(from, id)).key)).at(-1)?.cursor.split('-')[0]);
  assert.equal((await cursorOf('held', woken)) > (await cursorOf('waiting', store)) + 1_000_000_000, true);
  assert.equal((await woken.list({ tenant: ACME, limit: 10, offset: 0 })).total, 3);
});

test('SAM-221 a delivery that was being sent is due at once after waking, under its own id', async t => {
  const { live, copy, store, held } = await setup(t);
  await store.commit([
    ending(held, 'completed', { deliveries: [telling('the delivery', 'task_completed')] }),
  ]);
  const anHourMs = 3_600_000;
  assert.equal((await store.dueDeliveries(10, anHourMs)).due.length, 1);
  await copyDatabase(live, copy);
  wakeDatabase(copy, 0);
  const woken = await openSqlite({ path: copy, auditKey });
  t.after(() => woken.stop());
  const { due } = await woken.dueDeliveries(10, anHourMs);
  assert.deepEqual(
    due.map(({ delivery }) => delivery.id),
    ['the delivery'],
  );
  assert.equal((await store.dueDeliveries(10, anHourMs)).due.length, 0);
});
