// Blobs in files prove themselves against the conformance suite; beside it, what is particular to a directory.

import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemRandom } from '../../runtime/random.ts';
import type { Blobs } from '../blobs.ts';
import { testBlobs } from '../conformance-blobs.ts';
import { openFileBlobs } from './blobs.ts';

const LIMIT = 10_000_000;

async function setup(t: TestContext): Promise<{ readonly directory: string; readonly blobs: Blobs }> {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-blobs-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, blobs: await openFileBlobs(directory, systemRandom) };
}

testBlobs('blobs in files', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-blobs-'));
  return {
    blobs: await openFileBlobs(directory, systemRandom),
    kept: async () =>
      readdirSync(directory, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).length,
    leaveHalf: async () => writeFileSync(join(directory, 'blobs', 'incoming', 'half'), 'hal'),
    again: () => openFileBlobs(directory, systemRandom),
    close: async () => rmSync(directory, { recursive: true, force: true }),
  };
});

test('blobs can be read by their owner alone', async t => {
  const { directory, blobs } = await setup(t);
  const { sha256 } = await blobs.write(Buffer.from('private'), LIMIT);
  const path = join(directory, 'blobs', sha256.slice(0, 2), sha256.slice(2));
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('in a shared folder a write under way at another process is left alone, and cleared once it has lain still for an hour', async t => {
  const { directory } = await setup(t);
  const half = join(directory, 'blobs', 'incoming', 'half');
  writeFileSync(half, 'hal');
  const isThereAfterOpening = async () => {
    await openFileBlobs(directory, systemRandom, { isShared: true });
    return existsSync(half);
  };
  assert.equal(await isThereAfterOpening(), true);
  const longAgo = statSync(half).mtimeMs / 1_000 - 3_700;
  utimesSync(half, longAgo, longAgo);
  assert.equal(await isThereAfterOpening(), false);
});

test('free space is known, and a directory that cannot be used is unavailable', async t => {
  const { directory, blobs } = await setup(t);
  assert.equal(((await blobs.free()) ?? 0) > 0, true);
  const taken = join(directory, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'blobs'), 'a file where a directory should be');
  await assert.rejects(openFileBlobs(taken, systemRandom), { code: 'unavailable' });
});
