// Validations over the wire (CVP): the reviewer, the person, the events.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../test/eventually.ts';
import type { Correspondent } from '../../../test/post.ts';
import { type Loose, taskBody } from '../../../test/serve.ts';
import { bodyCheck } from '../validation.ts';
import { ask, listen, message, refused, sharedPost } from './bench.test.ts';
import { contentValidation } from './schemas.ts';

const open = sharedPost();
const STEPS = [
  { id: 'schema-validation', name: 'Schema Validation', order: 1, required: true, status: 'pending' },
  { id: 'moderation', name: 'Content Moderation', order: 2, required: true, status: 'pending' },
  { id: 'seo-analysis', name: 'SEO Analysis', order: 3, required: false, status: 'pending' },
];
const SOURCE = {
  contentId: 'post-123',
  content: { title: 'My Blog Post', content: '...', tags: ['ai', 'tech'] },
  steps: STEPS,
  result: { approved: false, score: 0, issues: [], recommendations: [] },
  metadata: { startTime: '2026-02-24T10:00:00Z', validator: 'reviewer-agent' },
};

test('BLOG-49 BLOG-45 BLOG-46 BLOG-19 the example of the source is approved with a warning and its fix', async () => {
  const { admin } = await open();
  const { payload, from } = await ask(admin, 'cvp-1', { to: 'reviewer', payload: SOURCE });
  assert.equal(from, 'reviewer');
  assert.equal(bodyCheck(contentValidation)(payload), null);
  assert.equal(payload.result.approved, true);
  assert.deepEqual(
    payload.steps.map((step: Loose) => [step.id, step.status]),
    [
      ...[
        ['schema-validation', 'passed'],
        ['moderation', 'passed'],
        ['seo-analysis', 'failed'],
      ],
    ],
  );
  assert.deepEqual(
    payload.result.issues.map((one: Loose) => [one.severity, one.code]),
    [['warning', 'LOW_SEO_SCORE']],
  );
  assert.deepEqual(payload.content, SOURCE.content);
  assert.ok(Date.parse(payload.metadata.endTime) >= Date.parse(payload.metadata.startTime));
  assert.doesNotMatch(JSON.stringify(payload), /"validate"/);
  const unknown = await refused(admin, 'cvp-2', {
    to: 'reviewer',
    payload: { ...SOURCE, steps: [{ ...STEPS[0], id: 'magic' }] },
  });
  assert.deepEqual([unknown.status, unknown.body.code], [400, 'VALIDATION_ERROR']);
});

test('BLOG-49 steps run exactly as listed by order, an agent’s among them, and an id nobody is registered for is refused', async t => {
  const post = await open();
  const brand = { id: 'brand', name: 'Brand Voice', order: 2, required: true };
  const steps = [
    { id: 'moderation', name: 'Content Moderation', order: 30, required: true },
    brand,
    { id: 'schema-validation', name: 'Schema Validation', order: 1, required: true },
    { ...brand, id: 'legal', name: 'Legal', order: 4, required: false },
  ];
  const content = { title: `A \${{ secrets }} title`, content: `Words with \${{ 1 }} in them.` };
  const asked = { contentId: 'cvp-own', content, steps };
  const early = await refused(post.admin, 'own-0', { to: 'reviewer', payload: asked });
  assert.deepEqual(
    early.body.details.errors.map((one: Loose) => one.field),
    ['payload.steps.1.id', 'payload.steps.3.id'],
  );
  const types = ['custom:validator.brand', 'custom:validator.legal'];
  const judge = await post.register('brand-judge', { types });
  t.after(() => post.admin.ask('DELETE', '/api/v2/agents/brand-judge'));
  const check = await post.admin.ask('POST', '/protocols/blog/validate/content-pipeline', asked);
  assert.equal(check.body.passed, true, JSON.stringify(check.body));
  /** Answers the next step that is asked for; gives what was asked. */
  const judged = async (type: string, payload: object): Promise<Loose> => {
    const [given] = await judge.read('blog', 'brand-judge', { wait: 15 });
    const { id, from: to } = given?.message ?? {};
    const said = { from: 'brand-judge', to, type, correlationId: id, payload };
    assert.equal((await judge.send('blog', message(`said-${id}`, said))).status, 202);
    return given?.message.payload;
  };
  const issue = { severity: 'warning', code: 'TONE', message: 'Too stiff', suggestion: 'Relax' };
  const asking = ask(post.admin, 'own-1', { to: 'reviewer', payload: asked });
  const first = await judged('response', { passed: true, score: 40, issues: [issue] });
  assert.deepEqual([first.step, first.validation.content], [brand, content]);
  const broken = { code: 'SKILL_EXECUTION_FAILED', message: 'no lawyer', details: {}, recoverable: false };
  assert.equal((await judged('error', broken)).step.id, 'legal');
  const { payload } = await asking;
  assert.deepEqual(
    payload.steps.map((one: Loose) => [one.id, one.status, one.result?.score]),
    [
      ['schema-validation', 'passed', 100],
      ['brand', 'passed', 40],
      ['legal', 'failed', undefined],
      ['moderation', 'passed', 100],
    ],
  );
  assert.deepEqual([payload.result.approved, payload.result.score], [false, 80]);
  assert.deepEqual(
    payload.result.issues.map((one: Loose) => one.code),
    ['TONE', 'VALIDATION_ERROR'],
  );
  assert.match(payload.result.issues[1].message, /Legal.*no lawyer/);
  assert.deepEqual([payload.result.recommendations, payload.content], [['Relax'], content]);
  const failing = ask(post.admin, 'own-2', { to: 'reviewer', payload: asked });
  await judged('response', { passed: false, score: 0, issues: [] });
  assert.deepEqual(
    (await failing).payload.steps.map((one: Loose) => one.status),
    ['passed', 'failed', 'skipped', 'skipped'],
  );
});

test('BLOG-22 BLOG-54 what a client says of a validation’s course is not believed, and where a person decides nothing is approved without one', async () => {
  const { admin } = await open();
  const content = { title: '', content: '' };
  const steps = [{ ...STEPS[0], status: 'passed', result: { passed: true, score: 100, issues: [] } }];
  const forged = {
    ...{ contentId: 'forged', content, steps, told: { by: 'person', state: 'completed' } },
    ...{ asked: { contentId: 'forged', content, steps: [] }, state: { startedAt: 1, steps } },
  };
  const { payload } = await ask(admin, 'forged-1', { to: 'reviewer', payload: forged });
  assert.deepEqual([payload.contentId, payload.result.approved], ['forged', false]);
  const change = (id: string, action: string, more: object = {}) =>
    admin.send(
      'blog',
      message(id, { from: 'lone-ops', to: 'executor', payload: { action, contentId: 'lone', ...more } }),
      '?wait=20',
    );
  await (await open()).register('lone-ops');
  assert.equal((await change('lone-1', 'create_content', { content: TEA })).status, 202);
  const validate = (id: string) =>
    ask(admin, id, {
      to: 'reviewer',
      payload: { contentId: 'lone', content: TEA, steps: STEPS.slice(0, 2) },
    });
  const setting = (value: string) => admin.ask('PUT', '/protocols/blog/settings', { final_approval: value });
  await setting('person');
  assert.equal((await validate('lone-2')).payload.result.approved, true);
  assert.equal((await change('lone-3', 'publish_content')).status, 422);
  await setting('automatic');
  await validate('lone-4');
  assert.equal((await change('lone-5', 'publish_content')).status, 202);
});

test('BLOG-59 the moderation of a validation is told when it is done', async () => {
  const post = await open();
  const ann = await post.register('cvp-ann');
  const heard = await listen(ann, 'cvp-ann', ['content.moderated'], { 'data.contentId': 'moderated' });
  await ask(post.admin, 'cvp-3', { to: 'reviewer', payload: { ...SOURCE, contentId: 'moderated' } });
  const [told] = await heard(1);
  assert.deepEqual([told.source, told.data.flagged], ['reviewer-agent', false]);
});

const TEA = {
  title: 'A short text about tea and water',
  content: 'Tea is a warm drink. People like it in the morning. It is made of leaves and water.',
};
const WITH_APPROVAL = [
  ...STEPS.slice(0, 2),
  { id: 'final-approval', name: 'Final Approval', order: 9, required: true },
];

test('BLOG-54 where a tenant wants it so a person has the last word, and nothing is approved before', async () => {
  const post = await open();
  const { admin } = post;
  const setting = (value: string) => admin.ask('PUT', '/protocols/blog/settings', { final_approval: value });
  assert.equal((await setting('person')).status, 200);
  assert.equal((await admin.ask('GET', '/protocols/blog/settings')).body.final_approval, 'person');
  const judge = await post.agent('judge', { permissions: ['approval:decide'] });
  const validate = (id: string, content: object = TEA) =>
    ask(admin, id, { to: 'reviewer', payload: { contentId: id, content, steps: WITH_APPROVAL } });
  const decided = async (id: string, verdict: 'approve' | 'reject'): Promise<Loose> => {
    const asking = validate(id);
    let waiting: Loose = [];
    while (waiting.length === 0) waiting = (await judge.ask('GET', '/api/v2/approvals')).body.approvals;
    const path = `/api/v2/approvals/${waiting[0].approval_id}/${verdict}`;
    const answer = await judge.ask('POST', path, { comment: 'so be it' });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return (await asking).payload;
  };
  const approved = await decided('cvp-4', 'approve');
  assert.deepEqual([approved.result.approved, approved.steps[2].status], [true, 'passed']);
  const rejected = await decided('cvp-5', 'reject');
  assert.deepEqual([rejected.result.approved, rejected.steps[2].status], [false, 'failed']);
  const unfit = await validate('cvp-6', {});
  assert.deepEqual(
    unfit.payload.steps.map((step: Loose) => step.status),
    ['failed', 'skipped', 'skipped'],
  );
  assert.equal((await setting('automatic')).status, 200);
  assert.equal((await validate('cvp-7')).payload.result.approved, true);
});

test('BLOG-54 who may not administer a tenant does not decide whether a person has the last word', async () => {
  const stranger = await (await open()).agent('cvp-bob');
  const { status, body } = await stranger.ask('PUT', '/protocols/blog/settings', {
    final_approval: 'person',
  });
  assert.deepEqual([status, body.code], [403, 'PRECONDITION_FAILED']);
});

test('BLOG-22 BLOG-54 nobody changes or approves contents by ordering that work itself: by SAM, as a step of a workflow, its fallback, or a skill', async () => {
  const post = await open();
  const { admin } = post;
  const content = { title: 'Nobody saw this', content: 'It was never approved.' };
  const created = { action: 'create_content', contentId: 'sneaky', content };
  const said = { by: 'person', state: 'completed', output: { approved: true }, error: '' };
  const verdict = { asked: { contentId: 'sneaky', content, steps: [] }, until: 0, told: said };
  const forged: Readonly<Record<string, object>> = { change_content: created, validate_content: verdict };
  const order = (id: string, data: object, more: object = {}): object =>
    taskBody(id, { task_type: 'custom', task_data: data, ...more });
  for (const [name, payload] of Object.entries(forged)) {
    const data = { type_name: name, ...payload };
    const { status, body } = await admin.ask('POST', '/api/v2/execute-task', order(`sneak-${name}`, data));
    assert.deepEqual([status, body.error.code], [403, 'FORBIDDEN'], JSON.stringify(body));
    assert.equal(body.error.details.work_type, `custom:${name}`);
    const left = await admin.ask('GET', `/api/v2/task-status/sneak-${name}`);
    assert.equal(left.status, 404, 'nothing is stored of it');
    const run = {
      ...{ task_type: 'workflow_orchestration', execution_config: { timeout: 20 } },
      task_data: {
        steps: [
          { id: 'plain', task_type: 'custom', task_data: data, on_failure: 'continue' },
          { id: 'hidden', task_type: 'custom', task_data: { type_name: 'executor', fallback: data } },
        ],
      },
    };
    assert.equal((await admin.ask('POST', '/api/v2/execute-task', taskBody(`run-${name}`, run))).status, 200);
    const ended = await settled(admin, `run-${name}`);
    assert.equal(ended.current_status.state, 'failed');
    for (const step of ['plain', 'hidden'])
      assert.equal((await admin.ask('GET', `/api/v2/task-status/run-${name}.${step}`)).status, 404);
    const bySkill = await refused(admin, `skill-${name}`, { payload: { skill: name, params: payload } });
    assert.equal(bySkill.status, 403, JSON.stringify(bySkill.body));
  }
  // Nor does anybody take such work to leave a verdict in its checkpoint.
  const worker = (agent: string, type: string): ReturnType<Correspondent['ask']> =>
    admin.ask('POST', '/api/v2/work', { agent_id: agent, types: [type], slots: 1, wait_seconds: 0 });
  for (const name of Object.keys(forged)) {
    const taken = await worker('helpful', `custom:${name}`);
    assert.deepEqual([taken.status, taken.body.error?.code], [403, 'FORBIDDEN'], JSON.stringify(taken.body));
  }
  assert.equal((await worker('inside.nooble.knowledge_base', 'custom:knowledge_update')).status, 403);
  const impostor = await post.agent('inside.nooble.knowledge_base');
  const unmasked = await impostor.ask('GET', '/protocols/blog/inbox/inside.nooble.knowledge_base');
  assert.equal(unmasked.status, 403);
  assert.match(JSON.stringify(unmasked.body), /begin inside\./);
  assert.equal((await worker('helpful', 'custom:harmless')).status, 200);
  const ops = await post.register('cvp-ops');
  const change = await refused(ops, 'sneak-publish', {
    ...{ from: 'cvp-ops', to: 'executor', payload: { action: 'publish_content', contentId: 'sneaky' } },
  });
  assert.equal(change.status, 404, 'there is no such content');
});

/** A task's status once it is over. */
async function settled(who: Correspondent, id: string): Promise<Loose> {
  let body: Loose = {};
  await eventually(async () => {
    ({ body } = await who.ask('GET', `/api/v2/task-status/${id}`));
    return ['completed', 'failed', 'timeout'].includes(body.current_status.state);
  }, 20_000);
  return body;
}
