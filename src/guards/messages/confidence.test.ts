import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FlattenedEncrypt, GeneralEncrypt, type GeneralJWE, generalDecrypt } from 'jose';
import { type AgentId, DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { ACME, DAY, refusedWith } from '../fixture.test.ts';
import { publicKeyOf } from './agent-key.ts';
import { canonicalBytes, canonicalJson } from './canonical-json.ts';
import type { EnvelopeForm } from './envelope.ts';
import { ANA, BEN, envelope, FIELDWISE, FLAT, NESTED, receiver, setUp as setUpKeys } from './fixture.test.ts';

const utf8 = (bytes: Uint8Array): Json => JSON.parse(Buffer.from(bytes).toString('utf8'));
const jweAt = (message: JsonObject, member = 'payload'): GeneralJWE =>
  (message[member] as JsonObject).jwe as unknown as GeneralJWE;
const without = ({ payload: _, ...rest }: JsonObject): JsonObject => rest;

async function setUp() {
  const bundle = await setUpKeys();
  const { guards, ana, ben } = bundle;
  const [aEnc, bEnc] = [receiver('a-enc'), receiver('b-enc')];
  await guards.messages.agentKeys.add(ana, { jwk: aEnc.jwk });
  await guards.messages.agentKeys.add(ben, { jwk: bEnc.jwk });
  const ours = async (tenant = DEFAULT_TENANT): Promise<JsonObject> => {
    const keys = await guards.messages.serverKeys.published(tenant);
    return keys.findLast(key => key.use === 'enc') ?? assert.fail('no key is published');
  };
  /** As any client would, by the documentation alone. */
  const encryptToUs = async (
    value: Json = { secret: 1 },
    {
      bound = canonicalBytes(without(envelope())),
      header = {},
      alg = 'ECDH-ES+A256KW',
      enc = 'A256GCM',
    } = {},
  ): Promise<JsonObject> => {
    const jwk = await ours();
    const jwe = new GeneralEncrypt(Buffer.from(JSON.stringify(value)))
      .setProtectedHeader({ enc, ...header })
      .setAdditionalAuthenticatedData(bound);
    jwe.addRecipient(publicKeyOf(jwk)).setUnprotectedHeader({ alg, kid: String(jwk.kid) });
    return (await jwe.encrypt()) as unknown as JsonObject;
  };
  const open = (message: JsonObject, form: EnvelopeForm = FLAT, tenant = DEFAULT_TENANT) =>
    guards.messages.confidence.open(tenant, message, form);
  const opens = async (jwe: Json, message: JsonObject = envelope()) =>
    (await open({ ...message, payload: { jwe } })).status === 'opened';
  return { ...bundle, aEnc, bEnc, ours, encryptToUs, open, opens };
}

test('TASK-89 ARMY-112 BLOG-102 NOOB-142 each receiver opens what this server encrypts with its own key, and nobody else does', async () => {
  const { guards, aEnc, bEnc } = await setUp();
  const terms = { tenant: DEFAULT_TENANT, receivers: [ANA, BEN], members: ['payload'] };
  const sealed = await guards.messages.confidence.encrypt(envelope(), NESTED, terms);
  assert.deepEqual(without(sealed), without(envelope()));
  const jwe = jweAt(sealed);
  assert.deepEqual(
    jwe.recipients.map(({ header }) => [header?.alg, header?.kid]),
    [
      ['ECDH-ES+A256KW', 'a-enc'],
      ['ECDH-ES+A256KW', 'b-enc'],
    ],
  );
  assert.equal(jwe.aad, canonicalBytes(without(envelope())).toString('base64url'));
  for (const { privateKey } of [aEnc, bEnc]) {
    const { plaintext, protectedHeader } = await generalDecrypt(jwe, privateKey);
    assert.deepEqual(utf8(plaintext), envelope().payload);
    assert.equal(protectedHeader?.enc, 'A256GCM');
  }
  await assert.rejects(generalDecrypt(jwe, receiver('a-enc').privateKey));
  assert.ok(!JSON.stringify(sealed).includes('añb'));
});

test('TASK-90 ARMY-113 BLOG-103 NOOB-143 what anybody encrypts to a published key opens to the value it was', async () => {
  const { encryptToUs, open } = await setUp();
  await fc.assert(
    fc.asyncProperty(fc.jsonValue() as fc.Arbitrary<Json>, async value => {
      const opened = await open({ ...envelope(), payload: { jwe: await encryptToUs(value) } });
      assert.equal(opened.status, 'opened');
      const expected = JSON.parse(JSON.stringify(value));
      assert.equal(canonicalJson(opened.envelope), canonicalJson({ ...envelope(), payload: expected }));
    }),
    { numRuns: 20 },
  );
  assert.deepEqual(await open(envelope()), { status: 'clear' });
});

test('TASK-90 ARMY-113 BLOG-103 NOOB-143 a signature added after encryption leaves the content openable', async () => {
  const { guards, encryptToUs, open } = await setUp();
  for (const form of [FLAT, NESTED]) {
    const sealed = { ...envelope(), payload: { jwe: await encryptToUs() } };
    const signed = await guards.messages.signatures.sign(DEFAULT_TENANT, sealed, form);
    const opened = await open(signed, form);
    assert.deepEqual(opened, { status: 'opened', envelope: { ...signed, payload: { secret: 1 } } });
  }
});

test('TASK-89 TASK-90 ARMY-112 BLOG-102 NOOB-142 no readable member of the envelope can be changed, added or taken away', async () => {
  const { encryptToUs, opens } = await setUp();
  const jwe = await encryptToUs();
  assert.equal(await opens(jwe), true);
  const { to: _, ...fewer } = envelope();
  const tampered: readonly JsonObject[] = [
    envelope({ from: 'ben' }),
    envelope({ id: 'm2' }),
    envelope({ more: null }),
    envelope({ metadata: {} }),
    fewer,
  ];
  for (const message of tampered) assert.equal(await opens(jwe, message), false);
  for (const aad of ['', canonicalBytes(without(envelope())).toString('base64url')])
    assert.equal(await opens({ ...jwe, aad }, envelope({ from: 'ben' })), false);
});

test('TASK-89 each field of its own is encrypted beside clear ones, and of two neither passes for the other', async () => {
  const { guards, aEnc, open, ours } = await setUp();
  const message: JsonObject = {
    type: 'task.result',
    task_id: 't',
    result: { a: 1 },
    state: 's',
    reason: 'r',
  };
  const terms = { tenant: DEFAULT_TENANT, receivers: [ANA], members: ['result', 'state', 'metrics'] };
  const sealed = await guards.messages.confidence.encrypt(message, FIELDWISE, terms);
  const clear = { type: 'task.result', task_id: 't', reason: 'r' };
  assert.deepEqual({ ...sealed, result: 1, state: 2 }, { ...clear, result: 1, state: 2 });
  for (const member of ['result', 'state']) {
    assert.equal(jweAt(sealed, member).aad, canonicalBytes(clear).toString('base64url'));
    const { plaintext } = await generalDecrypt(jweAt(sealed, member), aEnc.privateKey);
    assert.deepEqual(utf8(plaintext), message[member]);
  }
  const server = 'server' as AgentId;
  const { use: _, alg: __, ...jwk } = await ours();
  await guards.messages.agentKeys.add({ tenant: DEFAULT_TENANT, agentId: server }, { jwk });
  const toUs = await guards.messages.confidence.encrypt(message, FIELDWISE, {
    ...terms,
    receivers: [server],
  });
  assert.deepEqual(await open(toUs, FIELDWISE), { status: 'opened', envelope: message });
  const { result = null, state = null } = toUs;
  const swapped = { ...toUs, result: state, state: result };
  assert.deepEqual(await open(swapped, FIELDWISE), { status: 'undecryptable' });
  const half = { ...toUs, state: { jwe: { ...jweAt(toUs, 'state'), tag: 'AAAA' } } as unknown as Json };
  assert.deepEqual(await open(half, FIELDWISE), { status: 'undecryptable' });
});

test('TASK-90 ARMY-113 BLOG-103 NOOB-143 what is meant for others, or for this server in another tenant, does not open', async () => {
  const { guards, open, encryptToUs, ours } = await setUp();
  const terms = { tenant: DEFAULT_TENANT, receivers: [BEN], members: ['payload'] };
  const forBen = await guards.messages.confidence.encrypt(envelope(), FLAT, terms);
  assert.deepEqual(await open(forBen), { status: 'undecryptable' });
  const jwe = jweAt(forBen);
  const { kid } = await ours();
  const [entry] = jwe.recipients;
  const claimed = { ...jwe, recipients: [{ ...entry, header: { ...entry?.header, kid } }] };
  assert.deepEqual(await open({ ...envelope(), payload: { jwe: claimed as unknown as Json } }), {
    status: 'undecryptable',
  });
  const toUs = { ...envelope(), payload: { jwe: await encryptToUs() } };
  assert.equal((await open(toUs)).status, 'opened');
  assert.equal((await open(toUs, FLAT, ACME)).status, 'undecryptable');
});

test('TASK-90 ARMY-113 BLOG-103 NOOB-143 other algorithms, compression, oversize and broken forms are undecryptable, never an error', async () => {
  const { encryptToUs, opens, ours } = await setUp();
  const good = await encryptToUs();
  assert.equal(await opens(await encryptToUs(1, { enc: 'A128GCM' })), false);
  assert.equal(await opens(await encryptToUs(1, { alg: 'ECDH-ES+A128KW' })), false);
  assert.equal(await opens(await encryptToUs('a'.repeat(100), { header: { zip: 'DEF' } })), false);
  const [entry] = good.recipients as readonly JsonObject[];
  const header = (entry?.header ?? {}) as JsonObject;
  const many = Array.from({ length: 101 }, () => entry ?? {});
  const broken: readonly Json[] = [
    { ...good, recipients: many },
    { ...good, recipients: [] },
    { ...good, recipients: [null, 1, []] },
    {
      ...good,
      recipients: [{ ...entry, header: { ...header, epk: { kty: 'OKP', crv: 'X25519', x: 'AA' } } }],
    },
    { ...good, recipients: [{ ...entry, header: { ...header, epk: zeroPoint } }] },
    { ...good, recipients: [{ ...entry, encrypted_key: 'AAAA' }] },
    { ...good, recipients: [{ header, encrypted_key: null }] },
    { ...good, ciphertext: 'A'.repeat(1_400_004) },
    { ...good, ciphertext: 7 },
    { ...good, iv: '' },
    { ...good, protected: 'e30' },
    { ...good, protected: '%' },
    { ...good, unprotected: { alg: 'dir' } },
    {},
    'a.b.c.d.e',
    null,
    [],
  ];
  for (const jwe of broken) assert.equal(await opens(jwe), false, JSON.stringify(jwe).slice(0, 200));
  const text = await new FlattenedEncrypt(Buffer.from([0x22, 0xff, 0x22]))
    .setProtectedHeader({ enc: 'A256GCM', alg: 'ECDH-ES+A256KW' })
    .setAdditionalAuthenticatedData(canonicalBytes(without(envelope())))
    .encrypt(publicKeyOf(await ours()));
  const { encrypted_key, ...shared } = text as unknown as JsonObject;
  assert.equal(await opens({ ...shared, recipients: [{ encrypted_key }] }), false);
  const late = [...Array.from({ length: 8 }, () => ({ ...entry, encrypted_key: 'AAAA' })), entry ?? {}];
  assert.equal(await opens({ ...good, recipients: late }), false);
  assert.equal(await opens({ ...good, recipients: [{ header: { kid: 'other' } }, entry ?? {}] }), true);
});

const zeroPoint = { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32).toString('base64url') };

test('TASK-89 ARMY-112 BLOG-102 NOOB-142 nothing is encrypted for a receiver without a good key, and the newest good key is taken', async () => {
  const { guards, ana, clock } = await setUp();
  const encrypt = (receivers: readonly string[]) =>
    guards.messages.confidence.encrypt(envelope(), FLAT, {
      tenant: DEFAULT_TENANT,
      receivers: receivers as readonly AgentId[],
      members: ['payload'],
    });
  const error = await refusedWith('unprocessable', encrypt(['ana', 'nobody']));
  assert.deepEqual(error.details.without_key, ['nobody']);
  await refusedWith('unprocessable', encrypt([]));
  const kids = async () => jweAt(await encrypt(['ana'])).recipients.map(({ header }) => header?.kid);
  await guards.messages.agentKeys.add(ana, { jwk: receiver('a-later').jwk, notBefore: clock.now() + DAY });
  assert.deepEqual(await kids(), ['a-enc']);
  clock.pass(DAY);
  assert.deepEqual(await kids(), ['a-later']);
  await guards.messages.agentKeys.revoke(ana, 'a-later');
  assert.deepEqual(await kids(), ['a-enc']);
  await guards.messages.agentKeys.revoke(ana, 'a-enc');
  await refusedWith('unprocessable', encrypt(['ana']));
});
