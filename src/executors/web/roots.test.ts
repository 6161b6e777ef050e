import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { withoutBrowser } from './browser.test.ts';
import { attempt, makeExecutor } from './fixture.test.ts';
import { findRoot } from './roots.ts';
import { startSite } from './site.test.ts';

/** A directory others cannot pass through, one below it that they could enter, and one that is theirs to enter. */
async function roots(t: TestContext) {
  const shut = await mkdtemp(join(tmpdir(), 'batuta-roots-'));
  t.after(() => rm(shut, { recursive: true, force: true }));
  const below = join(shut, 'below');
  await mkdir(below);
  await chmod(below, 0o777);
  return { shut, below };
}

test('a browser with a user of its own has its files where that user can pass, through every directory above', async t => {
  const { shut, below } = await roots(t);
  assert.equal(await findRoot(true, [shut, below, '/tmp']), '/tmp');
  assert.equal(await findRoot(false, [shut, '/tmp']), shut);
  assert.equal(await findRoot(true, [join(shut, 'missing'), below]), null);
});

test('SAM-121 a browser starts although the directory of temporary files is private to the server', {
  skip: withoutBrowser,
}, async t => {
  const { shut } = await roots(t);
  const before = process.env.TMPDIR;
  process.env.TMPDIR = shut;
  t.after(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  });
  const { url, stop } = await startSite();
  t.after(stop);
  const executor = makeExecutor();
  t.after(() => executor.stop());
  await executor.start();
  const { items } = await (await attempt(t, executor)).output({
    target_url: `${url}/late`,
    extraction_rules: { title: 'h1' },
  });
  assert.deepEqual(items, [{ title: 'late' }]);
  const isRoot = process.getuid?.() === 0;
  const prefix = `batuta-browser-${process.pid}-`;
  const here = (await readdir(shut)).some(name => name.startsWith(prefix));
  assert.equal(here, !isRoot);
});
