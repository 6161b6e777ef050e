import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { compactDecrypt } from 'jose';
import { serve, taskBody } from '../../../../test/serve.ts';

const keys = generateKeyPairSync('x25519');
const encryptTo = keys.publicKey.export({ format: 'jwk' });

async function setup(t: TestContext) {
  const served = await serve();
  t.after(() => served.stop());
  const work = async (told: object) =>
    (await served.ask('POST', '/api/v2/work', { body: { agent_id: 'w1', types: ['custom:work'], ...told } }))
      .body;
  const submit = (id: string, key: object) =>
    served.ask('POST', '/api/v2/execute-task', {
      body: taskBody(id, {
        task_type: 'custom',
        task_data: { type_name: 'work' },
        notification_config: { webhook_url: 'https://receiver.test/hook', encrypt_to: key },
      }),
    });
  await work({});
  return { ...served, work, submit };
}

const open = async (jwe: string) =>
  Buffer.from((await compactDecrypt(jwe, keys.privateKey)).plaintext).toString();

test('SAM-177 a worker’s output and uploads are kept as JWE, its log not at all, and the status shows jwe in place of output', async t => {
  const { ask, work, submit } = await setup(t);
  assert.equal((await submit('a', encryptTo)).status, 200);
  const [lease] = (await work({ slots: 1, wait_seconds: 5 })).leases;
  const held = { task_id: 'a', fencing_token: lease.fencing_token };
  const path = `/api/v2/artifacts?name=a.txt&task_id=a&fencing_token=${lease.fencing_token}`;
  const upload = (headers: Record<string, string>) =>
    ask('POST', path, { raw: 'canary file', headers: { 'content-type': 'text/plain', ...headers } });
  assert.equal((await upload({ 'x-checksum-sha256': '0'.repeat(64) })).status, 422);
  const { status, body: artifact } = await upload({});
  assert.deepEqual([status, artifact.media_type], [201, 'application/jose']);
  await work({
    logs: [{ ...held, message: 'canary line' }],
    results: [{ ...held, status: 'completed', output: { word: 'canary' } }],
  });
  const { body } = await ask('GET', '/api/v2/task-status/a?include_logs=true');
  assert.equal(await open(body.execution_details.output.jwe), '{"word":"canary"}');
  assert.deepEqual(Object.keys(body.execution_details.output), ['jwe']);
  assert.ok(!JSON.stringify(body).includes('canary'));
  assert.equal(body.execution_details.artifacts.length, 1);
  const file = await ask('GET', '/api/v2/artifacts/a.txt');
  assert.equal(file.headers.get('content-type'), 'application/jose');
  assert.equal(await open(file.body), 'canary file');
});

test('SAM-177 what others upload as input for such a task stays readable to its worker', async t => {
  const { ask, submit } = await setup(t);
  await submit('a', encryptTo);
  const upload = { raw: 'input', headers: { 'content-type': 'text/plain' } };
  assert.equal((await ask('POST', '/api/v2/artifacts?name=in.txt&task_id=a', upload)).status, 201);
  assert.equal((await ask('GET', '/api/v2/artifacts/in.txt')).body, 'input');
});

test('SAM-177 a private or unfit key in encrypt_to is 400, naming the field', async t => {
  const { ask, submit } = await setup(t);
  for (const key of [keys.privateKey.export({ format: 'jwk' }), { kty: 'oct', k: 'AAAA' }, {}]) {
    const { status, body } = await submit('a', key);
    assert.equal(status, 400);
    assert.equal(body.error.details.errors[0].field, 'notification_config.encrypt_to');
  }
  assert.equal((await ask('GET', '/api/v2/task-status/a')).status, 404);
});
