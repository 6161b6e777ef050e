import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import { systemClock } from '../../runtime/clock.ts';
import { setup } from './fixture.test.ts';
import { API_EXAMPLES, API_PAYLOAD } from './payload.ts';

const PLACE = 'https://api.example.com/v1';

async function schemaFaults(payload: JsonObject): Promise<readonly string[]> {
  const schema = API_PAYLOAD as unknown as JsonObject;
  const guard = new SchemaGuard(systemClock, [schema]);
  try {
    await guard.check(schema, payload, 'task_data');
    return [];
  } catch (error) {
    const { errors } = (error as { details: JsonObject }).details;
    return (errors as readonly JsonObject[]).map(({ field }) => String(field));
  }
}

test('SAM-161 an unknown method, way to authenticate or way through pages is a fault of its field', async () => {
  for (const example of API_EXAMPLES) assert.deepEqual(await schemaFaults(example), []);
  const fields = async (request: JsonObject): Promise<readonly string[]> =>
    schemaFaults({ request: { url: PLACE, ...request } });
  assert.deepEqual(await fields({ method: 'BREW' }), ['task_data.request.method']);
  assert.ok((await fields({ auth: { type: 'kerberos' } })).includes('task_data.request.auth.type'));
  assert.ok(
    (await fields({ auth: { type: 'basic', secret: 's' } })).includes('task_data.request.auth.username'),
  );
  assert.ok((await fields({ pagination: { type: 'scroll' } })).includes('task_data.request.pagination.type'));
  assert.ok(
    (await fields({ pagination: { type: 'cursor' } })).includes('task_data.request.pagination.cursor'),
  );
  assert.deepEqual(await fields({ idempotency_key: false }), ['task_data.request.idempotency_key']);
  assert.deepEqual(await fields({ expect: { status: ['2xx', 404] } }), []);
});

test('SAM-161 an invalid URL, template or expression is a fault of its field', async t => {
  const house = await setup(t);
  const faults = (request: JsonObject): Promise<readonly string[]> =>
    house.faults({ request: { url: PLACE, ...request } });
  assert.deepEqual(await faults({}), []);
  for (const url of [
    'api.example.com',
    'ftp://a/b',
    'https://',
    'https://a b/',
    'javascript:alert(1)',
    'file:///etc/passwd',
  ])
    assert.match(
      (await faults({ url }))[0] ?? '',
      /^task_data\.request\.url is not an absolute|^unprocessable/,
      url,
    );
  assert.match(
    (await faults({ url: `${PLACE}/{{ inputs.x ` }))[0] ?? '',
    /url is not a template: {{ without }}/,
  );
  assert.match(
    (await faults({ headers: { 'x-a': '{{ a..b }}' } }))[0] ?? '',
    /headers\.x-a is not a template/,
  );
  assert.match(
    (await faults({ method: 'POST', body: { a: ['{{ ( }}'] } }))[0] ?? '',
    /body is not a template: \.a\.0/,
  );
  assert.match((await faults({ extract: { a: '[' } }))[0] ?? '', /extract\.a is not an expression/);
  assert.match(
    (await faults({ expect: { condition: 'a ==' } }))[0] ?? '',
    /expect\.condition is not an expression/,
  );
  assert.match(
    (await faults({ url: '{{ inputs.absent }}/x' }))[0] ?? '',
    /url {{ inputs\.absent }} has no value/,
  );
  assert.match((await faults({ expect: { schema: { type: 'nonsense' } } }))[0] ?? '', /expect\.schema/);
  assert.match(
    (await faults({ extract: { a: '('.repeat(1_500) } }))[0] ?? '',
    /extract\.a is not an expression/,
  );
});

test('SAM-161 what contradicts itself is said field by field', async t => {
  const house = await setup(t);
  assert.match((await house.faults({}))[0] ?? '', /exactly one of request and requests/);
  const faults = await house.faults({
    requests: [
      { save_as: 'a', url: PLACE, body: {} },
      { save_as: 'a', method: 'POST', url: PLACE, body: {}, form: {} },
      { method: 'HEAD', url: PLACE, pagination: { type: 'link' } },
      { url: `${PLACE}/{{ responses.later.body.id }}`, headers: { a: '{{ responses.nobody.status }}' } },
      { save_as: 'later', url: PLACE },
    ],
  });
  assert.deepEqual(faults, [
    'task_data.requests.0.body does not go with GET',
    'task_data.requests.1.save_as is the name of an earlier request',
    'task_data.requests.1 must have one of body, form and body_artifact at most',
    'task_data.requests.2.pagination needs answers of JSON',
    'task_data.requests.3.url speaks of responses.later, which no earlier request saves',
    'task_data.requests.3.headers.a speaks of responses.nobody, which no earlier request saves',
  ]);
});

test('SAM-158 credentials are named among the secrets of the task, or the payload is wrong', async t => {
  const house = await setup(t);
  const payload = {
    auth: { type: 'bearer', secret: 'mine' },
    request: { url: PLACE, query: { a: '{{ secrets.other }}' } },
  };
  assert.deepEqual(await house.faults(payload), [
    'task_data.request.query.a names the secret other, which execution_config.environment.secrets does not list',
    'task_data.auth.secret names the secret mine, which execution_config.environment.secrets does not list',
  ]);
  assert.deepEqual(await house.faults(payload, { secrets: { mine: 'a', other: 'b' } }), []);
  const all = { request: { method: 'POST', url: PLACE, body: '{{ secrets }}' } };
  assert.match((await house.faults(all))[0] ?? '', /must name the secret it means/);
});

test('SAM-161 a forbidden host that is known at submission is refused then, by its address as by its scheme', async t => {
  const house = await setup(t);
  const refused = async (payload: JsonObject): Promise<string> =>
    (await house.faults(payload, { secrets: { s: 'x' } }))[0] ?? '';
  assert.match(await refused({ request: { url: 'http://169.254.169.254/latest' } }), /^unprocessable/);
  assert.match(await refused({ request: { url: 'https://[::1]/' } }), /^unprocessable/);
  assert.match(
    await refused({ inputs: { host: '10.0.0.1' }, request: { url: 'https://{{ inputs.host }}/' } }),
    /^unprocessable/,
  );
  const auth = {
    type: 'oauth2_client_credentials',
    token_url: 'https://192.168.0.1/token',
    client_id: 'me',
    secret: 's',
  };
  assert.match(await refused({ auth, request: { url: PLACE } }), /^unprocessable/);
  assert.match(await refused({ request: { url: 'https://me:pass@api.example.com/' } }), /^unprocessable/);
});

test('more expressions than can be parsed at once are refused, whatever holds them', async t => {
  const house = await setup(t);
  const many = { request: { method: 'POST', url: PLACE, body: '{{ inputs.a }}'.repeat(20_000) } };
  assert.match((await house.faults(many))[0] ?? '', /too many expressions/);
  const extract = Object.fromEntries(
    Array.from({ length: 100 }, (_, n) => [`e${n}`, `${'[a,'.repeat(60)}a${']'.repeat(60)}`]),
  );
  const requests = Array.from({ length: 50 }, () => ({ url: PLACE, extract }));
  const started = performance.now();
  assert.equal((await house.faults({ requests })).length, 100);
  assert.ok(performance.now() - started < 2_000);
});

test('every payload of the documentation can be handed in', async t => {
  const house = await setup(t);
  const page = await readFile(
    new URL('../../../docs/task-types/api_integration.md', import.meta.url),
    'utf8',
  );
  const blocks = [...page.matchAll(/^```json\n([\s\S]*?)^```/gm)].map(
    ([, text = '']) => JSON.parse(text) as JsonObject,
  );
  const payloads = blocks
    .map(block => (block.task_data ?? block) as JsonObject)
    .filter(one => one.responses === undefined);
  assert.equal(payloads.length, 2);
  for (const payload of [...payloads, ...API_EXAMPLES]) {
    assert.deepEqual(await schemaFaults(payload), []);
    assert.deepEqual(await house.faults(payload, { secrets: { crm_token: 'x' } }), []);
  }
});
