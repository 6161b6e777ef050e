import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testPipes } from '../../test/pipe-laws.ts';
import { type Open, setup, write } from '../../test/pipe-scene.ts';
import { freshDatabase, postgresMissing } from '../../test/postgres.ts';
import { systemRandom } from '../runtime/random.ts';
import { openPostgresBlobs } from '../store/postgres/blobs.ts';
import { openPostgres } from '../store/postgres/open.ts';

const MIB = 1_024 ** 2;
const embedded: Open = async () => ({ places: {}, close: async () => {} });

const onPostgres: Open = async () => {
  const auditKey = Buffer.alloc(32);
  const { url, drop } = await freshDatabase(async at => (await openPostgres({ url: at, auditKey })).stop());
  const blobs = await openPostgresBlobs({ url }, systemRandom);
  return {
    places: { store: await openPostgres({ url, auditKey, connections: 4 }), blobs },
    async close() {
      await blobs.stop();
      await drop();
    },
  };
};

testPipes({ place: 'PostgreSQL', open: onPostgres, skip: postgresMissing });

test('SAM-230 1,000 chunks that nobody has acknowledged hold up the writer, but for whole outputs', async t => {
  const scene = await setup(t, embedded);
  await scene.begin('w', 'r');
  for (let number = 1; number <= 1_000; number++) await write(scene, number, '.');
  assert.equal(await write(scene, 1_001, '.'), 'full');
  await scene.pipes.acknowledge(scene.end('r'), 1);
  assert.equal(await write(scene, 1_001, '.'), 'kept');
  const whole = await setup(t, embedded, { mode: 'batch' });
  await whole.begin('w', 'r');
  for (let number = 1; number <= 17; number++)
    assert.equal(await write(whole, number, 'x'.repeat(4 * MIB)), 'kept');
});
