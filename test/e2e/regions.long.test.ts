// Two nodes on one PostgreSQL, in two regions, one of them a canary in the end: who runs what.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { BatutaClient } from '../../src/sdk/client.ts';
import { Worker } from '../../src/sdk/worker.ts';
import { eventually } from '../eventually.ts';
import { postgresMissing } from '../postgres.ts';
import type { Loose } from '../serve.ts';
import { ADMIN, ADMIN_HEADERS, type ServerProcess } from '../server.ts';
import { taskOf } from './crew.ts';
import { ask, type Nodes, openNodes } from './nodes.ts';

let running: Nodes | null = null;

function pair(): readonly [ServerProcess, ServerProcess] {
  const [east, west] = running?.nodes ?? [];
  if (east === undefined || west === undefined) assert.fail('there are no two nodes');
  return [east, west];
}

const codeOf = (id: string, config: object = {}): object => ({
  task_id: id,
  task_type: 'code_execution',
  description: 'says something',
  orchestrator_info: { agent_id: 'tester', timestamp: new Date().toISOString() },
  task_data: { language: 'javascript', code: '1 + 1' },
  execution_config: config,
});

/** The nodes or workers that ran the tasks, once all have ended. */
async function ranBy(
  node: ServerProcess,
  ids: readonly string[],
  headers: Readonly<Record<string, string>> = ADMIN_HEADERS,
): Promise<readonly string[]> {
  const all = async (): Promise<readonly Loose[]> =>
    Promise.all(ids.map(id => ask(node, 'GET', `/api/v2/task-status/${id}`, undefined, headers)));
  await eventually(async () => (await all()).every(one => one.current_status.outcome !== null), 60_000);
  return (await all()).map(one => one.agent_id);
}

suite('two nodes in two regions on one PostgreSQL', { skip: postgresMissing }, () => {
  before(async () => {
    running = await openNodes({
      'node-east': { BATUTA_REGION: 'east' },
      'node-west': { BATUTA_REGION: 'west' },
    });
    const [east, west] = pair();
    for (const node of [east, west])
      await eventually(async () => (await ask(node, 'GET', '/api/v2/nodes')).nodes.length === 2, 60_000);
  });

  after(() => running?.stop());

  test('SAM-225 tasks run where they were handed in, or where they say; a tenant’s only where its residency lets them', async () => {
    const [east, west] = pair();
    let wishes = 0;
    for (let round = 0; round < 3; round++) {
      await ask(east, 'POST', '/api/v2/execute-task', codeOf(`e${round}`));
      await ask(west, 'POST', '/api/v2/execute-task', codeOf(`w${round}`));
      const wish = { region: 'west', region_mode: 'prefer' };
      await ask(east, 'POST', '/api/v2/execute-task', codeOf(`p${round}`, wish));
      const ids = [`e${round}`, `w${round}`, `p${round}`];
      const runners = await ranBy(east, ids);
      wishes += ['node-east', 'node-west', 'node-west'].filter((wished, at) => runners[at] === wished).length;
    }
    // A node that gets no processor for seconds loses one to the other, as it should.
    assert.ok(wishes >= 7, `${wishes} of 9`);
    const made = await ask(east, 'POST', '/api/v2/tenants', {
      ...{ tenant_id: 'acme', options: { residency: { regions: ['west'] } } },
    });
    const acme = {
      ...{ 'x-api-key': made.api_key, 'x-api-secret': made.api_secret },
      'content-type': 'application/json',
    };
    for (const id of ['1', '2', '3', '4']) await ask(east, 'POST', '/api/v2/execute-task', codeOf(id), acme);
    assert.deepEqual(new Set(await ranBy(east, ['1', '2', '3', '4'], acme)), new Set(['node-west']));
    const body = JSON.stringify(codeOf('bound', { region: 'east' }));
    const refused = await fetch(`${east.url}/api/v2/execute-task`, { method: 'POST', headers: acme, body });
    const { error } = (await refused.json()) as Loose;
    assert.deepEqual([refused.status, error.code], [422, 'POLICY_VIOLATION']);
    assert.deepEqual(error.details, { rule: 'residency', region: 'east', allowed_regions: ['west'] });
  });

  test('SAM-228 a node labelled canary gets its share, and a worker that fails as one takes it from both', async t => {
    const [east, west] = pair();
    await west.kill();
    await west.start({ BATUTA_LABELS: 'canary', BATUTA_REGION: 'east' });
    const set = await ask(east, 'PUT', '/api/v2/canaries', { share: 0.5 });
    assert.equal(set.share, 0.5);
    const detailAt = async (node: ServerProcess): Promise<Loose> =>
      (await ask(node, 'GET', '/api/v2/health')).detail.canaries;
    await eventually(async () => (await detailAt(west)).share === 0.5, 60_000);
    await eventually(async () => {
      const { nodes } = await ask(east, 'GET', '/api/v2/nodes');
      return nodes.some((one: Loose) => one.node_id === 'node-west' && one.labels?.includes('canary'));
    }, 60_000);
    const ids = Array.from({ length: 40 }, (_, at) => `c${at}`);
    for (const id of ids) await ask(east, 'POST', '/api/v2/execute-task', codeOf(id));
    const runners = await ranBy(east, ids);
    assert.deepEqual(new Set(runners), new Set(['node-east', 'node-west']));

    const workers = [
      { at: east, agentId: 'old', labels: [], fail: false },
      { at: west, agentId: 'new', labels: ['canary'], fail: true },
    ].map(({ at, agentId, labels, fail }) => {
      const credentials = { apiKey: ADMIN.key, apiSecret: ADMIN.secret };
      const client = new BatutaClient({ url: at.url, credentials });
      const tried = async () => {
        if (fail) throw new Error('the new version is broken');
        return 'well';
      };
      return new Worker({ client, agentId, labels, handlers: { tried }, waitSeconds: 2 });
    });
    t.after(() => Promise.all(workers.map(worker => worker.stop())));
    for (const worker of workers) await worker.start();
    const once = { execution_config: { max_retries: 0 } };
    for (let at = 0; at < 100; at++)
      await ask(east, 'POST', '/api/v2/execute-task', taskOf(`try${at}`, 'tried', once));
    for (const node of [east, west])
      await eventually(async () => (await detailAt(node)).stopped?.because === 'error_rate', 60_000);
    const { share, stopped } = await ask(west, 'GET', '/api/v2/canaries');
    assert.deepEqual([share, stopped.share, stopped.rest.error_rate], [0, 0.5, 0]);
    const told = async (): Promise<readonly Loose[]> =>
      (await ask(east, 'GET', '/api/v2/audit?action=alert.canary_stopped')).entries;
    await eventually(async () => (await told()).length > 0, 60_000);
    assert.deepEqual(
      (await told()).map(({ detail }) => [detail.because, detail.share]),
      [['error_rate', 0.5]],
    );
    const after = Array.from({ length: 20 }, (_, at) => `after${at}`);
    for (const id of after) await ask(west, 'POST', '/api/v2/execute-task', taskOf(id, 'tried', once));
    assert.deepEqual(new Set(await ranBy(west, after)), new Set(['old']));
  });
});
