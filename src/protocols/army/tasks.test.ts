// Tasks asked for, taken, reported on and given up by messages; agents that come and go; how things stand.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player, playing } from '../../../test/army-stage.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

/** An instant so many seconds from now. */
const at = (s: number): string => new Date(Date.now() + s * 1_000).toISOString();

/** The source's messages about tasks, its dates moved to now. */
const ofTasks = () => ({
  msg_001: {
    ...{ id: 'msg_001', timestamp: at(0), from: 'coordinator', to: 'researcher', type: 'task_request' },
    payload: {
      ...{ task_id: 'task_001', task_type: 'research', description: 'Investigar sobre el tema X' },
      parameters: { topic: 'X', depth: 'medium', sources: 5 },
      context: { user_id: 'user_123', session_id: 'session_456' },
      expected_output: { format: 'markdown', sections: ['summary', 'details', 'sources'] },
      constraints: { max_tokens: 2000, max_time: 'PT5M', required_validation: true },
    },
    metadata: { priority: 'high', deadline: at(300) },
  },
  msg_002: {
    ...{ id: 'msg_002', timestamp: at(1), from: 'researcher', to: 'coordinator', type: 'task_response' },
    reply_to: 'msg_001',
    payload: {
      ...{ task_id: 'task_001', status: 'completed' },
      result: {
        ...{ content: '...', sources: ['a'] },
        metadata: { tokens_used: 1500, time_taken: 'PT2M30S' },
      },
    },
    metadata: { priority: 'normal' },
  },
  msg_007: {
    ...{ id: 'msg_007', timestamp: at(6), from: 'researcher', to: 'coordinator', type: 'error' },
    payload: {
      ...{ error_type: 'execution_error', error_code: 'API_TIMEOUT' },
      message: 'API request timed out after 30 seconds',
      context: { task_id: 'task_002', attempt: 2, max_retries: 3 },
      ...{ recoverable: true, suggested_action: 'retry_with_backoff' },
    },
    metadata: { priority: 'high' },
  },
});

/** Those about validation and memory. */
const ofOthers = () => ({
  msg_003: {
    ...{
      id: 'msg_003',
      timestamp: at(2),
      from: 'coordinator',
      to: 'validator',
      type: 'validation_request',
    },
    payload: {
      content: '...',
      validation_rules: ['format_check', 'quality_check', 'policy_check'],
      context: { task_id: 'task_001', agent: 'researcher' },
    },
  },
  msg_004: {
    ...{
      id: 'msg_004',
      timestamp: at(3),
      from: 'validator',
      to: 'coordinator',
      type: 'validation_response',
    },
    reply_to: 'msg_003',
    payload: {
      ...{ valid: true, score: 0.95, issues: [] },
      recommendations: ['Consider adding more recent sources'],
    },
  },
  msg_005: {
    ...{ id: 'msg_005', timestamp: at(4), from: 'coordinator', to: 'memory', type: 'memory_store' },
    payload: {
      key: 'task_001_result',
      value: { content: 'investigación sobre X', metadata: {} },
      ...{ ttl: 'P7D', tags: ['research', 'topic_x'] },
    },
  },
  msg_006: {
    ...{ id: 'msg_006', timestamp: at(5), from: 'researcher', to: 'memory', type: 'memory_query' },
    payload: {
      query: { type: 'semantic_search', text: 'investigación sobre X' },
      limit: 5,
      filters: { tags: ['research'], date_range: { from: '2024-01-01T00:00:00Z' } },
    },
  },
});

suite('tasks by messages', () => {
  let post: Post;
  let chief: Player;
  before(async () => {
    post = await openPost();
    chief = await player(post, 'coordinator', 'chief');
  });
  after(() => post.stop());

  const order = (id: string, type: string, more: object = {}): object => ({
    ...{ task_id: id, task_type: type, description: 'do it' },
    ...more,
  });
  const stateOf = async (id: string): Promise<Loose> =>
    (await post.admin.ask('GET', `/api/v2/task-status/${id}`)).body.current_status;
  const reaches = async (id: string, outcome: string): Promise<void> => {
    for (let tries = 0; tries < 200; tries++) {
      if ((await stateOf(id)).outcome === outcome) return;
      await new Promise(resolve => setTimeout(resolve, 25));
    }
    assert.equal((await stateOf(id)).outcome, outcome);
  };

  test('ARMY-10 the source’s own seven messages are accepted as they stand, in order, and do what their sections say', async () => {
    const ann = await player(post, 'researcher', 's-ann', ['research']);
    const val = await player(post, 'validator', 's-val');
    const said = { ...ofTasks(), ...ofOthers() };
    const send = async (who: Player, message: object): Promise<void> => {
      const { status, body } = await who.who.send('army', message);
      assert.equal(status, 202, JSON.stringify(body));
    };
    await send(chief, said.msg_001);
    const request = await ann.next('task_request');
    assert.equal(request.id, 'msg_001');
    assert.deepEqual(request.payload.parameters, { topic: 'X', depth: 'medium', sources: 5 });
    await send(ann, said.msg_002);
    const response = await chief.next('task_response');
    assert.deepEqual([response.reply_to, response.payload.result.metadata.tokens_used], ['msg_001', 1500]);
    assert.equal(response.metadata.from_agent, 's-ann');
    await send(chief, said.msg_003);
    assert.equal((await val.next('validation_request')).metadata.priority, 'normal');
    await send(val, said.msg_004);
    assert.equal((await chief.next('validation_response')).payload.score, 0.95);
    await send(chief, said.msg_005);
    const stored = await chief.next('memory_response');
    assert.deepEqual(
      [stored.payload.key, stored.payload.stored, stored.payload.version],
      ['task_001_result', true, 1],
    );
    const week = Date.parse(stored.payload.expires_at) - Date.now();
    assert.ok(Math.abs(week - 7 * 86_400_000) < 60_000);
    await send(ann, said.msg_006);
    const found = await ann.next('memory_response');
    assert.equal(found.payload.results[0].key, 'task_001_result');
    assert.equal(found.reply_to, 'msg_006');
    await chief.tell('task_request', 'researcher', order('task_002', 'research'));
    await ann.next('task_request');
    await send(ann, said.msg_007);
    const error = await chief.next('error');
    assert.deepEqual([error.payload.error_code, error.payload.recoverable], ['API_TIMEOUT', true]);
    assert.equal((await ann.next('task_request')).metadata.retry_count, 1);
    await ann.tell('task_response', 'coordinator', { task_id: 'task_002', status: 'cancelled' });
    await post.admin.ask('DELETE', '/api/v2/agents/s-val');
  });

  test('ARMY-12 ARMY-14 a task for specialist goes to exactly one of any four who can, one for writer only to a writer', async () => {
    const ann = await player(post, 'analyst', 'r-ann', ['rtask']);
    const bob = await player(post, 'writer', 'r-bob', ['rtask']);
    const tool = await player(post, 'tool', 'r-tool', ['rtask']);
    await chief.tell('task_request', 'writer', order('r1', 'rtask'));
    assert.deepEqual(await ann.all(), []);
    assert.deepEqual(await tool.all(), []);
    assert.equal((await bob.next()).payload.task_id, 'r1');
    await chief.tell('task_request', 'specialist', order('r2', 'rtask'));
    assert.deepEqual(await tool.all(), []);
    assert.equal((await ann.next()).payload.task_id, 'r2');
    assert.deepEqual(await bob.all(), []);
    const other = await chief.say('task_request', ['writer', 'analyst'], order('r3', 'rtask'));
    assert.deepEqual([other.status, other.body.error_code], [422, 'VALIDATION_ERROR']);
  });

  test('ARMY-13 one agent of a role is addressed by to_agent or role:agent, and an unknown one is NOT_FOUND', async () => {
    const ann = await player(post, 'writer', 'a-ann', ['atask']);
    const bob = await player(post, 'writer', 'a-bob', ['atask']);
    await chief.tell('task_request', 'writer', order('a1', 'atask'), {
      metadata: { priority: 'normal', to_agent: 'a-bob' },
    });
    await chief.tell('task_request', 'writer:a-bob', order('a2', 'atask'));
    assert.deepEqual(await ann.all(), []);
    const got = [await bob.next(), await bob.next()];
    assert.deepEqual(got.map(({ payload }) => payload.task_id).sort(), ['a1', 'a2']);
    assert.deepEqual([got[0]?.metadata.to_agent, got[0]?.metadata.from_agent], ['a-bob', 'chief']);
    const named = playing(bob.who, 'writer', 'writer:a-bob');
    await chief.tell('coordination', 'writer:a-bob', { action: 'note' });
    assert.equal((await named.next('coordination')).payload.action, 'note');
    for (const to of ['writer:nobody', 'analyst:a-bob']) {
      const refused = await chief.say('task_request', to, order('a3', 'atask'));
      assert.deepEqual([refused.status, refused.body.error_code], [404, 'NOT_FOUND'], to);
    }
  });

  test('ARMY-20 ARMY-119 a task_id taken with another body is a CONFLICT, with the same body the same task; what is required is required', async () => {
    await player(post, 'writer', 'c-ann', ['ctask']);
    await chief.tell('task_request', 'writer', order('c1', 'ctask'));
    const other = await chief.say('task_request', 'writer', order('c1', 'ctask', { description: 'else' }));
    assert.deepEqual([other.status, other.body.error_code], [409, 'CONFLICT']);
    assert.equal((await chief.say('task_request', 'writer', order('c1', 'ctask'))).status, 202);
    const bare = await chief.say('task_request', 'writer', {
      parameters: 1,
      constraints: { max_tokens: -1 },
    });
    assert.equal(bare.status, 400);
    const fields = bare.body.context.errors.map((one: Loose) => one.field).sort();
    assert.deepEqual(fields, [
      'payload.constraints.max_tokens',
      'payload.description',
      'payload.parameters',
      'payload.task_id',
      'payload.task_type',
    ]);
    const unknown = await chief.say('coordination', 'coordinator', { action: 'hm' }, { reply_to: 'never' });
    assert.deepEqual([unknown.status, unknown.body.error_code], [404, 'NOT_FOUND']);
    const lost = await chief.say('error', 'coordinator', {
      error_code: 'X',
      message: 'x',
      context: { task_id: 'never' },
    });
    assert.deepEqual([lost.status, lost.body.error_code], [404, 'NOT_FOUND']);
  });

  test('ARMY-23 ARMY-70 ARMY-71 limits of a task must be of their kind, and what is over a maximum is refused by policy and makes nothing', async () => {
    const wrong = [
      { max_tokens: '5' },
      { max_time: '5 minutes' },
      { max_time: 'P-1D' },
      { required_validation: 'yes' },
    ];
    for (const constraints of wrong) {
      const refused = await chief.say('task_request', 'writer', order('l1', 'ltask', { constraints }));
      assert.deepEqual([refused.status, refused.body.error_code], [400, 'VALIDATION_ERROR']);
    }
    for (const constraints of [{ max_time: 'PT5M1S' }, { max_tokens: 4_001 }]) {
      const refused = await chief.say('task_request', 'writer', order('l1', 'ltask', { constraints }));
      assert.deepEqual([refused.status, refused.body.error_code], [422, 'POLICY_VIOLATION']);
    }
    assert.equal((await post.admin.ask('GET', '/api/v2/task-status/l1')).status, 404);
    const most = { constraints: { max_time: 'PT5M', max_tokens: 4_000 } };
    assert.equal((await chief.say('task_request', 'writer', order('l1', 'ltask', most))).status, 202);
  });

  test('ARMY-25 ARMY-26 the holder’s update reaches who asked; nobody else may answer or update, and a second answer changes nothing', async () => {
    const ann = await player(post, 'writer', 'u-ann', ['utask']);
    const bob = await player(post, 'writer', 'u-bob', ['other']);
    await chief.all();
    await chief.tell('task_request', 'writer', order('u1', 'utask'));
    await ann.next('task_request');
    await ann.tell('task_update', 'coordinator', {
      task_id: 'u1',
      status: 'running',
      progress: 40,
      message: 'half',
    });
    const update = await chief.next('task_update');
    assert.deepEqual(update.payload, { task_id: 'u1', status: 'running', progress: 40, message: 'half' });
    assert.equal(update.metadata.from_agent, 'u-ann');
    const done = { task_id: 'u1', status: 'completed', result: { content: 'mine' } };
    for (const [type, payload] of [
      ['task_response', { ...done, result: { content: 'stolen' } }],
      ['task_update', { task_id: 'u1', status: 'running', progress: 99 }],
      ['error', { error_code: 'X', message: 'x', context: { task_id: 'u1' } }],
    ] as const) {
      const refused = await bob.say(type, 'coordinator', payload);
      assert.deepEqual([refused.status, refused.body.error_code], [409, 'LEASE_LOST'], type);
    }
    await ann.tell('task_response', 'coordinator', done);
    assert.equal((await chief.next('task_response')).payload.result.content, 'mine');
    const again = await ann.say('task_response', 'coordinator', { ...done, result: { content: 'other' } });
    assert.deepEqual([again.status, again.body.error_code], [409, 'INVALID_STATE']);
    assert.deepEqual(await chief.all(), []);
  });

  test('ARMY-24 ARMY-27 more tokens than allowed fail the attempt with POLICY_VIOLATION, though the agent called it completed', async () => {
    const ann = await player(post, 'writer', 't-ann', ['ttask']);
    await chief.tell('task_request', 'writer', order('t1', 'ttask', { constraints: { max_tokens: 100 } }));
    await ann.next('task_request');
    await ann.tell('task_response', 'coordinator', {
      ...{ task_id: 't1', status: 'completed' },
      result: { content: 'long', metadata: { tokens_used: 101 } },
    });
    const error = await chief.next('error');
    assert.deepEqual([error.payload.error_code, error.payload.recoverable], ['POLICY_VIOLATION', false]);
    await reaches('t1', 'failed');
  });

  test('ARMY-54 an error that is not recoverable fails the task with its code, one that stays recoverable once retries are used up too', async () => {
    const ann = await player(post, 'writer', 'e-ann', ['etask']);
    const fail = (recoverable: boolean): object => ({
      ...{ error_code: 'PRINTER_ON_FIRE', message: 'hot', context: { task_id: 'e1' }, recoverable },
    });
    await chief.tell('task_request', 'writer', order('e1', 'etask'));
    await ann.next('task_request');
    await ann.tell('error', 'coordinator', fail(false));
    const error = await chief.next('error');
    assert.deepEqual(
      [error.payload.error_code, error.payload.recoverable, error.payload.suggested_action],
      ['PRINTER_ON_FIRE', false, 'escalate_to_supervisor'],
    );
    assert.equal(error.metadata.priority, 'high');
    await reaches('e1', 'failed');
  });

  test('ARMY-57 ARMY-59 ARMY-61 a deadline ends a task that is being worked on, who asked is told at once, and an answer after it changes nothing', async () => {
    const ann = await player(post, 'writer', 'd-ann', ['dtask']);
    const deadline = new Date(Date.now() + 1_500).toISOString();
    await chief.tell('task_request', 'writer', order('d1', 'dtask'), {
      metadata: { priority: 'low', deadline },
    });
    const request = await ann.next('task_request');
    assert.equal(request.metadata.priority, 'low');
    const error = await chief.next('error');
    assert.deepEqual([error.payload.error_code, error.payload.recoverable], ['TASK_TIMEOUT', false]);
    const lateMs = Date.now() - Date.parse(deadline);
    assert.ok(lateMs > -50 && lateMs < 2_000, `${lateMs} ms`);
    const late = await ann.say('task_response', 'coordinator', { task_id: 'd1', status: 'completed' });
    assert.deepEqual([late.status, late.body.error_code], [409, 'INVALID_STATE']);
    await reaches('d1', 'timeout');
    const past = { metadata: { deadline: '2024-01-01T12:05:00Z' } };
    const refused = await chief.say('task_request', 'writer', order('d2', 'dtask'), past);
    assert.deepEqual([refused.status, refused.body.error_code], [422, 'VALIDATION_ERROR']);
  });

  test('ARMY-59 an attempt that runs over its time fails with a TASK_TIMEOUT that is recoverable, and the task is asked for again', async () => {
    const ann = await player(post, 'writer', 'o-ann', ['otask']);
    await chief.tell('task_request', 'writer', order('o1', 'otask', { constraints: { max_time: 'PT1S' } }));
    await ann.next('task_request');
    const error = await chief.next('error');
    assert.deepEqual(
      [error.payload.error_code, error.payload.recoverable, error.payload.suggested_action],
      ['TASK_TIMEOUT', true, 'retry_with_backoff'],
    );
    assert.equal((await ann.next('task_request')).metadata.retry_count, 1);
  });

  test('ARMY-19 a request that nobody takes by its deadline ends as timeout and is a dead letter without receiver', async () => {
    const deadline = new Date(Date.now() + 700).toISOString();
    const asked = await chief.tell('task_request', 'tool', order('n1', 'nobody-does-this'), {
      metadata: { deadline },
    });
    assert.equal((await stateOf('n1')).state, 'queued');
    const error = await chief.next('error');
    assert.deepEqual([error.payload.error_code, error.payload.context.task_id], ['TASK_TIMEOUT', 'n1']);
    await reaches('n1', 'timeout');
    for (let tries = 0; ; tries++) {
      const { body } = await post.admin.ask('GET', '/protocols/army/dead-letters?reason=no_receiver');
      if (body.dead_letters.some((one: Loose) => one.message?.id === asked)) break;
      assert.ok(tries < 100, JSON.stringify(body));
      await new Promise(resolve => setTimeout(resolve, 25));
    }
    assert.deepEqual(await chief.all(), []);
  });

  test('ARMY-84 a request sent while working on a task is its child, and a chain deeper than eight is refused and not made', async () => {
    const pair = [
      await player(post, 'writer', 'k-writer', ['ktask']),
      await player(post, 'tool', 'k-tool', ['ktask']),
    ] as const;
    await chief.tell('task_request', 'writer', order('k0', 'ktask'));
    await pair[0].next('task_request');
    // Each request names the one before in its context, as a chain of tools would.
    for (let depth = 1; depth <= 9; depth++) {
      const context = depth === 1 ? {} : { context: { parent_task_id: `k${depth - 1}` } };
      const asked = await pair[0].say('task_request', 'tool', order(`k${depth}`, 'ktask', context));
      assert.equal(asked.status, depth <= 8 ? 202 : 422, `${depth}: ${JSON.stringify(asked.body)}`);
      if (depth > 8) assert.equal(asked.body.error_code, 'POLICY_VIOLATION');
    }
    assert.equal((await post.admin.ask('GET', '/api/v2/task-status/k9')).status, 404);
  });
});
