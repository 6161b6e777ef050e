// Validations over the wire (CVP): the reviewer, the person, the events.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Loose } from '../../../test/serve.ts';
import { bodyCheck } from '../validation.ts';
import { ask, listen, refused, sharedPost } from './bench.test.ts';
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
