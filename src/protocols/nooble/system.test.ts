// Authentication, the system itself, sessions, and services elsewhere.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { SignJWT } from 'jose';
import { AGENT_PERMISSIONS, type Correspondent, openPost, type Post } from '../../../test/post.ts';
import { asked, message, newId, orchestrator, refused, taskOf, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
});
after(() => post.stop());

function tokenOf(claims: object, expiresAt: string): Promise<string> {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', kid: 'configured' })
    .setIssuedAt(new Date(Date.now() - 7_200_000))
    .setExpirationTime(new Date(Date.now() + (expiresAt === 'past' ? -3_600_000 : 3_600_000)))
    .sign(new TextEncoder().encode('j'.repeat(48)));
}

suite('auth', () => {
  test('NOOB-83 NOOB-84 NOOB-85 a good token is answered with its user, times and scopes', async () => {
    const token = await tokenOf(
      { sub: 'user-123', permissions: ['knowledge:read'], iss: 'auth.nooble.ai', device_id: 'device-xyz' },
      'future',
    );
    const validate = (more: object) =>
      asked(boss, message('auth.validate', { token, ...more } as never, { priority: 1 }));
    const { type, payload } = await validate({
      token_type: 'access',
      validate_scope: true,
      required_scopes: ['agent:execute', 'knowledge:read'],
    });
    assert.deepEqual(type, { domain: 'auth', action: 'result' });
    assert.equal(payload.valid, true);
    assert.deepEqual(payload.user.permissions, ['knowledge:read']);
    assert.deepEqual([payload.user.id, payload.user.tenant_id], ['user-123', 'default']);
    assert.deepEqual(
      [payload.token_metadata.issuer, payload.token_metadata.device_id],
      ['auth.nooble.ai', 'device-xyz'],
    );
    assert.ok(Date.parse(payload.token_metadata.expires_at) > Date.parse(payload.token_metadata.issued_at));
    assert.deepEqual(payload.scope_validation, {
      has_required_scopes: false,
      missing_scopes: ['agent:execute'],
    });
    const unchecked = await validate({ required_scopes: ['agent:execute'] });
    assert.deepEqual(unchecked.payload.scope_validation, { has_required_scopes: true, missing_scopes: [] });
    const { body } = await refused(boss, message('auth.validate', {}));
    assert.equal(body.code, 'VAL_002');
  });

  test('NOOB-86 NOOB-97 a bad token, an expired one and another tenant’s are told apart only as bad and expired', async () => {
    const validate = async (token: string) =>
      asked(boss, message('auth.validate', { token, token_type: 'access', required_scopes: ['x'] }));
    const bad = await validate('not.a.token');
    assert.deepEqual(bad.type, { domain: 'auth', action: 'error' });
    assert.equal(bad.error.code, 'AUTH_001');
    assert.equal(bad.metadata.error_category, 'security');
    const { refused_message_id: _, ...details } = bad.payload.error_details;
    assert.deepEqual(details, {
      token_type: 'access',
      required_scopes: ['x'],
      validation_result: { valid: false, reason: 'Token inválido' },
    });
    assert.equal((await validate(await tokenOf({ sub: 'u' }, 'past'))).error.code, 'AUTH_002');
  });

  test('NOOB-83 NOOB-86 API keys and refresh tokens are tokens too, and one of another tenant counts as bad', async () => {
    const validate = async (token: string, kind: string) =>
      asked(boss, message('auth.validate', { token, token_type: kind }));
    const { api_key: key, api_secret: secret } = post.server.credentials;
    assert.equal((await validate(`${key}:${secret}`, 'api_key')).payload.valid, true);
    assert.equal((await validate(`${key}:wrong`, 'api_key')).error.code, 'AUTH_001');
    const traded = await post.admin.ask('POST', '/api/v2/auth/token', { grant_type: 'client_credentials' });
    assert.equal((await validate(traded.body.refresh_token, 'refresh')).payload.valid, true);
    assert.equal((await validate('br_nonsense', 'refresh')).error.code, 'AUTH_001');
    const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'other', name: 'Other' });
    const theirs = `${made.body.api_key}:${made.body.api_secret}`;
    assert.equal((await validate(theirs, 'api_key')).error.code, 'AUTH_001');
  });

  test('NOOB-87 the token is nowhere afterwards: not in the task, the log, the stream or the dead letters', async () => {
    const token = await tokenOf({ sub: 'secret-user', jti: newId() }, 'future');
    const ask = message('auth.validate', { token });
    await asked(boss, ask);
    const broken = { ...message('auth.validate', { token }), priority: 99 };
    assert.equal((await refused(boss, broken)).body.code, 'VAL_004');
    await boss.ask('POST', '/protocols/nooble/messages', `{"payload": {"token": "${token}"}, `);
    const places = [
      `/api/v2/task-status/${ask.task_id}?include=all`,
      `/api/v2/task-result/${ask.task_id}`,
      '/protocols/nooble/dead-letters',
      '/api/v2/audit?limit=1000',
    ];
    for (const place of places) {
      const { body } = await post.admin.ask('GET', place);
      assert.ok(!JSON.stringify(body).includes(token), place);
    }
    assert.ok(await post.holds(ask.task_id));
    assert.ok(!(await post.holds(token)));
  });
});

suite('system', () => {
  test('NOOB-71 health and limits are answered to anybody, settings are changed by administrators only', async () => {
    const health = await asked(boss, message('system.query', {}));
    assert.equal(health.type.action, 'response');
    assert.equal(health.payload.status, 'healthy');
    const update = message('system.update', { max_sessions_per_user: 1_000 });
    assert.equal((await refused(boss, update)).body.code, 'AUTH_003');
    const admin = await post.agent('agent_orchestrator', { permissions: ['admin'] });
    const done = await asked(admin, message('system.update', { max_sessions_per_user: 1_000 }));
    assert.equal(done.payload.settings.max_sessions_per_user, 1_000);
    assert.equal((await asked(admin, message('system.update', { nonsense: 1 }))).error.code, 'VAL_001');
  });

  test('NOOB-68 NOOB-71 a session is opened by its first message and refuses what comes after it was closed', async () => {
    const session = `s-${newId()}`;
    const admin = await post.agent('agent_orchestrator', { permissions: ['admin'] });
    await asked(boss, message('tool.query', {}, { session_id: session }));
    await asked(admin, message('system.execute', { operation: 'close_session', session_id: session }));
    const { status, body } = await refused(boss, message('tool.query', {}, { session_id: session }));
    assert.deepEqual([status, body.code], [400, 'invalid_session']);
    await asked(admin, message('system.update', { max_sessions_per_user: 1 }));
    const metadata = { user_id: newId() };
    await asked(boss, message('tool.query', {}, { session_id: newId(), metadata }));
    const second = await refused(boss, message('tool.query', {}, { session_id: newId(), metadata }));
    assert.equal(second.body.code, 'AUTH_005');
    await asked(admin, message('system.update', { max_sessions_per_user: 1_000 }));
  });

  test('NOOB-109 NOOB-11 a heartbeat registers a service under its name; one never registered is not found, one that signs off neither', async () => {
    const service = await post.agent('billing-1');
    const say = (target: string) => message('agent.notify', { n: 1 }, { target_service: target });
    assert.equal((await refused(boss, say('billing-1'))).body.code, 'resource_not_found');
    const beat = (status: string) => message('system.status', { status }, { source_service: 'billing-1' });
    assert.equal((await service.send('nooble', beat('healthy'))).status, 202);
    assert.equal((await boss.send('nooble', say('billing_1'))).status, 202);
    const [got] = await service.read('nooble', 'billing-1');
    assert.equal(got?.message.target_service, 'billing_1');
    await service.send('nooble', beat('stopped'));
    assert.equal((await refused(boss, say('billing-1'))).body.code, 'resource_not_found');
  });
});

suite('services elsewhere', () => {
  test('NOOB-142 NOOB-143 what is encrypted to a service elsewhere is handed to it as it was sent; content that did not travel as it asks to is refused', async () => {
    const agent = await post.register('sealed-agent', { roles: ['nooble:conversation'] });
    const jwe = { ciphertext: 'AAAA', iv: 'AAAA', tag: 'AAAA', recipients: [] };
    const ask = message(
      'conversation.query',
      { jwe },
      { conversation_id: 'c-1', metadata: { encryption: 'end-to-end' } },
    );
    assert.equal((await boss.send('nooble', ask)).status, 202);
    const [work] = await agent.read('nooble', 'conversation', { wait: 10 });
    assert.deepEqual(work?.message, ask);
    await agent.settle('nooble', 'conversation', work?.delivery_id);
    await post.admin.ask('DELETE', '/api/v2/agents/sealed-agent');
    const open = { ...ask, message_id: newId(), payload: { limit: 1 } };
    assert.equal((await refused(boss, open)).body.code, 'VAL_002');
    const odd = message('agent.execute', { query: 'q' }, { metadata: { encryption: 'rot13' } });
    assert.equal((await refused(boss, odd)).body.code, 'VAL_003');
  });

  test('NOOB-39 NOOB-45 NOOB-134 NOOB-135 a registered agent gets the message, its word on it updates the task and reaches who asked, and after the end nothing more', async () => {
    const agent = await post.register('sales-agent');
    const ask = message('agent.execute', { query: 'analiza', agent_config: { agent_id: 'sales-agent' } });
    await boss.send('nooble', ask);
    const [work] = await agent.read('nooble', 'sales-agent', { wait: 10 });
    assert.equal(work?.message.message_id, ask.message_id);
    await agent.settle('nooble', 'sales-agent', work?.delivery_id);
    const told = (action: string, payload: object, more: object = {}) =>
      message(`agent.${action}`, payload as never, {
        task_id: ask.task_id,
        correlation_id: ask.correlation_id,
        source_service: 'agent_execution',
        target_service: 'agent_orchestrator',
        status: 'processing',
        ...more,
      });
    const progress = await agent.send('nooble', told('status', { progress: 40, status_detail: 'a medias' }));
    assert.equal(progress.status, 202, JSON.stringify(progress.body));
    const running = await taskOf(post, ask.task_id);
    assert.equal(running.current_status.progress.percentage, 40);
    const wrong = await refused(agent, told('response', { response: 'x' }, { correlation_id: newId() }));
    assert.equal(wrong.body.code, 'VAL_005');
    const response = told('response', { response: 'hecho' }, { status: 'completed' });
    await agent.send('nooble', response);
    const seen = await until(
      boss,
      'agent_orchestrator',
      one => one.task_id === ask.task_id && one.type.action === 'response',
    );
    const own = seen.filter(one => one.task_id === ask.task_id);
    assert.deepEqual(
      own.map(one => one.type.action),
      ['status', 'response'],
    );
    const task = await taskOf(post, ask.task_id);
    assert.equal(task.current_status.state, 'completed');
    assert.equal((await agent.send('nooble', response)).body.status, 'duplicate');
    const late = await refused(agent, told('response', { response: 'otra vez' }, { status: 'completed' }));
    assert.deepEqual([late.status, late.body.code], [409, 'WF_005']);
    const stranger = await post.agent('stranger', { permissions: AGENT_PERMISSIONS });
    assert.equal((await refused(stranger, told('status', { progress: 1 }))).body.code, 'AUTH_003');
  });

  test('NOOB-22 NOOB-134 an error that may be tried again has the request sent once more with its retries counted', async () => {
    const agent = await post.register('shaky-agent');
    const ask = message('agent.execute', { query: 'analiza', agent_config: { agent_id: 'shaky-agent' } });
    await boss.send('nooble', ask);
    const [work] = await agent.read('nooble', 'shaky-agent', { wait: 10 });
    await agent.settle('nooble', 'shaky-agent', work?.delivery_id);
    const error = message(
      'agent.error',
      { error_details: {} },
      {
        ...{ task_id: ask.task_id, correlation_id: ask.correlation_id, status: 'error' },
        ...{ source_service: 'agent_execution', target_service: 'agent_orchestrator' },
        metadata: { error_code: 'GEN_005', error_message: 'se cayó' },
      },
    );
    assert.equal((await agent.send('nooble', error)).status, 202);
    const [again] = await agent.read('nooble', 'shaky-agent', { wait: 10 });
    assert.notEqual(again?.message.message_id, ask.message_id);
    assert.equal(again?.message.task_id, ask.task_id);
    assert.equal(again?.message.metadata.retry_count, 1);
  });

  test('NOOB-48 NOOB-6 NOOB-12 a cancelled task is answered by its status and shows as failed with ORCH_EXEC_001, and who was to do it is told', async () => {
    const slow = await post.register('slow-agent');
    const ask = message('agent.execute', { query: 'analiza', agent_config: { agent_id: 'slow-agent' } });
    await boss.send('nooble', ask);
    const about = { task_id: ask.task_id, correlation_id: ask.correlation_id };
    const before = await asked(boss, message('agent.query', {}, about));
    assert.equal(before.type.action, 'status');
    const delegated = { service: 'agent_execution', task_id: ask.task_id };
    assert.deepEqual(before.delegated_services, [{ ...delegated, status: 'pending' }]);
    const [work] = await slow.read('nooble', 'slow-agent', { wait: 10 });
    await slow.settle('nooble', 'slow-agent', work?.delivery_id);
    const after = await asked(boss, message('agent.update', { command: 'cancel' }, about));
    assert.equal(after.metadata.state, 'cancelled');
    assert.deepEqual(after.delegated_services, [{ ...delegated, status: 'failed' }]);
    const [order] = await slow.read('nooble', 'slow-agent', { wait: 10 });
    assert.deepEqual([order?.message.type.action, order?.message.payload.command], ['update', 'cancel']);
    const seen = await until(
      boss,
      'agent_orchestrator',
      one => one.task_id === ask.task_id && one.type.action === 'error',
    );
    assert.equal(seen.at(-1)?.error.code, 'ORCH_EXEC_001');
    assert.equal(seen.at(-1)?.status, 'failed');
    const unknown = await refused(boss, message('agent.query', {}));
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'resource_not_found']);
  });
});
