import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type Answer, farEnd, type House, type Seen, setup } from './fixture.test.ts';

const SECRET = 's3cret/value+1';
const secrets = { key: SECRET };

/** A far end that says back all it was sent. */
const echo = (t: TestContext) =>
  farEnd(t, ({ headers, query }) => ({ json: { headers, query: [...query] } }));

/** An API behind a token server: it takes the token given out last. */
async function oauth(t: TestContext, { expires_in = 3_600 }: { expires_in?: number } = {}) {
  let given = 0;
  const answer = ({ path, headers }: Seen): Answer => {
    if (path === '/token')
      return { json: { access_token: `token-number-${++given}`, token_type: 'bearer', expires_in } };
    const isLast = headers.authorization === `Bearer token-number-${given}`;
    return isLast ? { json: { token: headers.authorization } } : { status: 401 };
  };
  const far = await farEnd(t, answer);
  const auth = {
    type: 'oauth2_client_credentials',
    token_url: `${far.url}/token`,
    client_id: 'me:1',
    secret: 'key',
  };
  const payload = (more: object = {}): JsonObject => ({
    auth: { ...auth, ...more },
    request: { url: `${far.url}/api` },
  });
  const asked = (): readonly Seen[] => far.seen.filter(({ path }) => path === '/token');
  return { far, payload, asked, revoke: () => given++ };
}

test('SAM-158 bearer, basic and API key put the secret where they say', async t => {
  const house = await setup(t);
  const far = await echo(t);
  const sent = async (auth: object): Promise<Seen> => {
    await house.output({ auth, request: { url: far.url, query: { q: 1 } } } as JsonObject, { secrets });
    const last = far.seen.at(-1);
    assert.ok(last !== undefined);
    return last;
  };
  assert.equal((await sent({ type: 'bearer', secret: 'key' })).headers.authorization, `Bearer ${SECRET}`);
  const basic = await sent({ type: 'basic', username: 'ana', secret: 'key' });
  assert.equal(basic.headers.authorization, `Basic ${Buffer.from(`ana:${SECRET}`).toString('base64')}`);
  const header = await sent({ type: 'api_key', secret: 'key', name: 'X-Key', prefix: 'k ' });
  assert.equal(header.headers['x-key'], `k ${SECRET}`);
  const query = await sent({ type: 'api_key', secret: 'key', name: 'k', in: 'query' });
  assert.deepEqual([query.query.get('k'), query.query.get('q')], [SECRET, '1']);
  assert.equal((await sent({ type: 'none' })).headers.authorization, undefined);
});

test('SAM-34 SAM-158 an API that says secrets, tokens and Basic headers back leaves none in output, errors, reports and log', async t => {
  const house = await setup(t);
  const far = await echo(t);
  const { far: api, payload } = await oauth(t);
  const basic = { type: 'basic', username: 'ana', secret: 'key' };
  const results = [
    await house.run({ auth: basic, request: { url: far.url } }, { secrets }),
    await house.run({ auth: basic, request: { url: far.url, expect: { status: [201] } } }, { secrets }),
    await house.run({ request: { url: far.url, query: { q: '{{ secrets.key }}' } } }, { secrets }),
    await house.run(payload(), { secrets }),
  ];
  const said = JSON.stringify([results, house.reports, house.lines]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['completed', 'failed', 'completed', 'completed'],
  );
  for (const value of [
    SECRET,
    encodeURIComponent(SECRET),
    Buffer.from(`ana:${SECRET}`).toString('base64'),
    'token-number-1',
  ])
    assert.ok(!said.includes(value), value);
  assert.equal(api.seen.at(-1)?.headers.authorization, 'Bearer token-number-1');
});

test('SAM-158 an OAuth2 token is asked for once for all who share its client, and not shared with others', async t => {
  const house = await setup(t);
  const { payload, asked } = await oauth(t);
  await Promise.all([1, 2, 3].map(() => house.output(payload(), { secrets })));
  assert.equal(asked().length, 1);
  const [first] = asked();
  const credentials = Buffer.from(
    first?.headers.authorization?.slice('Basic '.length) ?? '',
    'base64',
  ).toString();
  assert.equal(credentials, 'me%3A1:s3cret%2Fvalue%2B1');
  assert.equal(first?.body, 'grant_type=client_credentials');
  await house.output(payload(), { secrets, tenant: 'other' });
  await house.output(payload({ scope: 'read write', client_in: 'body' }), { secrets });
  assert.equal(asked().length, 3);
  const form = new URLSearchParams(asked()[2]?.body);
  assert.deepEqual(
    ['scope', 'client_id', 'client_secret'].map(name => form.get(name)),
    ['read write', 'me:1', SECRET],
  );
  await house.run(payload(), { secrets: { key: 'another secret' } });
  assert.equal(asked().length, 4);
});

test('SAM-158 a token is renewed before it expires, and once when it is refused', async t => {
  let ahead = 0;
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead };
  const house = await setup(t, clock);
  const { far, payload, asked, revoke } = await oauth(t, { expires_in: 100 });
  await house.output(payload(), { secrets });
  ahead = 80_000;
  await house.output(payload(), { secrets });
  assert.equal(asked().length, 1);
  ahead = 95_000;
  await house.output(payload(), { secrets });
  assert.equal(asked().length, 2);
  revoke();
  const renewed = await house.response(payload(), { secrets });
  assert.deepEqual([renewed.status, asked().length], [200, 3]);
  const before = far.seen.length;
  const never = await farEnd(t, ({ path }) =>
    path === '/token' ? { json: { access_token: 'x' } } : { status: 401 },
  );
  const auth = {
    type: 'oauth2_client_credentials',
    token_url: `${never.url}/token`,
    client_id: 'me',
    secret: 'key',
  };
  const error = await house.error({ auth, request: { url: never.url } }, { secrets });
  assert.equal(error.details?.status, 401);
  assert.deepEqual(
    never.seen.map(({ path }) => path),
    ['/token', '/', '/token', '/'],
  );
  assert.equal(far.seen.length, before);
});

test('SAM-158 a client that is refused fails the task in the server’s word, a server that is down may be tried again', async t => {
  const house = await setup(t);
  const error = async (answer: Answer) => {
    const far = await farEnd(t, () => answer);
    const auth = { type: 'oauth2_client_credentials', token_url: far.url, client_id: 'me', secret: 'key' };
    const told = await house.error(
      { auth, request: { url: `${far.url}/api`, retry: { delay: 0 } } },
      { secrets },
    );
    assert.ok(far.seen.every(({ method }) => method === 'POST'));
    return told;
  };
  const refused = await error({ status: 401, json: { error: 'invalid_client', error_description: SECRET } });
  assert.deepEqual(
    [refused.code, refused.recoverable, refused.details?.reason],
    ['task_failed', false, 'invalid_client'],
  );
  assert.deepEqual((await error({ json: { access_token: 'a\r\nb' } })).code, 'task_failed');
  assert.match((await error({ json: { access_token: 'x', token_type: 'mac' } })).message, /not for a bearer/);
  const down = await error({ status: 503 });
  assert.deepEqual([down.code, down.recoverable], ['dependency_failed', true]);
});

test('SAM-158 credentials go to the origins the task names, never where an answer leads', async t => {
  const house: House = await setup(t);
  const stranger = await echo(t);
  const far = await farEnd(t, () => ({ json: { next: stranger.url } }));
  await house.output(
    {
      auth: { type: 'bearer', secret: 'key' },
      inputs: { base: far.url },
      requests: [
        { save_as: 'first', url: '{{ inputs.base }}/list' },
        { url: '{{ responses.first.body.next }}/steal' },
      ],
    },
    { secrets },
  );
  assert.equal(far.seen[0]?.headers.authorization, `Bearer ${SECRET}`);
  assert.equal(stranger.seen.length, 1);
  assert.equal(stranger.seen[0]?.headers.authorization, undefined);
});
