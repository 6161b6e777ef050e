import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { ACME, DAY, HOUR, refusedWith, setup } from '../fixture.test.ts';
import { ANA, envelope, receiver, SECRET, setUp, signedByHmac, signedWith, signer } from './fixture.test.ts';

const IDS = 'TASK-85 ARMY-108 BLOG-98 NOOB-138';

test(`${IDS} keys to sign and to receive are kept by their use, and shown without secrets`, async () => {
  const { guards, store, ana, a1 } = await setUp();
  await guards.messages.agentKeys.add(ana, { jwk: receiver('r1').jwk });
  const shown = await guards.messages.agentKeys.list(ana);
  assert.deepEqual(
    shown.map(({ kid, algorithm }) => [kid, algorithm]),
    [
      ['a1', 'EdDSA'],
      ['s1', 'HS256'],
      ['r1', 'ECDH-ES+A256KW'],
    ],
  );
  const { kid: _, ...publicJwk } = a1.jwk;
  assert.deepEqual(shown[0]?.publicJwk, publicJwk);
  assert.ok(!JSON.stringify(shown).includes(SECRET));
  const stored = JSON.stringify(await store.documents({ kind: 'agent_keys' }));
  assert.ok(stored.includes('"sealed":"v1.') && !stored.includes(SECRET));
});

test(`${IDS} weak, private, foreign and malformed keys are refused without being quoted`, async () => {
  const { guards, ana } = await setUp();
  const { privateKey: ed } = generateKeyPairSync('ed25519');
  const { privateKey: x } = generateKeyPairSync('x25519');
  const { publicKey: p256 } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const secret = (bytes: number): string => Buffer.alloc(bytes, 1).toString('base64url');
  const good = signer('g').jwk;
  const unfit: readonly JsonObject[] = [
    ed.export({ format: 'jwk' }) as JsonObject,
    x.export({ format: 'jwk' }) as JsonObject,
    p256.export({ format: 'jwk' }) as JsonObject,
    { kty: 'RSA', n: secret(256), e: 'AQAB' },
    { kty: 'oct', k: secret(31) },
    { kty: 'oct', k: secret(1_025) },
    { kty: 'oct', k: `${secret(32)}=` },
    { kty: 'oct' },
    { kty: 'oct', k: SECRET, alg: 'HS512' },
    { ...good, k: SECRET },
    { ...good, use: 'enc' },
    { ...good, alg: 'HS256' },
    { ...good, x: secret(31) },
    { ...good, x: `${String(good.x)}A` },
    { ...good, kid: 'a b' },
    { ...receiver('r').jwk, use: 'sig' },
    { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32).toString('base64url') },
    { kty: 'OKP', crv: 'Ed448', x: secret(57) },
    {},
  ];
  for (const jwk of unfit) {
    const error = await refusedWith('invalid_request', guards.messages.agentKeys.add(ana, { jwk }));
    for (const value of [jwk.d, jwk.k, jwk.x])
      if (typeof value === 'string')
        assert.ok(!JSON.stringify([error.message, error.details]).includes(value));
  }
  assert.equal((await guards.messages.agentKeys.list(ana)).length, 2);
  assert.equal(
    (await guards.messages.agentKeys.add(ana, { jwk: { kty: 'oct', k: secret(32) } })).algorithm,
    'HS256',
  );
});

test(`${IDS} a key is good within its dates alone`, async () => {
  const { guards, ana, check, clock } = await setUp();
  const own = signer('dated');
  const now = clock.now();
  await guards.messages.agentKeys.add(ana, { jwk: own.jwk, notBefore: now + HOUR, expiresAt: now + DAY });
  const sent = () => check(signedWith(own, envelope({ timestamp: new Date(clock.now()).toISOString() })));
  await refusedWith('unauthenticated', sent());
  clock.pass(HOUR);
  assert.equal(await sent(), true);
  clock.pass(DAY - HOUR - 1);
  assert.equal(await sent(), true);
  clock.pass(1);
  await refusedWith('unauthenticated', sent());
  for (const expiresAt of [clock.now(), clock.now() - 1])
    await refusedWith(
      'invalid_request',
      guards.messages.agentKeys.add(ana, { jwk: signer('x').jwk, expiresAt }),
    );
  const never = { notBefore: clock.now() + DAY, expiresAt: clock.now() + HOUR };
  await refusedWith(
    'invalid_request',
    guards.messages.agentKeys.add(ana, { jwk: signer('x').jwk, ...never }),
  );
});

test(`${IDS} a key takes over from another, which stays good for 24 h more and no longer`, async () => {
  const { guards, ana, a1, check, clock } = await setUp();
  const a2 = signer('a2');
  await guards.messages.agentKeys.add(ana, { jwk: a2.jwk, replaces: 'a1' });
  const sent = (by: typeof a1) =>
    check(signedWith(by, envelope({ timestamp: new Date(clock.now()).toISOString() })));
  for (const by of [a1, a2]) assert.equal(await sent(by), true);
  clock.pass(DAY);
  await refusedWith('unauthenticated', sent(a1));
  assert.equal(await sent(a2), true);
  await refusedWith(
    'not_found',
    guards.messages.agentKeys.add(ana, { jwk: signer('a3').jwk, replaces: 'none' }),
  );
  await refusedWith('conflict', guards.messages.agentKeys.add(ana, { jwk: signer('a2').jwk }));
});

test(`${IDS} TASK-87 ARMY-110 BLOG-100 NOOB-140 a revocation holds on every node from its answer on`, async () => {
  const { guards, node, ana, a1, arrive } = await setUp();
  const other = await node();
  const messages = [signedWith(a1), signedByHmac('s1', SECRET)];
  for (const message of messages) assert.equal(await other.messages.signatures.check(arrive(message)), true);
  const first = await guards.messages.agentKeys.revoke(ana, 'a1');
  await guards.messages.agentKeys.revoke(ana, 's1');
  for (const one of [other, guards])
    for (const message of messages)
      await refusedWith('unauthenticated', one.messages.signatures.check(arrive(message)));
  assert.deepEqual(await other.messages.agentKeys.revoke(ana, 'a1'), first);
  await refusedWith('not_found', guards.messages.agentKeys.revoke(ana, 'never'));
  await refusedWith('conflict', guards.messages.agentKeys.add(ana, { jwk: signer('a1').jwk }));
});

test(`${IDS} keys registered at once by two nodes are all kept`, async () => {
  const { guards, node, ana } = await setUp();
  const other = await node();
  const kids = Array.from({ length: 8 }, (_, at) => `k${at}`);
  await Promise.all(
    kids.map((kid, at) =>
      (at % 2 === 0 ? guards : other).messages.agentKeys.add(ana, { jwk: signer(kid).jwk }),
    ),
  );
  const kept = (await guards.messages.agentKeys.list(ana)).map(({ kid }) => kid);
  assert.deepEqual(kept.slice(2).sort(), kids);
});

test(`${IDS} an agent has 50 keys at most; those that are over give way to new ones, and a removed agent has none`, async () => {
  const { guards, ana, ben } = await setUp();
  for (let at = 2; at < 50; at++) await guards.messages.agentKeys.add(ana, { jwk: signer(`k${at}`).jwk });
  await refusedWith('unprocessable', guards.messages.agentKeys.add(ana, { jwk: signer('one-more').jwk }));
  await guards.messages.agentKeys.revoke(ana, 'k7');
  await guards.messages.agentKeys.add(ana, { jwk: signer('one-more').jwk });
  const kids = (await guards.messages.agentKeys.list(ana)).map(({ kid }) => kid);
  assert.deepEqual([kids.length, kids.includes('k7'), kids.at(-1)], [50, false, 'one-more']);
  await guards.messages.agentKeys.removeAll(ana);
  await guards.messages.agentKeys.removeAll(ana);
  assert.deepEqual(await guards.messages.agentKeys.list(ana), []);
  assert.equal((await guards.messages.agentKeys.list(ben)).length, 1);
});

test(`${IDS} the same agent’s name in another tenant has other keys`, async () => {
  const { guards, ana } = await setUp();
  assert.deepEqual(await guards.messages.agentKeys.list({ ...ana, tenant: ACME }), []);
  await guards.messages.agentKeys.add({ tenant: ACME, agentId: ANA }, { jwk: signer('a1').jwk });
  await guards.messages.agentKeys.revoke({ tenant: ACME, agentId: ANA }, 'a1');
  assert.equal((await guards.messages.agentKeys.list(ana))[0]?.revokedAt, null);
});

test(`${IDS} a secret that was moved to another agent or kid in the store opens for nobody`, async () => {
  const { guards, store, ana, ben, arrive } = await setUp();
  const [mine] = await store.documents({ kind: 'agent_keys', tenant: ana.tenant, ids: [ana.agentId] });
  await store.putDocuments([
    { tenant: ben.tenant, kind: 'agent_keys', id: ben.agentId, body: mine?.body ?? null },
  ]);
  const stolen = signedByHmac('s1', SECRET);
  await refusedWith('internal', guards.messages.signatures.check(arrive(stolen, { sender: ben.agentId })));
});

test('TASK-88 ARMY-111 BLOG-101 NOOB-141 the server’s keys are made once, shared by nodes, and sealed in the store', async () => {
  const { guards, node, store } = await setup();
  const others = await Promise.all([node(), node()]);
  const published = await Promise.all(
    [guards, ...others].map(one => one.messages.serverKeys.published(ACME)),
  );
  assert.deepEqual(published[0]?.map(({ use, alg, crv }) => [use, alg, crv]).sort(), [
    ['enc', 'ECDH-ES+A256KW', 'X25519'],
    ['sig', 'EdDSA', 'Ed25519'],
  ]);
  for (const keys of published) assert.deepEqual(keys, published[0]);
  assert.ok(published[0]?.every(key => key.d === undefined));
  const stored = JSON.stringify(await store.documents({ kind: 'server_key' }));
  assert.ok(stored.includes('"sealed":"v1.') && !stored.includes('PRIVATE KEY'));
});

test('TASK-88 ARMY-111 BLOG-101 NOOB-141 the server’s keys are renewed: published before they sign, opening for long after, gone at last', async () => {
  const { guards, clock } = await setup();
  const { serverKeys } = guards.messages;
  const kids = async () => (await serverKeys.published(ACME)).map(({ kid }) => kid);
  const first = await serverKeys.signer(ACME);
  const [opener] = await serverKeys.openers(ACME);
  clock.pass(90 * DAY - 1);
  assert.equal((await kids()).length, 2);
  clock.pass(1);
  assert.equal((await kids()).length, 4);
  assert.equal((await serverKeys.signer(ACME)).kid, first.kid);
  clock.pass(600_000);
  const second = await serverKeys.signer(ACME);
  assert.notEqual(second.kid, first.kid);
  assert.equal(second.generation, 2);
  assert.deepEqual([(await serverKeys.openers(ACME)).length, (await kids()).includes(first.kid)], [2, true]);
  assert.equal((await serverKeys.openers(ACME))[1]?.kid, opener?.kid);
  clock.pass(90 * DAY);
  assert.equal((await kids()).includes(first.kid), false);
  assert.ok((await kids()).includes(second.kid));
});
