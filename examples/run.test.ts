import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from '../src/app/compose.ts';
import { loadConfig } from '../src/app/config.ts';
import { runExample } from '../test/demo/script.ts';
import { played } from './played.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const folders = readdirSync(FOLDER, { withFileTypes: true }).flatMap(one =>
  one.isDirectory() ? [one.name] : [],
);

test('without a name every example is named, each of a folder of its own', async () => {
  const { exitCode, stderr } = await runExample('run.ts', { args: ['no-such-example'] });
  assert.equal(exitCode, 2);
  const named = [...stderr.matchAll(/^ {2}([a-z-]+) {2,}\S/gm)].map(([, name]) => name);
  assert.deepEqual(named.toSorted(), folders.filter(name => name !== 'demo').toSorted());
});

test('the page of examples names each of them and how to run it', () => {
  const page = readFileSync(join(FOLDER, '../docs/examples.md'), 'utf8');
  for (const name of folders) {
    assert.ok(page.includes(`../examples/${name}`), name);
    if (!['demo', 'hello-worker', 'nightly-report'].includes(name)) {
      assert.ok(page.includes(`npm run example -- ${name}`), name);
      assert.ok(existsSync(join(FOLDER, name, 'README.md')), `${name} has a README`);
    }
  }
});

test('an example gets a server of its own, which is gone with it', async t => {
  assert.equal(await played(t, ['hello-worker', 'Ana']), "{ greeting: 'Hello, Ana!' }\n");
});

test('with --url an example meets the server there, and starts none', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-examples-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const environment = { BATUTA_PORT: '0', BATUTA_DATA: dataDir, BATUTA_LOG_LEVEL: 'error' };
  const server = await startServer(loadConfig({ environment }));
  t.after(() => server.stop());
  const { exitCode, stdout, stderr } = await runExample('run.ts', {
    args: ['ticket-triage', '--url', server.url, '--tickets', '97'],
    env: {
      BATUTA_API_KEY: server.credentials.api_key,
      BATUTA_API_SECRET: server.credentials.api_secret,
      TMPDIR: join(dataDir, 'nowhere'),
    },
  });
  assert.equal(exitCode, 0, stderr);
  assert.match(stdout, /^96 tickets triaged, 1 could not be read/);
});
