// What every blob store must prove: bytes whole or absent, stored once, streamed, limited, and never taken from who stores them anew.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { HEAD_BYTES } from './blob-bytes.ts';
import type { Blobs } from './blobs.ts';

/** A fresh blob store and what a test must see of it. */
export interface BlobsUnderTest {
  readonly blobs: Blobs;
  /** How many things lie there: blobs, and what unfinished writes left. */
  kept(): Promise<number>;
  /** Leaves what a writer that died long ago leaves. */
  leaveHalf(): Promise<void>;
  /** Opens the same blobs once more. */
  again(): Promise<Blobs>;
  close(): Promise<void>;
}

interface Claim {
  readonly title: string;
  hold(bundle: BlobsUnderTest): Promise<void>;
}

const LIMIT = 10_000_000;
const BYTES = Buffer.from('wanted again');

const storing: readonly Claim[] = [
  {
    title: 'bytes come back as they went in, under their digest',
    async hold({ blobs }) {
      const bytes = randomBytes(100_000);
      const written = await blobs.write(bytes, LIMIT);
      assert.equal(written.sha256, createHash('sha256').update(bytes).digest('hex'));
      assert.equal(written.sizeBytes, bytes.length);
      assert.deepEqual(Buffer.from(written.head), bytes.subarray(0, HEAD_BYTES));
      assert.deepEqual(await buffer(await blobs.read(written.sha256)), bytes);
    },
  },
  {
    title: 'a stream is written chunk by chunk, its head gathered over chunks',
    async hold({ blobs }) {
      const chunks = [Buffer.from('abc'), Buffer.alloc(HEAD_BYTES, 1), randomBytes(700_000)];
      const whole = Buffer.concat(chunks);
      const written = await blobs.write(Readable.from(chunks), LIMIT);
      assert.deepEqual(Buffer.from(written.head), whole.subarray(0, HEAD_BYTES));
      assert.deepEqual(await buffer(await blobs.read(written.sha256)), whole);
    },
  },
  {
    title: 'an empty file is a file',
    async hold({ blobs }) {
      const written = await blobs.write(new Uint8Array(), LIMIT);
      assert.deepEqual([written.sizeBytes, written.head.length], [0, 0]);
      assert.equal((await buffer(await blobs.read(written.sha256))).length, 0);
    },
  },
  {
    title: 'SAM-75 identical bytes are stored once, even when written at the same time',
    async hold({ blobs, kept }) {
      const bytes = Buffer.from('the same report');
      const written = await Promise.all(Array.from({ length: 8 }, () => blobs.write(bytes, LIMIT)));
      assert.equal(new Set(written.map(({ sha256 }) => sha256)).size, 1);
      assert.equal(await kept(), 1);
    },
  },
  {
    title: 'bytes past the limit are refused while they arrive, and nothing is kept',
    async hold({ blobs, kept }) {
      let sent = 0;
      const endless = Readable.from(
        (function* () {
          for (;;) {
            sent += 1_000;
            yield Buffer.alloc(1_000);
          }
        })(),
      );
      await assert.rejects(blobs.write(endless, 400_000), { code: 'payload_too_large' });
      assert.equal(sent < 600_000, true);
      assert.equal(endless.destroyed, true);
      assert.equal(await kept(), 0);
      assert.equal((await blobs.write(Buffer.alloc(10_000), 10_000)).sizeBytes, 10_000);
    },
  },
  {
    title: 'a source that fails leaves nothing behind and its error comes through',
    async hold({ blobs, kept }) {
      const broken = Readable.from(
        (async function* () {
          yield Buffer.alloc(300_000);
          throw new Error('the uploader went away');
        })(),
      );
      await assert.rejects(blobs.write(broken, LIMIT), { message: 'the uploader went away' });
      assert.equal(await kept(), 0);
    },
  },
  {
    title: 'a range is read with both its ends, within a chunk and over several',
    async hold({ blobs }) {
      const bytes = randomBytes(800_000);
      const { sha256 } = await blobs.write(bytes, LIMIT);
      for (const [start, end] of [
        [2, 4],
        [0, 0],
        [262_143, 262_144],
        [100_000, 700_000],
        [799_999, 799_999],
        [0, 799_999],
      ] as const) {
        const read = await buffer(await blobs.read(sha256, { start, end }));
        assert.equal(read.equals(bytes.subarray(start, end + 1)), true, `${start}-${end}`);
      }
    },
  },
  {
    title: 'what is not there, was removed, or is no digest is not found',
    async hold({ blobs, kept }) {
      const { sha256 } = await blobs.write(Buffer.from('short-lived'), LIMIT);
      const decide = async () => ({ freed: [sha256] });
      assert.deepEqual(await blobs.removeFreed(decide), { freed: [sha256] });
      await blobs.removeFreed(decide);
      assert.equal(await kept(), 0);
      for (const name of [sha256, '../../secret', `${'a'.repeat(62)}/.`, '']) {
        await assert.rejects(blobs.read(name), { code: 'not_found' });
      }
    },
  },
  {
    title: 'what an unfinished write left is cleared when the blobs are opened again; finished ones stay',
    async hold({ blobs, kept, leaveHalf, again }) {
      const { sha256 } = await blobs.write(Buffer.from('whole'), LIMIT);
      await leaveHalf();
      assert.equal((await kept()) > 1, true);
      const other = await again();
      assert.equal(await kept(), 1);
      assert.equal((await buffer(await other.read(sha256))).toString(), 'whole');
    },
  },
];

const removing: readonly Claim[] = [
  {
    title: 'SAM-75 bytes stored while it is decided that nobody refers to them stay',
    async hold({ blobs }) {
      const { sha256 } = await blobs.write(BYTES, LIMIT);
      await blobs.removeFreed(async () => {
        await blobs.write(BYTES, LIMIT);
        return { freed: [sha256] };
      });
      assert.equal(await isThere(blobs, sha256), true);
      await blobs.removeFreed(async () => ({ freed: [sha256] }));
      assert.equal(await isThere(blobs, sha256), false);
    },
  },
  {
    title:
      'SAM-75 bytes stay while somebody who stored them writes down what refers to them, and if that ends as it is decided',
    async hold({ blobs }) {
      const { sha256 } = await blobs.write(BYTES, LIMIT);
      const [written, stored] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const storing = blobs.write(BYTES, LIMIT, () => {
        stored.resolve();
        return written.promise;
      });
      await stored.promise;
      await blobs.removeFreed(async () => ({ freed: [sha256] }));
      assert.equal(await isThere(blobs, sha256), true);
      await blobs.removeFreed(async () => {
        written.resolve();
        await storing;
        return { freed: [sha256] };
      });
      assert.equal(await isThere(blobs, sha256), true);
    },
  },
  {
    title:
      'SAM-75 bytes that come while they are being removed are stored after it, and several removals are one',
    async hold({ blobs }) {
      for (let round = 0; round < 50; round++) {
        const { sha256 } = await blobs.write(BYTES, LIMIT);
        const decided = Promise.withResolvers<void>();
        const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
        const removals = begun.map(one =>
          blobs.removeFreed(async () => {
            one.resolve();
            await decided.promise;
            return { freed: [sha256] };
          }),
        );
        await Promise.all(begun.map(({ promise }) => promise));
        decided.resolve();
        await Promise.resolve();
        await Promise.all([blobs.write(BYTES, LIMIT), ...removals]);
        assert.equal(await isThere(blobs, sha256), true, `round ${round}`);
      }
    },
  },
  {
    title: 'a keeper that fails fails the write, and the bytes can be removed',
    async hold({ blobs, kept }) {
      let sha256 = '';
      const failing = blobs.write(BYTES, LIMIT, async stored => {
        ({ sha256 } = stored);
        throw new Error('the store is away');
      });
      await assert.rejects(failing, /the store is away/);
      await blobs.removeFreed(async () => ({ freed: [sha256] }));
      assert.equal(await kept(), 0);
    },
  },
];

/** Registers the conformance tests of a blob store; `open` answers a fresh, empty one each time. */
export function testBlobs(name: string, open: () => Promise<BlobsUnderTest>): void {
  describe(name, () => {
    for (const [subject, claims] of Object.entries({ storing, removing })) {
      describe(subject, () => {
        for (const { title, hold } of claims) {
          test(title, async t => {
            const bundle = await open();
            t.after(() => bundle.close());
            await hold(bundle);
          });
        }
      });
    }
  });
}

/** Whether the bytes of the claims about removing are there, whole. */
async function isThere(blobs: Blobs, sha256: string): Promise<boolean> {
  return blobs.read(sha256).then(
    async stream => (await buffer(stream)).equals(BYTES),
    () => false,
  );
}
