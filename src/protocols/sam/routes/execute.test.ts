import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Loose, type Served, type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';

const EXECUTE = '/api/v2/execute-task';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  return served;
};

const specOf = async ({ house }: Served, id: string) => {
  const [task] = await house.store.read([{ tenant: 'default' as never, id: id as never }]);
  if (task == null) throw new Error(`no task ${id}`);
  return task.spec;
};

const fieldsOf = (body: Loose): string[] =>
  body.error.details.errors.map((one: { field: string }) => one.field).sort();

suite('the request', () => {
  test('SAM-29 headers fill in an absent priority and timeout, and the body wins over them', async t => {
    const served = await setup(t);
    const headers = { 'x-task-priority': 'critical', 'x-timeout': '90', 'x-manus-agent-id': 'manus' };
    await served.ask('POST', EXECUTE, { body: taskBody('by-header'), headers });
    await served.ask('POST', EXECUTE, {
      body: taskBody('by-body', { priority: 'low', timeout: 70 }),
      headers,
    });
    const byHeader = await specOf(served, 'by-header');
    const byBody = await specOf(served, 'by-body');
    assert.deepEqual([byHeader.priority, byHeader.timeoutMs], [0, 90_000]);
    assert.deepEqual([byBody.priority, byBody.timeoutMs], [8, 70_000]);
  });

  test('SAM-29 the five named priorities stand for their canonical levels, and no name for normal', async t => {
    const served = await setup(t);
    const levels = { critical: 0, urgent: 1, high: 2, normal: 5, low: 8 };
    for (const [name, level] of Object.entries(levels)) {
      await served.ask('POST', EXECUTE, { body: taskBody(name, { priority: name }) });
      assert.equal((await specOf(served, name)).priority, level);
    }
    await served.ask('POST', EXECUTE, { body: taskBody('unnamed') });
    assert.equal((await specOf(served, 'unnamed')).priority, 5);
  });

  test('SAM-30 the five required fields and the task type are demanded', async t => {
    const { ask } = await setup(t);
    const { status, body } = await ask('POST', EXECUTE, { body: {} });
    assert.equal(status, 400);
    assert.deepEqual(fieldsOf(body), [
      'description',
      'orchestrator_info',
      'task_data',
      'task_id',
      'task_type',
    ]);
    const spoiled = [
      { task_type: 'astrology' },
      { description: '' },
      { description: 'x'.repeat(10_001) },
      { task_data: [] },
      { task_id: 'with blanks' },
      { task_id: 'x'.repeat(201) },
    ];
    for (const more of spoiled) {
      const answer = await ask('POST', EXECUTE, { body: taskBody('spoiled', more) });
      assert.equal(answer.status, 400, JSON.stringify(more).slice(0, 60));
      assert.deepEqual(fieldsOf(answer.body), Object.keys(more));
    }
  });

  test('SAM-31 a timeout is 1 to 604,800 whole seconds, and 3,600 where nothing is known', async t => {
    const served = await setup(t);
    for (const timeout of [0, 604_801, 1.5, '60'])
      assert.deepEqual(
        fieldsOf((await served.ask('POST', EXECUTE, { body: taskBody('t', { timeout }) })).body),
        ['timeout'],
      );
    const headers = { 'x-timeout': '604801' };
    assert.deepEqual(fieldsOf((await served.ask('POST', EXECUTE, { body: taskBody('t'), headers })).body), [
      'X-Timeout',
    ]);
    await served.ask('POST', EXECUTE, { body: taskBody('absent') });
    assert.equal((await specOf(served, 'absent')).timeoutMs, 3_600_000);
    const { body } = await served.ask('GET', '/api/v2/task-status/absent');
    assert.equal(body.timeout, 3_600);
  });

  test('SAM-32 the requester is required, kept whole, and must be the agent of header and credential', async t => {
    const served = await setup(t, { badges: { bound: { permissions: ['admin'], agentId: 'someone' } } });
    const whole = {
      agent_id: 'manus',
      timestamp: '2026-01-01T00:00:00Z',
      session_id: 's',
      user_id: 'u@example.org',
      correlation_id: 'c',
    };
    await served.ask('POST', EXECUTE, { body: taskBody('whole', { orchestrator_info: whole }) });
    assert.deepEqual((await specOf(served, 'whole')).requester, {
      agentId: 'manus',
      sessionId: 's',
      userId: 'u@example.org',
      correlationId: 'c',
    });
    const lacking = await served.ask('POST', EXECUTE, {
      body: taskBody('lacking', { orchestrator_info: {} }),
    });
    assert.deepEqual(fieldsOf(lacking.body), ['orchestrator_info.agent_id', 'orchestrator_info.timestamp']);
    const headers = { 'x-manus-agent-id': 'other' };
    const differing = await served.ask('POST', EXECUTE, { body: taskBody('differing'), headers });
    assert.equal(differing.status, 400);
    assert.deepEqual(fieldsOf(differing.body), ['X-Manus-Agent-ID']);
    const foreign = await served.ask('POST', EXECUTE, { as: 'bound', body: taskBody('foreign') });
    assert.equal(foreign.status, 403);
    assert.equal(foreign.body.error.details.rule, 'agent_binding');
  });

  test('SAM-33 retries, limits and environment arrive in canonical units; three retries where none are named', async t => {
    const served = await setup(t);
    const config = {
      max_retries: 7,
      retry_strategy: 'linear',
      retry_delay: 0.5,
      resource_limits: { memory_mb: 64, cpu_cores: 0.5, disk_mb: 10, network_bandwidth_mbps: 1 },
      environment: { variables: { A: 'b', N: 3 }, secrets: [], dependencies: ['left-pad'] },
    };
    await served.ask('POST', EXECUTE, { body: taskBody('named', { execution_config: config }) });
    const spec = await specOf(served, 'named');
    assert.equal(spec.retry.attemptsMax, 8);
    assert.equal(spec.retry.strategy, 'linear');
    assert.equal(spec.retry.firstDelayMs, 500);
    assert.deepEqual(spec.resources, { memoryMb: 64, cpuCores: 0.5, diskMb: 10, networkMbps: 1 });
    assert.deepEqual(spec.variables, { A: 'b', N: '3' });
    assert.deepEqual(spec.dependencies, ['left-pad']);
    await served.ask('POST', EXECUTE, { body: taskBody('unnamed') });
    const plain = await specOf(served, 'unnamed');
    assert.equal(plain.retry.attemptsMax, 4);
    assert.equal(plain.retry.strategy, 'exponential');
    const over = await served.ask('POST', EXECUTE, {
      body: taskBody('over', { execution_config: { max_retries: 101 } }),
    });
    assert.deepEqual(fieldsOf(over.body), ['execution_config.max_retries']);
  });

  test('SAM-225 a region binds unless it is only preferred, and this node’s is preferred where none is named', async t => {
    const served = await setup(t, { options: { region: 'eu' } });
    const regionsOf = async (id: string, config: object) => {
      const sent = await served.ask('POST', EXECUTE, { body: taskBody(id, { execution_config: config }) });
      if (sent.status !== 200) return fieldsOf(sent.body);
      const { region, preferredRegion } = await specOf(served, id);
      return [region, preferredRegion];
    };
    assert.deepEqual(await regionsOf('none', {}), [undefined, 'eu']);
    assert.deepEqual(await regionsOf('bound', { region: 'eu' }), ['eu', undefined]);
    assert.deepEqual(await regionsOf('also', { region: 'eu', region_mode: 'bind' }), ['eu', undefined]);
    assert.deepEqual(await regionsOf('wished', { region: 'us', region_mode: 'prefer' }), [undefined, 'us']);
    const mode = 'execution_config.region_mode';
    assert.deepEqual(await regionsOf('to-nowhere', { region_mode: 'prefer' }), [mode]);
    assert.deepEqual(await regionsOf('odd', { region: 'eu', region_mode: 'maybe' }), [mode]);
  });

  test('SAM-33 a custom retry policy names its delays and the codes that retry', async t => {
    const served = await setup(t);
    const policy = { delays_ms: [10, 20], codes: ['DEPENDENCY_FAILURE', 'TASK_EXECUTION_FAILED'] };
    const config = { retry_strategy: 'custom', retry_policy: policy };
    await served.ask('POST', EXECUTE, { body: taskBody('own', { execution_config: config }) });
    const { retry } = await specOf(served, 'own');
    assert.deepEqual(retry.delaysMs, [10, 20]);
    assert.deepEqual(retry.retryCodes, ['dependency_failed', 'task_failed']);
    const unknown = { retry_strategy: 'custom', retry_policy: { codes: ['BAD_LUCK'] } };
    const { status } = await served.ask('POST', EXECUTE, {
      body: taskBody('unknown', { execution_config: unknown }),
    });
    assert.equal(status, 400);
  });

  test('SAM-35 dependencies and a start date are kept, and a task cannot wait for itself', async t => {
    const served = await setup(t);
    await served.ask('POST', EXECUTE, { body: taskBody('first') });
    const config = { depends_on: ['first'], not_before: '2100-01-01T00:00:00+02:00' };
    const { body } = await served.ask('POST', EXECUTE, {
      body: taskBody('second', { execution_config: config }),
    });
    assert.equal(body.status, 'queued');
    const spec = await specOf(served, 'second');
    assert.deepEqual(spec.dependsOn, ['first']);
    assert.equal(spec.notBefore, Date.parse('2099-12-31T22:00:00Z'));
    const own = await served.ask('POST', EXECUTE, {
      body: taskBody('me', { execution_config: { depends_on: ['me'] } }),
    });
    assert.equal(own.status, 400);
  });

  test('SAM-36 SAM-37 notifications need a URL; events default to all eight, and an empty list means none', async t => {
    const served = await setup(t);
    const plan = { webhook_url: 'https://example.org/hook' };
    await served.ask('POST', EXECUTE, { body: taskBody('all', { notification_config: plan }) });
    const { notification } = await specOf(served, 'all');
    assert.equal(notification?.events.length, 8);
    assert.equal(notification?.retry.strategy, 'exponential');
    assert.equal(notification?.retry.attemptsMax, 5);
    const none = {
      ...plan,
      notification_events: [],
      retry_policy: { max_attempts: 20, backoff_strategy: 'fixed' },
    };
    await served.ask('POST', EXECUTE, { body: taskBody('none', { notification_config: none }) });
    const spec = await specOf(served, 'none');
    assert.deepEqual(spec.notification?.events, []);
    assert.equal(spec.notification?.retry.attemptsMax, 20);
    const without = await served.ask('POST', EXECUTE, {
      body: taskBody('without', { notification_config: {} }),
    });
    assert.deepEqual(fieldsOf(without.body), ['notification_config.webhook_url']);
    const bad = {
      webhook_url: 'nowhere',
      notification_events: ['task_paused'],
      retry_policy: { max_attempts: 21 },
    };
    const { body } = await served.ask('POST', EXECUTE, {
      body: taskBody('bad', { notification_config: bad }),
    });
    assert.equal(fieldsOf(body).length, 3);
  });

  test('SAM-78 a webhook secret is stored sealed and never comes back', async t => {
    const served = await setup(t);
    const secret = 'a-very-particular-secret';
    const plan = { webhook_url: 'https://example.org/hook', webhook_secret: secret };
    const answer = await served.ask('POST', EXECUTE, {
      body: taskBody('sealed', { notification_config: plan }),
    });
    const spec = await specOf(served, 'sealed');
    assert.equal(typeof spec.notification?.secretSealed, 'string');
    assert.ok(!JSON.stringify(spec).includes(secret));
    const status = await served.ask(
      'GET',
      '/api/v2/task-status/sealed?include_context=true&include_logs=true',
    );
    assert.ok(!JSON.stringify([answer.body, status.body]).includes(secret));
    const opened = await served.guards.secrets.webhookSecrets(
      'default' as never,
      spec.notification?.secretSealed,
    );
    assert.deepEqual(opened, [secret]);
  });

  test('SAM-38 SAM-3 context and unknown fields, nested ones too, are stored unchanged', async t => {
    const served = await setup(t);
    const context = {
      conversation_history: [{ role: 'user' }],
      previous_tasks: ['p'],
      shared_state: { a: 1 },
      metadata: {},
      mood: 'fine',
    };
    const more = {
      context,
      favourite_colour: { hue: 7 },
      execution_config: { burst: true },
      orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z', team: 'blue' },
    };
    await served.ask('POST', EXECUTE, { body: taskBody('extra', more) });
    const spec = await specOf(served, 'extra');
    assert.deepEqual(spec.context, context);
    assert.deepEqual(spec.extra, {
      favourite_colour: { hue: 7 },
      execution_config: { burst: true },
      orchestrator_info: { timestamp: '2026-01-01T00:00:00Z', team: 'blue' },
    });
    const { body } = await served.ask('GET', '/api/v2/task-status/extra?include_context=true');
    assert.deepEqual(body.context, context);
  });

  test('SAM-13 SAM-107 a credential for reading, or for other task types, may not hand in', async t => {
    const { ask } = await setup(t, {
      badges: { scraper: { permissions: ['task:execute'], taskTypes: ['web_automation'] } },
    });
    assert.equal((await ask('POST', EXECUTE, { as: 'reader', body: taskBody('a') })).status, 403);
    const { status, body } = await ask('POST', EXECUTE, { as: 'scraper', body: taskBody('b') });
    assert.equal(status, 403);
    assert.equal(body.error.details.rule, 'task_types');
  });
});
