// The four built-in agents and who stands in for them, asked over the wire.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { correspondent } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { ask, historyOf, message, refused, sharedPost } from './bench.test.ts';

const open = sharedPost();
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const PLANNING = {
  intent: 'generate-blog-post',
  context: { topic: 'AI in Healthcare', tone: 'professional', length: 'medium' },
};

test('BLOG-15 BLOG-16 a request is a task under its id; the planner answers with skills in order', async () => {
  const { admin } = await open();
  const reply = await ask(admin, 'plan-1', { to: 'planner', payload: PLANNING });
  assert.deepEqual(
    [reply.type, reply.from, reply.to, reply.correlationId],
    ['response', 'planner', 'executor', 'plan-1'],
  );
  assert.match(reply.id, UUID);
  assert.deepEqual(
    reply.payload.steps.map((step: Loose) => step.skill),
    ['generate_content', 'analyze_seo', 'moderate_content'],
  );
  assert.deepEqual(reply.payload.steps[0].params, PLANNING.context);
  const task = await admin.ask('GET', '/api/v2/task-status/plan-1');
  assert.equal(task.body.current_status.state, 'completed');
  const listed = await admin.ask('GET', '/api/v2/task-status?correlation_id=plan-1');
  assert.equal(listed.body.total, 1, JSON.stringify(listed.body).slice(0, 300));
});

test('BLOG-17 BLOG-108 without a model an intent beyond the known ones is refused with their list', async () => {
  const { admin } = await open();
  const { status, body } = await refused(admin, 'plan-2', {
    to: 'planner',
    payload: { intent: 'conquer', context: {} },
  });
  assert.deepEqual([status, body.code], [422, 'PRECONDITION_FAILED']);
  assert.deepEqual(body.details.intents.sort(), [
    ...[
      'analyze-seo',
      'chat',
      'generate-blog-post',
      'moderate-content',
      'recommend-content',
      'summarize-content',
    ],
  ]);
  for (const [index, intent] of body.details.intents.entries())
    assert.equal(
      (await ask(admin, `plan-3-${index}`, { to: 'planner', payload: { intent } })).type,
      'response',
    );
  const bad = await refused(admin, 'plan-4', { to: 'planner', payload: 'do it' });
  assert.deepEqual([bad.status, bad.body.code], [400, 'VALIDATION_ERROR']);
});

test('BLOG-18 the coder answers with the result of a skill, refuses an unknown one, and tells a failed one with skill and reason', async () => {
  const { admin } = await open();
  const reply = await ask(admin, 'skill-1', {
    payload: { skill: 'moderate_content', params: { content: 'A fine day.' } },
  });
  assert.deepEqual([reply.type, reply.from, reply.payload.flagged], ['response', 'coder', false]);
  const unknown = await refused(admin, 'skill-2', { payload: { skill: 'dance', params: {} } });
  assert.deepEqual([unknown.status, unknown.body.code], [400, 'VALIDATION_ERROR']);
  const failed = await ask(admin, 'skill-3', {
    payload: { skill: 'summarize_content', params: { content: 'x', maxSentences: 1_000 } },
  });
  assert.equal(failed.type, 'error');
  assert.equal(failed.payload.details.skill, 'summarize_content');
  assert.match(failed.payload.details.reason, /maxSentences/);
});

test('BLOG-20 the executor runs an intent’s steps in order as a workflow, each with what earlier ones made', async () => {
  const post = await open();
  const ops = await post.register('flow-ops');
  const payload = { intent: 'generate-blog-post', context: { topic: 'Bread at home', length: 'short' } };
  const reply = await ask(ops, 'flow-20', { from: 'flow-ops', to: 'executor', payload });
  assert.equal(reply.type, 'response', JSON.stringify(reply.payload));
  const [generated, seo, moderated] = reply.payload.steps;
  assert.deepEqual(
    [generated.skill, seo.skill, moderated.skill],
    ['generate_content', 'analyze_seo', 'moderate_content'],
  );
  assert.match(generated.result.content, /Bread at home/);
  assert.ok(seo.result.score > 50);
  assert.equal(moderated.result.flagged, false);
  const task = await post.admin.ask('GET', '/api/v2/task-status/flow-20');
  assert.equal(
    task.body.task_type ?? task.body.current_status.task_type ?? 'workflow_orchestration',
    'workflow_orchestration',
  );
  const params = { content: `One \${{ 1 }} and two. Three. Four.`, maxSentences: 1 };
  const steps = { steps: [{ skill: 'summarize_content', params }] };
  const own = await ask(ops, 'flow-21', { from: 'flow-ops', to: 'executor', payload: steps });
  assert.equal(own.payload.steps[0].result.summary, `One \${{ 1 }} and two.`);
  const failing = { steps: [{ skill: 'summarize_content', params: { content: '' } }] };
  const failed = await ask(ops, 'flow-22', { from: 'flow-ops', to: 'executor', payload: failing });
  assert.equal(failed.type, 'error');
  const bad = await refused(ops, 'flow-23', {
    from: 'flow-ops',
    to: 'executor',
    payload: { steps: [{ skill: 'dance' }] },
  });
  assert.deepEqual([bad.status, bad.body.code], [400, 'VALIDATION_ERROR']);
});

const POST_TEXT = {
  title: 'How bread is made at home',
  content: 'Flour and water. A little salt.',
  tags: ['bread'],
};

test('BLOG-21 BLOG-22 BLOG-105 contents are created, changed, published once approved as they stand, and deleted', async () => {
  const post = await open();
  const ops = await post.register('content-ops');
  const change = (id: string, payload: object) =>
    ask(ops, id, { from: 'content-ops', to: 'executor', payload });
  const fail = (id: string, payload: object) =>
    refused(ops, id, { from: 'content-ops', to: 'executor', payload });
  const made = await change('c-1', { action: 'create_content', contentId: 'bread', content: POST_TEXT });
  assert.deepEqual([made.payload.contentId, made.payload.version], ['bread', 1]);
  const early = await fail('c-2', { action: 'publish_content', contentId: 'bread' });
  assert.deepEqual([early.status, early.body.code], [422, 'PRECONDITION_FAILED']);
  const steps = [{ id: 'schema-validation', name: 'Schema', order: 1, required: true }];
  const check = (id: string, content: object) =>
    ask(post.admin, id, { to: 'reviewer', payload: { contentId: 'bread', content, steps } });
  assert.equal((await check('c-3', POST_TEXT)).payload.result.approved, true);
  const changed = { ...POST_TEXT, content: 'Flour, water, salt and time.' };
  assert.equal(
    (await change('c-4', { action: 'update_content', contentId: 'bread', content: changed })).payload.version,
    2,
  );
  assert.equal((await fail('c-5', { action: 'publish_content', contentId: 'bread' })).status, 422);
  await check('c-6', changed);
  const other = await fail('c-6-other', {
    ...{
      action: 'publish_content',
      contentId: 'bread',
      content: { ...changed, title: 'Not what was approved' },
    },
  });
  assert.deepEqual([other.status, other.body.code], [422, 'PRECONDITION_FAILED']);
  const published = await change('c-7', { action: 'publish_content', contentId: 'bread' });
  assert.ok(Date.parse(published.payload.publishedAt) > 0);
  const again = await fail('c-8', { action: 'create_content', contentId: 'bread', content: POST_TEXT });
  assert.deepEqual([again.status, again.body.code], [409, 'INVARIANT_VIOLATION']);
  await change('c-9', { action: 'delete_content', contentId: 'bread' });
  for (const action of ['update_content', 'delete_content', 'publish_content']) {
    const gone = await fail(`c-10-${action}`, { action, contentId: 'bread', content: POST_TEXT });
    assert.deepEqual([gone.status, gone.body.code], [404, 'VALIDATION_ERROR']);
  }
});

test('BLOG-23 BLOG-10 a remote agent under one of the four names is asked in its place, until it unregisters', async t => {
  const post = await open();
  const remote = await post.register('reviewer', { types: ['custom:reviewer'] });
  t.after(() => post.admin.ask('DELETE', '/api/v2/agents/reviewer'));
  const asked = message('take-1', {
    from: 'coder',
    to: 'reviewer',
    payload: { contentId: 'c', content: POST_TEXT },
  });
  assert.equal((await post.admin.send('blog', asked)).status, 202);
  const [work] = await remote.read('blog', 'reviewer', { wait: 10 });
  assert.equal(work?.message.id, 'take-1');
  await remote.settle('blog', 'reviewer', work?.delivery_id);
  const failing = { code: 'NETWORK_ERROR', message: 'no net', details: {}, recoverable: true };
  const said = (id: string, type: string, payload: object, to: Loose) =>
    remote.send('blog', message(id, { from: 'reviewer', to: 'coder', type, payload, correlationId: to.id }));
  assert.equal((await said('take-2', 'error', failing, work?.message)).status, 202);
  const [retried] = await remote.read('blog', 'reviewer', { wait: 15 });
  assert.notEqual(retried?.message.id, 'take-1');
  assert.equal(retried?.message.metadata.retryCount, 1);
  assert.equal(retried?.message.correlationId, 'take-1');
  assert.deepEqual(retried?.message.payload, { contentId: 'c', content: POST_TEXT });
  await remote.settle('blog', 'reviewer', retried?.delivery_id);
  assert.equal((await said('take-3', 'response', { fine: true }, retried?.message)).status, 202);
  const told: Loose[] = [];
  while (!told.some(one => one.type === 'response'))
    for (const { message: one, delivery_id: id } of await post.admin.read('blog', 'coder', { wait: 10 })) {
      told.push(one);
      await post.admin.settle('blog', 'coder', id);
    }
  assert.deepEqual(told.find(one => one.type === 'response').payload, { fine: true });
  assert.equal(
    (await post.admin.ask('GET', '/api/v2/task-status/take-1')).body.current_status.state,
    'completed',
  );
  assert.equal((await post.admin.ask('DELETE', '/api/v2/agents/reviewer')).status, 204);
  const own = await ask(post.admin, 'take-4', {
    from: 'coder',
    to: 'reviewer',
    payload: { contentId: 'c', content: POST_TEXT },
  });
  assert.equal(own.payload.metadata.validator, 'reviewer-agent');
});

test('BLOG-23 what waits for a remote agent is done by the built-in one once that is gone, for each of the four, and no other tenant waits', async t => {
  const post = await open();
  const names = ['planner', 'coder', 'reviewer', 'executor'] as const;
  const leave = (name: string) => post.admin.ask('DELETE', `/api/v2/agents/${name}`);
  t.after(() => Promise.all(names.map(leave)));
  const ops = await post.register('gone-ops', { roles: ['blog:operator'] });
  // Whether it registered for the type of its name or not.
  for (const name of names) await post.register(name, { types: name === 'coder' ? [] : [`custom:${name}`] });
  const skill = { skill: 'moderate_content', params: { content: 'A fine day.' } };
  const payloads = {
    ...{ planner: PLANNING, reviewer: { contentId: 'c', content: POST_TEXT }, executor: { steps: [skill] } },
    coder: { executionId: 'gone-exec', skillId: 'moderate_content', input: skill.params },
  };
  for (const to of names) {
    const asked = message(`gone-${to}`, { from: 'gone-ops', to, payload: payloads[to] });
    assert.equal((await ops.send('blog', asked)).status, 202);
  }
  const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'gone-far', name: 'Far' });
  const far = correspondent(post.url, {
    ...{ 'x-api-key': made.body.api_key, 'x-api-secret': made.body.api_secret },
  });
  assert.equal((await ask(far, 'far-1', { payload: payloads.coder })).type, 'response');
  assert.deepEqual(await ops.read('blog', 'gone-ops', { wait: 1.5 }), []);
  for (const id of ['gone-planner', 'gone-exec', 'gone-reviewer', 'gone-executor']) {
    const { body } = await post.admin.ask('GET', `/api/v2/task-status/${id}`);
    assert.equal(body.current_status.state, 'queued', id);
  }
  for (const name of names) assert.equal((await leave(name)).status, 204);
  const told = new Map<string, Loose>();
  while (told.size < names.length) {
    const some = await ops.read('blog', 'gone-ops', { wait: 20 });
    assert.ok(some.length > 0, `only ${[...told.keys()]} answered`);
    for (const { message: one, delivery_id: id } of some) {
      told.set(one.from, one);
      await ops.settle('blog', 'gone-ops', id);
    }
  }
  for (const name of names)
    assert.deepEqual(
      [told.get(name)?.type, told.get(name)?.correlationId],
      ['response', `gone-${name}`],
      JSON.stringify(told.get(name)),
    );
  assert.equal(told.get('planner')?.payload.steps.length, 3);
  assert.equal(told.get('reviewer')?.payload.steps.length, 5);
  assert.equal(told.get('coder')?.payload.flagged, false);
  assert.equal(told.get('executor')?.payload.steps[0].result.flagged, false);
  const { body } = await post.admin.ask('GET', '/protocols/blog/executions/gone-exec');
  assert.deepEqual(
    [body.status, body.skillId, body.metadata.agentId],
    ['completed', 'moderate_content', 'coder'],
  );
});

test('BLOG-23 BLOG-22 a flow a remote coder began is ended by the built-in one, and what a remote reviewer approved may be published', async t => {
  const post = await open();
  const leave = (name: string) => post.admin.ask('DELETE', `/api/v2/agents/${name}`);
  t.after(() => Promise.all(['coder', 'reviewer'].map(leave)));
  const ops = await post.register('half-ops', { roles: ['blog:operator'] });
  const coder = await post.register('coder');
  const reviewer = await post.register('reviewer', { types: ['custom:reviewer'] });
  const steps = [
    { skill: 'generate_content', params: { topic: 'Tea' } },
    { skill: 'moderate_content', params: {} },
  ];
  const order = (id: string, to: string, payload: object) => message(id, { from: 'half-ops', to, payload });
  await ops.send('blog', order('half-flow', 'executor', { steps }));
  /** Takes the next request of an agent and answers it; gives its payload. */
  const work = async (who: typeof coder, from: string, payload: object): Promise<Loose> => {
    const [given] = await who.read('blog', from, { wait: 10 });
    const said = { from, to: given?.message.from, type: 'response', correlationId: given?.message.id };
    const { status } = await who.send('blog', message(`half-${given?.message.id}`, { ...said, payload }));
    assert.equal(status, 202);
    return given?.message.payload;
  };
  const asked = await work(coder, 'coder', { title: 'Tea', content: 'Tea is a drink.' });
  assert.deepEqual(asked, { skill: 'generate_content', params: { topic: 'Tea' } });
  assert.equal((await leave('coder')).status, 204);
  const [flow] = await ops.read('blog', 'half-ops', { wait: 20 });
  await ops.settle('blog', 'half-ops', flow?.delivery_id);
  const [made, moderated] = flow?.message.payload.steps ?? [];
  assert.deepEqual([made?.result.content, moderated?.result.flagged], ['Tea is a drink.', false]);
  const content = { title: 'Half', content: 'Too short for the built-in reviewer.' };
  const change = (id: string, action: string, more: object = {}) =>
    ops.send('blog', order(id, 'executor', { action, contentId: 'half', ...more }), '?wait=20');
  assert.equal((await change('half-c1', 'create_content', { content })).body.reply.type, 'response');
  for (const [n, approved] of [false, true].entries()) {
    await ops.send('blog', order(`half-v${n}`, 'reviewer', { contentId: 'half', content }));
    await work(reviewer, 'reviewer', { contentId: 'half', content, steps: [], result: { approved } });
    const { status } = await change(`half-p${n}`, 'publish_content');
    assert.equal(status, approved ? 202 : 422);
  }
});

test('BLOG-103 BLOG-23 what is encrypted to an agent elsewhere under one of the four names reaches it untouched', async t => {
  const post = await open();
  t.after(() => post.admin.ask('DELETE', '/api/v2/agents/planner'));
  const ops = await post.register('jwe-ops', { roles: ['blog:operator'] });
  const planner = await post.register('planner', { types: ['custom:planner'] });
  const payload = { jwe: { ciphertext: 'x', recipients: [] } };
  const sent = message('jwe-1', { from: 'jwe-ops', to: 'planner', payload }, { encryption: 'end-to-end' });
  assert.equal((await ops.send('blog', sent)).status, 202);
  const [given] = await planner.read('blog', 'planner', { wait: 5 });
  assert.deepEqual([given?.message.id, given?.message.payload], ['jwe-1', payload]);
});

test('BLOG-33 a skill a remote agent brought is run by it, with conditions judged here', async () => {
  const post = await open();
  await post.admin.ask('POST', '/api/v2/agents', {
    ...{ agent_id: 'translator', types: ['custom:translate'], capacity: { slots: 5 } },
    schemas: { translate: { input: { type: 'object', required: ['text'] } } },
  });
  const translator = await post.agent('translator');
  const order = (id: string, more: object) =>
    message(id, { payload: { skillId: 'translate', input: { text: 'hola' }, ...more } });
  const early = await post.admin.send(
    'blog',
    order('tr-1', {
      preconditions: [{ id: 'long', description: 'is long', check: 'length(input.text) > `10`' }],
    }),
  );
  assert.deepEqual([early.status, early.body.code], [422, 'PRECONDITION_FAILED']);
  assert.equal(
    (
      await post.admin.send(
        'blog',
        order('tr-2', {
          postconditions: [{ id: 'said', description: 'says something', check: "result.text != ''" }],
        }),
      )
    ).status,
    202,
  );
  const [work] = await translator.read('blog', 'translator', { wait: 10 });
  assert.equal(work?.message.payload.skillId, 'translate');
  await translator.settle('blog', 'translator', work?.delivery_id);
  const payload = { text: '' };
  await translator.send(
    'blog',
    message('tr-3', { from: 'translator', to: 'executor', type: 'response', correlationId: 'tr-2', payload }),
  );
  const { body } = await post.admin.ask('GET', '/protocols/blog/executions/tr-2');
  assert.deepEqual(
    [body.status, body.error.code, body.result],
    ['failed', 'POSTCONDITION_FAILED', undefined],
  );
  assert.deepEqual(body.inspection.result, payload);
  const stages = (await historyOf(post.admin, 'tr-2')).filter(({ name }) => name === 'skill.stage');
  assert.deepEqual(
    stages.map(({ detail }) => detail.stage),
    ['validating_result'],
  );
  const wrong = await post.admin.send(
    'blog',
    message('tr-4', { payload: { skillId: 'translate', input: {} } }),
  );
  assert.deepEqual([wrong.status, wrong.body.code], [400, 'VALIDATION_ERROR']);
});

test('BLOG-120 the front page tells versions, types, skills, conditions, validators, schemas and limits', async () => {
  const { url } = await open();
  const page = (await (await fetch(`${url}/protocols/blog`)).json()) as Loose;
  assert.deepEqual(page.versions, [{ version: '1.0.0' }]);
  for (const type of ['request', 'ack', 'content.published']) {
    assert.ok(page.types.includes(type));
    assert.equal((await fetch(`${url}${page.schemas[type]}`)).status, 200);
  }
  assert.equal(page.skills.length, 6);
  assert.deepEqual(page.conditions, [
    'rate-limit-check',
    'valid-topic',
    'content-generated',
    'content-valid',
  ]);
  assert.equal(page.validators.length, 5);
  assert.ok(page.limits.message_bytes === 1_048_576 && page.shapes.SkillExecution !== undefined);
});
