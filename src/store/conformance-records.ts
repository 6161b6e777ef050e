// Conformance, fifth chapter: logs, samples, artifacts and documents.

import assert from 'node:assert/strict';
import type { ArtifactId, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import {
  ACME,
  artifact,
  current,
  document,
  LOGGED,
  logLine,
  order,
  submitted,
  suite,
} from './conformance-setup.ts';
import type { Sample } from './rows.ts';

const GLOBEX = 'globex' as TenantId;

/** Claims about logs and samples. */
export const logging = suite(test => {
  test('log lines come back oldest first, as they were, with ids that grow', async ({ store }) => {
    const lines = [
      logLine('one', { metadata: { rows: 3 } }),
      logLine('two', { level: 'ERROR', agentId: 'worker', attempt: 2 }),
      logLine('of another', { key: 2 as TaskKey }),
      logLine('three'),
    ];
    await store.record(lines.slice(0, 2), []);
    await store.record(lines.slice(2), []);
    const kept = await store.logs({ key: LOGGED, limit: 10 });
    assert.deepEqual(
      kept.map(({ id, ...rest }) => rest),
      [lines[0], lines[1], lines[3]],
    );
    assert.deepEqual(
      await store.logs({ key: LOGGED, afterId: kept[0]?.id ?? 0, limit: 1 }),
      kept.slice(1, 2),
    );
    assert.deepEqual(await store.logs({ key: LOGGED, last: true, limit: 2 }), kept.slice(1));
  });

  test('SAM-65 log lines are found by level, time, attempt and text in any case', async ({ store }) => {
    await store.record(
      [
        logLine('Straße gesperrt', { level: 'DEBUG', at: 10 }),
        logLine('ÜBER 100%_done', { level: 'WARN', at: 20, attempt: 2 }),
        logLine('fin', { level: 'CRITICAL', at: 30 }),
      ],
      [],
    );
    const found = async (query: object): Promise<readonly string[]> =>
      (await store.logs({ key: LOGGED, limit: 10, ...query })).map(({ message }) => message.slice(0, 4));
    assert.deepEqual(await found({ levelMin: 'WARN' }), ['ÜBER', 'fin']);
    assert.deepEqual(await found({ since: 20, until: 30 }), ['ÜBER']);
    assert.deepEqual(await found({ attempt: 1 }), ['Stra', 'fin']);
    assert.deepEqual(await found({ text: 'STRASSE' }), []);
    assert.deepEqual(await found({ text: 'straße' }), ['Stra']);
    assert.deepEqual(await found({ text: 'über 100%_' }), ['ÜBER']);
    assert.deepEqual(await found({ text: '%' }), ['ÜBER']);
  });

  test('SAM-124 samples come back oldest first with what was measured', async ({ store }) => {
    const sample = (at: number, more: Partial<Sample>): Sample => ({
      tenant: ACME,
      key: LOGGED,
      attempt: 1,
      at,
      ...more,
    });
    const samples = [
      sample(10, { cpuPercent: 12.5, memoryMb: 64 }),
      sample(20, { bytesSent: 5_000_000_000, bytesReceived: 0, diskOperations: 3 }),
      sample(30, {}),
    ];
    await store.record(
      [],
      [samples[1], samples[0], samples[2]].filter(one => one !== undefined),
    );
    assert.deepEqual(await store.samples({ key: LOGGED, limit: 10 }), samples);
    assert.deepEqual(await store.samples({ key: LOGGED, since: 20, limit: 1 }), samples.slice(1, 2));
    assert.deepEqual(await store.samples({ key: 2 as TaskKey, limit: 1 }), []);
  });
});

/** Claims about artifacts. */
export const keeping = suite(test => {
  test('artifacts are found by id, task and name in their tenant, oldest first', async ({ store }) => {
    const one = artifact('1', 'aa', { createdAt: 2_000 });
    const two = artifact('2', 'bb', { name: 'photo.png', quarantined: true });
    const input = artifact('3', 'cc', { taskId: null, attempt: null, createdAt: 3_000 });
    await store.putArtifacts([one, two, input, artifact('4', 'dd', { tenant: GLOBEX })]);
    assert.deepEqual(await store.artifacts({ tenant: ACME }), [two, one, input]);
    assert.deepEqual(await store.artifacts({ tenant: ACME, id: '3' as ArtifactId }), [input]);
    assert.deepEqual(await store.artifacts({ tenant: ACME, taskId: 'a' as TaskId }), [two, one]);
    const ids = ['nobody', 'a'] as TaskId[];
    assert.deepEqual(await store.artifacts({ tenant: ACME, taskIds: ids }), [two, one]);
    assert.deepEqual(await store.artifacts({ tenant: ACME, taskIds: [] }), []);
    assert.deepEqual(await store.artifacts({ tenant: ACME, name: 'photo.png' }), [two]);
    await store.putArtifacts([{ ...two, quarantined: false }]);
    assert.deepEqual(await store.artifacts({ tenant: ACME, id: '2' as ArtifactId }), [
      { ...two, quarantined: false },
    ]);
  });

  test('SAM-75 a digest is free once nothing refers to it, in any tenant', async ({ store }) => {
    await store.putArtifacts([
      artifact('1', 'aa'),
      artifact('2', 'aa', { tenant: GLOBEX }),
      artifact('3', 'bb'),
    ]);
    const ref = (id: string, tenant = ACME) => ({ tenant, id: id as ArtifactId });
    assert.deepEqual(await store.dropArtifacts([ref('1'), ref('3'), ref('nobody')]), ['bb']);
    assert.deepEqual(await store.dropArtifacts([ref('2', ACME)]), []);
    assert.deepEqual(await store.dropArtifacts([ref('2', GLOBEX)]), ['aa']);
    assert.deepEqual(await store.artifacts({ tenant: ACME }), []);
  });
});

/** Claims about documents. */
export const documenting = suite(test => {
  test('documents are written, overwritten and deleted, their versions growing by one', async ({ store }) => {
    assert.deepEqual(
      await store.putDocuments([document('a'), document('b'), document('a', { body: { x: 1 } })]),
      [
        { status: 'done', version: 1 },
        { status: 'done', version: 1 },
        { status: 'done', version: 2 },
      ],
    );
    assert.deepEqual(await store.documents({ kind: 'agent', tenant: ACME }), [
      { tenant: ACME, kind: 'agent', id: 'a', body: { x: 1 }, version: 2, expiresAt: null },
      { tenant: ACME, kind: 'agent', id: 'b', body: { name: 'b' }, version: 1, expiresAt: null },
    ]);
    const [gone] = await store.putDocuments([document('a', { body: null })]);
    assert.equal(gone?.status, 'done');
    assert.deepEqual(
      (await store.documents({ kind: 'agent' })).map(({ id }) => id),
      ['b'],
    );
  });

  test('a document whose expectation fails is a conflict and stays as it was', async ({ store }) => {
    await store.putDocuments([document('a', { expected: 'absent' })]);
    const outcomes = await store.putDocuments([
      document('a', { expected: 'absent', body: { x: 1 } }),
      document('a', { expected: 2, body: { x: 1 } }),
      document('a', { expected: 2, body: null }),
      document('none', { expected: 1 }),
      document('a', { expected: 1, body: { x: 2 } }),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['conflict', 'conflict', 'conflict', 'conflict', 'done'],
    );
    assert.deepEqual(
      (await store.documents({ kind: 'agent' })).map(({ id, body }) => [id, body]),
      [['a', { x: 2 }]],
    );
  });

  test('of writers that expect the same version exactly one succeeds', async ({ store }) => {
    await store.putDocuments([document('a')]);
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => store.putDocuments([document('a', { expected: 1 })])),
    );
    assert.equal(outcomes.flat().filter(({ status }) => status === 'done').length, 1);
  });

  test('documents are apart by kind and tenant, and listed a page at a time', async ({ store }) => {
    await store.putDocuments([
      document('a'),
      document('b'),
      document('c'),
      document('a', { tenant: GLOBEX }),
      document('a', { kind: 'api_key' }),
    ]);
    const ids = async (query: object): Promise<string> =>
      (await store.documents({ kind: 'agent', ...query }))
        .map(({ tenant, id }) => `${tenant}/${id}`)
        .join(' ');
    assert.equal(await ids({}), 'acme/a acme/b acme/c globex/a');
    assert.equal(await ids({ tenant: ACME, ids: ['c', 'a', 'x'] }), 'acme/a acme/c');
    assert.equal(await ids({ tenant: ACME, limit: 2, offset: 1 }), 'acme/b acme/c');
  });

  test('an expired document is absent to readers and to expectations', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const { createdAt } = await current(store, 'a');
    await store.putDocuments([document('a', { expiresAt: createdAt + 1_000 })]);
    assert.equal((await store.documents({ kind: 'agent' }))[0]?.expiresAt, createdAt + 1_000);
    await bundle.passTime(1_000);
    assert.deepEqual(await store.documents({ kind: 'agent' }), []);
    const outcomes = await store.putDocuments([
      document('a', { expected: 1 }),
      document('a', { expected: 'absent' }),
    ]);
    assert.deepEqual(outcomes, [{ status: 'conflict' }, { status: 'done', version: 1 }]);
  });
});
