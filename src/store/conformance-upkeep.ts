// Conformance, sixth chapter: the audit, retention, restarts, and the store's own figures.

import assert from 'node:assert/strict';
import type { TaskId, TenantId } from '../domain/ids.ts';
import { auditHash } from './audit-chain.ts';
import {
  ACME,
  artifact,
  auditEntry,
  claimed,
  claimedOne,
  current,
  document,
  ending,
  historyOf,
  LOGGED,
  logLine,
  order,
  reporting,
  submitted,
  suite,
  telling,
  WORKER,
} from './conformance-setup.ts';
import type { PurgeTerms } from './rows.ts';

const GLOBEX = 'globex' as TenantId;
const NEVER_MS = 1e12;
const KEEP: PurgeTerms = {
  resultsMs: NEVER_MS,
  logsMs: NEVER_MS,
  samplesMs: NEVER_MS,
  artifactsMs: NEVER_MS,
};

/** Claims about the audit and the store's own figures. */
export const auditing = suite(test => {
  test('SAM-205 audit entries are numbered per tenant and chained by keyed hash', async bundle => {
    const { store, auditKey } = bundle;
    await store.appendAudit([
      auditEntry('one', { object: 'a', requestId: 'r' }),
      auditEntry('other', { tenant: GLOBEX }),
    ]);
    await bundle.reopen();
    await bundle.store.appendAudit([auditEntry('two', { detail: { left: undefined } }), auditEntry('three')]);
    const entries = await bundle.store.audit({ tenant: ACME, limit: 10 });
    assert.deepEqual(
      entries.map(({ sequence, action }) => [sequence, action]),
      [
        [1, 'one'],
        [2, 'two'],
        [3, 'three'],
      ],
    );
    let previous = '';
    for (const { hash, ...rest } of entries) {
      assert.equal(hash, auditHash(auditKey, previous, rest));
      assert.notEqual(hash, auditHash('another key', previous, rest));
      assert.notEqual(hash, auditHash(auditKey, previous, { ...rest, principal: 'forged' }));
      previous = hash;
    }
    const [foreign] = await bundle.store.audit({ tenant: GLOBEX, limit: 10 });
    assert.equal(foreign?.sequence, 1);
  });

  test('simultaneous audit entries leave no gap', async ({ store }) => {
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => store.appendAudit([auditEntry(`a${at}`), auditEntry(`b${at}`)])),
    );
    const entries = await store.audit({ tenant: ACME, limit: 100 });
    assert.deepEqual(
      entries.map(({ sequence }) => sequence),
      Array.from({ length: 40 }, (_, at) => at + 1),
    );
  });

  test('audit entries are found by action, principal, object, time and number', async bundle => {
    const { store } = bundle;
    await store.appendAudit([auditEntry('one'), auditEntry('two', { principal: 'key:2' })]);
    await bundle.passTime(1_000);
    await store.appendAudit([auditEntry('one', { object: 'task a' })]);
    const [, , last] = await store.audit({ tenant: ACME, limit: 10 });
    const at = last?.at ?? assert.fail();
    const found = async (query: object): Promise<readonly number[]> =>
      (await store.audit({ tenant: ACME, limit: 10, ...query })).map(({ sequence }) => sequence);
    assert.deepEqual(await found({ action: 'one' }), [1, 3]);
    assert.deepEqual(await found({ principal: 'key:2' }), [2]);
    assert.deepEqual(await found({ object: 'task a' }), [3]);
    assert.deepEqual(await found({ since: at }), [3]);
    assert.deepEqual(await found({ until: at }), [1, 2]);
    assert.deepEqual(await found({ afterSequence: 1, limit: 1 }), [2]);
  });

  test('the store knows how much it holds', async bundle => {
    const { store } = bundle;
    const timers = [{ kind: 'queue_timeout', dueInMs: 1_000 }] as const;
    await submitted(
      store,
      order('a', { notify: ['task_started'] }),
      order('b', { task: { timers } }),
      order('c'),
    );
    await claimedOne(store);
    const { bytes, schemaVersion, database: _database, ...counts } = await store.measure();
    const expected = { ready: 2, leased: 1, timers: 1, deliveriesPending: 1, writable: true };
    assert.deepEqual(counts, expected);
    assert.equal(bytes > 0, true);
    assert.equal(schemaVersion >= 1, true);
    await bundle.reopen();
    const { bytes: _, schemaVersion: __, database: ___, ...reopened } = await bundle.store.measure();
    assert.deepEqual(reopened, expected);
  });

  test('SAM-47 whatever was answered is there after a restart', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a', { notify: ['task_started'] }), order('b'), order('c'));
    const claims = await claimed(store, { limit: 2 });
    const [a, b] = claims;
    if (a === undefined || b === undefined) assert.fail();
    await store.commit([
      reporting(a, 30, { checkpoint: [1] }),
      ending(b, 'failed', { deliveries: [telling('d', 'task_failed')] }),
    ]);
    const look = async () => ({
      tasks: await bundle.store.list({ tenant: ACME, limit: 10, offset: 0 }),
      events: await bundle.store.events({ of: 'tenant', tenant: ACME, afterCursor: null, limit: 100 }),
      leases: await bundle.store.leases({}),
      queues: await bundle.store.queues(),
      deliveries: await bundle.store.deliveries({ tenant: ACME, limit: 10, offset: 0 }),
    });
    const before = await look();
    await bundle.reopen();
    assert.deepEqual(await look(), before);
  });

  test('a stopped store refuses every verb as unavailable', async bundle => {
    await bundle.store.stop();
    await bundle.store.stop();
    await assert.rejects(bundle.store.submit([order('a')]), { code: 'unavailable' });
    await assert.rejects(bundle.store.queues(), { code: 'unavailable' });
    await assert.rejects(bundle.store.list({ tenant: ACME, limit: 1, offset: 0 }), { code: 'unavailable' });
  });
});

/** Claims about purge. */
export const purging = suite(test => {
  test('SAM-183 a purged task still gives its id, its outcome and that it was purged', async bundle => {
    const { store } = bundle;
    const secret = 'the content';
    await submitted(store, order('a', { spec: { description: secret, payload: { secret } } }), order('b'));
    const claims = await claimed(store);
    await store.commit(
      claims.map(claim => ending(claim, 'failed', { result: { output: secret, metrics: {} } })),
    );
    const before = await current(store, 'a');
    await bundle.passTime(1_000);
    const counts = await store.purge({ ...KEEP, resultsMs: 1_000_000 }, 10);
    assert.deepEqual(counts, {
      tasks: 0,
      logs: 0,
      samples: 0,
      artifacts: 0,
      documents: 0,
      freed: [],
      more: false,
    });
    assert.deepEqual(await current(store, 'a'), before);

    assert.equal((await store.purge({ ...KEEP, resultsMs: 500 }, 1)).more, true);
    const rest = await store.purge({ ...KEEP, resultsMs: 500 }, 10);
    assert.deepEqual([rest.tasks, rest.more], [1, false]);
    const stub = await current(store, 'a');
    assert.equal(stub.purged, true);
    assert.equal(stub.outcome, 'failed');
    assert.equal(stub.executionId, before.executionId);
    assert.equal(stub.endedAt, before.endedAt);
    assert.equal(stub.result, null);
    assert.equal(JSON.stringify(stub).includes(secret), false);
    assert.deepEqual(await historyOf(store, stub.key), []);
    assert.deepEqual(
      (await store.submit([order('a')])).map(({ status }) => status),
      ['same'],
    );
    assert.equal((await store.purge({ ...KEEP, resultsMs: 500 }, 10)).tasks, 0);
  });

  test('ARMY-76 the content of ended tasks of a tenant is removed at once with what they logged, and nothing of others', async ({
    store,
  }) => {
    const secret = 'the content';
    const spec = {
      description: secret,
      payload: { secret },
      requester: { agentId: WORKER, userId: 'u' },
    };
    await submitted(store, order('a', { spec }), order('b', { spec }));
    const claims = await claimed(store);
    await store.commit(
      claims.map(claim => ending(claim, 'failed', { result: { output: secret, metrics: {} } })),
    );
    await submitted(store, order('waiting', { spec }), order('a', { spec, tenant: GLOBEX }));
    const [a, b] = [await current(store, 'a'), await current(store, 'b')];
    await store.record(
      [a, b].map(({ key }) => logLine(secret, { key })),
      [],
    );
    const named = (...ids: readonly string[]) =>
      store.purge({ tenant: ACME, ids: ids as readonly TaskId[] }, 10);
    const { tasks, logs } = await named('a', 'waiting', 'unknown');
    assert.deepEqual([tasks, logs], [1, 1]);
    const stub = await current(store, 'a');
    assert.deepEqual([stub.purged, stub.outcome, stub.endedAt], [true, 'failed', a.endedAt]);
    assert.equal(JSON.stringify(stub).includes(secret), false);
    assert.deepEqual(await historyOf(store, a.key), []);
    const logged = async (key: typeof a.key) => (await store.logs({ key, limit: 10 })).length;
    assert.deepEqual([await logged(a.key), await logged(b.key)], [0, 1]);
    const mine = await store.list({ tenant: ACME, userId: 'u', limit: 10, offset: 0 });
    assert.deepEqual(mine.items.map(({ id }) => id).sort(), ['b', 'waiting']);
    assert.deepEqual(await current(store, 'b'), b);
    assert.equal((await current(store, 'a', GLOBEX)).spec.description, secret);
    assert.equal((await named('a')).tasks, 0);
  });

  test('a task that has not ended is not purged', async bundle => {
    const { store } = bundle;
    await submitted(store, order('waiting'), order('running', { priority: 0 }));
    await claimedOne(store);
    await bundle.passTime(10_000);
    assert.equal((await store.purge({ ...KEEP, resultsMs: 0 }, 10)).tasks, 0);
    assert.equal((await current(store, 'waiting')).purged, false);
  });

  test('SAM-183 logs, samples, artifacts and documents go exactly when past their own terms', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const { createdAt } = await current(store, 'a');
    const ages = [0, 10_000];
    for (const age of ages) {
      const at = createdAt - age;
      await store.record([logLine(`${age}`, { at })], [{ tenant: ACME, key: LOGGED, attempt: 1, at }]);
      await store.putArtifacts([artifact(`${age}`, `digest ${age}`, { createdAt: at })]);
      await store.putDocuments([document(`${age}`, { expiresAt: at + 20_000 })]);
    }
    await bundle.passTime(11_000);
    const counts = await store.purge({ ...KEEP, logsMs: 15_000, samplesMs: 15_000, artifactsMs: 15_000 }, 10);
    assert.deepEqual(counts, {
      tasks: 0,
      logs: 1,
      samples: 1,
      artifacts: 1,
      documents: 1,
      freed: ['digest 10000'],
      more: false,
    });
    assert.deepEqual(
      (await store.logs({ key: LOGGED, limit: 10 })).map(({ message }) => message),
      ['0'],
    );
    assert.equal((await store.samples({ key: LOGGED, limit: 10 })).length, 1);
    assert.deepEqual(
      (await store.artifacts({ tenant: ACME })).map(({ id }) => id),
      ['0'],
    );
    assert.deepEqual(
      (await store.documents({ kind: 'agent' })).map(({ id }) => id),
      ['0'],
    );
  });

  test('a purge stops at its limit and says that there is more', async bundle => {
    const { store } = bundle;
    await store.record(
      Array.from({ length: 5 }, (_, at) => logLine(`${at}`, { at: 1 })),
      [],
    );
    const terms = { ...KEEP, logsMs: 1 };
    assert.deepEqual([(await store.purge(terms, 3)).logs, (await store.purge(terms, 3)).logs], [3, 2]);
    assert.equal((await store.purge(terms, 3)).more, false);
  });
});
