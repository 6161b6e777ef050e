import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { BatutaClient } from './client.ts';
import { ServerError } from './errors.ts';
import { type Answer, type Asked, farEnd } from './far-end.test.ts';

async function setup(
  context: TestContext,
  answer: (asked: Asked, earlier: number) => Answer | Promise<Answer>,
) {
  const end = await farEnd(context, answer);
  return { end, client: new BatutaClient({ url: end.url, retry: { firstDelayMs: 1 } }) };
}

test('SAM-72 an upload names its file and task, and carries the digest of its bytes', async context => {
  const { end, client } = await setup(context, () => ({ json: { artifact_id: 'a1' } }));
  await client.artifacts.upload({
    name: 'täble.csv',
    type: 'data_file',
    mediaType: 'text/csv',
    source: 'a,b\n',
    taskId: 't1',
    fencingToken: 9,
  });
  const [asked] = end.asked;
  assert.equal(asked?.method, 'POST');
  assert.equal(asked?.path, '/api/v2/artifacts');
  assert.deepEqual(Object.fromEntries(asked?.query ?? []), {
    name: 'täble.csv',
    type: 'data_file',
    task_id: 't1',
    fencing_token: '9',
  });
  assert.equal(asked?.headers['content-type'], 'text/csv');
  assert.equal(asked?.headers['x-checksum-sha256'], hash('sha256', 'a,b\n', 'hex'));
  assert.equal(asked?.text, 'a,b\n');
});

test('SAM-72 a stream is uploaded as it comes, and never a second time', async context => {
  const { end, client } = await setup(context, () => ({ status: 503 }));
  const source = new Blob(['streamed']).stream();
  await assert.rejects(client.artifacts.upload({ name: 'x', source }));
  assert.equal(end.asked.length, 1);
  assert.equal(end.asked[0]?.text, 'streamed');
  assert.equal(end.asked[0]?.headers['content-length'], undefined);
});

test('SAM-73 a download is checked against its digest, a range of it is taken as it is', async context => {
  const digest = `sha-256=:${hash('sha256', 'whole', 'base64')}:`;
  const { end, client } = await setup(context, (asked, earlier) => ({
    status: asked.headers.range === undefined ? 200 : 206,
    headers: { 'content-type': 'text/plain', 'repr-digest': digest },
    text: asked.headers.range !== undefined ? 'who' : earlier === 0 ? 'whole' : 'whale',
  }));
  const good = await client.artifacts.download('a/1');
  assert.equal(good.mediaType, 'text/plain');
  assert.equal(new TextDecoder().decode(await good.bytes()), 'whole');
  const part = await client.artifacts.download('a/1', { range: 'bytes=0-2' });
  assert.equal(new TextDecoder().decode(await part.bytes()), 'who');
  const bad = await client.artifacts.download('a/1');
  await assert.rejects(bad.bytes(), ServerError);
  assert.equal(end.asked[0]?.path, '/api/v2/artifacts/a%2F1');
});

async function asked(
  context: TestContext,
  calls: (client: BatutaClient) => Promise<void>,
): Promise<{ readonly routes: readonly string[]; readonly keyless: readonly string[] }> {
  const lists = {
    artifacts: [],
    deliveries: [],
    endpoints: [],
    agents: [],
    api_keys: [],
    secrets: [],
    tenants: [],
  };
  const { end, client } = await setup(context, () => ({ json: lists }));
  await calls(client);
  const route = ({ method, path, query }: Asked): string =>
    `${method} ${path.replace('/api/v2/', '')}${query.size > 0 ? `?${query}` : ''}`;
  const keyless = end.asked.filter(
    ({ method, headers }) => method !== 'GET' && headers['idempotency-key'] === undefined,
  );
  return { routes: end.asked.map(route), keyless: keyless.map(route) };
}

test('artifacts, deliveries and agents are asked for where the contract says', async context => {
  const { routes, keyless } = await asked(context, async client => {
    await client.artifacts.list('t1');
    await client.artifacts.remove('a1');
    await client.deliveries.list({ task_id: 't1', status: 'failed' });
    await client.deliveries.get('d1');
    await client.deliveries.redeliver('d1');
    await client.deliveries.endpoints();
    await client.agents.list();
    await client.agents.register({ agent_id: 'w', types: ['custom:x'] });
    await client.agents.drain('w');
    await client.agents.remove('w');
  });
  assert.deepEqual(routes, [
    'GET artifacts?task_id=t1',
    'DELETE artifacts/a1',
    'GET deliveries?task_id=t1&status=failed',
    'GET deliveries/d1',
    'POST deliveries/d1/redeliver',
    'GET deliveries/endpoints',
    'GET agents',
    'POST agents',
    'POST agents/w/drain',
    'DELETE agents/w',
  ]);
  assert.deepEqual(keyless, []);
});

test('keys, tenants, secrets, tokens and the audit are asked for where the contract says', async context => {
  const { routes, keyless } = await asked(context, async client => {
    await client.apiKeys.list();
    await client.apiKeys.create({ name: 'ci', permissions: ['task:execute'] });
    await client.apiKeys.rotate('k1');
    await client.apiKeys.usage('k1');
    await client.apiKeys.revoke('k1');
    await client.tenants.list();
    await client.tenants.create('acme', 'Acme');
    await client.tenants.update('acme', { weight: 2 });
    await client.tenants.rotateWebhookSecret('acme');
    await client.audit.list({ action: 'auth.refused' });
    await client.audit.verify();
    await client.secrets.list();
    await client.secrets.set('token', 'v');
    await client.secrets.remove('token');
    await client.token({ apiKey: 'k', apiSecret: 's', scope: 'task:read' });
    await client.refresh('r');
    await client.revoke('t');
  });
  assert.deepEqual(routes, [
    'GET api-keys',
    'POST api-keys',
    'POST api-keys/k1/rotate',
    'GET api-keys/k1/usage',
    'DELETE api-keys/k1',
    'GET tenants',
    'POST tenants',
    'PATCH tenants/acme',
    'POST tenants/acme/webhook-secret/rotate',
    'GET audit?action=auth.refused',
    'GET audit/verify',
    'GET secrets',
    'PUT secrets/token',
    'DELETE secrets/token',
    'POST auth/token',
    'POST auth/refresh',
    'POST auth/revoke',
  ]);
  assert.deepEqual(keyless, ['POST auth/refresh'], 'a spent refresh token must not be sent again');
});
