// Who can read along: TLS 1.3 between machines, clear text on this one, certificates at both ends, and messages that want TLS.

import assert from 'node:assert/strict';
import { hash, randomUUID, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { WebSocket } from 'ws';
import { type Player, player, playing } from '../../../test/army-stage.ts';
import { makeAuthority, opensslMissing } from '../../../test/certificates.ts';
import { socketOf } from '../../../test/dialects/setup.ts';
import { eventually } from '../../../test/eventually.ts';
import { type Correspondent, correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

/** The same caller, as a proxy would present it that it reached from elsewhere. */
const from = (who: Correspondent, url: string, said: Readonly<Record<string, string>>): Correspondent =>
  correspondent(url, { ...who.headers, ...said });
const IN_CLEAR = { 'x-forwarded-for': '203.0.113.9' };
const BY_PROXY = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' };

suite('connections in clear', () => {
  let post: Post;
  let boss: Player;
  let ann: Player;
  before(async () => {
    post = await openPost({ BATUTA_TRUSTED_PROXIES: '127.0.0.0/8' });
    boss = await player(post, 'supervisor', 'boss');
    ann = await player(post, 'writer', 'ann');
  });
  after(() => post.stop());

  const shake = (said: Readonly<Record<string, string>>): Promise<number> => {
    const socket = new WebSocket(`${post.url.replace('http', 'ws')}/protocols/army/socket`, {
      headers: { ...boss.who.headers, ...said },
    });
    return new Promise((resolve, reject) => {
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.once('open', () => {
        socket.close();
        resolve(101);
      });
      socket.once('error', reject);
    });
  };

  test('ARMY-105 between machines clear text is refused by POLICY_VIOLATION, for sending, reading and sockets, and stores nothing; on this machine and behind a proxy that ends TLS it is served', async () => {
    const note = (): Loose => boss.envelope('coordination', 'writer:ann', { action: 'note' });
    const refusals: readonly Readonly<Record<string, string>>[] = [
      IN_CLEAR,
      { ...BY_PROXY, 'x-forwarded-proto': 'http' },
      { 'x-forwarded-proto': 'http' },
    ];
    for (const said of refusals) {
      const strange = from(boss.who, post.url, said);
      const sent = await strange.send('army', note());
      assert.deepEqual([sent.status, sent.body.error_code], [422, 'POLICY_VIOLATION'], JSON.stringify(said));
      assert.equal((await strange.ask('GET', '/protocols/army/inbox/boss')).status, 422);
      assert.equal((await strange.ask('GET', '/protocols/army/events')).status, 422);
      assert.equal(await shake(said), 422);
      assert.equal((await strange.ask('GET', '/protocols/army')).status, 200);
    }
    assert.deepEqual(await ann.all(), []);
    await eventually(async () => {
      const audit = await post.admin.ask('GET', '/api/v2/audit?limit=200&action=message.refused');
      return /"tls"/.test(JSON.stringify(audit.body));
    });
    for (const said of [{}, BY_PROXY]) {
      assert.equal((await from(boss.who, post.url, said).send('army', note())).status, 202);
      assert.equal(await shake(said), 101);
      assert.equal((await ann.next()).payload.action, 'note');
    }
  });

  test('ARMY-129 what answers a message bears the version it was written in', async () => {
    const query = { query: { type: 'key', text: 'none' } };
    await boss.tell('memory_query', 'memory', query, { protocol_version: '1.7.2' });
    assert.equal((await boss.next('memory_response')).protocol_version, '1.7.2');
    await boss.tell('memory_query', 'memory', query);
    assert.equal((await boss.next('memory_response')).protocol_version, '1.0.0');
    const order = { task_id: 'v1', task_type: 'versed', description: 'say it' };
    const head = await player(post, 'coordinator', 'head');
    await head.tell('task_request', 'writer', order, { protocol_version: '1.3.0' });
    await post.admin.ask('POST', '/api/v2/agents', {
      ...{ agent_id: 'ann', roles: ['army:writer'], types: ['custom:versed'], capacity: { slots: 1 } },
    });
    const asked = await ann.next('task_request');
    assert.equal(asked.protocol_version, '1.3.0');
    await ann.tell('task_response', 'coordinator', {
      ...{ task_id: 'v1', status: 'completed', result: { content: 'said' } },
    });
    assert.equal((await head.next('task_response')).protocol_version, '1.3.0');
    for (const protocol_version of ['1.x', '1', '1.2.3 or so', '10.0.0', '01.0.0']) {
      const answer = await boss.say('memory_query', 'memory', query, { protocol_version });
      assert.deepEqual([answer.status, answer.body.context.supported], [400, ['1.0.0']], protocol_version);
    }
    await post.admin.ask('DELETE', '/api/v2/agents/head');
  });
});

suite('a network the operator vouches for', () => {
  let post: Post;
  before(async () => {
    post = await openPost({ BATUTA_ALLOW_CLEAR_TEXT: 'true', BATUTA_TRUSTED_PROXIES: '127.0.0.0/8' });
  });
  after(() => post.stop());

  test('ARMY-8 there too a message that wants TLS is neither taken in nor given out over a connection without, in inbox, stream, exchange or as a task asked for again, and waits for one that has it', async () => {
    const boss = await player(post, 'supervisor', 'boss');
    const ann = await player(post, 'writer', 'ann', ['secret']);
    const clear = playing(from(ann.who, post.url, IN_CLEAR), 'writer', 'ann');
    const note = (encryption: string): Loose => ({
      ...boss.envelope('coordination', 'writer:ann', { action: encryption }),
      ...{ encryption, correlation_id: 'secrets' },
    });
    const sent = await from(boss.who, post.url, IN_CLEAR).send('army', [note('tls'), note('none')]);
    assert.deepEqual(
      sent.body.results.map((one: Loose) => one.error?.error_code ?? one.status),
      ['POLICY_VIOLATION', 'accepted'],
    );
    assert.equal((await clear.next()).payload.action, 'none');
    await boss.who.send('army', note('tls'));
    const read = await clear.who.ask('GET', '/protocols/army/inbox/ann');
    assert.deepEqual([read.status, read.body.error_code], [422, 'POLICY_VIOLATION']);
    const exchange = await clear.who.ask('GET', '/protocols/army/exchanges/secrets');
    assert.deepEqual(
      exchange.body.messages.map((one: Loose) => one.message.payload.action),
      ['none'],
    );
    const whole = await ann.who.ask('GET', '/protocols/army/exchanges/secrets');
    assert.equal(whole.body.messages.length, 2);
    const order = { task_id: 'tls1', task_type: 'secret', description: 'keep it' };
    const head = await player(post, 'coordinator', 'head');
    await head.tell('task_request', 'writer', order, { encryption: 'tls' });
    const refused = await clear.who.ask('GET', '/protocols/army/inbox/ann?wait=5');
    assert.deepEqual([refused.status, refused.body.error_code], [422, 'POLICY_VIOLATION']);
    // Asked for anew it is worded by the server, and no less confidential.
    const again = await ann.next('task_request');
    assert.deepEqual([again.payload.task_id, again.encryption], ['tls1', 'tls']);
    await ann.tell('task_response', 'coordinator', {
      ...{ task_id: 'tls1', status: 'completed', result: { content: 'kept' } },
    });
    const unheard = await from(head.who, post.url, IN_CLEAR).ask('GET', '/protocols/army/inbox/head?wait=5');
    assert.equal(unheard.status, 422);
    // Whoever waits for an answer in clear gets none that wants TLS: it stays in the inbox.
    const query = head.envelope('coordination', 'writer:ann', { action: 'ask' });
    const waiting = from(head.who, post.url, IN_CLEAR).send('army', query, '?wait=5');
    assert.equal((await ann.next('coordination')).id, query.id);
    const hidden = { reply_to: query.id, encryption: 'tls' };
    await ann.tell('status_response', 'coordinator', { status: 'hidden' }, hidden);
    const { status, body } = await waiting;
    assert.deepEqual([status, body.status, body.reply], [202, 'accepted', undefined]);
    const repeated = await from(head.who, post.url, IN_CLEAR).send('army', query, '?wait=1');
    assert.deepEqual([repeated.body.status, repeated.body.reply], ['duplicate', undefined]);
  });

  test('ARMY-8 ARMY-98 over a socket without TLS a message that wants it is neither taken in nor given out, which is said, and others are', async () => {
    const [mel, zoe] = [await player(post, 'supervisor', 'mel'), await player(post, 'writer', 'zoe')];
    // What was withheld holds up what its sender says after it, and nobody else.
    const kim = await player(post, 'supervisor', 'kim');
    const note = (action: string, encryption: string, by = mel): Loose => ({
      ...by.envelope('coordination', 'writer:zoe', { action }),
      ...{ encryption, correlation_id: 'socketed' },
    });
    const army = { post, name: 'army' };
    const clear = await socketOf(army, { headers: { ...mel.who.headers, ...IN_CLEAR } });
    clear.say({ frame: 'hello' });
    clear.say({ frame: 'send', messages: [note('shut', 'tls'), note('open', 'none')] });
    const { results } = await clear.next('sent');
    assert.deepEqual(
      results.map((one: Loose) => one.error?.error_code ?? one.status),
      ['POLICY_VIOLATION', 'accepted'],
    );
    clear.close();
    assert.equal((await zoe.next()).payload.action, 'open');
    await mel.who.send('army', note('shut', 'tls'));
    const reading = await socketOf(army, { headers: { ...zoe.who.headers, ...IN_CLEAR } });
    reading.say({ frame: 'hello', inbox: 'zoe', credit: 5 });
    const { error } = await reading.next('error');
    assert.deepEqual([error.error_code, error.context.rule], ['POLICY_VIOLATION', 'encryption']);
    await kim.who.send('army', note('open', 'none', kim));
    assert.equal((await reading.next('deliver')).message.payload.action, 'open');
    assert.equal(reading.count('deliver'), 0);
    reading.close();
    await reading.closed;
    const safe = await socketOf(army, { headers: { ...zoe.who.headers, ...BY_PROXY } });
    safe.say({ frame: 'hello', inbox: 'zoe', credit: 5 });
    const last = note('last', 'tls', kim);
    await kim.who.send('army', last);
    for (;;) {
      const { message: got, delivery_id: delivery } = await safe.next('deliver');
      safe.say({ frame: 'ack', items: [{ delivery_id: delivery, outcome: 'ack' }] });
      if (got.id !== last.id) continue;
      assert.deepEqual([got.encryption, got.payload.action], ['tls', 'last']);
      break;
    }
    safe.close();
  });

  test('ARMY-8 NOOB-142 a webhook called in clear is not called with what wants TLS, on any wire, one by https is; all else is told to both', async t => {
    const [mel, zoe] = [await player(post, 'supervisor', 'mel-w'), await player(post, 'writer', 'zoe-w')];
    const heard: Loose[] = [];
    const plain = createServer((asked, answer) => {
      asked.setEncoding('utf8').on('data', text => heard.push(JSON.parse(text)));
      asked.on('end', () => answer.end());
    });
    const { promise: greeted, resolve } = Promise.withResolvers<number>();
    // Nobody here has a certificate it would believe: that it greets by TLS shows that it would tell.
    const secure = createTcpServer(socket =>
      socket
        .on('error', () => {})
        .once('data', (bytes: Buffer) => {
          resolve(bytes[0] ?? 0);
          socket.destroy();
        }),
    );
    for (const server of [plain, secure]) server.listen(0, '127.0.0.1');
    t.after(() => [plain, secure].map(server => server.close()));
    await Promise.all([plain, secure].map(server => server.listening || once(server, 'listening')));
    const portOf = (server: { address(): unknown }): number => (server.address() as { port: number }).port;
    const subscribe = async (wire: string, types: readonly string[], url: string): Promise<void> => {
      const order = { types, deliver: 'webhook', url };
      const made = await post.admin.ask('POST', `/protocols/${wire}/subscriptions`, order);
      assert.equal(made.status, 201, JSON.stringify(made.body));
    };
    const clearUrl = `http://127.0.0.1:${portOf(plain)}/`;
    await subscribe('army', ['coordination'], clearUrl);
    await subscribe('army', ['coordination'], `https://127.0.0.1:${portOf(secure)}/`);
    await subscribe('nooble', ['agent.notify'], clearUrl);
    for (const encryption of ['tls', 'none'])
      await mel.tell('coordination', 'writer:zoe-w', { action: encryption }, { encryption });
    const notice = (encryption: string): Loose => ({
      ...{
        message_id: randomUUID(),
        task_id: randomUUID(),
        correlation_id: randomUUID(),
        tenant_id: 'default',
      },
      ...{ created_at: new Date().toISOString(), schema_version: '1.1', status: 'pending', priority: 3 },
      ...{ type: { domain: 'agent', action: 'notify' }, payload: { action: encryption } },
      ...{ source_service: 'mel-w', target_service: 'zoe-w', metadata: { encryption } },
    });
    for (const encryption of ['tls', 'none'])
      assert.equal((await post.admin.send('nooble', notice(encryption))).status, 202);
    await eventually(() => heard.length >= 2);
    assert.equal(await greeted, 0x16);
    assert.deepEqual(
      heard.map(({ payload }) => payload.action),
      ['none', 'none'],
    );
    const inbox = await zoe.all();
    assert.ok(
      inbox.some(({ payload }) => payload?.action === 'tls'),
      'its receiver has it',
    );
  });
});

suite('TLS', { skip: opensslMissing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'batuta-tls-'));
  let post: Post;
  let ca: ReturnType<typeof makeAuthority>;
  before(async () => {
    ca = makeAuthority(folder, 'authority');
    const { certificate, key } = ca.sign('server', 'DNS:localhost,IP:127.0.0.1');
    post = await openPost({
      ...{ BATUTA_TLS_CERT: certificate, BATUTA_TLS_KEY: key, BATUTA_TLS_CLIENT_CA: ca.certificate },
    });
  });
  after(async () => {
    await post.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (
    method: string,
    path: string,
    { body, ...options }: RequestOptions & { readonly body?: object } = {},
  ): Promise<{ readonly status: number; readonly body: Loose }> =>
    new Promise((resolve, reject) => {
      const sent = request(
        `${post.url}${path}`,
        {
          ...{ method, ca: readFileSync(ca.certificate), agent: false },
          ...options,
          headers: { ...post.admin.headers, 'content-type': 'application/json', ...options.headers },
        },
        async response => {
          let text = '';
          for await (const chunk of response) text += String(chunk);
          resolve({ status: response.statusCode ?? 0, body: text === '' ? {} : JSON.parse(text) });
        },
      );
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });

  test('ARMY-105 the server proves itself by its certificate under TLS 1.3 alone, and takes neither an older version nor clear text', async () => {
    assert.match(post.url, /^https:/);
    assert.equal((await ask('GET', '/protocols/army')).status, 200);
    await assert.rejects(ask('GET', '/protocols/army', { maxVersion: 'TLSv1.2' }), /protocol|alert|EPROTO/i);
    await assert.rejects(
      ask('GET', '/protocols/army', { ca: [] }),
      /self-signed|unable to verify|certificate/i,
    );
    await assert.rejects(fetch(post.url.replace('https', 'http')));
    const bad = (settings: Readonly<Record<string, string>>): Promise<unknown> =>
      openPost({ BATUTA_LOG_LEVEL: 'silent', ...settings }, { dataDir: join(folder, 'data') });
    await assert.rejects(bad({ BATUTA_TLS_CERT: ca.certificate }), /BATUTA_TLS_KEY/);
    const foreign = { BATUTA_TLS_CERT: ca.certificate, BATUTA_TLS_KEY: join(folder, 'server.key') };
    await assert.rejects(bad(foreign), /certificate cannot be used/);
  });

  test('ARMY-105 ARMY-8 an agent proves itself by a client certificate where its key demands one, and sends what wants TLS', async () => {
    const own = ca.sign('ann', 'DNS:ann');
    const shown = { cert: readFileSync(own.certificate), key: readFileSync(own.key) };
    const thumbprint = hash('sha256', new X509Certificate(shown.cert).raw, 'base64url');
    await ask('POST', '/api/v2/agents', {
      body: { agent_id: 'ann', roles: ['army:writer'], types: ['custom:x'], capacity: { slots: 1 } },
    });
    const made = await ask('POST', '/api/v2/api-keys', {
      body: {
        ...{ name: 'ann', agent_id: 'ann', permissions: ['message:send', 'message:receive'] },
        ...{ demand_second_factor: 'client_certificate', client_certificates: [thumbprint] },
      },
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const headers = { 'x-api-key': made.body.api_key, 'x-api-secret': made.body.api_secret };
    const stranger = makeAuthority(folder, 'strangers').sign('mallory', 'DNS:ann');
    const forged = { cert: readFileSync(stranger.certificate), key: readFileSync(stranger.key) };
    let count = 0;
    const send = (certificate: object): ReturnType<typeof ask> =>
      ask('POST', '/protocols/army/messages', {
        ...certificate,
        headers,
        body: {
          ...{ id: `tls.${++count}`, timestamp: new Date().toISOString(), from: 'writer', to: 'coordinator' },
          ...{ type: 'status_query', payload: { scope: 'system' }, encryption: 'tls' },
        },
      });
    for (const lacking of [{}, forged]) {
      const { status, body } = await send(lacking);
      assert.deepEqual([status, body.error_code], [403, 'FORBIDDEN']);
    }
    const sent = await send(shown);
    assert.equal(sent.status, 202, JSON.stringify(sent.body));
    const { body } = await ask('GET', '/protocols/army/inbox/ann', { ...shown, headers });
    assert.deepEqual(
      [body.messages[0].message.type, body.messages[0].message.encryption],
      ['status_response', 'tls'],
    );
  });
});
