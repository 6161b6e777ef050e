// What goes wrong with a database: connections that break, a server that crashes, old transactions that hold everything up. Nothing
// acknowledged may be lost, nothing may happen twice, and work goes on.

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { freshDatabase, postgresMissing, startPostgres } from '../../../test/postgres.ts';
import { DomainError } from '../../domain/errors.ts';
import { claimed, current, ending, historyOf, order, submitted } from '../conformance-setup.ts';
import type { Store } from '../store.ts';
import { openPostgres } from './open.ts';

interface Bundle {
  readonly store: Store;
  /** Another program's session on the same database. */
  readonly session: pg.Client;
  readonly url: string;
}

async function setup(t: TestContext): Promise<Bundle> {
  const { url, drop } = await freshDatabase();
  const session = new pg.Client({ connectionString: url });
  await session.connect();
  const store = await openPostgres({ url, auditKey: 'k' });
  t.after(async () => {
    await store.stop();
    await session.end();
    await drop();
  });
  return { store, session, url };
}

/** True where it happened; false where nobody knows, which may only be told as `unavailable`. */
async function acknowledged(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    assert.equal(error instanceof DomainError && error.code, 'unavailable', String(error));
    return false;
  }
}

/** Ends all tasks, of leases that someone holds too. */
async function finish(store: Store): Promise<void> {
  for (const lease of await store.leases({})) {
    const task = await current(store, lease.taskId);
    await store.commit([ending({ task, token: lease.token, queue: lease.queue })]);
  }
  for (let claims = await claimed(store); claims.length > 0; claims = await claimed(store)) {
    await store.commit(claims.map(claim => ending(claim)));
  }
}

async function assertWhole(store: Store, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const task = await current(store, id);
    assert.equal(task.outcome, 'completed');
    const events = await historyOf(store, task.key);
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      Array.from({ length: task.version }, (_, at) => at + 1),
    );
    const ends = events.filter(event => event.kind === 'state' && event.to === 'completed');
    assert.equal(ends.length, 1);
  }
}

describe('a PostgreSQL in trouble', { skip: postgresMissing }, () => {
  test('SAM-47 SAM-104 when backends are killed under load nothing acknowledged is lost and nothing ends twice', async t => {
    const { store, session } = await setup(t);
    const accepted: string[] = [];
    const ended: string[] = [];
    let submitting = true;
    const submit = async (caller: number): Promise<void> => {
      for (let at = 0; at < 40; at++) {
        const id = `t${caller}-${at}`;
        if (await acknowledged(() => submitted(store, order(id)))) accepted.push(id);
      }
    };
    const work = async (): Promise<void> => {
      while (submitting) {
        await acknowledged(async () => {
          const claims = await claimed(store, { limit: 10 });
          const outcomes = await store.commit(claims.map(claim => ending(claim)));
          outcomes.forEach(({ status }, index) => {
            if (status === 'done') ended.push(claims[index]?.task.id ?? '');
          });
        });
      }
    };
    const kill = async (): Promise<void> => {
      while (submitting) {
        await session.query(
          `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = current_database()
             AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2) victims`,
        );
        await pause(50);
      }
    };
    const working = [work(), kill()];
    await Promise.all(Array.from({ length: 8 }, (_, caller) => submit(caller)));
    submitting = false;
    await Promise.all(working);
    assert.equal(new Set(ended).size, ended.length);
    assert.equal(accepted.length > 0, true);
    await finish(store);
    await assertWhole(store, accepted);
  });

  test('SAM-47 what was answered is there after a crash of the server, and work goes on within ten seconds', async t => {
    const server = await startPostgres({ durable: true });
    const store = await openPostgres({ url: server.url, auditKey: 'k' });
    t.after(async () => {
      await store.stop();
      await server.stop();
    });
    const accepted: string[] = [];
    let crashed = false;
    const submitting = (async () => {
      for (let at = 0; !crashed || at < 50; at++) {
        const id = `t${at}`;
        if (await acknowledged(() => submitted(store, order(id)))) accepted.push(id);
      }
    })();
    await pause(200);
    await server.crash();
    crashed = true;
    await submitting;
    const began = performance.now();
    await submitted(store, order('afterwards'));
    await finish(store);
    assert.equal(performance.now() - began < 10_000, true);
    await assertWhole(store, [...accepted, 'afterwards']);
  });

  test('under a transaction that holds back all cleaning, a claim reads no more than before', async t => {
    const { store, session, url } = await setup(t);
    const calls = t.mock.method(pg.Client.prototype, 'query').mock;
    const claimOf = (from: (values: ClaimValues) => boolean): ClaimValues => {
      const values = calls.calls.map(
        ({ arguments: [query] }) => query as { name?: string; values?: ClaimValues },
      );
      return (
        values.findLast(({ name, values }) => name === 'claim' && values !== undefined && from(values))
          ?.values ?? assert.fail()
      );
    };
    const fromBound = ([picks]: ClaimValues): boolean => JSON.parse(picks)[0].from_ranks[0] > 0;
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await session.query('SELECT count(*) FROM batuta.task');
    for (let at = 0; at < 4; at++) {
      await submitted(store, ...Array.from({ length: 500 }, (_, index) => order(`t${at}-${index}`)));
    }
    const some = async (claimsToMake: number): Promise<void> => {
      for (let at = 0; at < claimsToMake; at++) {
        const claims = await claimed(store, { limit: 50 });
        await store.commit(claims.map(claim => ending(claim)));
      }
    };
    const observer = new pg.Client({ connectionString: url });
    await observer.connect();
    await some(2);
    const early = await entriesOf(observer, claimOf(fromBound), { limit_count: 1 });
    await some(30);
    const values = claimOf(fromBound);
    const late = await entriesOf(observer, values, { limit_count: 1 });
    const walked = await entriesOf(observer, values, { limit_count: 1, from_ranks: [-1], from_tasks: [0] });
    await observer.end();
    t.diagnostic(`entries read: ${early}, after 1,600 claims ${late}, from the beginning ${walked}`);
    assert.equal(late <= early + 10, true, `${early} entries became ${late}`);
    assert.equal(
      walked > late + 1_000,
      true,
      `${walked} entries from the beginning are not many more than ${late}`,
    );
  });
});

type ClaimValues = readonly [picks: string, ...rest: unknown[]];

/** How many entries of the line a claim with these values reads, its picks changed in this; it is taken back. */
async function entriesOf(client: pg.Client, [picks, ...rest]: ClaimValues, change: object): Promise<number> {
  const changed = JSON.stringify(JSON.parse(picks).map((pick: object) => ({ ...pick, ...change })));
  const read = async (): Promise<number> => {
    const { rows } = await client.query<{ entries: string }>(
      `SELECT pg_stat_get_xact_tuples_returned('batuta.ready_pkey'::regclass) AS entries`,
    );
    return Number(rows[0]?.entries);
  };
  await client.query('BEGIN');
  const before = await read();
  await client.query('SELECT * FROM batuta.claim($1, $2, $3)', [changed, ...rest]);
  const after = await read();
  await client.query('ROLLBACK');
  return after - before;
}
