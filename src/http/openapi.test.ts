import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Ajv } from 'ajv';
import { type Answer, type Ask, type Loose, type Served, serve, taskBody } from '../../test/serve.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { APPROVAL_KIND, type Approval } from '../domain/workflow-documents.ts';

/** A server with one of everything in it, and the ids of those things. */
async function furnished(): Promise<{
  readonly served: Served;
  readonly document: Loose;
  readonly ids: Record<string, string>;
}> {
  const served = await serve({ badges: { stranger: { tenant: 'acme', permissions: ['admin'] } } });
  const { ask } = served;
  const plan = { webhook_url: 'https://example.org/hook' };
  await ask('POST', '/api/v2/tenants', { body: { tenant_id: 'acme' } });
  await ask('POST', '/api/v2/tenants', { body: { tenant_id: 'third' } });
  await ask('POST', '/api/v2/execute-task', { body: taskBody('mine', { notification_config: plan }) });
  await ask('POST', '/api/v2/agents', { body: { agent_id: 'worker-of-mine', types: ['custom:echo'] } });
  await ask('PUT', '/api/v2/secrets/secret-of-mine', { body: { value: 'v' } });
  await ask('POST', '/api/v2/jwt-keys', {
    body: { kid: 'kid-of-mine', algorithm: 'HS256', key: 'k'.repeat(40) },
  });
  await ask('POST', '/api/v2/schedules', {
    body: { schedule_id: 'schedule-of-mine', cron: '@yearly', task: taskBody('again') },
  });
  await ask('PUT', '/api/v2/workflows/workflow-of-mine', { body: { definition: {} } });
  const approval: Approval = {
    ...{ task_id: 'mine', step: 'ask', title: 'go?', message: '', state: 'waiting' },
    ...{ requested_at: 0, expires_at: 0, requester: { credential: 'key:mine', agent: 'me', user: '' } },
  };
  const kept = { tenant: DEFAULT_TENANT, kind: APPROVAL_KIND, id: 'approval-of-mine', body: approval };
  await served.house.store.putDocuments([kept]);
  const headers = { 'content-type': 'text/plain' };
  const artifact = await ask('POST', '/api/v2/artifacts?name=file-of-mine', { raw: 'x', headers });
  const key = await ask('POST', '/api/v2/api-keys', { body: { name: 'k', permissions: ['task:read'] } });
  let deliveries: Loose[] = [];
  while (deliveries.length < 2) deliveries = (await ask('GET', '/api/v2/deliveries')).body.deliveries;
  return {
    served,
    document: (await ask('GET', '/api/v2/openapi.json')).body,
    ids: {
      task_id: 'mine',
      agent_id: 'worker-of-mine',
      name: 'secret-of-mine',
      schedule_id: 'schedule-of-mine',
      workflow_id: 'workflow-of-mine',
      approval_id: 'approval-of-mine',
      kid: 'kid-of-mine',
      tenant_id: 'third',
      artifact_id: artifact.body.artifact_id,
      key_id: key.body.api_key,
      delivery_id: deliveries[0].delivery_id,
      code: 'CONFLICT',
    },
  };
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly spec: Loose;
}

function operationsOf(document: Loose): Operation[] {
  return Object.entries<Loose>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Loose>(methods).map(([method, spec]) => ({ method: method.toUpperCase(), path, spec })),
  );
}

const filled = (path: string, ids: Record<string, string>): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? `unknown-${name}`);

const BODIES: Record<string, unknown> = {
  'PATCH /api/v2/tenants/{tenant_id}': { name: 'x' },
  'PUT /api/v2/secrets/{name}': { value: 'v' },
  'POST /api/v2/workflow-runs/{task_id}/messages': { name: 'm' },
  'POST /api/v2/approvals/{approval_id}/reject': { comment: 'no' },
};

/** Routes that write under a name the caller chooses: another tenant's thing of that name is not in the way. */
const CREATING = new Set([
  'PUT /api/v2/secrets/{name}',
  'PUT /api/v2/workflows/{workflow_id}',
  'POST /api/v2/agents/{agent_id}/keys',
]);

/** Lists for whoever runs the house: nobody else gets anything of them. */
const LANDLORDS = new Set(['/api/v2/nodes', '/api/v2/canaries']);

/** Routes that list what belongs to a name: ours and one that never was have the same, nothing. */
const LISTING = new Set(['GET /api/v2/agents/{agent_id}/keys']);

suite('the document', () => {
  test('SAM-4 every route, header and error of the server is in the OpenAPI document', async t => {
    const { served, document } = await furnished();
    t.after(() => served.stop());
    assert.equal(document.openapi, '3.1.0');
    for (const path of [
      '/api/v2/execute-task',
      '/api/v2/task-status/{task_id}',
      '/api/v2/work',
      '/docs/changelog',
      '/docs/errors/{code}',
    ])
      assert.ok(path in document.paths, path);
    const execute = document.paths['/api/v2/execute-task'].post;
    const names = execute.parameters.map((one: Loose) => one.name.toLowerCase());
    for (const name of [
      'x-manus-agent-id',
      'x-task-priority',
      'x-timeout',
      'idempotency-key',
      'x-request-id',
      'traceparent',
    ])
      assert.ok(names.includes(name), name);
    assert.ok('X-RateLimit-Limit' in execute.responses[200].headers);
    assert.ok(execute.responses.default.content['application/json'].schema.$ref.endsWith('sam_error'));
    const ids = operationsOf(document).map(one => one.spec.operationId);
    assert.equal(new Set(ids).size, ids.length);
  });

  test('SAM-4 real answers match the schemas the document gives them', async t => {
    const { served, document, ids } = await furnished();
    t.after(() => served.stop());
    // A stream, and what is of tasks of one type or of who holds a lease alone: that is held against the document where it is tested.
    const gets = operationsOf(document).filter(
      one => one.method === 'GET' && !/task-events|workflow-runs|work\/inputs/.test(one.path),
    );
    let held = 0;
    for (const { method, path, spec } of gets) {
      const answer = await served.ask(method, filled(path, ids));
      assert.ok(String(answer.status) in spec.responses, `${path} answered ${answer.status}`);
      held += matches(answer, spec, document) ? 1 : 0;
    }
    assert.ok(held > 15, `only ${held} answers were held against a schema`);
    const failure = await served.ask('GET', '/api/v2/task-status/none');
    assert.ok(matches(failure, document.paths['/api/v2/task-status/{task_id}'].get, document));
    const retried = await served.ask('POST', '/api/v2/execute-task', { body: taskBody('another') });
    assert.ok(matches(retried, document.paths['/api/v2/execute-task'].post, document));
  });
});

function matches({ status, body, headers }: Answer, spec: Loose, document: Loose): boolean {
  const media = headers.get('content-type')?.split(';')[0] ?? '';
  const response = spec.responses[status] ?? spec.responses.default;
  const schema = response.content?.[media]?.schema;
  if (schema === undefined || media !== 'application/json') return false;
  const ajv = new Ajv({ strict: false, formats: { 'date-time': /Z$/, uri: true } });
  ajv.addSchema({ $id: 'doc', components: document.components });
  const check = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/')));
  assert.ok(
    check(body),
    `${spec.operationId}: ${ajv.errorsText(check.errors)} in ${JSON.stringify(body).slice(0, 500)}`,
  );
  return true;
}

suite('another tenant', () => {
  test('SAM-5 sees nothing of ours on any route: each id of ours answers like one that never was', async t => {
    const { served, document, ids } = await furnished();
    t.after(() => served.stop());
    const operations = operationsOf(document).filter(
      // Pipes go by a lease, which another tenant has none of; routes/pipes.test.ts holds that.
      one => one.path.includes('{') && one.spec.security.length > 0 && !one.path.startsWith('/api/v2/work/'),
    );
    assert.ok(operations.length > 20);
    for (const { method, path } of operations) {
      const name = `${method} ${path}`;
      if (CREATING.has(name)) continue;
      const body =
        method === 'GET' || method === 'HEAD' || method === 'DELETE' ? {} : { body: BODIES[name] ?? {} };
      const ours = await served.ask(method, filled(path, ids), { as: 'stranger', ...body } as Ask);
      const none = await served.ask(
        method,
        filled(path, {}).replace('unknown-delivery_id', '00000000-0000-7000-8000-000000000000'),
        { as: 'stranger', ...body } as Ask,
      );
      if (LISTING.has(name)) {
        assert.deepEqual([ours.status, ours.body, ours.body.total], [200, none.body, 0]);
        continue;
      }
      assert.equal(ours.status, 404, `${name} answered ${JSON.stringify(ours.body)}`);
      assert.equal(ours.status, none.status, name);
      assert.equal(ours.body?.error?.code, none.body?.error?.code, name);
    }
    const status = await served.ask('GET', '/api/v2/task-status/mine');
    assert.equal(status.body.current_status.outcome, 'completed');
  });

  test('SAM-5 lists nothing of ours on any route', async t => {
    const { served, document, ids } = await furnished();
    t.after(() => served.stop());
    const lists = operationsOf(document).filter(
      one =>
        one.method === 'GET' &&
        !one.path.includes('{') &&
        one.spec.security.length > 0 &&
        !/task-events/.test(one.path),
    );
    assert.ok(lists.length >= 8);
    for (const { path } of lists) {
      const { status, body } = await served.ask('GET', path, { as: 'stranger' });
      assert.equal(status, LANDLORDS.has(path) ? 403 : 200, path);
      for (const id of Object.values(ids))
        assert.ok(!JSON.stringify(body).includes(`"${id}"`), `${path} shows ${id}`);
    }
  });
});
