// Two servers on one PostgreSQL that hear nothing of each other, as behind a pooler: what was written at one is read at the other by
// the next request, and what they remember is a second old at most.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { freshDatabase, postgresMissing } from '../postgres.ts';
import { taskBody } from '../serve.ts';
import { type Running, running } from './running.ts';
import { keyHeaders, type Wire } from './wire.ts';

/** The second, and what two busy cores may add to it. */
const REMEMBERED_MS_MAX = 3_000;
const ROUNDS = 5;

suite('two deaf servers on one PostgreSQL', { skip: postgresMissing }, () => {
  const servers: Running[] = [];
  let drop = async (): Promise<void> => {};

  before(async () => {
    const database = await freshDatabase();
    drop = database.drop;
    const key = (): string => randomBytes(32).toString('base64');
    const shared = {
      BATUTA_DATABASE_URL: database.url,
      BATUTA_DATABASE_CONNECTIONS: '4',
      BATUTA_DATABASE_POOLED: 'true',
      BATUTA_MASTER_KEY: key(),
      BATUTA_AUDIT_KEY: key(),
      BATUTA_JWT_SECRET: key(),
      BATUTA_ADMIN_KEY: 'bk_own_writes',
      BATUTA_ADMIN_SECRET: 'bs_own_writes_0123456789',
      BATUTA_SLOTS: '0',
    };
    for (const id of ['node-1', 'node-2']) servers.push(await running({ ...shared, BATUTA_SERVER_ID: id }));
  });

  after(async () => {
    await Promise.all(servers.map(server => server.stop()));
    await drop();
  });

  function pair(): readonly [Wire, Wire] {
    const [a, b] = servers;
    if (a === undefined || b === undefined) assert.fail('there are no two servers');
    return [a.admin, b.admin];
  }

  async function remembered(holds: () => Promise<boolean>): Promise<void> {
    const until = performance.now() + REMEMBERED_MS_MAX;
    while (!(await holds())) {
      assert.ok(performance.now() < until, `not within ${REMEMBERED_MS_MAX} ms`);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }

  test('SAM-233 a task written at one server is read at the other as it was left, by the next request', async () => {
    const [a, b] = pair();
    for (let round = 0; round < ROUNDS; round++) {
      const id = `own-${round}`;
      const state = async (at: Wire) => (await at.get(`/api/v2/task-status/${id}`)).body.current_status;
      const work = { agent_id: 'w', types: ['custom:x'], wait_seconds: 0 };
      await a.post('/api/v2/work', { ...work, slots: 0 });
      const body = { ...taskBody(id), task_type: 'custom', task_data: { type_name: 'x' } };
      await b.post('/api/v2/execute-task', body);
      assert.equal((await state(a)).state, 'queued');
      const [lease] = (await a.post('/api/v2/work', { ...work, slots: 1, wait_seconds: 10 })).body.leases;
      assert.deepEqual([(await state(b)).state, lease.task.task_id], ['running', id]);
      const { fencing_token } = lease;
      const progress = [{ task_id: id, fencing_token, percentage: 40 + round }];
      await b.post('/api/v2/work', { ...work, slots: 0, progress });
      assert.equal(
        (await a.get(`/api/v2/task-status/${id}`)).body.current_status.progress.percentage,
        40 + round,
      );
      const results = [{ task_id: id, fencing_token, status: 'completed', output: { round } }];
      await a.post('/api/v2/work', { ...work, slots: 0, results });
      assert.equal((await state(b)).outcome, 'completed');
    }
  });

  test('SAM-233 an agent and a key made at one server are there at the other by the next request, and a key withdrawn opens nothing a second later', async () => {
    const [a, b] = pair();
    const agents = async (at: Wire) => (await at.get('/api/v2/agents')).body.agents;
    await a.post('/api/v2/agents', { agent_id: 'own', types: ['custom:y'] }, { expect: 200 });
    const isThere = async (at: Wire) =>
      (await agents(at)).some(({ agent_id: id }: { agent_id: string }) => id === 'own');
    assert.equal(await isThere(b), true);
    await b.ask('DELETE', '/api/v2/agents/own');
    assert.equal(await isThere(a), false);
    const { body: key } = await a.post('/api/v2/api-keys', { name: 'own', permissions: ['task:read'] });
    const asKey = b.as(keyHeaders(key));
    await asKey.get('/api/v2/agents');
    await a.ask('DELETE', `/api/v2/api-keys/${key.api_key}`, { expect: null });
    await remembered(async () => (await asKey.get('/api/v2/agents', { expect: null })).status === 401);
  });
});
