// Where the bytes of artifacts lie, by the settings.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemRandom } from '../runtime/random.ts';
import { loadConfig } from './config.ts';
import { openBlobs } from './registry.ts';

const NOWHERE = 'postgres://nobody@127.0.0.1:1/none';

function setup(t: TestContext) {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-place-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  return {
    hasFolder: () => existsSync(join(dataDir, 'blobs')),
    open: (settings: Record<string, string>) =>
      openBlobs(loadConfig({ environment: { BATUTA_DATA: dataDir, ...settings } }), systemRandom),
  };
}

test('artifacts lie in files where there is no database, and in a shared folder where the settings say so', async t => {
  for (const settings of [{}, { BATUTA_DATABASE_URL: NOWHERE, BATUTA_BLOBS: 'files' }]) {
    const { hasFolder, open } = setup(t);
    await (await open(settings)).stop();
    assert.equal(hasFolder(), true);
  }
});

test('artifacts lie in the database where there is one, and nowhere else when it is away', async t => {
  const { hasFolder, open } = setup(t);
  await assert.rejects(open({ BATUTA_DATABASE_URL: NOWHERE }), { code: 'unavailable' });
  assert.equal(hasFolder(), false);
});

test('artifacts in a database that is not named are refused at the start', async t => {
  const { open } = setup(t);
  await assert.rejects(open({ BATUTA_BLOBS: 'database' }), { code: 'invalid_request' });
  await assert.rejects(async () => open({ BATUTA_BLOBS: 'bucket' }), /BATUTA_BLOBS is wrong/);
});
