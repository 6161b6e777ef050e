// What every message wire must do with signatures and encryption, by its own envelopes.

import assert from 'node:assert/strict';
import type { JsonObject } from '../../src/domain/json.ts';
import { memberAt, withMember } from '../../src/guards/messages/envelope.ts';
import type { Loose } from '../serve.ts';
import { type Bench, suite } from './setup.ts';
import { encrypted, isSignedByServer, newKey, opened, signed, type TestKey } from './signing.ts';

/** Claims about signatures and encryption. */
export const seals = suite(test => {
  test('TASK-85 ARMY-108 BLOG-98 NOOB-138 an agent’s keys are registered with dates, replaced and revoked at once, and no secret is ever shown', async bench => {
    const { sender, sealing } = bench;
    const path = `/api/v2/agents/${sealing.senderAgent}/keys`;
    const [first, second, early, secret] = [
      ...[newKey('k1', 'ed25519'), newKey('k2', 'ed25519'), newKey('k3', 'ed25519')],
      newKey('s1', 'secret'),
    ] as const;
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    await register(bench, first, { expires_at: soon });
    await register(bench, second, { replaces: 'k1' });
    await register(bench, early, { not_before: soon });
    const told = await register(bench, secret);
    const short = { kty: 'oct', kid: 's2', k: Buffer.alloc(31, 1).toString('base64url') };
    assert.equal((await sender.ask('POST', path, { jwk: short })).status, 400);
    const { body } = await sender.ask('GET', path);
    assert.deepEqual(
      body.keys.map((key: Loose) => key.kid),
      ['k1', 'k2', 'k3', 's1'],
    );
    for (const shown of [told, body]) assert.ok(!JSON.stringify(shown).includes(String(secret.jwk.k)));
    for (const key of [first, second, secret])
      assert.equal(await statusOf(bench, signed(bench, bench.message(`by-${key.kid}`), key)), 202, key.kid);
    assert.equal(await statusOf(bench, signed(bench, bench.message('early'), early)), 401);
    assert.equal((await sender.ask('DELETE', `${path}/k2`)).status, 200);
    assert.equal(await statusOf(bench, signed(bench, bench.message('revoked'), second)), 401);
  });

  test('TASK-86 ARMY-109 BLOG-99 NOOB-139 a signature is a detached JWS by EdDSA or HS256 over the canonical envelope; any other algorithm is refused', async bench => {
    const [key, secret] = [newKey('e', 'ed25519'), newKey('h', 'secret')];
    await register(bench, key);
    await register(bench, secret);
    const text = 'ñ 😀 "quoted" \u2028';
    assert.equal(await statusOf(bench, signed(bench, bench.message('e', { text }), key)), 202);
    assert.equal(await statusOf(bench, signed(bench, bench.message('h', { text }), secret)), 202);
    for (const alg of ['none', 'HS512', 'ES256', 'HS256'])
      assert.equal(
        await statusOf(bench, signed(bench, bench.message('x'), key, { header: { alg } })),
        401,
        alg,
      );
    assert.equal(await statusOf(bench, bench.message('plain')), 202);
    assert.deepEqual(await receivedIds(bench), ['e', 'h', 'plain']);
  });

  test('TASK-87 ARMY-110 BLOG-100 NOOB-140 a signature that does not hold, of an unknown or another’s key or an old message, is refused without effect', async bench => {
    const [own, unknown, foreign] = [
      newKey('own', 'ed25519'),
      newKey('unknown', 'ed25519'),
      newKey('foreign', 'ed25519'),
    ];
    await register(bench, own);
    await register(bench, foreign, {}, bench.sealing.receiverAgent);
    const good = signed(bench, bench.message('good'), own);
    const at = bench.sealing.signatureAt;
    const cut = String(memberAt(good, at)).slice(0, -8);
    const cases: Readonly<Record<string, JsonObject>> = {
      changed: withMember(good, bench.sealing.timestampAt, new Date(Date.now() - 1_000).toISOString()),
      broken: withMember(good, at, `${cut}AAAAAAAA`),
      unknown: signed(bench, bench.message('unknown'), unknown),
      foreign: signed(bench, bench.message('foreign'), foreign),
      old: signed(bench, bench.message('old'), own, { ageMs: 301_000 }),
      future: signed(bench, bench.message('future'), own, { ageMs: -301_000 }),
    };
    for (const [name, message] of Object.entries(cases)) {
      const { status, body } = await bench.sender.send(bench.name, message);
      assert.equal(status, 401, `${name}: ${JSON.stringify(body)}`);
      assert.equal(bench.codeOf(body), bench.words.unauthenticated, name);
    }
    assert.deepEqual(await receivedIds(bench), []);
    assert.equal(await statusOf(bench, good), 202);
    assert.deepEqual(await receivedIds(bench), ['good']);
  });

  test('TASK-87 ARMY-110 ARMY-114 BLOG-100 NOOB-140 a tenant may demand signatures of a type, or of what is critical', async bench => {
    const key = newKey('d', 'ed25519');
    await register(bench, key);
    try {
      await demand(bench, { types: [`${bench.name}/${bench.sealing.type}`] });
      const refused = await bench.sender.send(bench.name, bench.message('bare'));
      assert.equal(refused.status, 401, JSON.stringify(refused.body));
      assert.equal(bench.codeOf(refused.body), bench.words.unauthenticated);
      assert.equal(await statusOf(bench, signed(bench, bench.message('proven'), key)), 202);
      await demand(bench, { critical: true });
      assert.equal(await statusOf(bench, bench.message('usual')), 202);
      assert.equal(await statusOf(bench, bench.sealing.critical('grave')), 401);
      assert.equal(await statusOf(bench, signed(bench, bench.sealing.critical('grave'), key)), 202);
    } finally {
      await demand(bench, {});
    }
    assert.equal(await statusOf(bench, bench.sealing.critical('again')), 202);
  });

  test('TASK-88 ARMY-111 BLOG-101 NOOB-141 a signed envelope is delivered member for member, and who signs a request is answered signed', async bench => {
    const key = newKey('m', 'ed25519');
    await register(bench, key);
    const sent = { ...signed(bench, { ...bench.message('member'), x_extra: { b: 1, a: [2] } }, key) };
    assert.equal(await statusOf(bench, sent), 202);
    const [delivery] = await bench.receiver.read(bench.name, bench.receiverInbox);
    assert.deepEqual(delivery?.message, sent);
    const { keys } = await serverKeys(bench);
    const ask = async (request: JsonObject): Promise<JsonObject> => {
      const { body } = await bench.sender.send(bench.name, request, '?wait=8');
      assert.ok(body.reply !== undefined, JSON.stringify(body));
      return body.reply;
    };
    const at = bench.sealing.signatureAt;
    const answer = await ask(signed(bench, bench.sealing.request('asked', 'words'), key));
    assert.ok(isSignedByServer(answer, at, keys), JSON.stringify(answer));
    assert.ok(!isSignedByServer(withMember(answer, bench.sealing.timestampAt, 'other'), at, keys));
    const plain = await ask(bench.sealing.request('unsigned', 'words'));
    assert.equal(memberAt(plain, at), undefined);
  });

  test('TASK-89 ARMY-112 BLOG-102 NOOB-142 an encrypted member reaches each of its receivers untouched, and only they open it', async bench => {
    const [theirs, others] = [newKey('r', 'x25519'), newKey('o', 'x25519')];
    await register(bench, theirs, {}, bench.sealing.receiverAgent);
    const clear = bench.message('sealed', { text: 'between us' });
    const sent = await encrypted(bench, clear, [theirs.jwk, others.jwk]);
    assert.ok(!JSON.stringify(sent).includes('between us'));
    assert.equal(await statusOf(bench, sent), 202);
    const [delivery] = await bench.receiver.read(bench.name, bench.receiverInbox);
    assert.deepEqual(delivery?.message, sent);
    for (const key of [theirs, others])
      assert.deepEqual(await opened(bench, delivery?.message, key), clear[bench.sealing.confidential]);
    await assert.rejects(opened(bench, delivery?.message, newKey('x', 'x25519')));
  });

  test('TASK-89 TASK-90 ARMY-112 ARMY-113 BLOG-102 BLOG-103 NOOB-142 NOOB-143 what is encrypted to an agent inside the server is read there with its own key', async bench => {
    const { keys } = await serverKeys(bench);
    const request = bench.sealing.request('secret', 'for your eyes');
    const sent = await encrypted(bench, request, [keys.findLast((key: Loose) => key.use === 'enc')]);
    const { status, body } = await bench.sender.send(bench.name, sent);
    assert.equal(status, 202, JSON.stringify(body));
    assert.match(await bench.sealing.seen(request), /for your eyes/);
  });

  test('TASK-90 ARMY-113 BLOG-103 NOOB-143 what an agent inside the server cannot open, or not as sent, is a dead letter, and its sender is told', async bench => {
    const { keys } = await serverKeys(bench);
    const ours = keys.findLast((key: Loose) => key.use === 'enc');
    const stranger = newKey('stranger', 'x25519');
    const locked = await encrypted(bench, bench.sealing.request('locked', 'no'), [stranger.jwk]);
    const sent = await encrypted(bench, bench.sealing.request('moved', 'no'), [ours]);
    const moved = withMember(sent, bench.sealing.timestampAt, new Date(Date.now() - 1_000).toISOString());
    for (const message of [locked, moved]) {
      assert.equal(await statusOf(bench, message), 202);
      const [told] = await bench.sender.read(bench.name, bench.senderInbox, { wait: 8 });
      assert.ok(bench.isError(told?.message), JSON.stringify(told));
      assert.equal(bench.codeOf(told?.message), bench.words.invalid_request);
      await bench.sender.settle(bench.name, bench.senderInbox, told?.delivery_id);
    }
    const { body } = await bench.post.admin.ask(
      'GET',
      `/protocols/${bench.name}/dead-letters?reason=undecryptable`,
    );
    const dead = body.dead_letters.map((letter: Loose) => bench.idOf(letter.message));
    assert.deepEqual(dead.slice(-2), ['locked', 'moved']);
  });
});

async function register(
  { post, sealing }: Bench,
  { jwk }: TestKey,
  more: object = {},
  agent = sealing.senderAgent,
): Promise<Loose> {
  const { status, body } = await post.admin.ask('POST', `/api/v2/agents/${agent}/keys`, { jwk, ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

async function statusOf(bench: Bench, message: JsonObject): Promise<number> {
  return (await bench.sender.send(bench.name, message)).status;
}

/** What the receiver finds, taken out of its inbox. */
async function receivedIds(bench: Bench): Promise<readonly string[]> {
  const got = await bench.receiver.read(bench.name, bench.receiverInbox);
  for (const { delivery_id } of got)
    await bench.receiver.settle(bench.name, bench.receiverInbox, delivery_id);
  return got.map(({ message }) => bench.idOf(message));
}

async function demand({ post }: Bench, signatures: object): Promise<void> {
  const { status, body } = await post.admin.ask('PATCH', '/api/v2/tenants/default', {
    options: { signatures },
  });
  assert.equal(status, 200, JSON.stringify(body));
}

async function serverKeys({ post }: Bench): Promise<{ readonly keys: readonly Loose[] }> {
  return (await post.admin.ask('GET', '/.well-known/jwks.json')).body as {
    readonly keys: readonly Loose[];
  };
}
