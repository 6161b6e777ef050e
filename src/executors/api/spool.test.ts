import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { INLINE_BYTES_MAX, Spool } from './spool.ts';

function setup(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-spool-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'body');
  const used = { disk: 0 };
  const usage = {
    disk: (bytes: number) => {
      used.disk += bytes;
    },
  };
  return { directory, path, used, spool: new Spool(() => path, usage) };
}

async function* pieces(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < count; n++) yield Buffer.alloc(bytes, String(n % 10));
}

test('a body goes to disk when it grows large, whole and in order, and its file goes when it is discarded', async t => {
  const { directory, used, spool } = setup(t);
  await spool.take(pieces(8, 700_000));
  assert.ok(spool.size > INLINE_BYTES_MAX);
  assert.deepEqual([spool.bytes(), used], [null, { disk: spool.size }]);
  const source = spool.source(new AbortController().signal);
  assert.ok(!(source instanceof Uint8Array));
  assert.equal((await buffer(source)).compare(await buffer(pieces(8, 700_000))), 0);
  await spool.discard();
  assert.deepEqual([await readdir(directory), used.disk, spool.size], [[], 0, 0]);
});

test('a body that stays small touches no disk', async t => {
  const { directory, used, spool } = setup(t);
  await spool.take(pieces(4, 1_048_576));
  assert.equal(spool.bytes()?.length, INLINE_BYTES_MAX);
  assert.deepEqual([await readdir(directory), used.disk], [[], 0]);
});

test('a full disk is a lack of resources, not a fault of the host that was asked', async t => {
  const { path, spool } = setup(t);
  await symlink('/dev/full', path);
  await assert.rejects(spool.take(pieces(8, 700_000)), { code: 'resource_exhausted' });
});
