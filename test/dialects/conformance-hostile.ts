// What every message wire must bear: no credentials, wrong ones, other people's inboxes, and bytes that are no message.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import type { Loose } from '../serve.ts';
import { suite } from './setup.ts';

/** Claims about who may, and what is no message. */
export const hostile = suite(test => {
  test('TASK-80 ARMY-103 BLOG-94 NOOB-130 without good credentials nothing is stored, by HTTP or by socket', async bench => {
    const path = `/protocols/${bench.name}/messages`;
    const bad = await fetch(`${bench.post.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer a.b.c' },
      body: JSON.stringify(bench.message('forged')),
    });
    assert.equal(bad.status, 401);
    assert.equal(bench.codeOf(await bad.json()), bench.words.unauthenticated);
    const socket = await fetch(`${bench.post.url}/protocols/${bench.name}/socket`, {
      headers: { connection: 'Upgrade', upgrade: 'websocket' },
    }).catch(() => null);
    assert.ok(socket === null || socket.status >= 400);
    assert.deepEqual(await bench.receiver.read(bench.name, bench.receiverInbox), []);
  });

  test('TASK-81 ARMY-104 BLOG-95 NOOB-131 sending, reading one’s own inbox and another’s each need their permission, and tenants never meet', async bench => {
    await bench.sender.send(bench.name, bench.message('private'));
    const mute = await bench.post.agent(`mute-${bench.senderInbox.replaceAll(':', '-')}`, {
      permissions: ['message:receive'],
    });
    const silent = await mute.send(bench.name, bench.message('nope'));
    assert.equal(silent.status, 403, JSON.stringify(silent.body));
    assert.equal(bench.codeOf(silent.body), bench.words.forbidden);
    const inbox = `/protocols/${bench.name}/inbox/${encodeURIComponent(bench.receiverInbox)}`;
    assert.ok([403, 404].includes((await bench.sender.ask('GET', inbox)).status));
    const made = await bench.post.admin.ask('POST', '/api/v2/tenants', {
      tenant_id: 'other',
      name: 'Other',
    });
    const { api_key: key, api_secret: secret } = made.body;
    const stranger = { 'x-api-key': key, 'x-api-secret': secret };
    const theirs = await fetch(`${bench.post.url}${inbox}`, { headers: stranger });
    const seen = (await theirs.json()) as Loose;
    assert.ok(theirs.status !== 200 || seen.messages.length === 0, JSON.stringify(seen));
    assert.equal((await bench.receiver.read(bench.name, bench.receiverInbox)).length, 1);
  });

  test('TASK-91 TASK-104 ARMY-115 ARMY-127 BLOG-104 BLOG-117 NOOB-144 NOOB-156 bytes that are no JSON, repeated keys, prototype keys and bombs are answered, and the server serves on', async bench => {
    const path = `/protocols/${bench.name}/messages`;
    const text = JSON.stringify(bench.message('fine'));
    const [key] = Object.keys(bench.message('fine'));
    const bomb = gzipSync(Buffer.alloc(64 * 1_048_576, 0x20));
    const nested = `${'['.repeat(65)}${']'.repeat(65)}`;
    const cases: readonly [string | Uint8Array, Readonly<Record<string, string>>, number][] = [
      ['{"id":', {}, 400],
      [new Uint8Array([0xff, 0xfe, 0x00]), {}, 400],
      [text.replace('{', `{"${key}":"twice",`), {}, 400],
      [text.replace('{', '{"__proto__":{"a":1},'), {}, 400],
      [new Uint8Array([0x1f, 0x8b, 1, 2, 3]), { 'content-encoding': 'gzip' }, 400],
      [new Uint8Array(bomb), { 'content-encoding': 'gzip' }, 413],
      [new Uint8Array([0xc1, 0xc1]), { 'content-type': 'application/msgpack' }, 400],
      [new Uint8Array(Buffer.alloc(5_000, 0x91)), { 'content-type': 'application/msgpack' }, 400],
      [text, { 'content-type': 'text/plain' }, 400],
      [text.replace('{', `{"deep":${nested},`), {}, 400],
    ];
    for (const [body, headers, status] of cases) {
      const answer = await bench.sender.ask('POST', path, body, headers);
      assert.equal(answer.status, status, `${String(body).slice(0, 40)}: ${JSON.stringify(answer.body)}`);
      assert.ok(bench.codeOf(answer.body).length > 0);
    }
    assert.equal((await bench.sender.send(bench.name, bench.message('fine'))).status, 202);
  });

  test('TASK-93 ARMY-117 BLOG-106 NOOB-146 a message over 1 MiB is refused as too large, one just under it is taken', async bench => {
    const over = await bench.sender.send(bench.name, bench.message('big', { text: 'x'.repeat(1_048_576) }));
    assert.equal(over.status, 413);
    assert.equal(bench.codeOf(over.body), bench.words.payload_too_large);
    const under = await bench.sender.send(
      bench.name,
      bench.message('nearly', { text: 'x'.repeat(1_040_000) }),
    );
    assert.equal(under.status, 202, JSON.stringify(under.body).slice(0, 300));
  });

  test('TASK-102 ARMY-125 BLOG-115 NOOB-154 a refused message uses up no id, and what came is kept as a dead letter of its own', async bench => {
    const id = bench.idOf(bench.message('again'));
    const bad = { ...bench.broken(), note: 'bad one' };
    const refused = await bench.sender.send(bench.name, bad);
    assert.equal(refused.status, 400, JSON.stringify(refused.body));
    assert.equal((await bench.sender.send(bench.name, bench.message(id))).status, 202);
    const { body } = await bench.post.admin.ask(
      'GET',
      `/protocols/${bench.name}/dead-letters?reason=invalid`,
    );
    assert.equal(body.dead_letters.filter((one: Loose) => one.raw.includes('bad one')).length, 1);
  });
});
