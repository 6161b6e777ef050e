import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { AuthRequest } from './authentication.ts';
import { NOON, refusedWith, SECOND, type Signing, setup, signed } from './fixture.test.ts';
import { bodySha256, canonicalQuery, canonicalValue, type SigningScheme } from './hmac.ts';

const NOW = NOON / SECOND;
const POST = { method: 'POST', path: '/api/v2/execute-task', body: Buffer.from('{"a":1}') };

async function setUp(algorithms: readonly SigningScheme[] = ['HMAC-SHA256']) {
  const bundle = await setup();
  const { guards } = bundle;
  const { key, secret } = await guards.apiKeys.create(DEFAULT_TENANT, {
    name: 'signer',
    permissions: ['task:execute'],
    algorithms,
  });
  const signing: Signing = { id: key.id, secret, timestamp: NOW };
  const enter = (request: AuthRequest) => guards.authenticator.authenticate(request);
  const lastRefusal = async (): Promise<unknown> =>
    (await bundle.audit()).findLast(({ action }) => action === 'auth.refused')?.detail.reason;
  return { ...bundle, key, signing, enter, lastRefusal };
}

/** The request with its headers changed and its signature left as it is. */
function altered(request: AuthRequest, headers: AuthRequest['headers']): AuthRequest {
  return { ...request, headers: { ...request.headers, ...headers } };
}

test('SAM-22 a signed request authenticates its key', async () => {
  const { enter, signing, key } = await setUp();
  const { principal, method } = await enter(signed({ ...signing, nonce: 'n1' }, POST));
  assert.equal(principal.id, `key:${key.id}`);
  assert.equal(principal.method, 'hmac');
  assert.equal(method, 'hmac');
});

test('SAM-22 longer hashes work where the key allows them, and nowhere else', async () => {
  const { enter, signing } = await setUp(['HMAC-SHA384', 'HMAC-SHA512']);
  await enter(signed({ ...signing, scheme: 'HMAC-SHA384' }));
  await enter(signed({ ...signing, scheme: 'HMAC-SHA512' }));
  await refusedWith('unauthenticated', enter(signed({ ...signing, scheme: 'HMAC-SHA256' })));
});

test('SAM-22 a key without algorithms signs nothing', async () => {
  const { enter, signing } = await setUp([]);
  await refusedWith('unauthenticated', enter(signed(signing)));
});

test('SAM-6 the server is told that it needs the raw body for signed requests alone', async () => {
  const { guards, signing } = await setUp();
  const { wantsBody } = guards.authenticator;
  assert.equal(wantsBody(signed(signing).headers), true);
  assert.equal(wantsBody({ authorization: 'Bearer x' }), false);
  assert.equal(wantsBody({ 'x-api-key': 'k' }), false);
});

test('SAM-25 host and time must be signed, the type with a body, and a nonce when sent', async () => {
  const { enter, signing, lastRefusal } = await setUp();
  for (const [name, reason] of [
    ['host', 'unsigned_host'],
    ['x-timestamp', 'unsigned_x_timestamp'],
    ['content-type', 'unsigned_content_type'],
    ['x-nonce', 'unsigned_x_nonce'],
  ] as const) {
    await refusedWith('unauthenticated', enter(signed({ ...signing, nonce: 'n', unsigned: [name] }, POST)));
    assert.equal(await lastRefusal(), reason);
  }
  const headers = { 'content-type': 'text/plain' };
  await enter(signed({ ...signing, unsigned: ['content-type'] }, { headers }));
});

test('SAM-25 a header listed but not sent fails', async () => {
  const { enter, signing } = await setUp();
  const request = signed(signing, { headers: { 'x-label': '' } });
  await refusedWith('unauthenticated', enter(altered(request, { 'x-label': undefined })));
  await enter(request);
});

test('SAM-26 a timestamp up to 300 s off is accepted, and beyond it answers 401', async () => {
  const { enter, signing, lastRefusal } = await setUp();
  for (const off of [-300, 300]) await enter(signed({ ...signing, timestamp: NOW + off }));
  for (const off of [-301, 301]) {
    await refusedWith('unauthenticated', enter(signed({ ...signing, timestamp: NOW + off })));
    assert.equal(await lastRefusal(), 'timestamp');
  }
  for (const timestamp of ['', '017', '1e9', '-5', `${NOW}.5`])
    await refusedWith('unauthenticated', enter(signed(signing, { headers: { 'x-timestamp': timestamp } })));
});

test('SAM-26 the window is the tenant’s', async () => {
  const { guards, enter, signing } = await setUp();
  await guards.tenants.update(DEFAULT_TENANT, { options: { hmacWindowSeconds: 30 } });
  await enter(signed({ ...signing, timestamp: NOW - 30 }));
  await refusedWith('unauthenticated', enter(signed({ ...signing, timestamp: NOW - 31 })));
});

test('SAM-26 a repeated nonce inside the window is refused, on any method and any node', async () => {
  const { enter, signing, node, lastRefusal } = await setUp();
  const elsewhere = await node();
  await enter(signed({ ...signing, nonce: 'once' }, POST));
  await refusedWith('unauthenticated', enter(signed({ ...signing, nonce: 'once' })));
  assert.equal(await lastRefusal(), 'replayed');
  const there = elsewhere.authenticator.authenticate(signed({ ...signing, nonce: ' once ' }, POST));
  await refusedWith('unauthenticated', there);
  await enter(signed({ ...signing, nonce: 'twice' }, POST));
});

test('SAM-26 without a nonce a signature counts once on methods that change something, and freely on GET and HEAD', async () => {
  const { enter, signing } = await setUp();
  for (const method of ['POST', 'DELETE', 'PUT', 'PATCH']) {
    await enter(signed(signing, { method }));
    await refusedWith('unauthenticated', enter(signed(signing, { method })));
  }
  for (const method of ['GET', 'HEAD']) {
    await enter(signed(signing, { method }));
    await enter(signed(signing, { method }));
  }
});

test('SAM-26 of one request sent many times at once exactly one passes', async () => {
  const { enter, signing, node } = await setUp();
  const elsewhere = await node();
  const request = signed({ ...signing, nonce: 'race' }, POST);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10 }, (_, at) =>
      at % 2 === 0 ? enter(request) : elsewhere.authenticator.authenticate(request),
    ),
  );
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('SAM-26 a nonce is remembered as long as its request could come again, whatever the window becomes', async () => {
  const { guards, enter, signing, clock } = await setUp();
  const request = signed({ ...signing, timestamp: NOW + 300, nonce: 'late' }, POST);
  await enter(request);
  clock.pass(600 * SECOND);
  await refusedWith('unauthenticated', enter(request));
  await guards.tenants.update(DEFAULT_TENANT, { options: { hmacWindowSeconds: 900 } });
  clock.pass(600 * SECOND);
  await refusedWith('unauthenticated', enter(request));
});

test('SAM-26 a forged request does not use up the nonce of the true one', async () => {
  const { enter, signing } = await setUp();
  await refusedWith('unauthenticated', enter(signed({ ...signing, secret: 'guess', nonce: 'mine' }, POST)));
  await enter(signed({ ...signing, nonce: 'mine' }, POST));
});

test('SAM-27 during the overlap both secrets sign, and the audit says which one did', async () => {
  const { guards, enter, signing, key, audit, clock } = await setUp();
  const { secret } = await guards.apiKeys.rotate(DEFAULT_TENANT, key.id);
  await enter(signed({ ...signing, nonce: '1' }));
  await enter(signed({ ...signing, secret, nonce: '2' }));
  const reasons = (await audit()).map(({ detail }) => detail.reason);
  assert.deepEqual(reasons, ['secret=previous', 'secret=current']);
  clock.pass(24 * 3_600 * SECOND);
  const timestamp = clock.now() / SECOND;
  await refusedWith('unauthenticated', enter(signed({ ...signing, timestamp, nonce: '3' })));
  await enter(signed({ ...signing, secret, timestamp, nonce: '4' }));
});

test('SAM-27 an unknown key, a wrong secret and a wrong signature are told the same', async () => {
  const { enter, signing } = await setUp();
  const wrong = [
    signed({ ...signing, id: `bk_${'x'.repeat(22)}` }),
    signed({ ...signing, secret: 'wrong' }),
    altered(signed(signing), {
      authorization: `HMAC-SHA256 Credential=${signing.id}, SignedHeaders=host, Signature=0`,
    }),
  ];
  const errors = await Promise.all(wrong.map(request => refusedWith('unauthenticated', enter(request))));
  assert.equal(new Set(errors.map(({ message, details }) => message + JSON.stringify(details))).size, 1);
});

test('SAM-27 raw UTF-8 in path and headers verifies, and bytes that are no UTF-8 do not', async () => {
  const { enter, signing } = await setUp();
  const asReceived = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  const path = '/api/v2/records/café';
  const request = signed({ ...signing, nonce: 'ñ' }, { path });
  const received = altered({ ...request, path: asReceived(path) }, { 'x-nonce': asReceived('ñ') });
  await enter(received);
  await refusedWith('unauthenticated', enter({ ...received, path: '/api/v2/records/caf\xe9' }));
});

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly label: string;
  readonly body: string;
}

const sent = fc.record<Sent>({
  method: fc.constantFrom('POST', 'PUT', 'DELETE'),
  path: fc.webPath().map(path => `/api${path}`),
  query: fc.webQueryParameters(),
  label: fc.stringMatching(/^[!-~]{1,5}( [!-~]{1,5})?$/),
  body: fc.string({ minLength: 1, maxLength: 20 }),
});

/** Changes one character to another, leaves one out, or puts one in. */
const mutation = fc.record({
  part: fc.constantFrom('method', 'path', 'query', 'label', 'body', 'time', 'nonce', 'host', 'type'),
  at: fc.nat({ max: 1_000 }),
  character: fc.stringMatching(/^[!-~]$/),
  how: fc.constantFrom('replace', 'insert', 'drop'),
});

function mutated(
  text: string,
  { at, character, how }: { at: number; character: string; how: string },
): string {
  const position = at % Math.max(1, text.length);
  const rest = how === 'insert' ? text.slice(position) : text.slice(position + 1);
  return text.slice(0, position) + (how === 'drop' ? '' : character) + rest;
}

function sameMeaning(part: string, before: string, after: string): boolean {
  if (part === 'label' || part === 'host' || part === 'type' || part === 'nonce')
    return canonicalValue(before) === canonicalValue(after);
  if (part === 'method') return before.toUpperCase() === after.toUpperCase();
  if (part !== 'query') return before === after;
  try {
    return canonicalQuery(before) === canonicalQuery(after);
  } catch {
    return false;
  }
}

test('SAM-27 any change of method, path, query, signed header or body fails', async () => {
  const { enter, signing } = await setUp();
  let count = 0;
  await fc.assert(
    fc.asyncProperty(sent, mutation, async (what, change) => {
      count += 1;
      const nonce = `n${count}`;
      const request = signed(
        { ...signing, nonce },
        { ...what, body: Buffer.from(what.body), headers: { 'x-label': what.label } },
      );
      const header = {
        label: 'x-label',
        time: 'x-timestamp',
        nonce: 'x-nonce',
        host: 'host',
        type: 'content-type',
      }[change.part as 'label'];
      const before = header === undefined ? what[change.part as 'path'] : String(request.headers[header]);
      const after = mutated(before, change);
      fc.pre(!sameMeaning(change.part, before, after));
      const broken =
        header !== undefined
          ? altered(request, { [header]: after })
          : { ...request, [change.part]: change.part === 'body' ? Buffer.from(after) : after };
      await refusedWith('unauthenticated', enter(broken));
      await enter(request);
    }),
    { numRuns: 300 },
  );
});

test('SAM-27 a body digested by the server is signed like one at hand', async () => {
  const { enter, signing } = await setUp();
  const request = signed({ ...signing, nonce: 'big' }, POST);
  const digest = bodySha256(POST.body);
  await refusedWith(
    'unauthenticated',
    enter({ ...request, body: null, bodySha256: bodySha256(Buffer.from('x')) }),
  );
  await enter({ ...request, body: null, bodySha256: digest });
});

test('SAM-27 a body that is announced but not handed in is refused, not taken for an empty one', async () => {
  const { enter, signing, lastRefusal } = await setUp();
  const empty = signed({ ...signing, nonce: 'empty' }, { method: 'POST' });
  for (const headers of [{ 'content-length': '7' }, { 'transfer-encoding': 'chunked' }]) {
    await refusedWith('unauthenticated', enter(altered(empty, headers)));
    assert.equal(await lastRefusal(), 'body_unread');
  }
  await enter(altered(empty, { 'content-length': '0' }));
});
