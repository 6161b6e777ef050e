// Commits that fail, and answers that are lost: what is in the database and what the core keeps in memory beside it stay one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { systemClock } from '../../runtime/clock.ts';
import { seededRandom } from '../../runtime/random.ts';
import {
  ACME,
  claimed,
  claimedOne,
  current,
  ending,
  idsOf,
  order,
  submitted,
  telling,
} from '../conformance-setup.ts';
import type { Store } from '../store.ts';
import { openSqliteInProcess } from './open.ts';

interface Faulty {
  readonly store: Store;
  /** Lets each commit fail at that moment until told otherwise. */
  fail(moment: 'before' | 'after' | null, error?: Error): void;
}

function setup(): Faulty {
  let failing: 'before' | 'after' | null = null;
  let thrown = new Error('the machine stopped');
  const store = openSqliteInProcess({
    path: ':memory:',
    clock: systemClock,
    random: seededRandom(7, systemClock.now),
    auditKey: 'k',
    faults: moment => {
      if (moment === failing) throw thrown;
    },
  });
  return {
    store,
    fail(moment, error = new Error('the machine stopped')) {
      failing = moment;
      thrown = error;
    },
  };
}

const full = (): Error => Object.assign(new Error('database or disk is full'), { errcode: 13 });

async function figures(store: Store): Promise<object> {
  const { bytes, ...counts } = await store.measure();
  return { ...counts, queues: await store.queues(), leases: await store.leases({}) };
}

test('a commit that fails leaves neither rows nor counts', async () => {
  const { store, fail } = setup();
  const timers = [{ kind: 'queue_timeout', dueInMs: 60_000 }] as const;
  await submitted(store, order('a', { notify: ['task_started'], task: { timers } }), order('b'));
  const claim = await claimedOne(store);
  const before = await figures(store);
  const fresh = order('c', { requester: 'someone new', task: { timers, waitingMax: 2 } });
  fail('before');
  await assert.rejects(store.submit([fresh, order('d', { tenant: 'globex' as TenantId })]));
  await assert.rejects(store.submit([fresh], { atomic: true }));
  await assert.rejects(claimed(store));
  await assert.rejects(
    store.commit([ending(claim, 'failed', { timers, deliveries: [telling('x', 'task_failed')] })]),
  );
  await assert.rejects(store.dueDeliveries(10, 1_000));
  fail(null);
  assert.deepEqual(await figures(store), before);
  assert.deepEqual(await store.read([{ tenant: ACME, id: 'c' as TaskId }]), [null]);
  assert.deepEqual(await current(store, 'a'), claim.task);

  await submitted(store, fresh);
  assert.deepEqual(await store.submit([order('d', { task: { waitingMax: 2 } })]), [{ status: 'full' }]);
  assert.deepEqual(idsOf(await claimed(store)), ['b', 'c']);
});

test('an answer that is lost is not a change that is lost', async () => {
  const { store, fail } = setup();
  await submitted(store, order('a'));
  const claim = await claimedOne(store);
  fail('after');
  await assert.rejects(store.submit([order('b')]));
  await assert.rejects(store.commit([ending(claim)]));
  fail(null);
  assert.equal((await store.submit([order('b')]))[0]?.status, 'same');
  assert.deepEqual(await store.commit([ending(claim)]), [{ status: 'stale' }]);
  assert.equal((await current(store, 'a')).outcome, 'completed');
  assert.equal((await current(store, 'a')).lastToken, claim.token);
});

test('an atomic submit that is refused undoes its queues and counts, not those of the calls before', async () => {
  const { store } = setup();
  await submitted(store, order('a'));
  const before = await figures(store);
  const outcomes = await store.submit(
    [
      order('b', { requester: 'someone new' }),
      order('b', { requester: 'someone new' }),
      order('c', { spec: { dependsOn: ['nobody' as TaskId] } }),
    ],
    { atomic: true },
  );
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['aborted', 'aborted', 'unknown_dependency'],
  );
  assert.deepEqual(await figures(store), before);
  await submitted(store, order('b', { requester: 'someone new' }));
  assert.deepEqual(idsOf(await claimed(store)), ['a', 'b']);
});

test('a store whose writes fail says that it is not writable, until one succeeds', async () => {
  const { store, fail } = setup();
  assert.equal((await store.measure()).writable, true);
  fail('before', full());
  await assert.rejects(store.submit([order('a')]), { code: 'unavailable' });
  assert.equal((await store.measure()).writable, false);
  fail(null);
  assert.equal((await store.measure()).writable, true);
  await submitted(store, order('a'));
});

test('a failure that is not the database’s is no sign that it cannot be written', async () => {
  const { store, fail } = setup();
  fail('before');
  await assert.rejects(store.submit([order('a')]), { message: 'the machine stopped' });
  assert.equal((await store.measure()).writable, true);
});
