// Several processes on one database: what they may not do to one another, and what they hear of each other.

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import pg from 'pg';
import { eventually } from '../../../test/eventually.ts';
import { freshDatabase, postgresMissing } from '../../../test/postgres.ts';
import type { TaskKey } from '../../domain/ids.ts';
import {
  ACME,
  claimed,
  claimedOne,
  current,
  document,
  ending,
  historyOf,
  idsOf,
  noting,
  order,
  submitted,
} from '../conformance-setup.ts';
import type { StoreHint } from '../rows.ts';
import type { Store } from '../store.ts';
import { openPostgres } from './open.ts';
import { packChange, packTask } from './records.ts';

const AUDIT_KEY = 'k';
const WAITING_FOR_META = `SELECT FROM pg_locks WHERE relation = 'batuta.meta'::regclass AND NOT granted`;

interface Bundle {
  readonly stores: readonly Store[];
  /** Another program's session on the same database. */
  readonly session: pg.Client;
}

/** Stores of several processes on one fresh database. */
async function setup(t: TestContext, count = 2): Promise<Bundle> {
  const { url, drop } = await freshDatabase();
  const session = new pg.Client({ connectionString: url });
  await session.connect();
  const stores = await Promise.all(
    Array.from({ length: count }, () => openPostgres({ url, auditKey: AUDIT_KEY, connections: 4 })),
  );
  t.after(async () => {
    await Promise.all(stores.map(store => store.stop()));
    await session.end();
    await drop();
  });
  return { stores, session };
}

function pair([one, other]: readonly Store[]): readonly [Store, Store] {
  if (one === undefined || other === undefined) assert.fail('two stores are needed');
  return [one, other];
}

/** Resolves with the first hint that is wanted. */
function heard(store: Store, wanted: (hint: StoreHint) => boolean): Promise<StoreHint> {
  return new Promise(resolve => {
    const stop = store.hear(hint => {
      if (!wanted(hint)) return;
      stop();
      resolve(hint);
    });
  });
}

async function tenantEvents(store: Store, afterCursor: string | null) {
  return store.events({ of: 'tenant', tenant: ACME, afterCursor, limit: 100 });
}

describe('a PostgreSQL shared by several processes', { skip: postgresMissing }, () => {
  test('those that claim at once never get the same task, and none of them starves', async t => {
    const { stores } = await setup(t, 3);
    const [first] = pair(stores);
    const ids = Array.from({ length: 300 }, (_, at) => `t${at}`);
    await submitted(first, ...ids.map(id => order(id)));
    const shares = await Promise.all(
      stores.map(async store => {
        const mine: string[] = [];
        for (let idle = 0; idle < 3; ) {
          const got = idsOf(await claimed(store, { limit: 5 }));
          mine.push(...got);
          idle = got.length === 0 ? idle + 1 : 0;
        }
        return mine;
      }),
    );
    assert.deepEqual([...shares.flat()].sort(), [...ids].sort());
    for (const share of shares) assert.equal(share.length > 0, true);
  });

  test('who finds a line taken by another steps over what that one is taking', async t => {
    const { stores, session } = await setup(t, 1);
    const store = stores[0] ?? assert.fail();
    const [first] = await submitted(store, order('a'), order('b'), order('c'));
    const [view] = await store.queues();
    await session.query('BEGIN');
    await session.query('SELECT pg_advisory_xact_lock(7002, $1)', [(view?.id ?? 0) % 64]);
    await session.query('SELECT FROM batuta.ready WHERE task = $1 FOR UPDATE', [first]);
    assert.deepEqual(idsOf(await claimed(store, { limit: 2 })), ['b', 'c']);
    await session.query('ROLLBACK');
    assert.deepEqual(idsOf(await claimed(store)), ['a']);
  });

  test('a reader of a tenant passes by no event of a transaction that commits late', async t => {
    const { stores, session } = await setup(t);
    const [store, reader] = pair(stores);
    await submitted(store, order('before'));
    const before = await tenantEvents(reader, null);
    const [view] = await store.queues();
    await session.query('BEGIN');
    const late = JSON.stringify([packTask(order('late'), 1, view?.id ?? 0)]);
    await session.query('SELECT batuta.submit($1, $2, NULL)', ['plain', late]);
    await submitted(store, order('after'));
    const cursor = before.at(-1)?.cursor ?? null;
    const meanwhile = await tenantEvents(reader, cursor);
    await session.query('COMMIT');
    const rest = await tenantEvents(reader, meanwhile.at(-1)?.cursor ?? cursor);
    const seen = [...meanwhile, ...rest].map(({ taskId, sequence }) => `${taskId} ${sequence}`);
    assert.deepEqual([...seen].sort(), ['after 1', 'after 2', 'after 3', 'late 1', 'late 2', 'late 3']);
  });

  test('SAM-65 what commits while a reader reads comes with its next page, though later transactions were there before', async t => {
    const { stores, session } = await setup(t);
    const [store, reader] = pair(stores);
    await submitted(store, order('before'));
    // Asked so often that its plan is kept: a plan made anew would wait below before it has seen anything.
    for (let asked = 0; asked < 10; asked++) await tenantEvents(reader, null);
    const cursor = (await tenantEvents(reader, null)).at(-1)?.cursor ?? null;
    const [view] = await store.queues();
    await session.query('BEGIN');
    const late = JSON.stringify([packTask(order('late'), 1, view?.id ?? 0)]);
    await session.query('SELECT batuta.submit($1, $2, NULL)', ['plain', late]);
    await submitted(store, order('after'));
    // Stops the reader half-way: after it has seen what there is, and before it asks which transactions have ended.
    await session.query('LOCK TABLE batuta.meta IN ACCESS EXCLUSIVE MODE');
    const reading = tenantEvents(reader, cursor);
    await eventually(async () => (await session.query(WAITING_FOR_META)).rows.length > 0);
    await session.query('COMMIT');
    const page = await reading;
    const rest = await tenantEvents(reader, page.at(-1)?.cursor ?? cursor);
    const seen = [...page, ...rest].map(({ taskId, sequence }) => `${taskId} ${sequence}`);
    assert.deepEqual(seen.sort(), ['after 1', 'after 2', 'after 3', 'late 1', 'late 2', 'late 3']);
  });

  test('what submits, claims and commits keep their plans: none of it is a function of plain SQL, planned anew at every call', async t => {
    const { session } = await setup(t, 1);
    const { rows } = await session.query(
      `SELECT p.proname AS name, l.lanname AS language FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
       WHERE p.pronamespace = 'batuta'::regnamespace AND p.proretset
         AND p.proname IN ('submit', 'submit_plain', 'submit_group', 'claim', 'lease_all', 'commit', 'commit_round')`,
    );
    assert.equal(rows.length, 7);
    assert.deepEqual(
      rows.filter(({ language }) => language !== 'plpgsql'),
      [],
    );
  });

  test('a tenant’s events keep each task’s order, though an older transaction changed it later', async t => {
    const { stores, session } = await setup(t, 1);
    const store = stores[0] ?? assert.fail();
    const [key] = await submitted(store, order('a'));
    await session.query('BEGIN');
    await session.query('SELECT pg_current_xact_id()');
    const task = await current(store, 'a');
    await store.commit([noting(task)]);
    const change = packChange(noting({ ...task, version: task.version + 1 }), 1);
    const { rows } = await session.query('SELECT * FROM batuta.commit($1, 1, NULL)', [
      JSON.stringify([change]),
    ]);
    assert.equal(rows.length, 1);
    await session.query('COMMIT');
    assert.deepEqual(await tenantEvents(store, null), await historyOf(store, key ?? assert.fail()));
  });

  test('each hears what the others did, and nothing of its own', async t => {
    const [one, other] = pair((await setup(t)).stores);
    const own: StoreHint[] = [];
    one.hear(hint => own.push(hint));
    // Whoever listens only just now misses what came before: submit until it is heard.
    let key: TaskKey | undefined;
    const hint = heard(other, ({ tasks, ready }) => ready && tasks?.some(task => task === key) === true);
    for (let at = 0; key === undefined; at++) [key] = await submitted(one, order(`a${at}`));
    assert.equal((await hint).due, false);
    const due = heard(other, hint => hint.due);
    await submitted(one, order('timed', { task: { timers: [{ kind: 'ready', dueInMs: 9_000 }] } }));
    await due;
    const written = heard(other, ({ documents }) => documents?.includes('agent') === true);
    await one.putDocuments([document('d')]);
    await written;
    const back = heard(one, ({ tasks }) => tasks !== null && tasks.length > 0);
    await submitted(other, order('b'));
    await back;
    assert.deepEqual(
      own.flatMap(({ tasks }) => tasks ?? []),
      [(await current(one, 'b')).key],
    );
  });

  test('a task that another placed further ahead is claimed first', async t => {
    const [one, other] = pair((await setup(t)).stores);
    await submitted(one, order('first'), order('second'), order('third'));
    assert.deepEqual(idsOf(await claimed(one, { limit: 2 })), ['first', 'second']);
    const told = heard(one, ({ ready }) => ready);
    await submitted(other, order('urgent', { priority: 0 }));
    await told;
    assert.deepEqual(idsOf(await claimed(one)), ['urgent', 'third']);
  });

  test('of a claim and a cancellation at once exactly one happens', async t => {
    const [one, other] = pair((await setup(t)).stores);
    const ids = Array.from({ length: 30 }, (_, at) => `t${at}`);
    await submitted(one, ...ids.map(id => order(id)));
    const tasks = await Promise.all(ids.map(id => current(one, id)));
    const cancels = tasks.map(task =>
      other.commit([noting(task, { state: 'cancelled', outcome: 'cancelled', placement: 'nowhere' })]),
    );
    const [claims, outcomes] = await Promise.all([claimed(one), Promise.all(cancels)]);
    const taken = new Set(idsOf(claims));
    tasks.forEach((task, index) => {
      assert.equal(outcomes[index]?.[0]?.status, taken.has(task.id) ? 'stale' : 'done');
    });
    const ended = await one.commit(claims.map(claim => ending(claim)));
    assert.equal(
      ended.every(({ status }) => status === 'done'),
      true,
    );
  });

  test('SAM-104 what one has taken back the other can no longer end', async t => {
    const [one, other] = pair((await setup(t)).stores);
    await submitted(one, order('a'));
    const claim = await claimedOne(one);
    const racers = [one.commit([ending(claim)]), other.commit([ending(claim, 'timeout')])];
    const outcomes = (await Promise.all(racers)).flat().map(({ status }) => status);
    assert.deepEqual(outcomes.sort(), ['done', 'stale']);
    const ends = (await historyOf(one, claim.task.key)).filter(({ kind }) => kind === 'state').length;
    assert.equal(ends, 7);
  });
});
