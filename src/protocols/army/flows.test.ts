// Flows: the built-in coordinator sees root tasks through specialists, validator, person and memory, each step a stored message.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player, playing } from '../../../test/army-stage.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

suite('flows', () => {
  let post: Post;
  before(async () => {
    post = await openPost();
  });
  after(() => post.stop());

  /** Every message of an exchange up to its final response, as the operator's stream tells them. */
  async function exchange(correlation: string): Promise<readonly Loose[]> {
    const response = await fetch(`${post.url}/protocols/army/events`, {
      headers: { ...post.admin.headers, 'last-event-id': '0' },
    });
    const found: Loose[] = [];
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString('utf8');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const line = text
          .slice(0, end)
          .split('\n')
          .find(one => one.startsWith('data: '));
        text = text.slice(end + 2);
        if (line !== undefined) found.push(JSON.parse(line.slice(6)));
      }
      const ours = found.filter(one => one.correlation_id === correlation);
      if (ours.some(one => one.metadata.tags?.includes('final_response'))) return ours;
    }
    throw new Error('the stream ended');
  }

  async function respond(who: Player, request: Loose, content: string): Promise<void> {
    await who.tell(
      'task_response',
      'coordinator',
      { task_id: request.payload.task_id, status: 'completed', result: { content, sources: [] } },
      { reply_to: request.id },
    );
  }

  test('ARMY-62 ARMY-63 ARMY-64 a task asked of the coordinator goes to its specialist, the validator and the memory, each step a stored message, and ends with a final response', async () => {
    const boss = await player(post, 'supervisor', 'f1-boss');
    const ann = await player(post, 'researcher', 'f1-ann', ['research']);
    const asked = await boss.tell('task_request', 'coordinator', {
      task_id: 'f1',
      task_type: 'research',
      description: 'look into X',
      parameters: { topic: 'X' },
    });
    const request = await ann.next('task_request');
    assert.equal(request.payload.task_type, 'research');
    assert.equal(request.payload.parameters.topic, 'X');
    assert.equal(request.from, 'coordinator');
    await respond(ann, request, 'X is fine');
    const final = await boss.next('task_response');
    assert.deepEqual(final.payload, {
      ...{ task_id: 'f1', status: 'completed' },
      result: { content: 'X is fine', sources: [] },
    });
    assert.deepEqual(final.metadata.tags, ['final_response']);
    assert.equal(final.reply_to, asked);
    const steps = (await exchange(asked)).map(({ type, from, to }) => `${from} ${type} ${to}`);
    assert.deepEqual(steps, [
      'supervisor task_request coordinator',
      'coordinator task_request researcher',
      'researcher task_response coordinator',
      'researcher task_response coordinator',
      'coordinator validation_request validator',
      'validator validation_response coordinator',
      'coordinator memory_store memory',
      'memory memory_response coordinator',
      'coordinator task_response supervisor',
    ]);
    await boss.tell('memory_query', 'memory', { query: { type: 'key', text: 'f1_result' } });
    const memory = await boss.next('memory_response');
    assert.equal(memory.payload.results[0].value.content, 'X is fine');
  });

  test('ARMY-54 ARMY-60 ARMY-65 after a recoverable error the specialist is asked again by a new message with the retry counted, and the flow goes on as if nothing had been', async () => {
    const boss = await player(post, 'supervisor', 'f2-boss');
    const ann = await player(post, 'writer', 'f2-ann', ['f2write']);
    const asked = await boss.tell('task_request', 'coordinator', {
      ...{ task_id: 'f2', task_type: 'f2write', description: 'write' },
      parameters: { role: 'writer' },
    });
    const first = await ann.next('task_request');
    assert.equal(first.metadata.retry_count, 0);
    const failedAt = Date.now();
    await ann.tell(
      'error',
      'coordinator',
      {
        ...{ error_type: 'execution_error', error_code: 'API_TIMEOUT', message: 'no answer' },
        context: { task_id: first.payload.task_id, attempt: 1, max_retries: 3 },
        ...{ recoverable: true, suggested_action: 'retry_with_backoff' },
      },
      { reply_to: first.id },
    );
    const second = await ann.next('task_request');
    const waitedMs = Date.now() - failedAt;
    assert.ok(waitedMs >= 790 && waitedMs < 5_000, `${waitedMs} ms`);
    assert.equal(second.payload.task_id, first.payload.task_id);
    assert.equal(second.metadata.retry_count, 1);
    assert.notEqual(second.id, first.id);
    await respond(ann, second, 'written');
    const final = await boss.next('task_response');
    assert.equal(final.payload.result.content, 'written');
    assert.equal(final.reply_to, asked);
    const types = (await exchange(asked)).map(({ type }) => type);
    for (const type of ['validation_request', 'validation_response', 'memory_store', 'memory_response'])
      assert.ok(types.includes(type), type);
  });

  test('ARMY-66 ARMY-15 research then write runs with two registered agents and no model, the writer finding the research in its context', async () => {
    const boss = await player(post, 'supervisor', 'f3-boss');
    const ann = await player(post, 'researcher', 'f3-ann', ['f3research']);
    const bob = await player(post, 'writer', 'f3-bob', ['f3write']);
    const asked = await boss.tell('task_request', 'coordinator', {
      ...{ task_id: 'f3', task_type: 'complex', description: 'an article on X' },
      context: { user_id: 'user_123' },
      expected_output: { format: 'markdown' },
      parameters: {
        steps: [
          { role: 'researcher', task_type: 'f3research', description: 'find out about X' },
          { role: 'writer', task_type: 'f3write', description: 'write it up', depends_on: ['step_1'] },
        ],
      },
    });
    const research = await ann.next('task_request');
    assert.equal(research.payload.expected_output, undefined);
    assert.deepEqual(await bob.all(), []);
    await respond(ann, research, 'facts');
    const write = await bob.next('task_request');
    assert.equal(write.payload.context.results.step_1.content, 'facts');
    assert.equal(write.payload.context.user_id, 'user_123');
    assert.deepEqual(write.payload.expected_output, { format: 'markdown' });
    await respond(bob, write, 'an article');
    const final = await boss.next('task_response');
    assert.equal(final.payload.result.content, 'an article');
    assert.equal((await exchange(asked)).filter(({ type }) => type === 'validation_request').length, 1);
    const status = await post.admin.ask('GET', '/api/v2/task-status/f3');
    assert.equal(status.body.current_status.state, 'completed');
  });

  test('ARMY-66 ARMY-67 a complex task without steps, steps in a circle, steps that name no step and steps of other roles are refused before anything runs', async () => {
    const boss = await player(post, 'supervisor', 'f4-boss');
    const step = (more: object): object => ({ role: 'writer', task_type: 'x', description: 'x', ...more });
    const cases: readonly [object, number][] = [
      [{}, 400],
      [{ steps: [] }, 400],
      [{ steps: [step({ role: 'memory' })] }, 400],
      [{ steps: [step({ depends_on: ['nowhere'] })] }, 400],
      [{ steps: [step({ id: 'a' }), step({ id: 'a' })] }, 400],
      [{ steps: [step({ id: 'a', depends_on: ['b'] }), step({ id: 'b', depends_on: [0] })] }, 422],
    ];
    for (const [at, [parameters, status]] of cases.entries()) {
      const refused = await boss.say('task_request', 'coordinator', {
        ...{ task_id: `f4-${at}`, task_type: 'complex', description: 'much', parameters },
      });
      assert.equal(refused.status, status, JSON.stringify(refused.body));
      assert.equal(refused.body.error_code, 'VALIDATION_ERROR');
      assert.equal((await post.admin.ask('GET', `/api/v2/task-status/f4-${at}`)).status, 404);
    }
  });

  test('ARMY-79 a critical task waits for a person, shown as such, and a validator’s word does not stand for a supervisor’s', async () => {
    const boss = await player(post, 'supervisor', 'f5-boss');
    const ann = await player(post, 'analyst', 'f5-ann', ['f5look']);
    await boss.tell(
      'task_request',
      'coordinator',
      { task_id: 'f5', task_type: 'f5look', description: 'look', parameters: { role: 'analyst' } },
      { metadata: { priority: 'critical' } },
    );
    await respond(ann, await ann.next('task_request'), 'seen');
    const review = await boss.next('validation_request');
    assert.equal(review.payload.context.task_id, 'f5');
    await boss.tell('status_query', 'coordinator', { task_id: 'f5' });
    const { payload } = await boss.next('status_response');
    assert.deepEqual([payload.status, payload.waiting_for], ['running', 'person']);
    const verdict = { valid: true, score: 0.1, issues: [], recommendations: [] };
    const val = await post.register('f5-val', { roles: ['army:validator', 'army:supervisor'] });
    const forged = await val.send('army', {
      ...boss.envelope('validation_response', 'coordinator', verdict, { reply_to: review.id }),
      from: 'validator',
    });
    assert.equal(forged.status, 202);
    await post.admin.ask('DELETE', '/api/v2/agents/f5-val');
    await boss.tell('status_query', 'coordinator', { task_id: 'f5' });
    assert.equal((await boss.next('status_response')).payload.waiting_for, 'person');
    // A person needs no agent: whoever may decide approvals speaks as supervisor.
    const person = playing(post.admin, 'supervisor', 'supervisor');
    await person.tell('validation_response', 'coordinator', verdict, { reply_to: review.id });
    assert.equal((await boss.next('task_response')).payload.result.content, 'seen');
  });

  test('ARMY-64 a webhook of whoever asked is called with the final response', async () => {
    const { createServer } = await import('node:http');
    const { promise, resolve } = Promise.withResolvers<Loose>();
    const server = createServer((request, response) => {
      let text = '';
      request
        .on('data', chunk => (text += chunk))
        .on('end', () => {
          response.end();
          resolve(JSON.parse(text));
        });
    });
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as { port: number };
    const boss = await player(post, 'supervisor', 'f6-boss');
    const ann = await player(post, 'writer', 'f6-ann', ['f6write']);
    const made = await boss.who.ask('POST', '/protocols/army/subscriptions', {
      ...{ types: ['task_response'], deliver: 'webhook', url: `http://127.0.0.1:${port}/` },
      filter: { 'payload.task_id': 'f6' },
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    await boss.tell('task_request', 'coordinator', {
      ...{ task_id: 'f6', task_type: 'f6write', description: 'write', parameters: { role: 'writer' } },
    });
    await respond(ann, await ann.next('task_request'), 'told');
    const called = await promise;
    server.close();
    assert.deepEqual(called.metadata.tags, ['final_response']);
    assert.equal(called.payload.result.content, 'told');
  });

  test('ARMY-64 what a coordinator elsewhere calls its final response to the user ends the task and reaches whoever asked as a task_response', async () => {
    const boss = await player(post, 'supervisor', 'f8-boss');
    const head = await player(post, 'coordinator', 'f8-head', ['f8lead']);
    await boss.tell('task_request', 'coordinator:f8-head', {
      ...{ task_id: 'f8', task_type: 'f8lead', description: 'lead' },
    });
    const request = await head.next('task_request');
    const answer = { result: { content: 'led' } };
    const lost = await head.say('final_response', 'user', answer);
    assert.deepEqual([lost.status, lost.body.error_code], [400, 'VALIDATION_ERROR']);
    await head.tell('final_response', 'user', answer, { correlation_id: request.correlation_id });
    const final = await boss.next('task_response');
    assert.deepEqual(
      [final.payload.task_id, final.payload.status, final.payload.result.content],
      ['f8', 'completed', 'led'],
    );
    assert.deepEqual(final.metadata.tags, ['final_response']);
    await post.admin.ask('DELETE', '/api/v2/agents/f8-head');
  });

  test('ARMY-62 a root task that is cancelled calls off what its specialist does, and who asked is told', async () => {
    const boss = await player(post, 'supervisor', 'f7-boss');
    const ann = await player(post, 'writer', 'f7-ann', ['f7write']);
    await boss.tell('task_request', 'coordinator', {
      ...{ task_id: 'f7', task_type: 'f7write', description: 'write', parameters: { role: 'writer' } },
    });
    const request = await ann.next('task_request');
    const cancelled = await post.admin.ask('POST', '/api/v2/tasks/f7/cancel', {});
    assert.ok(cancelled.status < 300, JSON.stringify(cancelled.body));
    assert.equal((await boss.next('task_response')).payload.status, 'cancelled');
    const stop = await ann.next('coordination');
    assert.deepEqual([stop.payload.action, stop.payload.task_id], ['cancel', request.payload.task_id]);
  });
});

suite('flows with a validator elsewhere', () => {
  let post: Post;
  before(async () => {
    post = await openPost();
  });
  after(() => post.stop());

  test('ARMY-18 ARMY-29 ARMY-69 ARMY-78 a result found invalid, or below 0.70, goes back with its issues until retries are used up, then the root fails with POLICY_VIOLATION and nothing is in memory; 0.70 is released', async () => {
    const boss = await player(post, 'supervisor', 'v-boss');
    const ann = await player(post, 'writer', 'v-ann', ['vwrite']);
    const val = await player(post, 'validator', 'v-val');
    const verdicts = [
      { valid: true, score: 0.69, issues: [], recommendations: [] },
      { valid: false, score: 0.9, issues: ['too short'], recommendations: ['write more'] },
      { valid: true, score: 0.7, issues: [], recommendations: [] },
    ];
    const ask = (id: string): Promise<string> =>
      boss.tell('task_request', 'coordinator', {
        ...{ task_id: id, task_type: 'vwrite', description: 'write', parameters: { role: 'writer' } },
      });
    const round = async (content: string, verdict: object): Promise<Loose> => {
      const request = await ann.next('task_request');
      const result = { task_id: request.payload.task_id, status: 'completed', result: { content } };
      await ann.tell('task_response', 'coordinator', result, { reply_to: request.id });
      const asked = await val.next('validation_request');
      assert.equal(asked.payload.content, content);
      await val.tell('validation_response', 'coordinator', verdict, { reply_to: asked.id });
      return request;
    };
    await ask('v1');
    const requests: Loose[] = [];
    for (const [at, verdict] of verdicts.entries()) requests.push(await round(`try ${at}`, verdict));
    assert.deepEqual(
      requests.map(({ metadata }) => metadata.retry_count),
      [0, 1, 2],
    );
    assert.deepEqual(requests[2]?.payload.context.issues, ['too short']);
    assert.equal((await boss.next('task_response')).payload.result.content, 'try 2');
    await ask('v2');
    for (let at = 0; at < 4; at++)
      await round(`bad ${at}`, { valid: false, score: 0, issues: ['no'], recommendations: [] });
    const error = await boss.next('error');
    assert.equal(error.payload.error_code, 'POLICY_VIOLATION');
    assert.deepEqual([error.payload.context.task_id, error.payload.recoverable], ['v2', false]);
    await boss.tell('memory_query', 'memory', { query: { type: 'key', text: 'v2_result' } });
    assert.deepEqual((await boss.next('memory_response')).payload, { results: [], total: 0 });
    await boss.tell('memory_query', 'memory', { query: { type: 'key', text: 'v1_result' } });
    assert.equal((await boss.next('memory_response')).payload.total, 1);
  });
});
