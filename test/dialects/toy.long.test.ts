// A dialect that only tests know passes what all dialects must, and is served without anything else knowing of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT, type TaskId } from '../../src/domain/ids.ts';
import { openPost, type Post } from '../post.ts';
import type { Loose } from '../serve.ts';
import { createToyDialect } from '../toy-dialect.ts';
import { testDialect } from './conformance.ts';
import type { Bench } from './setup.ts';
import { encrypted } from './signing.ts';

const toy = { dialects: [createToyDialect] };

const openServer = (): Promise<Post> => openPost({}, toy);

async function openBench(post: Post, tag: string): Promise<Bench> {
  const [ann, bob] = [`${tag}-ann`, `${tag}-bob`];
  const [sender, receiver] = [await post.register(ann), await post.register(bob)];
  await post.register(`${tag}-cleo`, { types: ['custom:toy'] });
  return {
    ...{ post, name: 'toy', sender, receiver, senderInbox: ann, receiverInbox: bob },
    message: (id, { urgent, expiresInMs, exchange, text, answers } = {}) => ({
      ...{ id, type: 'note', from: ann, to: bob, text: text ?? 'hello' },
      ...(urgent === true ? { urgency: 1 } : {}),
      ...(expiresInMs === undefined ? {} : { lives_ms: expiresInMs }),
      ...(exchange === undefined ? {} : { about: exchange }),
      ...(answers === undefined ? {} : { answers }),
    }),
    answer: (id, to) => ({ id, type: 'note', from: bob, to: ann, answers: String(to.id) }),
    broken: () => ({ id: 'broken', type: 'note', from: ann }),
    idOf: message => message.id,
    codeOf: body => body.code ?? `TOY_${body.text?.fault?.code}`,
    words: {
      ...{
        invalid_request: 'TOY_invalid_request',
        unserializable: 'TOY_unserializable',
        unauthenticated: 'TOY_unauthenticated',
      },
      ...{
        forbidden: 'TOY_forbidden',
        conflict: 'TOY_conflict',
        lease_lost: 'TOY_lease_lost',
        not_found: 'TOY_not_found',
      },
      ...{ payload_too_large: 'TOY_payload_too_large', rate_limited: 'TOY_rate_limited' },
    },
    isError: message => message.type === 'error',
    sealing: {
      ...{ senderAgent: ann, receiverAgent: bob, type: 'note', confidential: 'text' },
      ...{ signatureAt: ['signature'], timestampAt: ['at'] },
      request: (id, words) => ({ id, type: 'work', from: ann, to: bob, at: '', text: words }),
      async seen({ id }) {
        const task = await post.server.engine.task(DEFAULT_TENANT, id as TaskId);
        return JSON.stringify(task.spec.payload);
      },
      critical: id => ({ id, type: 'note', from: ann, to: bob, urgency: 0, text: 'grave' }),
    },
  };
}

testDialect('toy', openServer, openBench);

test('a task asked for by message is done by an agent that reads its inbox, and who asked is told', async t => {
  const post = await openPost({}, toy);
  t.after(() => post.stop());
  const ann = await post.register('ann');
  const bob = await post.register('bob', { types: ['custom:toy'] });
  const asked = await ann.send('toy', { id: 't1', type: 'work', from: 'ann', to: 'bob', text: { n: 2 } });
  assert.equal(asked.status, 202, JSON.stringify(asked.body));
  const [work] = await bob.read('toy', 'bob', { wait: 5 });
  assert.equal(work?.message.id, 't1');
  assert.equal((await bob.settle('toy', 'bob', work?.delivery_id)).status, 'done');
  const done = await bob.send('toy', {
    id: 'd1',
    type: 'done',
    from: 'bob',
    to: 'ann',
    about: 't1',
    text: { n: 4 },
  });
  assert.equal(done.status, 202, JSON.stringify(done.body));
  const told: string[] = [];
  while (told.length < 2)
    for (const { message, delivery_id } of await ann.read('toy', 'ann', { wait: 5 })) {
      told.push(message.text.act);
      await ann.settle('toy', 'ann', delivery_id);
    }
  assert.deepEqual(told, ['accept', 'report_outcome']);
  const status = await post.admin.ask('GET', '/api/v2/task-status/t1');
  assert.equal(status.body.current_status.state, 'completed');
  const late = await bob.send('toy', { id: 'd2', type: 'done', from: 'bob', to: 'ann', about: 't1' });
  assert.equal(late.body.code, 'TOY_invalid_transition');
});

test('TASK-90 ARMY-113 BLOG-103 NOOB-143 an agent is given in plain words what was encrypted to the server that hands out the work', async t => {
  const post = await openPost({}, toy);
  t.after(() => post.stop());
  const bench = await openBench(post, 'e');
  const cleo = await post.agent('e-cleo');
  const { keys } = (await post.admin.ask('GET', '/.well-known/jwks.json')).body;
  const request = bench.sealing.request('hidden', 'plain words');
  const sent = await encrypted(bench, request, [keys.findLast((key: Loose) => key.use === 'enc')]);
  assert.equal((await bench.sender.send('toy', sent)).status, 202);
  const [work] = await cleo.read('toy', 'e-cleo', { wait: 5 });
  assert.match(JSON.stringify(work?.message), /plain words/);
  assert.equal((await cleo.settle('toy', 'e-cleo', work?.delivery_id)).status, 'done');
});

test('a task whose agent never acknowledges goes back to the queue, and another is asked anew', async t => {
  const post = await openPost({ BATUTA_LEASE_MS: '1000' }, toy);
  t.after(() => post.stop());
  const ann = await post.register('ann');
  const bob = await post.register('bob', { types: ['custom:toy'] });
  const cleo = await post.register('cleo', { types: ['custom:toy'] });
  await ann.send('toy', { id: 't1', type: 'work', from: 'ann', to: 'bob' });
  const [lost] = await bob.read('toy', 'bob', { wait: 5 });
  const [found] = await cleo.read('toy', 'cleo', { wait: 10 });
  assert.equal(found?.message.about ?? found?.message.id, 't1');
  const late = await bob.settle('toy', 'bob', lost?.delivery_id);
  assert.equal(late.error?.code ?? late.status, 'TOY_lease_lost');
  assert.equal((await cleo.settle('toy', 'cleo', found?.delivery_id)).status, 'done');
});
