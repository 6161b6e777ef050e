import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Ask, type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';

const PATH = '/api/v2/artifacts';
const bytes = Buffer.from('0123456789');
const hex = createHash('sha256').update(bytes).digest('hex');
const base64 = Buffer.from(hex, 'hex').toString('base64');

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  const upload = (query: string, raw: Uint8Array<ArrayBuffer> = new Uint8Array(bytes), options: Ask = {}) =>
    served.ask('POST', `${PATH}?${query}`, {
      raw,
      ...options,
      headers: { 'content-type': 'text/plain', ...options.headers },
    });
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${served.url}${PATH}/${path}`, { method, headers: { authorization: 'Bearer admin', ...headers } });
  return { ...served, upload, get };
};

test('SAM-71 SAM-72 an uploaded file is told with its digest, and the bytes served are those bytes', async t => {
  const { upload, get, url } = await setup(t);
  const { status, body } = await upload('name=ten.txt&type=report');
  assert.equal(status, 201);
  assert.deepEqual(
    [body.name, body.type, body.size_bytes, body.checksum, body.url],
    ['ten.txt', 'report', 10, `sha256:${hex}`, `${url}${PATH}/${body.artifact_id}`],
  );
  for (const path of [body.artifact_id, 'ten.txt']) {
    const response = await get(path);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '0123456789');
  }
});

test('SAM-71 a name two artifacts bear is a conflict that names their ids', async t => {
  const { upload, ask } = await setup(t);
  const one = await upload('name=same.txt');
  const two = await upload('name=same.txt');
  const { status, body } = await ask('GET', `${PATH}/same.txt`);
  assert.equal(status, 409);
  assert.deepEqual(body.error.details.artifact_ids, [one.body.artifact_id, two.body.artifact_id]);
  await ask('DELETE', `${PATH}/${one.body.artifact_id}`);
  assert.equal((await ask('GET', `${PATH}/same.txt`)).status, 200);
});

test('SAM-72 a declared digest is held to, and a mismatch keeps nothing', async t => {
  const { upload, ask } = await setup(t);
  for (const headers of [
    { 'x-checksum-sha256': hex.toUpperCase() },
    { 'repr-digest': `sha-512=:abc=:, sha-256=:${base64}:` },
  ])
    assert.equal((await upload('name=good', undefined, { headers })).status, 201);
  const before = (await ask('GET', PATH)).body.total;
  const { status, body } = await upload('name=bad', new Uint8Array([1, 2]), {
    headers: { 'x-checksum-sha256': hex },
  });
  assert.equal(status, 422);
  assert.equal(body.error.details.declared, `sha256:${hex}`);
  assert.equal((await ask('GET', PATH)).body.total, before);
  assert.equal((await ask('GET', `${PATH}/good`)).status, 409, 'the good ones are still there');
  assert.equal(
    (await upload('name=odd', undefined, { headers: { 'x-checksum-sha256': 'short' } })).status,
    400,
  );
});

test('SAM-72 a form’s file is kept with its own name and type, byte for byte', async t => {
  const { ask, get } = await setup(t);
  const content = Buffer.from('\r\n--not-the-boundary\r\n\u0000\u0001ü');
  const form = new FormData();
  form.set('type', 'report');
  form.set('file', new Blob([content], { type: 'application/x-thing' }), 'my "file".bin');
  const encoded = new Request('http://x', { method: 'POST', body: form });
  const raw = new Uint8Array(await encoded.arrayBuffer());
  const headers = { 'content-type': encoded.headers.get('content-type') ?? '' };
  const { status, body } = await ask('POST', PATH, { raw, headers });
  assert.equal(status, 201);
  assert.deepEqual(
    [body.type, body.media_type, body.size_bytes],
    ['report', 'application/x-thing', content.length],
  );
  assert.deepEqual(Buffer.from(await (await get(body.artifact_id)).arrayBuffer()), content);
  const broken = await ask('POST', PATH, { raw: raw.subarray(0, raw.length - 20), headers });
  assert.equal(broken.status, 400);
});

test('SAM-73 ranges, their absence, and tags are honoured', async t => {
  const { upload, get } = await setup(t);
  const { artifact_id: id } = (await upload('name=r')).body;
  const whole = await get(id);
  const etag = whole.headers.get('etag') ?? '';
  assert.equal(whole.headers.get('accept-ranges'), 'bytes');
  assert.equal(whole.headers.get('repr-digest'), `sha-256=:${base64}:`);
  const expected = { 'bytes=2-4': '234', 'bytes=7-': '789', 'bytes=-2': '89', 'bytes=5-100': '56789' };
  for (const [range, text] of Object.entries(expected)) {
    const part = await get(id, { range });
    assert.equal(part.status, 206, range);
    assert.equal(await part.text(), text);
    assert.match(part.headers.get('content-range') ?? '', /^bytes \d+-\d+\/10$/);
  }
  const beyond = await get(id, { range: 'bytes=10-' });
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers.get('content-range'), 'bytes */10');
  assert.equal((await get(id, { range: 'bytes=0-1', 'if-range': etag })).status, 206);
  assert.equal((await get(id, { range: 'bytes=0-1', 'if-range': '"other"' })).status, 200);
  assert.equal((await get(id, { range: 'bytes=0-1,3-4' })).status, 200);
  assert.equal((await get(id, { 'if-none-match': etag })).status, 304);
  const head = await get(id, {}, 'HEAD');
  assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '10', '']);
});

test('SAM-74 a file that is not what it says is quarantined, and a banned one too', async t => {
  const { upload, ask } = await setup(t, {
    sam: {
      options: {
        serverId: 's',
        version: '1',
        auditKey: Buffer.alloc(32),
        bannedTypes: ['application/x-elf'],
      },
    },
  });
  const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]);
  const elf = new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0]);
  assert.equal((await upload('name=a.png', png, { headers: { 'content-type': 'image/png' } })).status, 201);
  const spoiled = [
    upload('name=b', png, { headers: { 'content-type': 'text/html' } }),
    upload('name=c', new Uint8Array(bytes), { headers: { 'content-type': 'image/png' } }),
    upload('name=d', elf, { headers: { 'content-type': 'application/octet-stream' } }),
  ];
  for (const { status, body } of await Promise.all(spoiled)) {
    assert.equal(status, 422);
    assert.equal(body.error.code, 'POLICY_VIOLATION');
    assert.equal((await ask('GET', `${PATH}/${body.error.details.artifact_id}`)).status, 404);
  }
  assert.equal((await ask('GET', PATH)).body.total, 1);
});

test('SAM-75 a file is served as an attachment nothing runs, whatever it is called', async t => {
  const { upload, get } = await setup(t);
  const name = '../../etc/"pass\r\nwd\'ü';
  const { body } = await upload(`name=${encodeURIComponent(name)}`);
  assert.equal(body.name, name);
  const { headers } = await get(body.artifact_id);
  assert.equal(
    headers.get('content-disposition'),
    "attachment; filename*=UTF-8''..%2F..%2Fetc%2F%22pass%0D%0Awd%27%C3%BC",
  );
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.match(headers.get('content-security-policy') ?? '', /^sandbox/);
});

test('SAM-75 identical bytes are kept until the last artifact of them is deleted', async t => {
  const { upload, ask, get } = await setup(t);
  const one = (await upload('name=one')).body.artifact_id;
  const two = (await upload('name=two')).body.artifact_id;
  assert.equal((await ask('DELETE', `${PATH}/${one}`)).status, 204);
  assert.equal(await (await get(two)).text(), '0123456789');
  assert.equal((await ask('GET', `${PATH}/${one}`)).status, 404);
  assert.equal((await ask('DELETE', `${PATH}/${one}`)).status, 404);
});

test('SAM-133 a worker’s file needs the token it holds the task by', async t => {
  const { ask, upload } = await setup(t, { badges: { worker: { permissions: ['task:write-result'] } } });
  const poll = { agent_id: 'w', types: ['custom:echo'], slots: 1, wait_seconds: 5 };
  await ask('POST', '/api/v2/work', { body: { ...poll, slots: 0, wait_seconds: 0 } });
  await ask('POST', '/api/v2/execute-task', {
    body: taskBody('one', { task_type: 'custom', task_data: { type_name: 'echo' } }),
  });
  const { fencing_token: token } = (await ask('POST', '/api/v2/work', { body: poll })).body.leases[0];
  const as = { as: 'worker' };
  const kept = await upload(`name=f&task_id=one&fencing_token=${token}`, undefined, as);
  assert.deepEqual([kept.status, kept.body.task_id, kept.body.attempt], [201, 'one', 1]);
  const stale = await upload(`name=f&task_id=one&fencing_token=${token + 1}`, undefined, as);
  assert.deepEqual([stale.status, stale.body.error.code], [409, 'LEASE_LOST']);
  assert.equal((await upload('name=f&task_id=one', undefined, as)).status, 403);
  const { body } = await ask('GET', '/api/v2/task-status/one');
  assert.equal(body.execution_details.artifacts[0].artifact_id, kept.body.artifact_id);
  const listed = await ask('GET', `${PATH}?task_id=one`);
  assert.equal(listed.body.total, 1);
});
