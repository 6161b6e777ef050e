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

suite('the answer', () => {
  test('SAM-40 SAM-41 SAM-43 an admitted task is told where it stands, what it may use and where to watch it', async t => {
    const { ask, url } = await setup(t);
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('one') });
    assert.equal(status, 200);
    assert.equal(body.status, 'accepted');
    assert.equal(body.task_id, 'one');
    assert.match(body.execution_id, /^[0-9a-f-]{36}$/);
    assert.equal(body.agent_id, 'house');
    assert.equal(Number.isInteger(body.estimated_duration), true);
    assert.equal(Number.isInteger(body.queue_position), true);
    assert.deepEqual(Object.keys(body.resource_allocation), ['memory_mb', 'cpu_cores', 'estimated_cost']);
    assert.equal(body.monitoring.status_url, `${url}/api/v2/task-status/one`);
    for (const link of Object.values<string>(body.monitoring))
      assert.equal((await ask('GET', new URL(link).pathname)).status, 200, link);
    const { received, queued, estimated_start: start, estimated_completion: completion } = body.timestamps;
    const instants = [received, queued, start, completion];
    assert.deepEqual(instants, instants.toSorted());
  });

  test('SAM-40 a task no agent can take yet is queued', async t => {
    const { ask } = await setup(t);
    await ask('POST', '/api/v2/work', { body: { agent_id: 'w', types: ['custom:echo'] } });
    const custom = { task_type: 'custom', task_data: { type_name: 'echo' } };
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('waits', custom) });
    assert.equal(status, 200);
    assert.equal(body.status, 'queued');
  });

  test('SAM-44 every fault of a body is listed with its dotted path', async t => {
    const { ask, house } = await setup(t);
    const more = {
      description: 7,
      priority: 'soon',
      execution_config: { resource_limits: { memory_mb: -1 }, environment: { secrets: ['fine', 3] } },
      context: { previous_tasks: 'p' },
    };
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('faulty', more) });
    assert.equal(status, 400);
    assert.equal(body.error.code, 'INVALID_REQUEST');
    assert.deepEqual(fieldsOf(body), [
      'context.previous_tasks',
      'description',
      'execution_config.environment.secrets.1',
      'execution_config.resource_limits.memory_mb',
      'priority',
    ]);
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 })).total, 0);
  });

  test('SAM-44 a full queue answers 503 with the time to wait, and stores nothing', async t => {
    const { ask, house } = await setup(t, { options: { waitingMax: 1, slotsPerType: 0 } });
    await ask('POST', '/api/v2/work', { body: { agent_id: 'w', types: ['custom:echo'] } });
    const custom = { task_type: 'custom', task_data: { type_name: 'echo' } };
    await ask('POST', EXECUTE, { body: taskBody('first', custom) });
    const { status, body, headers } = await ask('POST', EXECUTE, { body: taskBody('second', custom) });
    assert.equal(status, 503);
    assert.equal(body.error.code, 'RESOURCE_EXHAUSTED');
    assert.equal(body.error.retry_after, 60);
    assert.equal(headers.get('retry-after'), '60');
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 })).total, 1);
  });

  test('SAM-45 SAM-46 a task that can never run is rejected with 422, shows as failed, and its id may be used again', async t => {
    const { ask } = await setup(t);
    const hopeless = { task_type: 'custom', task_data: { type_name: 'unheard-of' } };
    const { status, body } = await ask('POST', EXECUTE, { body: taskBody('again', hopeless) });
    assert.equal(status, 422);
    assert.equal(body.status, 'rejected');
    assert.equal(body.task_id, 'again');
    assert.match(body.execution_id, /^[0-9a-f-]{36}$/);
    assert.equal(body.error.code, 'UNPROCESSABLE');
    assert.match(body.request_id, /^[0-9a-f-]{36}$/);
    const shown = await ask('GET', '/api/v2/task-status/again');
    assert.equal(shown.body.current_status.state, 'failed');
    assert.equal(shown.body.current_status.outcome, 'rejected');
    const corrected = await ask('POST', EXECUTE, { body: taskBody('again') });
    assert.equal(corrected.status, 200);
    assert.notEqual(corrected.body.execution_id, body.execution_id);
  });

  test('SAM-47 the same body answers as the first time, however its keys are ordered, and another one conflicts', async t => {
    const { ask } = await setup(t);
    const body = taskBody('same', { priority: 'high' });
    const first = await ask('POST', EXECUTE, { body });
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(body).reverse()), null, 4);
    const again = await ask('POST', EXECUTE, { raw: reordered });
    assert.equal(again.status, 200);
    assert.equal(again.body.execution_id, first.body.execution_id);
    const different = await ask('POST', EXECUTE, { body: taskBody('same', { priority: 'low' }) });
    assert.equal(different.status, 409);
    assert.equal(different.body.error.code, 'CONFLICT');
  });

  test('SAM-47 a repeated Idempotency-Key makes one task, also when many come at once', async t => {
    const { ask, house } = await setup(t);
    const headers = { 'idempotency-key': 'k1' };
    const body = taskBody('keyed');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask('POST', EXECUTE, { body, headers })),
    );
    assert.equal(new Set(answers.map(one => one.body.execution_id)).size, 1);
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 9, offset: 0 })).total, 1);
    const other = await ask('POST', EXECUTE, { body: taskBody('other'), headers });
    assert.equal(other.status, 409);
  });

  test('SAM-106 the steps before the engine are timed in the task’s record', async t => {
    const { ask, house } = await setup(t);
    await ask('POST', EXECUTE, { body: taskBody('timed') });
    const [task] = await house.store.read([{ tenant: 'default' as never, id: 'timed' as never }]);
    const events = await house.store.events({
      of: 'task',
      key: task?.key as never,
      afterSequence: 0,
      limit: 10,
    });
    const note = events.find(one => one.kind === 'note');
    assert.deepEqual(Object.keys(note?.kind === 'note' ? note.detail : {}).slice(0, 3), [
      'reception',
      'authentication',
      'schema',
    ]);
  });
});

suite('many at once', () => {
  test('SAM-39 each task of a batch is answered in order, faulty ones beside good ones', async t => {
    const { ask } = await setup(t);
    const tasks = [taskBody('a'), { task_id: 'b' }, taskBody('c'), taskBody('a', { priority: 'low' })];
    const { status, body } = await ask('POST', `${EXECUTE}/batch`, { body: { tasks } });
    assert.equal(status, 200);
    const told = body.results.map((one: Loose) => [
      one.task_id,
      one.http_status,
      one.body.status ?? one.body.error.code,
    ]);
    assert.deepEqual(told, [
      ['a', 200, 'accepted'],
      ['b', 400, 'INVALID_REQUEST'],
      ['c', 200, 'accepted'],
      ['a', 409, 'CONFLICT'],
    ]);
  });

  test('SAM-39 an atomic batch with one fault admits nothing', async t => {
    const { ask, house } = await setup(t);
    const tasks = [taskBody('a'), { task_id: 'b' }];
    const { body } = await ask('POST', `${EXECUTE}/batch`, { body: { tasks, atomic: true } });
    assert.deepEqual(
      body.results.map((one: Loose) => one.http_status),
      [409, 400],
    );
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 })).total, 0);
  });

  test('SAM-39 a batch has 1 to 1,000 tasks', async t => {
    const { ask } = await setup(t);
    assert.equal((await ask('POST', `${EXECUTE}/batch`, { body: { tasks: [] } })).status, 400);
    const tooMany = Array.from({ length: 1_001 }, (_, index) => taskBody(`t${index}`));
    assert.equal((await ask('POST', `${EXECUTE}/batch`, { body: { tasks: tooMany } })).status, 400);
  });
});
