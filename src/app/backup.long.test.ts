// Backups of a server that serves, and how damaged ones are told from whole ones.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { hire, submit, taskOf } from '../../test/e2e/crew.ts';
import { running } from '../../test/e2e/running.ts';
import type { Loose } from '../../test/serve.ts';
import type { ArtifactId } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { ACME, artifact, order, submitted } from '../store/conformance-setup.ts';
import { type BackupReport, takeBackup, verifyBackup } from './backup.ts';
import { loadConfig } from './config.ts';
import { ensureDataDir, loadCredentials, loadHouseKeys } from './credentials.ts';
import { readManifest } from './manifest.ts';
import { openBlobs, openStore } from './registry.ts';

/** A data directory as a server leaves it, its store open, and a place for backups. */
async function setup(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'batuta-backup-'));
  const config = loadConfig({ environment: {}, flags: { dataDir: join(root, 'house') } });
  ensureDataDir(config.dataDir);
  loadCredentials(config, systemRandom, 'http://127.0.0.1:8400');
  const store = await openStore(config, loadHouseKeys(config, systemRandom).auditKey);
  const blobs = await openBlobs(config, systemRandom);
  t.after(async () => {
    await store.stop();
    rmSync(root, { recursive: true, force: true });
  });
  const keep = async (id: string, text: string): Promise<string> => {
    const { sha256 } = await blobs.write(Buffer.from(text), 1_000);
    await store.putArtifacts([artifact(id, sha256)]);
    return sha256;
  };
  return { dataDir: config.dataDir, config, store, blobs, keep, to: join(root, 'backups') };
}

const blobAt = (directory: string, sha256: string): string =>
  join(directory, 'blobs', sha256.slice(0, 2), sha256.slice(2));

/** Changes a file of a backup so that the sums still agree, as a skilled hand would. */
async function forge({ directory }: BackupReport, path: string, change: (at: string) => void): Promise<void> {
  const manifest: Loose = await readManifest(directory);
  change(join(directory, path));
  const bytes = readFileSync(join(directory, path));
  Object.assign(
    manifest.files.find((file: Loose) => file.path === path),
    { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
  );
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
}

function alter(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

test('SAM-219 a backup taken while a server takes submits holds all that was acknowledged before it', async t => {
  const house = await running();
  const to = mkdtempSync(join(tmpdir(), 'batuta-backups-'));
  t.after(async () => {
    await house.stop();
    rmSync(to, { recursive: true, force: true });
  });
  const config = loadConfig({ environment: {}, flags: { dataDir: house.dataDir } });
  await hire(house.admin, 'kind');
  const acknowledged: string[] = [];
  const enough = Promise.withResolvers<void>();
  let goesOn = true;
  const callers = Array.from({ length: 4 }, async (_, caller) => {
    for (let at = 0; goesOn || at < 3; at++) {
      await submit(house.admin, taskOf(`task-${caller}-${at}`, 'kind'));
      acknowledged.push(`task-${caller}-${at}`);
      if (acknowledged.length === 20) enough.resolve();
    }
  });
  await enough.promise;
  const before = [...acknowledged];
  const report = await takeBackup(config, { to });
  goesOn = false;
  await Promise.all(callers);
  assert.equal(acknowledged.length > before.length, true, 'submits went on meanwhile');
  const copy = new DatabaseSync(join(report.directory, 'batuta.db'), { readOnly: true });
  const kept = new Set(
    copy
      .prepare('SELECT id FROM task')
      .all()
      .map(row => row.id),
  );
  copy.close();
  assert.deepEqual(
    before.filter(id => !kept.has(id)),
    [],
  );
  assert.equal(report.tasks, kept.size);
  assert.equal(kept.size <= acknowledged.length, true);
  assert.deepEqual(await verifyBackup(report.directory), report);
});

test('SAM-219 a backup holds artifacts, keys, credentials and settings, each once, for its owner’s eyes only', async t => {
  const { dataDir, config, keep, to } = await setup(t);
  const [one, other] = [await keep('one', 'the bytes'), await keep('other', 'others')];
  assert.equal(await keep('again', 'the bytes'), one);
  const settingsFile = join(dataDir, '..', 'settings.json');
  writeFileSync(settingsFile, '{"queueMax": 7}');
  const report = await takeBackup(config, { to, settingsFile });
  assert.deepEqual([report.artifacts, report.files, report.missing_blobs], [3, 6, 0]);
  const { directory } = report;
  assert.equal(readFileSync(blobAt(directory, one), 'utf8'), 'the bytes');
  assert.equal(readFileSync(blobAt(directory, other), 'utf8'), 'others');
  for (const file of ['house-keys.json', 'credentials.json'])
    assert.deepEqual(readFileSync(join(directory, file)), readFileSync(join(dataDir, file)));
  assert.equal(readFileSync(join(directory, 'config.json'), 'utf8'), '{"queueMax": 7}');
  for (const entry of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const { mode } = statSync(join(directory, entry));
    assert.equal(mode & 0o077, 0, entry);
  }
  const listed = (await readManifest(directory)).files.map(({ path }) => path);
  const there = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const files = there.filter(entry => statSync(join(directory, entry)).isFile() && entry !== 'manifest.json');
  assert.deepEqual(listed.toSorted(), files.toSorted());
});

test('a backup that fails leaves nothing behind, and there is none of what is not there', async t => {
  const { dataDir, config, to } = await setup(t);
  renameSync(join(dataDir, 'house-keys.json'), join(dataDir, 'kept'));
  await assert.rejects(takeBackup(config, { to }), { code: 'unavailable' });
  assert.deepEqual(readdirSync(to), []);
  await assert.rejects(takeBackup({ ...config, dataDir: join(to, 'nothing') }, { to }), {
    code: 'not_found',
  });
  const elsewhere = { ...config, databaseUrl: 'postgres://db/batuta' };
  await assert.rejects(takeBackup(elsewhere, { to }), { code: 'invalid_request' });
  assert.deepEqual(readdirSync(to), []);
});

test('an artifact whose bytes are gone or damaged is told of and does not stand in the way of the rest', async t => {
  const { dataDir, config, keep, to } = await setup(t);
  const [gone, rotten] = [await keep('gone', 'soon gone'), await keep('rotten', 'soon rotten')];
  await keep('sound', 'sound');
  rmSync(blobAt(dataDir, gone));
  writeFileSync(blobAt(dataDir, rotten), 'something else');
  const report = await takeBackup(config, { to });
  assert.deepEqual([report.artifacts, report.files, report.missing_blobs], [3, 4, 2]);
  const { missing_blobs } = await readManifest(report.directory);
  assert.deepEqual(missing_blobs.toSorted(), [gone, rotten].toSorted());
  assert.equal(existsSync(blobAt(report.directory, rotten)), false);
});

test('SAM-219 artifacts deleted while their bytes are being copied are no loss: the copy is taken anew without them', async t => {
  const { config, store, blobs, keep, to } = await setup(t);
  const names = Array.from({ length: 80 }, (_, at) => `artifact-${at}`);
  const kept = names.map(async name => [await keep(name, `bytes of ${name}`), name] as const);
  const digests = new Map(await Promise.all(kept));
  const taking = takeBackup(config, { to });
  const isCopied = (): boolean =>
    existsSync(to) && readdirSync(to).some(name => existsSync(join(to, name, 'blobs')));
  while (!isCopied()) await new Promise(resolve => setImmediate(resolve));
  // Bytes are copied in the order of their digests: these come last.
  const doomed = [...digests.keys()].toSorted().slice(-20);
  const refs = doomed.map(sha256 => ({ tenant: ACME, id: digests.get(sha256) as ArtifactId }));
  await blobs.removeFreed(async () => ({ freed: await store.dropArtifacts(refs) }));
  const report = await taking;
  assert.deepEqual([report.artifacts, report.missing_blobs], [60, 0]);
  assert.equal(
    doomed.some(sha256 => existsSync(blobAt(report.directory, sha256))),
    false,
  );
});

test('SAM-220 verifying finds a changed byte, a missing file and a cut manifest, and leaves no trace', async t => {
  const { config, keep, to } = await setup(t);
  const sha256 = await keep('one', 'the bytes');
  const { directory } = await takeBackup(config, { to });
  const before = readdirSync(directory, { recursive: true }).toSorted();
  const files = [
    'batuta.db',
    'house-keys.json',
    'credentials.json',
    join('blobs', sha256.slice(0, 2), sha256.slice(2)),
  ];
  for (const file of files) {
    const path = join(directory, file);
    const bytes = readFileSync(path);
    const changed = Buffer.from(bytes);
    changed[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(path, changed);
    await assert.rejects(verifyBackup(directory), {
      code: 'unavailable',
      message: new RegExp(`damaged: ${file}`),
    });
    rmSync(path);
    await assert.rejects(verifyBackup(directory), {
      code: 'unavailable',
      message: new RegExp(`${file} cannot`),
    });
    writeFileSync(path, bytes);
  }
  await verifyBackup(directory);
  assert.deepEqual(readdirSync(directory, { recursive: true }).toSorted(), before);
  const manifest = readFileSync(join(directory, 'manifest.json'));
  for (const text of [
    manifest.subarray(0, 200),
    '{}',
    '[]',
    manifest.toString().replace('batuta.db', '../x.db'),
  ]) {
    writeFileSync(join(directory, 'manifest.json'), text);
    await assert.rejects(verifyBackup(directory), {
      code: 'unavailable',
      message: /its manifest makes no sense/,
    });
  }
  rmSync(join(directory, 'manifest.json'));
  await assert.rejects(verifyBackup(directory), { code: 'not_found' });
});

test('SAM-220 verifying opens the copy: gaps in its events, wrong counts and lost artifacts are found though all sums agree', async t => {
  const { config, store, keep, to } = await setup(t);
  await submitted(store, order('one'));
  await keep('one', 'the bytes');
  for (const [sql, words] of [
    ['DELETE FROM event', /the last event is not the one the task stands at, of task one/],
    ['DELETE FROM artifact', /its manifest is wrong about artifacts/],
    [`UPDATE artifact SET sha256 = '${'a'.repeat(64)}'`, /bytes of artifacts are not there: aaaa/],
    ['PRAGMA user_version = 99', /schema 99.*use the newer program/],
  ] as const) {
    const report = await takeBackup(config, { to });
    await forge(report, 'batuta.db', path => alter(path, sql));
    await assert.rejects(verifyBackup(report.directory), { code: 'unavailable', message: words });
  }
  const { directory } = await takeBackup(config, { to });
  const manifest = { ...(await readManifest(directory)), format: 2 };
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
  await assert.rejects(verifyBackup(directory), { code: 'unavailable', message: /of a newer program/ });
});

test('two backups of one instant do not mix', async t => {
  const { config, to } = await setup(t);
  const clock = { now: () => 1_790_000_000_000, monotonic: () => 0, after: () => () => {} };
  const { directory } = await takeBackup(config, { to }, clock);
  assert.equal(directory, join(to, '2026-09-21T14-13-20.000Z'));
  mkdirSync(`${directory}.partial`);
  await assert.rejects(takeBackup(config, { to }, clock), { code: 'unavailable' });
  rmSync(`${directory}.partial`, { recursive: true });
  await assert.rejects(takeBackup(config, { to }, clock), { code: 'unavailable' });
  await verifyBackup(directory);
  assert.equal(readdirSync(to).length, 1);
});
