// Blobs in PostgreSQL prove themselves against the conformance suite; beside it, what several processes do to each other.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pg from 'pg';
import { freshDatabase, postgresMissing } from '../../../test/postgres.ts';
import { systemRandom } from '../../runtime/random.ts';
import type { Blobs } from '../blobs.ts';
import { testBlobs } from '../conformance-blobs.ts';
import { openPostgresBlobs } from './blobs.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const LIMIT = 100_000_000;
const HALF = `SELECT batuta.put_blob_chunk('half', 0, 'hal')`;
const LONG_AGO = 'UPDATE batuta.blob_upload SET touched_at = touched_at - 7200000';
const KEPT = `SELECT (SELECT count(*) FROM batuta.blob) + (SELECT count(*) FROM batuta.blob_upload)
  + (SELECT count(*) FROM batuta.blob_chunk c WHERE NOT EXISTS (SELECT FROM batuta.blob b WHERE b.upload = c.upload)) AS kept`;

async function open() {
  const { url, drop } = await freshDatabase(async at => {
    const first = await openPostgresBlobs({ url: at }, systemRandom);
    await first.stop();
  });
  const session = new pg.Client({ connectionString: url });
  await session.connect();
  const opened: Blobs[] = [];
  const again = async (): Promise<Blobs> => {
    const blobs = await openPostgresBlobs({ url, sweepMs: 0 }, systemRandom);
    opened.push(blobs);
    return blobs;
  };
  return {
    blobs: await again(),
    again,
    session,
    kept: async () => Number((await session.query<{ kept: string }>(KEPT)).rows[0]?.kept),
    async leaveHalf() {
      await session.query(HALF);
      await session.query(LONG_AGO);
    },
    async close() {
      await Promise.all(opened.map(blobs => blobs.stop()));
      await session.end();
      await drop();
    },
  };
}

async function setup(t: TestContext) {
  const bundle = await open();
  t.after(() => bundle.close());
  return { ...bundle, other: await bundle.again() };
}

const there = (blobs: Blobs, sha256: string): Promise<boolean> =>
  blobs.read(sha256).then(
    async stream =>
      createHash('sha256')
        .update(await buffer(stream))
        .digest('hex') === sha256,
    () => false,
  );

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
};

describe('blobs in a PostgreSQL', { skip: postgresMissing }, () => {
  testBlobs('blobs in PostgreSQL', open);

  test('SAM-75 what one process stores while another decides that nobody refers to it stays', async t => {
    const { blobs, other } = await setup(t);
    for (let round = 0; round < 30; round++) {
      const bytes = randomBytes(300_000);
      const { sha256 } = await blobs.write(bytes, LIMIT);
      let storing: Promise<unknown> = Promise.resolve();
      await other.removeFreed(async () => {
        // What is stored anew ends before, during or after the removal.
        storing = blobs.write(bytes, LIMIT, () => turns(round * 10));
        if (round % 3 === 0) await storing;
        return { freed: [sha256] };
      });
      await storing;
      assert.equal(await there(other, sha256), true, `round ${round}`);
    }
  });

  test('an upload that was given up for broken under its sender’s hands is refused, and nothing of it is kept', async t => {
    const { blobs, other, session, kept } = await setup(t);
    const stalling = Readable.from(
      (async function* () {
        yield randomBytes(300_000);
        while ((await session.query(LONG_AGO)).rowCount === 0) await new Promise(setImmediate);
        await other.removeFreed(async () => ({ freed: [] }));
        yield randomBytes(300_000);
      })(),
    );
    await assert.rejects(blobs.write(stalling, LIMIT), { code: 'unavailable' });
    assert.equal(await kept(), 0);
  });

  test('bytes whose storer died before anybody referred to them are cleared after an hour, others never', async t => {
    const { blobs, other, session } = await setup(t);
    const [orphan, named] = [
      await blobs.write(Buffer.from('orphan'), LIMIT),
      await blobs.write(Buffer.from('named'), LIMIT),
    ];
    await session.query(
      `INSERT INTO batuta.artifact (tenant, id, type, name, media_type, size_bytes, sha256, created_at, quarantined)
       VALUES ('default', '1', 'file', 'n', 'text/plain', 5, $1, 0, false)`,
      [named.sha256],
    );
    await other.removeFreed(async () => ({ freed: [] }));
    assert.equal(await there(other, orphan.sha256), true);
    await session.query('UPDATE batuta.blob SET stored_at = stored_at - 7200000');
    await other.removeFreed(async () => ({ freed: [] }));
    assert.deepEqual([await there(blobs, orphan.sha256), await there(blobs, named.sha256)], [false, true]);
  });

  test('a large file streams through in bounded memory, and a slow reader holds no transaction', async t => {
    const { blobs, session } = await setup(t);
    const megabyte = randomBytes(1_048_576);
    const held = (): number => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    const before = held();
    let most = 0;
    const source = Readable.from(
      (function* () {
        for (let sent = 0; sent < 64; sent++) {
          if (sent % 4 === 3) most = Math.max(most, held() - before);
          yield megabyte;
        }
      })(),
    );
    const { sha256, sizeBytes } = await blobs.write(source, LIMIT);
    assert.equal(sizeBytes, 64 * 1_048_576);
    const reading = await blobs.read(sha256);
    await new Promise(resolve => reading.once('readable', resolve));
    const { rows } = await session.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
       AND state <> 'active'`,
    );
    assert.equal(rows.length, 0);
    reading.destroy();
    assert.equal(most < 32 * 1_048_576, true, `${most} bytes at most`);
  });
});
