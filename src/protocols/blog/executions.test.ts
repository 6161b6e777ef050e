// Skill executions over the wire (SEP): what is filled in, what must hold before and after, how they end, where they are read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Loose } from '../../../test/serve.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { bodyCheck } from '../validation.ts';
import { ask, historyOf, message, refused, sharedPost } from './bench.test.ts';
import { statusOf } from './executions.ts';
import { skillExecution } from './schemas.ts';

const open = sharedPost();

async function execution(id: string): Promise<Loose> {
  const { status, body } = await (await open()).admin.ask('GET', `/protocols/blog/executions/${id}`);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

const run = async (executionId: string, more: object): Promise<Loose> => {
  const payload = { executionId, skillId: 'generate_content', input: { topic: 'Tea' }, ...more };
  return ask((await open()).admin, `m-${executionId}`, { payload });
};

const EXEC_001 = {
  executionId: 'exec-001',
  skillId: 'generate_content',
  input: { topic: 'Machine Learning Basics', tone: 'educational', length: 'long' },
  context: { traceId: 'trace-123', userId: 'user-456', environment: 'production' },
  preconditions: [
    { id: 'rate-limit-check', description: 'OpenAI rate limit not exceeded' },
    { id: 'valid-topic', description: 'Topic is not empty' },
  ],
  postconditions: [
    { id: 'content-generated', description: 'Content was successfully generated' },
    { id: 'content-valid', description: 'Generated content passes validation' },
  ],
  status: 'pending',
  metadata: { startTime: '2026-02-24T10:00:00Z', retries: 0, agentId: 'coder' },
};

test('BLOG-44 BLOG-31 BLOG-43 the execution of the source completes, and is read whole under its id', async () => {
  const reply = await run('exec-001', EXEC_001);
  assert.equal(reply.type, 'response', JSON.stringify(reply.payload));
  const found = await execution('exec-001');
  assert.equal(bodyCheck(skillExecution)(found), null);
  const { status, result, preconditions, postconditions, context, input, metadata } = found;
  assert.equal(status, 'completed');
  assert.deepEqual(result, reply.payload);
  assert.deepEqual([found.executionId, found.skillId], ['exec-001', 'generate_content']);
  assert.deepEqual([preconditions, postconditions], [EXEC_001.preconditions, EXEC_001.postconditions]);
  assert.deepEqual([context, input], [EXEC_001.context, EXEC_001.input]);
  assert.equal(metadata.duration, Date.parse(metadata.endTime) - Date.parse(metadata.startTime));
  assert.deepEqual([metadata.retries, metadata.agentId], [0, 'coder']);
  const missing = await (await open()).admin.ask('GET', '/protocols/blog/executions/exec-none');
  assert.deepEqual([missing.status, missing.body.code], [404, 'VALIDATION_ERROR']);
});

test('BLOG-32 BLOG-34 what a client leaves out is filled in: id, lists, status, retries, trace, environment; other keys are kept', async () => {
  const { admin } = await open();
  await ask(admin, 'fill-1', {
    payload: { skillId: 'generate_content', input: { topic: 'Tea' }, context: { team: 7 } },
  });
  const found = await execution('fill-1');
  assert.deepEqual([found.preconditions, found.postconditions, found.metadata.retries], [[], [], 0]);
  assert.equal(found.context.team, 7);
  assert.equal(found.context.environment, 'production');
  assert.match(found.context.traceId, /^[0-9a-f]{32}$/);
  const wrong = await refused(admin, 'fill-2', {
    payload: { skillId: 'generate_content', input: {}, context: { environment: 'moon' } },
  });
  assert.deepEqual([wrong.status, wrong.body.code], [400, 'VALIDATION_ERROR']);
  assert.equal(wrong.body.details.errors[0].field, 'payload.context.environment');
});

/** The statuses an execution went through, as the events of its task tell them. */
async function statusesOf(id: string): Promise<readonly string[]> {
  const told = (await historyOf((await open()).admin, id)).flatMap(
    ({ event_type: type, name, detail, to }) => {
      if (type === 'note') return name === 'skill.stage' ? [detail.stage.replace('_result', '')] : [];
      if (type !== 'state_changed' || to === 'running') return [];
      const ends = ['completed', 'failed', 'cancelled'];
      return ends.includes(to) ? [to] : to === 'completing' ? ['validating'] : ['pending'];
    },
  );
  return told.filter((status, at) => status !== told[at - 1]);
}

test('BLOG-35 each change of status is an event, in order, and a retry starts again at validating with retries one higher', async () => {
  const once = ['pending', 'validating', 'executing', 'validating'];
  await run('stages-1', {});
  assert.deepEqual(await statusesOf('stages-1'), [...once, 'completed']);
  assert.equal((await execution('stages-1')).metadata.retries, 0);
  const retryStrategy = { maxRetries: 2, backoffMs: [10], retryableErrors: ['POSTCONDITION_FAILED'] };
  await run('stages-2', {
    config: { retryStrategy },
    postconditions: [{ id: 'never', description: 'holds never', check: '`false`' }],
  });
  assert.deepEqual(await statusesOf('stages-2'), [...once, ...once, ...once, 'failed']);
  assert.equal((await execution('stages-2')).metadata.retries, 2);
});

test('BLOG-35 an execution is cancelled while it is pending and while it is executing, which are events too', async () => {
  const post = await open();
  const slow = await post.register('idle-agent', { types: ['custom:idle_skill'] });
  const cancel = async (id: string): Promise<void> => {
    await post.server.engine.cancel({
      tenant: DEFAULT_TENANT,
      id: id as TaskId,
      actor: 'tester',
      graceMs: 0,
    });
    assert.equal((await execution(id)).status, 'cancelled');
    assert.equal((await statusesOf(id)).at(-1), 'cancelled');
  };
  for (const id of ['idle-1', 'idle-2'])
    await post.admin.send('blog', message(id, { payload: { skillId: 'idle_skill', input: {} } }));
  assert.equal((await execution('idle-1')).status, 'pending');
  const [given] = await slow.read('blog', 'idle-agent', { wait: 10, max: 1 });
  assert.equal((await execution(given?.message.id)).status, 'executing');
  await cancel(given?.message.id);
  await cancel(given?.message.id === 'idle-1' ? 'idle-2' : 'idle-1');
});

test('BLOG-36 canonical states show in the words of SEP', () => {
  const shown = (state: string, outcome: string | null = null, step: string | null = null) =>
    statusOf({ state, outcome, progress: step === null ? null : { currentStep: step } } as unknown as Task);
  for (const state of ['submitted', 'validated', 'queued', 'allocated', 'paused'])
    assert.equal(shown(state), 'pending');
  assert.equal(shown('running'), 'executing');
  assert.equal(shown('running', null, 'validating'), 'validating');
  const begun = { state: 'running', outcome: null, progress: null } as unknown as Task;
  assert.equal(statusOf(begun, true), 'validating');
  assert.equal(shown('running', null, 'executing'), 'executing');
  assert.equal(shown('running', null, 'validating_result'), 'validating');
  assert.equal(shown('completing'), 'validating');
  for (const [state, outcome, status] of [
    ['archived', 'completed', 'completed'],
    ['notified', 'failed', 'failed'],
    ['archiving', 'timeout', 'failed'],
    ['rejected', 'rejected', 'failed'],
    ['archived', 'cancelled', 'cancelled'],
  ] as const)
    assert.equal(shown(state, outcome), status);
});

test('BLOG-37 a condition is an expression or the name of one known here; anything else is refused, and code never runs', async () => {
  const { admin } = await open();
  const bad = async (id: string, condition: object): Promise<Json> => {
    const payload = { skillId: 'generate_content', input: { topic: 'Tea' }, preconditions: [condition] };
    const { status, body } = await refused(admin, id, { payload });
    assert.deepEqual([status, body.code], [400, 'VALIDATION_ERROR']);
    return body.details.errors[0].field;
  };
  assert.equal(await bad('cond-1', { id: 'unheard-of', description: '' }), 'payload.preconditions.0.id');
  assert.equal(
    await bad('cond-2', { id: 'x', description: '', check: '(ctx) => true' }),
    'payload.preconditions.0.check',
  );
  assert.equal(
    await bad('cond-3', { id: 'x', description: '', check: 'input.topic ==' }),
    'payload.preconditions.0.check',
  );
  const good = [{ id: 'own', description: 'long enough', check: 'length(input.topic) > `2`' }];
  assert.equal((await run('cond-4', { preconditions: good })).type, 'response');
});

test('BLOG-39 BLOG-38 the first precondition that does not hold ends it, the skill unrun', async () => {
  const conditions = [
    { id: 'fine', description: 'holds', check: '`true`' },
    { id: 'valid-topic', description: 'Topic is not empty' },
    { id: 'never', description: 'not reached', check: '`false`' },
  ];
  const { type, payload } = await run('pre-1', { input: { topic: '  ' }, preconditions: conditions });
  assert.deepEqual([type, payload.code], ['error', 'PRECONDITION_FAILED']);
  assert.deepEqual(payload.details.condition, { id: 'valid-topic', description: 'Topic is not empty' });
  const found = await execution('pre-1');
  assert.deepEqual(
    [found.status, found.inspection, found.error.code],
    ['failed', undefined, 'PRECONDITION_FAILED'],
  );
});

test('BLOG-40 the first postcondition that does not hold ends it, the result kept aside', async () => {
  const conditions = [
    { id: 'content-generated', description: 'there is content' },
    { id: 'short', description: 'is short', check: 'result.wordCount < `10`' },
  ];
  const { type, payload } = await run('post-1', { postconditions: conditions });
  assert.deepEqual(
    [type, payload.code, payload.details.condition.id],
    ['error', 'POSTCONDITION_FAILED', 'short'],
  );
  const found = await execution('post-1');
  assert.deepEqual([found.status, found.result], ['failed', undefined]);
  assert.ok(found.inspection.result.wordCount > 10);
});

test('BLOG-41 a check that cannot be judged counts as false, with its reason', async () => {
  for (const [index, check] of ['length(input.missing) > `1`', 'input.topic'].entries()) {
    const { payload } = await run(`odd-${index}`, {
      preconditions: [{ id: 'odd', description: 'odd', check }],
    });
    assert.equal(payload.code, 'PRECONDITION_FAILED');
    assert.ok(payload.details.reason.length > 10);
  }
});

test('BLOG-38 a user who runs too many skills a minute is told by rate-limit-check', async () => {
  const { admin } = await open();
  const payload = {
    ...{ skillId: 'moderate_content', input: { content: 'fine' }, context: { userId: 'eager' } },
    preconditions: [{ id: 'rate-limit-check', description: 'not too often' }],
  };
  const sent = await admin.send(
    'blog',
    Array.from({ length: 61 }, (_, n) => message(`rate-${n}`, { payload })),
  );
  assert.equal(sent.status, 207);
  const codes: (string | null)[] = [];
  while (codes.length < 61)
    for (const { message: one, delivery_id: id } of await admin.read('blog', 'executor', {
      wait: 10,
      max: 100,
    })) {
      await admin.settle('blog', 'executor', id);
      if (String(one.correlationId).startsWith('rate-')) codes.push(one.payload.code ?? null);
    }
  assert.deepEqual(
    codes.filter(code => code !== null),
    ['PRECONDITION_FAILED'],
  );
});

test('BLOG-42 config is checked, and unknown keys of it are kept', async () => {
  const { admin } = await open();
  for (const [index, config] of [{ timeoutMs: 0 }, { temperature: 3 }, { retryStrategy: {} }].entries()) {
    const { body } = await refused(admin, `config-${index}`, {
      payload: { skillId: 'generate_content', input: { topic: 'x' }, config },
    });
    assert.equal(body.code, 'VALIDATION_ERROR');
    assert.ok(body.details.errors[0].field.startsWith('payload.config'));
  }
  await run('config-4', { config: { timeoutMs: 20_000, own: [1] } });
  assert.deepEqual((await execution('config-4')).config, { timeoutMs: 20_000, own: [1] });
});

test('BLOG-42 BLOG-112 what runs over timeoutMs fails with TIMEOUT, and a strategy tries only its codes again', async () => {
  const post = await open();
  const slow = await post.register('slow-agent', { types: ['custom:slow_skill'] });
  const order = (config: object) => ({ payload: { skillId: 'slow_skill', input: {}, config } });
  const told = async (id: string): Promise<Loose> => {
    for (;;)
      for (const { message: one, delivery_id: delivery } of await post.admin.read('blog', 'executor', {
        wait: 20,
      })) {
        await post.admin.settle('blog', 'executor', delivery);
        if (one.correlationId === id) return one;
      }
  };
  await post.admin.send('blog', message('slow-1', order({ timeoutMs: 1_000 })));
  assert.equal((await slow.read('blog', 'slow-agent', { wait: 10 })).length, 1);
  const late = await told('slow-1');
  assert.deepEqual([late.type, late.payload.code, late.payload.recoverable], ['error', 'TIMEOUT', true]);
  assert.equal((await execution('slow-1')).status, 'failed');
  const retryStrategy = { maxRetries: 2, backoffMs: [10], retryableErrors: ['NETWORK_ERROR'] };
  await post.admin.send('blog', message('slow-2', order({ retryStrategy })));
  for (const [index, code] of ['NETWORK_ERROR', 'SKILL_EXECUTION_FAILED'].entries()) {
    const [work] = await slow.read('blog', 'slow-agent', { wait: 10 });
    await slow.settle('blog', 'slow-agent', work?.delivery_id);
    const payload = { code, message: 'no', details: {}, recoverable: true };
    const said = {
      from: 'slow-agent',
      to: 'executor',
      type: 'error',
      correlationId: work?.message.id,
      payload,
    };
    assert.equal((await slow.send('blog', message(`slow-2-${index}`, said))).status, 202);
  }
  assert.equal((await told('slow-2')).payload.code, 'SKILL_EXECUTION_FAILED');
  assert.equal((await execution('slow-2')).metadata.retries, 1);
});

test('BLOG-75 a message, an execution and a validation are checked without anything being stored', async () => {
  const { admin } = await open();
  const check = async (kind: string, body: unknown): Promise<Loose> => {
    const answer = await admin.ask('POST', `/protocols/blog/validate/${kind}`, body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
  };
  assert.deepEqual(await check('message', message('v1', {})), { passed: true, score: 100, issues: [] });
  const wrong = await check('message', { id: 'v1', type: 'shout', metadata: {} });
  assert.equal(wrong.passed, false);
  assert.deepEqual(wrong.issues.map((one: Loose) => one.field).sort(), ['from', 'payload', 'to', 'type']);
  assert.equal((await check('skill-execution', EXEC_001)).passed, true);
  const execution = await check('skill-execution', {
    ...EXEC_001,
    config: { timeoutMs: -1 },
    context: { environment: 'x' },
  });
  assert.deepEqual(execution.issues.map((one: Loose) => one.field).sort(), [
    'config.timeoutMs',
    'context.environment',
  ]);
  assert.equal((await check('content-pipeline', { contentId: 'c', content: {} })).passed, true);
  const steps = [{ id: 'magic', name: 'Magic', order: 1, required: true }];
  assert.equal(
    (await check('content-pipeline', { contentId: 'c', content: {}, steps })).issues[0].field,
    'steps.0.id',
  );
  assert.equal((await admin.ask('GET', '/api/v2/task-status/v1')).status, 404);
});
