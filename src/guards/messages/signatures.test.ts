import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { ACME, DAY, HOUR, NOON, refusedWith, SECOND } from '../fixture.test.ts';
import { canonicalJson } from './canonical-json.ts';
import { memberAt, withoutMember } from './envelope.ts';
import {
  ANA,
  BEN,
  eddsa,
  envelope,
  FLAT,
  hmac,
  jws,
  NESTED,
  SECRET,
  setUp,
  signedByHmac,
  signedWith,
  signer,
} from './fixture.test.ts';

test('TASK-86 ARMY-109 a message signed by Ed25519 or HS256 passes, and an unsigned one passes as such', async () => {
  const { check, a1 } = await setUp();
  assert.equal(await check(signedWith(a1)), true);
  assert.equal(await check(signedByHmac('s1', SECRET)), true);
  assert.equal(await check(envelope()), false);
});

test('BLOG-99 NOOB-139 the signature may stand inside metadata, whose other members it covers', async () => {
  const { check, a1 } = await setUp();
  const signed = signedWith(a1, envelope(), NESTED);
  assert.equal(await check(signed, { form: NESTED }), true);
  const lifted = { ...signed, metadata: { ...(signed.metadata as JsonObject), priority: 'critical' } };
  await refusedWith('unauthenticated', check(lifted, { form: NESTED }));
});

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 the order of members is not signed, but every value and every name is', async () => {
  const { check, a1 } = await setUp();
  const anyMember = fc.dictionary(
    fc.string().filter(name => name !== 'signature' && name !== 'timestamp'),
    fc.jsonValue() as fc.Arbitrary<Json>,
  );
  await fc.assert(
    fc.asyncProperty(anyMember, fc.string({ maxLength: 5 }), async (members, other) => {
      const signed = signedWith(a1, envelope(members as JsonObject));
      assert.equal(await check(Object.fromEntries(Object.entries(signed).reverse())), true);
      const changed = { ...signed, id: `m1${other}.` };
      await refusedWith('unauthenticated', check(changed));
      const added = { ...signed, [`new${other}`]: null };
      if (canonicalJson(added) !== canonicalJson(signed)) await refusedWith('unauthenticated', check(added));
    }),
    { numRuns: 25 },
  );
});

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 no other algorithm is taken, whatever the key: not none, not RS256, no case of them', async () => {
  const { check, a1, lastRefusal } = await setUp();
  const bytes = canonicalJson(envelope());
  for (const alg of ['none', 'None', 'RS256', 'ES256', 'HS512', 'eddsa', 'Ed25519', '', null, 7]) {
    for (const make of [eddsa(a1.privateKey), () => Buffer.alloc(0)]) {
      const signature = jws({ alg, kid: 'a1' }, bytes, make);
      await refusedWith('unauthenticated', check({ ...envelope(), signature }));
      assert.equal(await lastRefusal(), 'algorithm');
    }
  }
});

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 a public key is no HMAC secret, and a secret no signature key', async () => {
  const { check, a1 } = await setUp();
  const bytes = canonicalJson(envelope());
  const pem = String(createPublicKey({ key: a1.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }));
  for (const secret of [Buffer.from(pem), Buffer.from(String(a1.jwk.x), 'base64url')])
    await refusedWith('unauthenticated', check(signedByHmac('a1', secret)));
  const crossed = jws({ alg: 'EdDSA', kid: 's1' }, bytes, hmac(SECRET));
  await refusedWith('unauthenticated', check({ ...envelope(), signature: crossed }));
});

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 what a header brings along besides is not believed: no embedded key, no critical extension', async () => {
  const { check } = await setUp();
  const thief = signer('a1');
  const bytes = canonicalJson(envelope());
  const brought: readonly JsonObject[] = [
    { jwk: thief.jwk },
    { crit: ['b64'], b64: false },
    { b64: false },
    { crit: [] },
  ];
  for (const more of brought) {
    const signature = jws({ alg: 'EdDSA', kid: 'a1', ...more }, bytes, eddsa(thief.privateKey));
    await refusedWith('unauthenticated', check({ ...envelope(), signature }));
  }
});

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 a signature has one spelling: attached, padded, cut or overlong ones are refused', async () => {
  const { check, a1, lastRefusal } = await setUp();
  const { signature } = signedWith(a1);
  const [header = '', , bytes = ''] = String(signature).split('.');
  const payload = Buffer.from(canonicalJson(envelope())).toString('base64url');
  const malformed: readonly Json[] = [
    `${header}.${payload}.${bytes}`,
    `${header}..${bytes}=`,
    `${header}..${bytes}.`,
    `${header}.${bytes}`,
    `${header}..${bytes}${'A'.repeat(2_048)}`,
    `${Buffer.from('[]').toString('base64url')}..${bytes}`,
    `${Buffer.from('{').toString('base64url')}..${bytes}`,
    '..',
    '',
    null,
    7,
    { jws: String(signature) },
  ];
  for (const one of malformed) {
    await refusedWith('unauthenticated', check({ ...envelope(), signature: one }));
    assert.equal(await lastRefusal(), 'malformed');
  }
  await refusedWith(
    'unauthenticated',
    check({ ...envelope(), signature: `${header}..${bytes.slice(0, 80)}` }),
  );
});

test('TASK-87 ARMY-110 BLOG-100 NOOB-140 an unknown kid, another agent’s, another tenant’s, and no kid at all are refused alike', async () => {
  const { check, a1, b1, guards } = await setUp();
  const told = new Set<string>();
  const refuse = async (message: JsonObject, more: Parameters<typeof check>[1] = {}) => {
    const error = await refusedWith('unauthenticated', check(message, more));
    told.add(JSON.stringify([error.message, error.details]));
  };
  await refuse(signedWith({ ...a1, kid: 'nobody' }));
  await refuse(signedWith(b1));
  await refuse(signedWith({ ...b1, kid: 'a1' }));
  await refuse(signedWith(a1), { sender: BEN });
  await refuse(signedWith(a1), { sender: null });
  await refuse(signedWith(a1), { principal: { tenant: ACME, id: 'key:x' } });
  const bytes = canonicalJson(envelope());
  const nameless = jws({ alg: 'EdDSA' }, bytes, eddsa(a1.privateKey));
  await refuse({ ...envelope(), signature: nameless });
  assert.equal(told.size, 1);
  await guards.messages.agentKeys.add({ tenant: ACME, agentId: ANA }, { jwk: b1.jwk });
  await refuse(signedWith(b1));
});

test('TASK-87 ARMY-110 BLOG-100 NOOB-140 a timestamp over 300 s off, either way, is refused: a message replayed later is none', async () => {
  const { check, a1, clock, lastRefusal } = await setUp();
  const at = (ms: number): JsonObject => signedWith(a1, envelope({ timestamp: new Date(ms).toISOString() }));
  for (const off of [-300, 0, 300]) assert.equal(await check(at(NOON + off * SECOND)), true);
  for (const off of [-300_001, 300_001, DAY, -DAY]) {
    await refusedWith('unauthenticated', check(at(NOON + off)));
    assert.equal(await lastRefusal(), 'timestamp');
  }
  const captured = at(NOON);
  clock.pass(300 * SECOND);
  assert.equal(await check(captured), true);
  clock.pass(1);
  await refusedWith('unauthenticated', check(captured));
});

test('TASK-87 ARMY-110 BLOG-100 NOOB-140 a signed message without an instant with an offset is refused', async () => {
  const { check, a1, lastRefusal } = await setUp();
  const iso = new Date(NOON).toISOString();
  for (const timestamp of [null, NOON, '', 'noon', iso.replace('Z', ''), [iso], `${iso} `]) {
    await refusedWith('unauthenticated', check(signedWith(a1, envelope({ timestamp: timestamp as Json }))));
    assert.equal(await lastRefusal(), 'timestamp');
  }
  await refusedWith('unauthenticated', check(signedWith(a1, withoutMember(envelope(), ['timestamp']))));
  const offset = envelope({ timestamp: new Date(NOON + 2 * HOUR).toISOString().replace('Z', '+02:00') });
  assert.equal(await check(signedWith(a1, offset)), true);
});

test('TASK-87 ARMY-110 ARMY-114 BLOG-100 NOOB-140 what a tenant demands signed must be: by type, by wire, or because it is critical', async () => {
  const { check, a1, guards, lastRefusal } = await setUp();
  const demand = (types: readonly string[], critical = false) =>
    guards.tenants.update(DEFAULT_TENANT, { options: { signatures: { types, critical } } });
  const kind = { dialect: 'army', type: 'task_request', isCritical: false };
  const passes = async (types: readonly string[], critical: boolean, isCritical: boolean) => {
    await demand(types, critical);
    const given = { kind: { ...kind, isCritical } };
    assert.equal(await check(signedWith(a1), given), true);
    return check(envelope(), given).then(
      () => true,
      () => false,
    );
  };
  assert.equal(await passes([], false, true), true);
  assert.equal(await passes(['army/task_request'], false, false), false);
  assert.equal(await lastRefusal(), 'signature_missing');
  assert.equal(await passes(['army/*'], false, false), false);
  assert.equal(await passes(['*'], false, false), false);
  assert.equal(await passes(['army/heartbeat', 'blog/*'], false, false), true);
  assert.equal(await passes([], true, false), true);
  assert.equal(await passes([], true, true), false);
  await refusedWith('invalid_request', demand(['task_request']));
  await refusedWith('invalid_request', demand(Array.from({ length: 201 }, () => '*')));
});

test('TASK-88 ARMY-111 BLOG-101 NOOB-141 what this server says is signed so that anybody verifies it by the published keys', async () => {
  const { guards } = await setUp();
  for (const form of [FLAT, NESTED]) {
    const signed = await guards.messages.signatures.sign(DEFAULT_TENANT, envelope(), form);
    assert.deepEqual(withoutMember(signed, form.signature), envelope());
    const [header = '', payload, signature = ''] = String(memberAt(signed, form.signature)).split('.');
    assert.equal(payload, '');
    const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString());
    const published = await guards.messages.serverKeys.published(DEFAULT_TENANT);
    const jwk = published.find(one => one.kid === kid);
    assert.deepEqual([alg, jwk?.use, jwk?.d], ['EdDSA', 'sig', undefined]);
    const input = `${header}.${Buffer.from(canonicalJson(envelope())).toString('base64url')}`;
    const key = createPublicKey({ key: jwk as JsonObject, format: 'jwk' });
    assert.ok(verify(null, Buffer.from(input), key, Buffer.from(signature, 'base64url')));
    const again = await guards.messages.signatures.sign(DEFAULT_TENANT, signed, form);
    assert.deepEqual(again, signed);
  }
});

test('TASK-87 ARMY-110 BLOG-100 NOOB-140 a refused signature is in the audit with its reason, address and request', async () => {
  const { check, b1, audit } = await setUp();
  await refusedWith('unauthenticated', check(signedWith(b1)));
  const entry = (await audit()).findLast(({ action }) => action === 'auth.refused');
  assert.deepEqual([entry?.principal, entry?.requestId], ['key:ana', 'req-1']);
  assert.equal(entry?.detail.method, 'message_signature');
  assert.equal(entry?.detail.address, '203.0.113.7');
});
