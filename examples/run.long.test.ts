import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from '../src/app/compose.ts';
import { loadConfig } from '../src/app/config.ts';
import { BatutaClient } from '../src/sdk/index.ts';
import { runExample, survivorsOf } from '../test/demo/script.ts';

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

test('with --url an example meets the server there, with the key of the environment', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-examples-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const environment = { BATUTA_PORT: '0', BATUTA_DATA: dataDir, BATUTA_LOG_LEVEL: 'error' };
  const server = await startServer(loadConfig({ environment }));
  t.after(() => server.stop());
  const { url, credentials } = server;
  const env = { BATUTA_API_KEY: credentials.api_key, BATUTA_API_SECRET: credentials.api_secret };
  const run = (...args: string[]) => runExample('run.ts', { args: [...args, '--url', url], env });

  const [hello, triage] = [await run('hello-worker', 'Ana'), await run('ticket-triage', '--tickets', '97')];

  assert.equal(hello.stdout, "{ greeting: 'Hello, Ana!' }\n", hello.stderr);
  assert.match(triage.stdout, /^96 tickets triaged, 1 could not be read/, triage.stderr);
  const client = new BatutaClient({
    url,
    credentials: { apiKey: credentials.api_key, apiSecret: credentials.api_secret },
  });
  // The greeting, the workflow, its ninety-seven tickets and their sum.
  assert.equal((await client.statuses({ limit: 1 })).total, 1 + 1 + 97 + 1);
});

test('an example that is interrupted takes its server with it', async t => {
  const temporary = mkdtempSync(join(tmpdir(), 'batuta-example-test-'));
  t.after(() => rmSync(temporary, { recursive: true, force: true }));
  const { exitCode, groupId } = await runExample('run.ts', {
    args: ['watchtower'],
    env: { TMPDIR: temporary },
    heard: (line, pid) => {
      if (line.startsWith('run 1')) process.kill(pid, 'SIGINT');
    },
  });
  assert.equal(exitCode, 130);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(await survivorsOf(groupId), []);
});
