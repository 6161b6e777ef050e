// A configured model where there are no agents: it does the work and plans steps; where it fails or plans nonsense that is told.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { type Player, player } from '../../../test/army-stage.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

const TEXT =
  '# Summary\n\nThe harbour opened in 1901 and has grown ever since. Ships from forty ports call there every week.\n';

suite('a configured model', () => {
  let post: Post;
  let boss: Player;
  const asked: Loose[] = [];
  /** What the model answers next; TEXT once there is no more. */
  const answers: string[] = [];
  const model = createServer(async (request, response) => {
    asked.push(await json(request));
    const content = answers.shift() ?? TEXT;
    response.setHeader('content-type', 'application/json');
    if (content === 'broken') {
      response.statusCode = 400;
      response.end('{"error":{"message":"no"}}');
      return;
    }
    const usage = { prompt_tokens: 50, completion_tokens: 30, total_tokens: 80 };
    const choice = { index: 0, finish_reason: 'stop' };
    if (asked.at(-1)?.stream !== true) {
      const choices = [{ ...choice, message: { role: 'assistant', content } }];
      response.end(JSON.stringify({ id: 'c', model: 'writer', choices, usage }));
      return;
    }
    response.setHeader('content-type', 'text/event-stream');
    const piece = { id: 'c', model: 'writer', choices: [{ ...choice, delta: { content } }], usage };
    response.end(`data: ${JSON.stringify(piece)}\n\ndata: [DONE]\n\n`);
  });
  before(async () => {
    await new Promise<void>(resolve => model.listen(0, '127.0.0.1', resolve));
    const { port } = model.address() as AddressInfo;
    post = await openPost({
      ...{ BATUTA_MODEL_URL: `http://127.0.0.1:${port}/v1`, BATUTA_MODEL: 'writer', BATUTA_MODEL_KEY: 'k' },
    });
    boss = await player(post, 'supervisor', 'boss');
  });
  after(async () => {
    await post.stop();
    model.closeAllConnections();
    model.close();
  });

  /** What the boss is told in the end of a task of a coordinator. */
  const outcome = async (id: string, task: Loose): Promise<Loose> => {
    await boss.all();
    const sent = await boss.say('task_request', 'coordinator', {
      task_id: id,
      description: 'do it',
      ...task,
    });
    if (sent.status !== 202) return sent.body;
    for (;;) {
      const { type, payload } = await boss.next();
      if (type === 'task_response' || type === 'error') return payload;
    }
  };
  const told = (): string => JSON.stringify(asked.flatMap(({ messages }) => messages));

  test('ARMY-67 ARMY-66 the coordinator has a complex task without steps planned, and its steps run in their order, each with what it depends on', async () => {
    asked.length = 0;
    const steps = [
      { id: 'find', role: 'researcher', task_type: 'research', description: 'find facts', depends_on: [] },
      { id: 'tell', role: 'writer', task_type: 'write', description: 'tell them', depends_on: ['find'] },
    ];
    answers.push(JSON.stringify({ steps }));
    const done = await outcome('plan1', { task_type: 'complex', description: 'about the harbour' });
    assert.equal(done.status, 'completed', JSON.stringify(done));
    const works = asked.filter(({ messages }) => /find facts|tell them/.test(JSON.stringify(messages)));
    assert.equal(works.length, 2);
    assert.match(JSON.stringify(works[1].messages), /tell them.*harbour opened in 1901/s);
  });

  test('ARMY-67 a plan of other roles, in a circle, of nothing, or that is no plan is refused before anything runs', async () => {
    const step = {
      id: 'a',
      role: 'writer',
      task_type: 'write',
      description: 'd',
      depends_on: [] as string[],
    };
    const bad: readonly string[] = [
      JSON.stringify({ steps: [{ ...step, role: 'supervisor' }] }),
      JSON.stringify({
        steps: [
          { ...step, depends_on: ['b'] },
          { ...step, id: 'b', depends_on: ['a'] },
        ],
      }),
      JSON.stringify({ steps: [{ ...step, depends_on: ['nowhere'] }] }),
      JSON.stringify({ steps: [] }),
      'I would rather not.',
      'broken',
    ];
    for (const [at, plan] of bad.entries()) {
      asked.length = 0;
      answers.push(plan);
      const refused = await outcome(`bad${at}`, { task_type: 'complex' });
      assert.equal(refused.error_code, 'DEPENDENCY_FAILURE', JSON.stringify([plan, refused]));
      assert.equal(asked.length, 1, plan);
      assert.equal((await post.admin.ask('GET', `/api/v2/task-status/bad${at}`)).status, 404);
    }
  });

  test('ARMY-15 ARMY-27 specialists and tools for whom no agent is registered answer by the model, within the tokens allowed; an agent that is there does it itself', async () => {
    const head = await player(post, 'coordinator', 'head');
    for (const role of ['specialist', 'researcher', 'writer', 'analyst', 'tool']) {
      asked.length = 0;
      const id = `by-${role}`;
      await head.tell('task_request', role, {
        ...{ task_id: id, task_type: 'harbours', description: 'the harbour {{today}}' },
        ...{ constraints: { max_tokens: 321 }, context: { of: 'Lima' }, parameters: { deep: true } },
      });
      const { from, payload, metadata } = await head.next('task_response');
      assert.deepEqual([from, metadata.from_agent, payload.task_id], [role, 'batuta', id]);
      assert.deepEqual(
        [payload.status, payload.result.content, payload.result.sources],
        ['completed', TEXT, []],
      );
      assert.equal(payload.result.metadata.tokens_used, 30);
      assert.match(payload.result.metadata.time_taken, /^PT/);
      assert.equal(asked[0].max_tokens ?? asked[0].max_completion_tokens, 321);
      for (const word of [role, 'harbours', 'the harbour {{today}}', 'Lima', 'deep'])
        assert.ok(told().includes(word), word);
    }
    const ann = await player(post, 'writer', 'ann', ['harbours']);
    asked.length = 0;
    await head.tell('task_request', 'writer', {
      ...{ task_id: 'by-ann', task_type: 'harbours', description: 'by hand' },
    });
    assert.equal((await ann.next('task_request')).payload.task_id, 'by-ann');
    assert.deepEqual(asked, []);
  });

  test('ARMY-15 what a model cannot do ends as a failure that says so', async () => {
    answers.push('broken');
    const head = await player(post, 'coordinator', 'chief');
    await head.tell('task_request', 'analyst', { task_id: 'no', task_type: 'sums', description: 'add up' });
    const { payload } = await head.next('error');
    assert.deepEqual([payload.context.task_id, payload.recoverable], ['no', false]);
  });
});
