import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { PERMISSIONS } from '../../src/domain/principal.ts';
import { toldIn } from '../e2e/contract.ts';
import { submit, taskOf } from '../e2e/crew.ts';
import { bearer, keyHeaders, type Wire } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';
import { asking, filled, furnished, MISSING, OWNED } from './furnished.ts';

const scene = await furnished();
after(() => scene.stop());
const { owner, rival, ids } = scene;
const { operations } = owner.contract;

async function keyOf(permissions: readonly string[], more: object = {}): Promise<Wire> {
  const { body } = await owner.post('/api/v2/api-keys', { name: permissions.join(), permissions, ...more });
  return owner.as(keyHeaders(body));
}

suite('permissions', () => {
  test('SAM-6 SAM-13 with one permission alone, each route opens to that permission and to no other', async () => {
    const guarded = operations.filter(one => 'x-permission' in one.spec);
    const used = new Set<string>(guarded.map(one => one.spec['x-permission']));
    assert.ok(used.size >= 7);
    for (const permission of PERMISSIONS) {
      if (permission === 'admin' || !used.has(permission)) continue;
      const caller = await keyOf([permission]);
      for (const operation of guarded) {
        const { method, path, spec } = operation;
        const { status, body } = await caller.ask(method, filled(operation, MISSING), asking(operation));
        const required: string = spec['x-permission'];
        const what: string = `${permission} on ${method} ${path}: ${status}`;
        // Another's inbox needs more than the door to all inboxes does, and says so.
        const refused = status === 403 && (method === 'HEAD' || toldIn(body, 'required') === required);
        assert.equal(refused, required !== permission, what);
        assert.ok(status < 500, what);
      }
    }
  });

  test('SAM-6 a reader changes nothing: every mutating route is 403 before its body is looked at', async () => {
    const reader = await keyOf(['task:read', 'audit:read', 'memory:read', 'knowledge:read']);
    const open = new Set(['/api/v2/auth/revoke']);
    const mutating = operations.filter(
      one => !['GET', 'HEAD'].includes(one.method) && one.spec.security.length > 0 && !open.has(one.path),
    );
    assert.ok(mutating.length > 20);
    for (const operation of mutating) {
      const whole = asking(operation);
      const agent = { agent_id: 'sneaked-in', types: ['custom:x'] };
      const upload = { raw: 'x', headers: { 'content-type': 'text/plain' } };
      const body = operation.path === '/api/v2/agents' ? { ...whole, body: agent } : whole;
      const asked = operation.path === '/api/v2/artifacts' ? { ...whole, ...upload } : body;
      const query = operation.path === '/api/v2/artifacts' ? '?name=x' : '';
      const { status } = await reader.ask(operation.method, filled(operation, ids) + query, asked);
      assert.equal(status, 403, `${operation.method} ${operation.path}`);
    }
    const { body } = await owner.get('/api/v2/agents');
    assert.ok(body.agents.every((one: Loose) => one.agent_id !== 'sneaked-in'));
  });

  test('SAM-206 nobody but an administrator makes keys, and a token of one is no more than it was traded for', async () => {
    const everything = PERMISSIONS.filter(one => one !== 'admin');
    const nearly = await keyOf(everything);
    await nearly.post('/api/v2/api-keys', { name: 'more', permissions: ['admin'] }, { expect: 403 });
    await nearly.post(
      '/api/v2/auth/token',
      { grant_type: 'client_credentials', scope: 'admin' },
      { expect: 400 },
    );
    const boss = await keyOf(['admin']);
    const trade = { grant_type: 'client_credentials', scope: 'task:read' };
    const { body: pair } = await boss.post('/api/v2/auth/token', trade);
    const narrowed = owner.as(bearer(pair.access_token));
    await narrowed.get('/api/v2/agents');
    await narrowed.post('/api/v2/api-keys', { name: 'x', permissions: ['task:read'] }, { expect: 403 });
    // Beside the key it came from, the token still narrows.
    const both = owner.as({ ...boss.credentials, ...bearer(pair.access_token) });
    await both.get('/api/v2/secrets', { expect: 403 });
    const { body: next } = await owner
      .as({})
      .post('/api/v2/auth/refresh', { refresh_token: pair.refresh_token });
    assert.equal(next.scope, 'task:read');
  });

  test('SAM-12 SAM-206 a credential narrowed to an agent or to task types makes and renews none that is free of them', async () => {
    for (const narrowing of [{ agent_id: 'bound-agent' }, { task_types: ['monitoring_task'] }]) {
      const bound = await keyOf(['admin'], narrowing);
      const key = { name: 'free', permissions: ['task:read'] };
      for (const [path, body] of [
        ['api-keys', key],
        [`api-keys/${ids.key_id}/rotate`, {}],
        ['jwt-keys', { algorithm: 'HS256', key: 'a key of more than thirty-two bytes' }],
        ['tenants', { tenant_id: 'free' }],
      ] as const) {
        const { body: told } = await bound.post(`/api/v2/${path}`, body, { expect: 403 });
        assert.equal(told.error.details.rule, 'narrowed_credential', path);
      }
    }
  });
});

suite('tenants and agents', () => {
  test('SAM-206 the administrator of a tenant rules that tenant alone', async () => {
    await rival.post('/api/v2/tenants', { tenant_id: 'empire', name: 'Empire' }, { expect: 403 });
    await rival.ask('PATCH', '/api/v2/tenants/rival', { body: { weight: 1_000 }, expect: 403 });
    await rival.ask('PATCH', '/api/v2/tenants/rival', { body: { name: 'Rivals' } });
    for (const id of ['default', 'owned-tenant']) {
      await rival.ask('PATCH', `/api/v2/tenants/${id}`, { body: { name: 'x' }, expect: 404 });
      await rival.post(`/api/v2/tenants/${id}/webhook-secret/rotate`, {}, { expect: 404 });
    }
    const { body } = await rival.get('/api/v2/tenants');
    assert.deepEqual(
      body.tenants.map((one: Loose) => one.tenant_id),
      ['rival'],
    );
  });

  test('SAM-32 SAM-135 a credential bound to one agent speaks for no other, on any route that names one', async () => {
    const bound = await keyOf(['task:execute', 'task:write-result', 'agent:manage'], {
      agent_id: 'bound-agent',
    });
    await submit(bound, taskOf('as-another', OWNED.kind), { expect: 403 });
    await bound.post('/api/v2/work', { agent_id: OWNED.agent, types: [] }, { expect: 403 });
    await bound.post('/api/v2/agents', { agent_id: OWNED.agent, types: [] }, { expect: 403 });
    await bound.post('/api/v2/work', { agent_id: 'bound-agent', types: [] });
  });

  test('SAM-133 one worker cannot speak of another’s task without its token', async () => {
    const { lease } = scene;
    const guess = [lease.fencing_token - 1, lease.fencing_token + 1, 0, Number.MAX_SAFE_INTEGER];
    const results = guess.map(fencing_token => ({ task_id: OWNED.task, fencing_token, status: 'completed' }));
    const { body } = await owner.post('/api/v2/work', { agent_id: 'burglar', types: [], results });
    assert.equal(body.rejected.length, guess.length);
    const { body: status } = await owner.get(`/api/v2/task-status/${OWNED.task}`);
    assert.equal(status.current_status.state, 'running');
  });
});
