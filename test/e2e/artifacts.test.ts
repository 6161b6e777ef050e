import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import type { Loose } from '../serve.ts';
import { hire, statusOf, submit, taskOf } from './crew.ts';
import { running } from './running.ts';
import type { Answer, Asking } from './wire.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const upload = (query: string, raw: Uint8Array<ArrayBuffer> | string, asking: Asking = {}): Promise<Answer> =>
  admin.ask('POST', `/api/v2/artifacts?${query}`, {
    ...asking,
    raw,
    headers: { 'content-type': 'application/octet-stream', ...asking.headers },
  });
const filesIn = (folder: string): string[] =>
  readdirSync(join(house.dataDir, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name));

suite('artifacts', () => {
  test('SAM-71 SAM-73 are served by id and name with checksum, digest and tag, and the bytes are those sent', async () => {
    const bytes = new Uint8Array(randomBytes(300_000));
    const { body } = await upload('name=data.bin&type=data_file', bytes);
    assert.deepEqual([body.name, body.type, body.size_bytes], ['data.bin', 'data_file', 300_000]);
    assert.equal(body.checksum, `sha256:${sha256(bytes)}`);
    for (const path of [new URL(body.url).pathname, '/api/v2/artifacts/data.bin']) {
      const { headers, bytes: got } = await admin.get(path);
      assert.equal(sha256(got), sha256(bytes));
      assert.equal(
        headers.get('repr-digest'),
        `sha-256=:${Buffer.from(sha256(bytes), 'hex').toString('base64')}:`,
      );
      assert.equal(headers.get('accept-ranges'), 'bytes');
      const etag = headers.get('etag') ?? '';
      await admin.get(path, { headers: { 'if-none-match': etag }, expect: 304 });
      const head = await admin.ask('HEAD', path);
      assert.deepEqual([head.headers.get('content-length'), head.headers.get('etag')], ['300000', etag]);
    }
    await upload('name=data.bin', 'another of the name');
    const { body: torn } = await admin.get('/api/v2/artifacts/data.bin', { expect: 409 });
    assert.equal(torn.error.details.artifact_ids.length, 2);
  });

  test('SAM-73 ranges answer exactly their bytes, ones beyond the end 416, and stale ones the whole', async () => {
    const text = '0123456789';
    const { body } = await upload('name=digits', text, { headers: { 'content-type': 'text/plain' } });
    const path = `/api/v2/artifacts/${body.artifact_id}`;
    const part = (range: string, more: Asking = {}): Promise<Answer> =>
      admin.get(path, { ...more, headers: { range, ...more.headers } });
    for (const [range, from, to] of [
      ['bytes=2-4', 2, 4],
      ['bytes=7-', 7, 9],
      ['bytes=-3', 7, 9],
      ['bytes=0-999', 0, 9],
    ] as const) {
      const { status, headers, body: got } = await part(range);
      assert.deepEqual([status, got], [206, text.slice(from, to + 1)]);
      assert.equal(headers.get('content-range'), `bytes ${from}-${to}/10`);
    }
    const beyond = await part('bytes=10-', { expect: 416 });
    assert.equal(beyond.headers.get('content-range'), 'bytes */10');
    const { headers } = await admin.get(path);
    const current = { 'if-range': headers.get('etag') ?? '' };
    assert.equal((await part('bytes=0-0', { headers: current })).status, 206);
    const stale = await part('bytes=0-0', { headers: { 'if-range': '"another"' } });
    assert.deepEqual([stale.status, stale.body], [200, text]);
  });

  test('SAM-72 a checksum that does not match keeps nothing, a malformed one is refused', async () => {
    const before = {
      files: filesIn('blobs').length,
      total: (await admin.get('/api/v2/artifacts')).body.total,
    };
    for (const headers of [
      { 'x-checksum-sha256': sha256(Buffer.from('something else')) },
      { 'repr-digest': `sha-256=:${createHash('sha256').update('else').digest('base64')}:` },
    ]) {
      const { body } = await upload('name=damaged', 'these bytes', { headers, expect: 422 });
      assert.equal(body.error.code, 'UNPROCESSABLE');
    }
    await upload('name=damaged', 'x', { headers: { 'x-checksum-sha256': 'nonsense' }, expect: 400 });
    await admin.get('/api/v2/artifacts/damaged', { expect: 404 });
    const { body } = await admin.get('/api/v2/artifacts');
    assert.deepEqual({ files: filesIn('blobs').length, total: body.total }, before);
    const right = { 'x-checksum-sha256': sha256(Buffer.from('these bytes')).toUpperCase() };
    await upload('name=sound', 'these bytes', { headers: right });
  });

  test('SAM-72 a form’s file arrives whole, whatever bytes it has, beside its fields', async () => {
    const bytes = randomBytes(200_000);
    const form = new FormData();
    form.set('type', 'report');
    form.set('file', new Blob([bytes], { type: 'application/x-report' }), 'über „report“.bin');
    const request = new Request('http://form.test', { method: 'POST', body: form });
    const { body } = await admin.ask('POST', '/api/v2/artifacts', {
      raw: new Uint8Array(await request.arrayBuffer()),
      headers: { 'content-type': request.headers.get('content-type') ?? '' },
    });
    assert.deepEqual([body.type, body.media_type], ['report', 'application/x-report']);
    assert.equal(body.checksum, `sha256:${sha256(bytes)}`);
    assert.equal(body.name, 'über „report“.bin');
  });

  test('SAM-74 a file that is not what it says is quarantined: refused, unlisted, unread', async () => {
    const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
    const { body } = await upload('name=picture', new Uint8Array(png), {
      headers: { 'content-type': 'application/pdf' },
      expect: 422,
    });
    assert.equal(body.error.code, 'POLICY_VIOLATION');
    const id = body.error.details.artifact_id;
    await admin.get(`/api/v2/artifacts/${id}`, { expect: 404 });
    const { body: list } = await admin.get('/api/v2/artifacts?name=picture');
    assert.equal(list.total, 0);
  });

  test('SAM-75 are downloads and never pages, and identical bytes lie on disk once', async () => {
    const page = '<!doctype html><script>alert(1)</script>';
    const html = { headers: { 'content-type': 'text/html' } };
    const { body } = await upload('name=page.html', page, html);
    const before = filesIn('blobs').length;
    const { body: twin } = await upload('name=twin.html', page, html);
    assert.equal(filesIn('blobs').length, before);
    const { headers } = await admin.get(`/api/v2/artifacts/${body.artifact_id}`);
    assert.match(headers.get('content-disposition') ?? '', /^attachment/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.match(headers.get('content-security-policy') ?? '', /sandbox/);
    await admin.ask('DELETE', `/api/v2/artifacts/${body.artifact_id}`);
    assert.equal((await admin.get(`/api/v2/artifacts/${twin.artifact_id}`)).body, page);
    await admin.ask('DELETE', `/api/v2/artifacts/${twin.artifact_id}`);
    assert.equal(filesIn('blobs').length, before - 1);
  });

  test('SAM-71 SAM-73 SAM-133 a worker’s files stand with its task, and only who holds the task may add them', async () => {
    const worker = await hire(admin, 'files');
    await submit(admin, taskOf('files', 'files'));
    const lease = await worker.lease();
    const query = `name=out.txt&task_id=files&fencing_token=${lease.fencing_token}`;
    const { body } = await upload(query, 'out', { headers: { 'content-type': 'text/plain' } });
    assert.equal(body.task_id, 'files');
    await worker.complete(lease, null, { artifacts: [body] });
    const { body: late } = await upload(query, 'late', { expect: 409 });
    assert.equal(late.error.code, 'LEASE_LOST');
    const { execution_details: details } = await statusOf(admin, 'files');
    assert.deepEqual(
      details.artifacts.map((one: Loose) => one.artifact_id),
      [body.artifact_id],
    );
    const { body: list } = await admin.get('/api/v2/artifacts?task_id=files');
    assert.deepEqual(
      list.artifacts.map((one: Loose) => one.name),
      ['out.txt'],
    );
  });
});
