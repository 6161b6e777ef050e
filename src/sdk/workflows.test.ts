import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatutaClient } from './client.ts';
import { farEnd } from './far-end.test.ts';

test('SAM-163 the client stores workflows, looks at runs, sends them messages and takes them up again', async context => {
  const end = await farEnd(context, () => ({ json: { workflows: [1] } }));
  const client = new BatutaClient({ url: end.url, retry: { firstDelayMs: 1 } });
  const { workflows } = client;
  await workflows.put('nightly', { steps: [] }, { dryRun: true });
  assert.deepEqual(await workflows.list({ limit: 5 }), [1]);
  await workflows.get('nightly', 2);
  await workflows.runs('nightly');
  await workflows.run('w/1');
  await workflows.send('w', 'go', { n: 1 });
  await workflows.rerun('w', 'b', { n: 2 });
  await workflows.remove('nightly');
  const asked = end.asked.map(({ method, path, query, text }) => [
    method,
    path,
    Object.fromEntries(query),
    text,
  ]);
  assert.deepEqual(asked, [
    ['PUT', '/api/v2/workflows/nightly', {}, '{"definition":{"steps":[]},"dry_run":true}'],
    ['GET', '/api/v2/workflows', { limit: '5' }, ''],
    ['GET', '/api/v2/workflows/nightly', { version: '2' }, ''],
    ['GET', '/api/v2/workflows/nightly/runs', {}, ''],
    ['GET', '/api/v2/workflow-runs/w%2F1', {}, ''],
    ['POST', '/api/v2/workflow-runs/w/messages', {}, '{"name":"go","payload":{"n":1}}'],
    ['POST', '/api/v2/tasks/w/retry', {}, '{"from_step":"b","input":{"n":2}}'],
    ['DELETE', '/api/v2/workflows/nightly', {}, ''],
  ]);
});
