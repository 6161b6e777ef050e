import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from '../../src/app/compose.ts';
import { loadConfig } from '../../src/app/config.ts';
import { BatutaClient } from '../../src/sdk/index.ts';
import { runExample } from './script.ts';

const ORDERS = fileURLToPath(new URL('../../examples/nightly-report/orders.csv', import.meta.url));

/** A server that left its credentials where the examples look for them. */
async function setup(t: TestContext) {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-examples-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const environment = { BATUTA_PORT: '0', BATUTA_DATA: dataDir, BATUTA_LOG_LEVEL: 'error' };
  const server = await startServer(loadConfig({ environment }));
  t.after(() => server.stop());
  const { api_key: apiKey, api_secret: apiSecret } = server.credentials;
  const client = new BatutaClient({ url: server.url, credentials: { apiKey, apiSecret } });
  return { client, dataDir, env: { BATUTA_DATA: dataDir } };
}

test('hello-worker runs a task of its own type and prints what it gave', async t => {
  const { client, env } = await setup(t);
  const { exitCode, stdout, stderr } = await runExample('hello-worker/hello.ts', { args: ['Ana'], env });
  assert.equal(exitCode, 0, stderr);
  assert.equal(stdout, "{ greeting: 'Hello, Ana!' }\n");
  const { tasks } = await client.statuses();
  assert.deepEqual(
    tasks.map(task => [task.task_type, task.agent_id, task.current_status.outcome]),
    [['custom', 'greeter', 'completed']],
  );
});

test('nightly-report leaves the same report however often it is run in a day', async t => {
  const { client, dataDir, env } = await setup(t);
  const expected = 'region,orders,revenue\nnorth,2,62.0\nwest,2,37.25\nsouth,2,17.5\n';
  for (const name of ['first.csv', 'second.csv']) {
    const report = join(dataDir, name);
    const end = await runExample('nightly-report/nightly.ts', { args: [ORDERS, report], env });
    assert.equal(end.exitCode, 0, end.stderr);
    assert.equal(end.stdout, `${report}: 8 orders read, 2 put aside\n`);
    assert.equal(readFileSync(report, 'utf8'), expected);
  }
  assert.equal((await client.statuses()).total, 1);
});
