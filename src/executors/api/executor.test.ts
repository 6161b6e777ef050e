import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { JsonObject } from '../../domain/json.ts';
import { farEnd, setup } from './fixture.test.ts';

const MIB = 1_048_576;

test('SAM-157 SAM-160 a request answers its status, selected headers, parsed body and extracted values', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({
    json: { id: 7, tags: ['a', 'b'] },
    headers: { etag: '"1"', 'x-secretive': 'no', 'x-wanted': 'yes' },
  }));
  const response = await house.response({
    request: {
      url: `${far.url}/things/7`,
      query: { verbose: true, tag: ['x', 'y z'] },
      extract: { first: 'body.tags[0]', status: 'status', nothing: 'body.absent' },
      response: { headers: ['X-Wanted'] },
    },
  });
  assert.deepEqual(response.body, { id: 7, tags: ['a', 'b'] });
  assert.deepEqual(response.extracted, { first: 'a', status: 200, nothing: null });
  assert.deepEqual(response.headers, { 'content-type': 'application/json', etag: '"1"', 'x-wanted': 'yes' });
  assert.deepEqual([response.name, response.status, response.attempts], ['request_1', 200, 1]);
  assert.equal(far.seen[0]?.query.toString(), 'verbose=true&tag=x&tag=y+z');
});

test('SAM-157 templates put inputs, variables and earlier results into URL, headers, query and body, with their types', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ path }) =>
    path === '/login' ? { json: { user: { id: 'a/b', roles: [1, 2] } } } : { json: {} },
  );
  const output = await house.output(
    {
      inputs: { base: far.url, since: '2026' },
      requests: [
        { save_as: 'login', url: '{{ inputs.base }}/login' },
        {
          method: 'POST',
          url: '{{ inputs.base }}/users/{{ responses.login.body.user.id }}/roles',
          headers: { 'X-Team': 'team {{ variables.team }}' },
          query: { since: '{{ inputs.since }}' },
          body: {
            roles: '{{ responses.login.body.user.roles }}',
            note: 'has {{ length(responses.login.body.user.roles) }}',
          },
        },
      ],
      result: '{id: responses.login.body.user.id, statuses: values(responses)[].status}',
    },
    { variables: { team: 'red' } },
  );
  const [, second] = far.seen;
  assert.equal(second?.path, '/users/a%2Fb/roles');
  assert.equal(second?.headers['x-team'], 'team red');
  assert.equal(second?.query.get('since'), '2026');
  assert.equal(second?.headers['content-type'], 'application/json');
  assert.deepEqual(JSON.parse(second?.body ?? ''), { roles: [1, 2], note: 'has 2' });
  assert.deepEqual(output.result, { id: 'a/b', statuses: [200, 200] });
});

test('SAM-157 a template without a value fails the task before its request is sent', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ json: { id: '..' } }));
  const missing = await house.error({
    requests: [
      { save_as: 'one', url: far.url },
      { method: 'DELETE', url: `${far.url}/x/{{ responses.one.body.absent }}` },
    ],
  });
  assert.equal(missing.code, 'task_failed');
  assert.match(missing.message, /responses\.one\.body\.absent }} has no value/);
  const astray = await house.error({
    requests: [
      { save_as: 'one', url: far.url },
      { method: 'DELETE', url: `${far.url}/x/{{ responses.one.body.id }}/y` },
    ],
  });
  assert.match(astray.message, /must not be a step in a path/);
  assert.deepEqual(
    far.seen.map(({ method }) => method),
    ['GET', 'GET'],
  );
});

test('a form, text and no body at all are sent as what they are', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ status: 204 }));
  const request = (more: JsonObject): JsonObject => ({ method: 'PUT', url: far.url, ...more });
  await house.output({
    requests: [request({ form: { a: 'x y', b: '&' } }), request({ body: 'plain' }), request({})],
  });
  assert.deepEqual(
    far.seen.map(({ headers, body }) => [headers['content-type'], body]),
    [
      ['application/x-www-form-urlencoded', 'a=x+y&b=%26'],
      ['text/plain; charset=utf-8', 'plain'],
      [undefined, ''],
    ],
  );
});

test('HEAD answers headers and no body', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ json: 'unseen', headers: { etag: '"9"' } }));
  const { body, headers } = await house.response({ request: { method: 'HEAD', url: far.url } });
  assert.deepEqual([body, (headers as JsonObject).etag, far.seen[0]?.method], [null, '"9"', 'HEAD']);
});

test('SAM-160 an answer that is not as expected fails the task with what it was', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ path }) => {
    if (path === '/missing') return { status: 404, json: { error: 'no such thing' } };
    if (path === '/broken') return { body: '{"a":', headers: { 'content-type': 'application/json' } };
    if (path === '/deep')
      return { body: '['.repeat(100) + ']'.repeat(100), headers: { 'content-type': 'application/json' } };
    return { json: { count: 'many', items: [] } };
  });
  const error = (path: string, expect: JsonObject = {}) =>
    house.error({ request: { url: far.url + path, expect } });
  const missing = await error('/missing');
  assert.equal(missing.code, 'task_failed');
  assert.equal(missing.recoverable, false);
  assert.equal(missing.details?.status, 404);
  assert.match(String(missing.details?.answer), /no such thing/);
  assert.match((await error('/broken')).message, /is not JSON/);
  assert.match((await error('/deep')).message, /nested deeper than 64/);
  const schema = { type: 'object', properties: { count: { type: 'integer' } } };
  const shape = await error('/', { schema });
  assert.equal(shape.code, 'task_failed');
  assert.deepEqual(shape.details?.errors, [{ field: 'body.count', message: 'must be integer' }]);
  assert.match(
    (await error('/', { condition: 'length(body.items) > `0`' })).message,
    /is not true of the answer/,
  );
  assert.equal((await error('/', { status: [201] })).details?.status, 200);
  const expected = await house.response({
    request: { url: `${far.url}/missing`, expect: { status: [404] } },
  });
  assert.deepEqual(expected.body, { error: 'no such thing' });
});

test('SAM-160 a body over 4 MiB or of a binary type becomes an artifact, one over the maximum fails', async t => {
  const house = await setup(t);
  const large = Buffer.alloc(5 * MIB, 'x');
  const far = await farEnd(t, ({ path }) => {
    if (path === '/png')
      return { body: Buffer.from([0x89, 0x50, 0]), headers: { 'content-type': 'image/png' } };
    return { body: large, headers: { 'content-type': 'text/csv; charset=utf-8' } };
  });
  const { responses } = (await house.output({
    requests: [{ url: `${far.url}/png` }, { url: `${far.url}/csv`, save_as: 'rows' }],
  })) as { responses: readonly JsonObject[] };
  assert.deepEqual(
    responses.map(({ body, artifact }) => [
      body,
      (artifact as JsonObject).name,
      (artifact as JsonObject).size_bytes,
    ]),
    [
      [undefined, 'request_1.png', 3],
      [undefined, 'rows.csv', large.length],
    ],
  );
  assert.ok(house.saved.get('rows.csv')?.equals(large));
  assert.deepEqual(await readdir(house.workspace), []);
  const error = await house.error({ request: { url: far.url, response: { max_bytes: MIB } } });
  assert.deepEqual([error.code, error.recoverable], ['payload_too_large', false]);
});

test('a response bomb ends its request at the limit of what it unpacks to, and leaves nothing on disk', async t => {
  const house = await setup(t);
  const bomb = gzipSync(Buffer.alloc(110 * MIB), { level: 1 });
  const far = await farEnd(t, () => ({
    body: bomb,
    headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
  }));
  const error = await house.error({ request: { url: far.url } });
  assert.equal(error.code, 'payload_too_large');
  const full = await house.error({ request: { url: far.url } }, { resources: { diskMb: 20 } });
  assert.deepEqual([full.code, full.details?.resource], ['resource_exhausted', 'disk']);
  assert.deepEqual(house.warnings, ['disk 16 of 20']);
  assert.deepEqual(await readdir(house.workspace), []);
});

test('SAM-157 progress counts requests, and never reaches 100 before the end', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ json: [] }));
  await house.output({ requests: [{ url: far.url }, { url: far.url, save_as: 'last' }] });
  assert.deepEqual(
    house.reports.map(({ percentage, currentStep, totalSteps }) => [percentage, currentStep, totalSteps]),
    [
      [0, 'Request 1 of 2: request_1', 2],
      [50, '1 of 2 requests are done', 2],
      [50, 'Request 2 of 2: last', 2],
      [99, '2 of 2 requests are done', 2],
    ],
  );
});

test('requests run at once where the task says so, but for those that speak of others', async t => {
  const house = await setup(t);
  let under = 0;
  let most = 0;
  const met = Promise.withResolvers<void>();
  const far = await farEnd(t, async ({ path }) => {
    under++;
    most = Math.max(most, under);
    if (under === 2) met.resolve();
    if (path !== '/c') await met.promise;
    under--;
    return { json: { path } };
  });
  const output = await house.output({
    parallel: 3,
    requests: [
      { save_as: 'a', url: `${far.url}/a` },
      { save_as: 'b', url: `${far.url}/b` },
      { save_as: 'c', url: `${far.url}/c`, query: { after: '{{ responses.a.body.path }}' } },
    ],
  });
  assert.equal(most, 2);
  assert.equal(far.seen.at(-1)?.query.get('after'), '/a');
  assert.deepEqual(
    (output.responses as readonly JsonObject[]).map(({ name }) => name),
    ['a', 'b', 'c'],
  );
});

test('one request that fails stops those beside it, and the output keeps what was answered', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ path }) => {
    if (path === '/endless') return undefined;
    return path === '/bad' ? { status: 400, body: 'no' } : { json: { ok: true } };
  });
  const result = await house.run({
    parallel: 2,
    requests: [
      { url: `${far.url}/good` },
      { url: `${far.url}/endless` },
      { url: `${far.url}/bad`, save_as: 'bad' },
    ],
  });
  assert.equal(result.status === 'failed' && result.error.details?.request, 'bad');
  assert.deepEqual(
    ((result.output as JsonObject).responses as readonly JsonObject[]).map(({ name }) => name),
    ['request_1'],
  );
});

test('cancelling reaches the request under way, and the attempt settles at once', async t => {
  const house = await setup(t);
  const closed = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const far = await farEnd(t, (_, __, response) => {
    response.on('close', () => closed.resolve());
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.write('first');
    asked.resolve();
    return undefined;
  });
  const cancel = new AbortController();
  const running = house.run({ request: { url: far.url, timeout: 600 } }, { signal: cancel.signal });
  await asked.promise;
  cancel.abort(new Error('cancelled'));
  await assert.rejects(running, /cancelled/);
  await closed.promise;
});

test('a stored file is sent as the body of a request, with its media type', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ status: 204 }));
  const artifacts = { picture: Buffer.from('pixels'), huge: Buffer.alloc(17 * MIB) };
  const request = { method: 'PUT', url: far.url, body_artifact: '{{ inputs.file }}' };
  await house.output({ inputs: { file: 'picture' }, request }, { artifacts });
  assert.deepEqual([far.seen[0]?.body, far.seen[0]?.headers['content-type']], ['pixels', 'image/png']);
  const absent = await house.error({ inputs: { file: 'nothing' }, request }, { artifacts });
  assert.deepEqual([absent.code, absent.recoverable], ['not_found', false]);
  const huge = await house.error({ inputs: { file: 'huge' }, request }, { artifacts });
  assert.equal(huge.code, 'payload_too_large');
  assert.equal(far.seen.length, 1);
});

test('SAM-160 what would make the output too large becomes files, the result included', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ json: 'x'.repeat(3 * MIB) }));
  const output = await house.output({
    requests: [
      { save_as: 'one', url: far.url },
      { save_as: 'two', url: far.url },
    ],
    result: '[responses.one.body]',
  });
  assert.ok(JSON.stringify(output).length < 4 * MIB);
  const [one, two] = output.responses as readonly JsonObject[];
  assert.deepEqual([one?.artifact, two?.body, output.result], [undefined, undefined, undefined]);
  assert.deepEqual([...house.saved.keys()], ['two.json', 'result.json']);
  assert.equal((output.result_artifact as JsonObject).size_bytes, 3 * MIB + 4);
});
