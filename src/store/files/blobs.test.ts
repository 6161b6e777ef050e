// Blobs in files: whole or absent, stored once, streamed, limited.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { suite, type TestContext, test } from 'node:test';
import { systemRandom } from '../../runtime/random.ts';
import type { Blobs } from '../blobs.ts';
import { HEAD_BYTES, openFileBlobs } from './blobs.ts';

const LIMIT = 10_000_000;

async function setup(t: TestContext): Promise<{ readonly directory: string; readonly blobs: Blobs }> {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-blobs-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, blobs: await openFileBlobs(directory, systemRandom) };
}

function filesIn(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => entry.name);
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('bytes come back as they went in, under their digest', async t => {
  const { blobs } = await setup(t);
  const bytes = systemRandom.bytes(100_000);
  const written = await blobs.write(bytes, LIMIT);
  assert.equal(written.sha256, digestOf(bytes));
  assert.equal(written.sizeBytes, bytes.length);
  assert.deepEqual(Buffer.from(written.head), Buffer.from(bytes.subarray(0, HEAD_BYTES)));
  assert.deepEqual(await buffer(await blobs.read(written.sha256)), Buffer.from(bytes));
});

test('a stream is written chunk by chunk, its head gathered over chunks', async t => {
  const { blobs } = await setup(t);
  const chunks = [Buffer.from('abc'), Buffer.alloc(HEAD_BYTES, 1), Buffer.alloc(50_000, 2)];
  const whole = Buffer.concat(chunks);
  const written = await blobs.write(Readable.from(chunks), LIMIT);
  assert.equal(written.sha256, digestOf(whole));
  assert.deepEqual(Buffer.from(written.head), whole.subarray(0, HEAD_BYTES));
  assert.deepEqual(await buffer(await blobs.read(written.sha256)), whole);
});

test('an empty file is a file', async t => {
  const { blobs } = await setup(t);
  const written = await blobs.write(new Uint8Array(), LIMIT);
  assert.deepEqual([written.sizeBytes, written.head.length], [0, 0]);
  assert.equal((await buffer(await blobs.read(written.sha256))).length, 0);
});

test('SAM-75 identical bytes are stored once, even when written at the same time', async t => {
  const { directory, blobs } = await setup(t);
  const bytes = Buffer.from('the same report');
  const written = await Promise.all(Array.from({ length: 8 }, () => blobs.write(bytes, LIMIT)));
  assert.equal(new Set(written.map(({ sha256 }) => sha256)).size, 1);
  assert.equal(filesIn(directory).length, 1);
});

test('bytes past the limit are refused while they arrive, and nothing is kept', async t => {
  const { directory, blobs } = await setup(t);
  let sent = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        sent += 1_000;
        yield Buffer.alloc(1_000);
      }
    })(),
  );
  await assert.rejects(blobs.write(endless, 10_000), { code: 'payload_too_large' });
  assert.equal(sent < 200_000, true);
  assert.equal(endless.destroyed, true);
  assert.deepEqual(filesIn(directory), []);
  assert.equal((await blobs.write(Buffer.alloc(10_000), 10_000)).sizeBytes, 10_000);
});

test('a source that fails leaves nothing behind and its error comes through', async t => {
  const { directory, blobs } = await setup(t);
  const broken = Readable.from(
    (async function* () {
      yield Buffer.from('half');
      throw new Error('the uploader went away');
    })(),
  );
  await assert.rejects(blobs.write(broken, LIMIT), { message: 'the uploader went away' });
  assert.deepEqual(filesIn(directory), []);
});

test('a range is read with both its ends', async t => {
  const { blobs } = await setup(t);
  const { sha256 } = await blobs.write(Buffer.from('0123456789'), LIMIT);
  const range = async (start: number, end: number): Promise<string> =>
    (await buffer(await blobs.read(sha256, { start, end }))).toString();
  assert.equal(await range(2, 4), '234');
  assert.equal(await range(9, 9), '9');
  assert.equal(await range(0, 9), '0123456789');
});

test('what is not there, was removed, or is no digest is not found', async t => {
  const { directory, blobs } = await setup(t);
  const { sha256 } = await blobs.write(Buffer.from('short-lived'), LIMIT);
  const decide = async () => ({ freed: [sha256] });
  assert.deepEqual(await blobs.removeFreed(decide), { freed: [sha256] });
  await blobs.removeFreed(decide);
  assert.deepEqual(filesIn(directory), []);
  for (const name of [sha256, '../../secret', `${'a'.repeat(62)}/.`, '']) {
    await assert.rejects(blobs.read(name), { code: 'not_found' });
  }
});

test('what an unfinished write left is cleared when the blobs are opened again; finished ones stay', async t => {
  const { directory, blobs } = await setup(t);
  const { sha256 } = await blobs.write(Buffer.from('whole'), LIMIT);
  writeFileSync(join(directory, 'blobs', 'incoming', 'half'), 'hal');
  const again = await openFileBlobs(directory, systemRandom);
  assert.equal(filesIn(directory).length, 1);
  assert.equal((await buffer(await again.read(sha256))).toString(), 'whole');
});

test('blobs can be read by their owner alone', async t => {
  const { directory, blobs } = await setup(t);
  const { sha256 } = await blobs.write(Buffer.from('private'), LIMIT);
  const path = join(directory, 'blobs', sha256.slice(0, 2), sha256.slice(2));
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('free space is known, and a directory that cannot be used is unavailable', async t => {
  const { directory, blobs } = await setup(t);
  assert.equal((await blobs.free()) > 0, true);
  const taken = join(directory, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'blobs'), 'a file where a directory should be');
  await assert.rejects(openFileBlobs(taken, systemRandom), { code: 'unavailable' });
});

suite('removing while the same bytes come again', () => {
  const BYTES = Buffer.from('wanted again');
  const isThere = async (blobs: Blobs, sha256: string) =>
    blobs.read(sha256).then(
      async stream => (await buffer(stream)).equals(BYTES),
      () => false,
    );

  test('SAM-75 bytes stored while it is decided that nobody refers to them stay', async t => {
    const { blobs } = await setup(t);
    const { sha256 } = await blobs.write(BYTES, LIMIT);
    await blobs.removeFreed(async () => {
      await blobs.write(BYTES, LIMIT);
      return { freed: [sha256] };
    });
    assert.equal(await isThere(blobs, sha256), true);
    await blobs.removeFreed(async () => ({ freed: [sha256] }));
    assert.equal(await isThere(blobs, sha256), false);
  });

  test('SAM-75 bytes stay while somebody who stored them writes down what refers to them', async t => {
    const { blobs } = await setup(t);
    const { sha256 } = await blobs.write(BYTES, LIMIT);
    const [written, stored] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const storing = blobs.write(BYTES, LIMIT, () => {
      stored.resolve();
      return written.promise;
    });
    await stored.promise;
    await blobs.removeFreed(async () => ({ freed: [sha256] }));
    assert.equal(await isThere(blobs, sha256), true);
    written.resolve();
    await storing;
    assert.equal(await isThere(blobs, sha256), true);
  });

  test('SAM-75 bytes that come while they are being removed are stored after it, and several removals are one', async t => {
    const { blobs } = await setup(t);
    for (let round = 0; round < 50; round++) {
      const { sha256 } = await blobs.write(BYTES, LIMIT);
      const decided = Promise.withResolvers<void>();
      const removals = [1, 2].map(() =>
        blobs.removeFreed(async () => {
          await decided.promise;
          return { freed: [sha256] };
        }),
      );
      decided.resolve();
      await Promise.resolve();
      await Promise.all([blobs.write(BYTES, LIMIT), ...removals]);
      assert.equal(await isThere(blobs, sha256), true, `round ${round}`);
    }
  });

  test('a keeper that fails fails the write, and the bytes can be removed', async t => {
    const { blobs, directory } = await setup(t);
    let sha256 = '';
    const failing = blobs.write(BYTES, LIMIT, async stored => {
      ({ sha256 } = stored);
      throw new Error('the store is away');
    });
    await assert.rejects(failing, /the store is away/);
    await blobs.removeFreed(async () => ({ freed: [sha256] }));
    assert.deepEqual(filesIn(directory), []);
  });
});
