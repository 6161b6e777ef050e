// Outputs that are held until they are valid or a person let them go, and agents that get no work: what all wires have of it, shown with
// the toy wire made strict.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TaskId } from '../../src/domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../src/domain/json.ts';
import { type Draft, inboxOfDesk, type MessageId } from '../../src/domain/message.ts';
import type { DialectHands, DialectKit } from '../../src/protocols/dialect/hands.ts';
import { type Correspondent, openPost, type Post } from '../post.ts';
import type { Loose } from '../serve.ts';
import { createToyDialect } from '../toy-dialect.ts';

const GOOD =
  'The sea rises and falls twice a day. The moon pulls the water, and the water follows it around the world.';
const SUPERVISOR = inboxOfDesk('toy:supervisor');

let hands: DialectHands;

/** What a task's input asks: `{validate: {…}, review: true, strict: true}`; a note's text may be a beat. */
function createStrictToy(given: DialectHands): DialectKit {
  hands = given;
  const { dialect: toy, participants } = createToyDialect(given);
  const note = (id: string, to: string, text: JsonObject): Omit<Draft, 'tenant'> => ({
    ...{ id: id as MessageId, dialect: 'toy', type: 'note', from: 'batuta', to: [to], correlationId: id },
    ...{ replyTo: null, taskId: null, priority: 5, sentAt: 0, expiresAt: null, traceId: '0'.repeat(32) },
    ...{ actor: 'system', agentId: null, envelope: null, meaning: { act: 'say', body: text } },
  });
  return {
    dialect: {
      ...toy,
      async decode(envelope, scene) {
        const decoded = await toy.decode(envelope, scene);
        const beat = isJsonObject(envelope.text) ? envelope.text.beat : undefined;
        if (!isJsonObject(beat)) return decoded;
        return { ...decoded, draft: { ...decoded.draft, meaning: { act: 'beat', condition: beat } } };
      },
      route: async draft =>
        draft.to[0] === 'supervisor' ? [{ inbox: SUPERVISOR, lane: draft.from }] : toy.route(draft),
      releaseTerms({ spec }) {
        const input = isJsonObject(spec.origin?.input) ? spec.origin.input : {};
        return {
          refusesOffence: input.strict === true,
          validation: isJsonObject(input.validate) ? input.validate : null,
          review: input.review === true ? { title: 'An output', message: 'May it go?' } : null,
        };
      },
      reviewAsked: ({ tenant, id, content }) => [
        { ...note(`asked.${id}`, 'boss', { review: id, content }), tenant },
      ],
      reviewed: (message, verdict) => [
        {
          ...note(`reviewed.${message.id}`, message.from, verdict),
          tenant: message.tenant,
          replyTo: message.id,
        },
      ],
    },
    participants: [
      ...participants,
      {
        name: 'toy supervisor',
        inboxes: [SUPERVISOR],
        async handle(message) {
          const content = message.meaning.act === 'say' ? message.meaning.body : null;
          await hands.mailroom().releases.ask(message, { title: 'A question', text: 'Is it good?', content });
          return [];
        },
      },
    ],
  };
}

let post: Post;
let ann: Correspondent;
let bob: Correspondent;
let boss: Correspondent;
const dataDir = mkdtempSync(join(tmpdir(), 'batuta-release-'));

async function open(): Promise<void> {
  post = await openPost({}, { dialects: [createStrictToy], dataDir });
  ann = await post.register('ann');
  bob = await post.register('bob', { types: ['custom:toy'] });
  boss = await post.register('boss');
}

before(open);
after(async () => {
  await post.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Has ann ask for a task and bob do it. */
async function done(id: string, asked: JsonObject, output: unknown): Promise<void> {
  const sent = await ann.send('toy', { id, type: 'work', from: 'ann', to: 'bob', text: asked });
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  const [work] = await bob.read('toy', 'bob', { wait: 10 });
  assert.equal(work?.message.id, id);
  await bob.settle('toy', 'bob', work?.delivery_id);
  const told = await bob.send('toy', {
    id: `${id}-done`,
    type: 'done',
    from: 'bob',
    to: 'ann',
    about: id,
    text: output,
  });
  assert.equal(told.status, 202, JSON.stringify(told.body));
  await emptied(bob, 'bob');
}

async function emptied(who: Correspondent, inbox: string): Promise<void> {
  for (const { delivery_id } of await who.read('toy', inbox)) await who.settle('toy', inbox, delivery_id);
}

/** The next message to somebody that is not a mere acceptance. */
async function next(who: Correspondent, inbox: string, wait = 15): Promise<Loose | null> {
  for (;;) {
    const [found] = await who.read('toy', inbox, { wait, max: 1 });
    if (found === undefined) return null;
    await who.settle('toy', inbox, found.delivery_id);
    if (found.message.text?.act !== 'accept') return found.message;
  }
}

async function seen(id: string): Promise<Loose> {
  return hands.mailroom().desk.task('default' as never, id as TaskId);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise(resolve => setImmediate(resolve));
}

async function reviewed(id: string): Promise<Loose> {
  let found: Loose;
  await until(async () => {
    const { body } = await post.admin.ask('GET', '/api/v2/approvals');
    found = body.approvals.find((one: Loose) => one.task_id === id || one.step === id);
    return found !== undefined;
  });
  return found;
}

test('ARMY-77 ARMY-78 an output that must be valid is told once it is, and one that is not is told as a failure without it', async () => {
  await done('v1', { validate: { validation_rules: ['policy_check'] } }, GOOD);
  const good = await next(ann, 'ann');
  assert.deepEqual([good?.about, good?.text.status, good?.text.result], ['v1', 'completed', GOOD]);
  assert.equal((await seen('v1')).result.output, GOOD);
  await done('v2', { validate: {} }, 'Write to ann@example.com');
  const bad = await next(ann, 'ann');
  assert.deepEqual([bad?.about, bad?.text.status, bad?.text.result], ['v2', 'failed', null]);
  const shown = await seen('v2');
  assert.deepEqual([shown.outcome, shown.result.output], ['failed', undefined]);
  assert.equal(shown.result.error.code, 'policy_violation');
  assert.equal(shown.result.error.details.rule, 'quality');
  assert.ok(shown.result.error.details.issues.some((one: Loose) => one.code === 'PERSONAL_DATA_EMAIL'));
  await until(async () => {
    const { body } = await post.admin.ask('GET', '/api/v2/audit?action=guardrail.bit');
    return body.entries.some((one: Loose) => one.object === 'v2' && one.detail.rule === 'quality');
  });
  const { guardrails } = (await post.admin.ask('GET', '/protocols/toy/health')).body;
  assert.equal(guardrails.quality, 1);
});

test('ARMY-78 the score an output needs is its tenant’s', async () => {
  const patch = (guardrails: object) =>
    post.admin.ask('PATCH', '/api/v2/tenants/default', { options: { guardrails } });
  const asked = { validate: { validation_rules: ['quality_check'], expected_output: { min_words: 400 } } };
  await patch({ quality_min: 0.9 });
  await done('q1', asked, GOOD);
  assert.deepEqual([(await next(ann, 'ann'))?.text.status, (await seen('q1')).outcome], ['failed', 'failed']);
  await patch({ quality_min: 0.5 });
  await done('q2', asked, GOOD);
  assert.equal((await next(ann, 'ann'))?.text.status, 'completed');
  await patch({});
});

test('ARMY-73 an output that offends is not released', async () => {
  await done('o1', { strict: true }, 'you fucking idiot');
  const told = await next(ann, 'ann');
  assert.deepEqual([told?.about, told?.text.status, told?.text.result], ['o1', 'failed', null]);
  assert.equal((await seen('o1')).result.error.details.rule, 'offensive_content');
  await done('o2', {}, 'you fucking idiot');
  assert.equal((await next(ann, 'ann'))?.text.status, 'completed', 'its wire does not refuse it');
});

test('ARMY-79 an output a person must see waits as such through a restart, who reviews is told, and it is told once it was approved', async () => {
  await done('r1', { review: true, validate: {} }, GOOD);
  const asked = await next(boss, 'boss');
  assert.deepEqual(asked?.text.body.content, GOOD);
  const review = await reviewed('r1');
  assert.equal(review.approval_id, asked?.text.body.review);
  assert.deepEqual([review.subject, review.state, review.content], ['output', 'waiting', GOOD]);
  const waiting = await seen('r1');
  assert.deepEqual([waiting.state, waiting.outcome, waiting.result], ['running', null, null]);
  assert.equal(waiting.progress.currentStep, 'waiting for a person');
  assert.equal(await next(ann, 'ann', 0), null);
  await post.stop();
  await open();
  assert.equal((await seen('r1')).result, null);
  const { status } = await post.admin.ask('POST', `/api/v2/approvals/${review.approval_id}/approve`, {});
  assert.equal(status, 200);
  const told = await next(ann, 'ann');
  assert.deepEqual([told?.about, told?.text.status, told?.text.result], ['r1', 'completed', GOOD]);
  assert.equal((await seen('r1')).result.output, GOOD);
  assert.equal(await next(ann, 'ann', 0), null, 'told once');
});

test('ARMY-79 an output a person refused is told as a failure that says why', async () => {
  await done('r2', { review: true }, GOOD);
  const { approval_id: id } = await reviewed('r2');
  assert.equal((await next(boss, 'boss'))?.text.body.review, id);
  await post.admin.ask('POST', `/api/v2/approvals/${id}/reject`, { comment: 'too wet' });
  assert.equal((await next(ann, 'ann'))?.text.status, 'failed');
  const { error } = (await seen('r2')).result;
  assert.equal(error.details.rule, 'human_review');
  assert.match(error.message, /too wet/);
});

test('ARMY-79 a review is decided by whoever claimed it, and by nobody who asked for the work or did it', async () => {
  await done('r3', { review: true }, GOOD);
  const { approval_id: id } = await reviewed('r3');
  await next(boss, 'boss');
  const permissions = ['approval:decide', 'message:receive'];
  const [asker, maker, other, third] = [
    await post.agent('ann', { permissions }),
    await post.agent('bob', { permissions }),
    await post.agent('eve', { permissions }),
    await post.agent('fay', { permissions }),
  ];
  for (const own of [asker, maker])
    assert.equal((await own.ask('POST', `/api/v2/approvals/${id}/approve`, {})).status, 403);
  const claimed = await other.ask('POST', `/api/v2/approvals/${id}/claim`);
  assert.equal(claimed.status, 200, JSON.stringify(claimed.body));
  assert.ok(claimed.body.claimed_until > new Date(0).toISOString());
  assert.equal((await third.ask('POST', `/api/v2/approvals/${id}/approve`, {})).status, 409);
  assert.equal((await third.ask('POST', `/api/v2/approvals/${id}/claim`)).status, 409);
  assert.equal((await other.ask('POST', `/api/v2/approvals/${id}/approve`, {})).status, 200);
  assert.equal((await next(ann, 'ann'))?.text.status, 'completed');
  assert.equal((await other.ask('POST', `/api/v2/approvals/${id}/reject`, { comment: 'no' })).status, 409);
  const stranger = await post.agent('gus', { permissions: ['message:receive'] });
  assert.equal((await stranger.ask('POST', `/api/v2/approvals/${id}/claim`)).status, 403);
});

test('BLOG-54 who asks a person about content by message is answered with the decision, once', async () => {
  await emptied(ann, 'ann');
  const sent = await ann.send('toy', {
    id: 'h1',
    type: 'note',
    from: 'ann',
    to: 'supervisor',
    text: { draft: GOOD },
  });
  assert.equal(sent.status, 202);
  const review = await reviewed('content');
  assert.deepEqual([review.subject, review.content], ['content', { draft: GOOD }]);
  assert.equal(await next(ann, 'ann', 0), null);
  const own = await post.agent('ann', { permissions: ['approval:decide'] });
  assert.equal((await own.ask('POST', `/api/v2/approvals/${review.approval_id}/approve`, {})).status, 403);
  await post.admin.ask('POST', `/api/v2/approvals/${review.approval_id}/reject`, { comment: 'shorter' });
  const answer = await next(ann, 'ann');
  assert.equal(answer?.answers, 'h1');
  const { valid, score, issues } = answer?.text.body ?? {};
  assert.deepEqual([valid, score, issues[0].message], [false, 0, 'shorter']);
  assert.equal(await next(ann, 'ann', 0), null);
});

test('ARMY-72 an agent that reports more memory than its tenant allows gets no new work until it reports less', async () => {
  const beat = (id: string, memory_mb: number) =>
    bob.send('toy', { id, type: 'note', from: 'bob', to: 'ann', text: { beat: { memory_mb } } });
  assert.equal((await beat('b1', 101)).status, 202);
  await ann.send('toy', { id: 'm1', type: 'work', from: 'ann', to: 'bob', text: {} });
  assert.equal((await bob.read('toy', 'bob', { wait: 1 })).length, 0);
  await beat('b2', 100);
  const [work] = await bob.read('toy', 'bob', { wait: 10 });
  assert.equal(work?.message.id, 'm1');
  const { guardrails } = (await post.admin.ask('GET', '/protocols/toy/health')).body;
  assert.equal(guardrails.agent_memory, 1);
  await bob.settle('toy', 'bob', work?.delivery_id);
});

test('ARMY-84 a task asked for while its sender holds one, or that names one, is a child of the deepest', async () => {
  const message = { tenant: 'default', agentId: 'bob' } as never;
  const { desk } = hands.mailroom();
  assert.equal(await desk.depthOf(message), 1, 'bob holds m1');
  assert.equal(await desk.depthOf({ tenant: 'default', agentId: 'ann' } as never), 0);
  assert.equal(await desk.depthOf({ tenant: 'default', agentId: null } as never, 'm1' as TaskId), 1);
});
