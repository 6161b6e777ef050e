// Agents that come, beat and go; settings that change; the pace at which agents may send.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player } from '../../../test/army-stage.ts';
import { eventually } from '../../../test/eventually.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

suite('agents and settings', () => {
  let post: Post;
  let boss: Player;
  before(async () => {
    post = await openPost({
      BATUTA_LEASE_MS: '1500',
      BATUTA_RATE_LIMITS: 'standard=100000,status=100000,webhooks=500',
    });
    boss = await player(post, 'supervisor', 'boss');
  });
  after(() => post.stop());

  const order = (id: string, type: string): object => ({
    task_id: id,
    task_type: type,
    description: 'do it',
  });
  /** A task for a writer, asked for through the built-in coordinator. */
  const ask = (id: string, type: string): Promise<string> =>
    boss.tell('task_request', 'coordinator', { ...order(id, type), parameters: { role: 'writer' } });
  const agents = async (): Promise<readonly Loose[]> =>
    (await post.admin.ask('GET', '/api/v2/agents?limit=1000')).body.agents;

  test('ARMY-45 register makes an agent able to do what it says, unregister gives back what it holds; others only leaders register, supervisors only supervisors', async () => {
    const ann = await player(post, 'writer', 'reg-ann');
    await ann.tell('coordination', 'coordinator', {
      action: 'register',
      capabilities: ['regtask'],
      capacity: 2,
    });
    const told = await ann.next('status_response');
    assert.deepEqual(told.payload, {
      ...{ action: 'register', agent: 'reg-ann', roles: ['writer'] },
      ...{ capabilities: ['regtask'], capacity: 2 },
    });
    await ask('reg1', 'regtask');
    const request = await ann.next('task_request');
    const forbidden = await ann.say('coordination', 'coordinator', {
      action: 'register',
      agent: 'reg-bob',
      roles: ['writer'],
    });
    assert.equal(forbidden.status, 403);
    await boss.tell('coordination', 'coordinator', {
      ...{ action: 'register', agent: 'reg-bob', roles: ['writer'], capabilities: ['regtask'] },
    });
    await boss.next('status_response');
    await ann.tell('coordination', 'coordinator', { action: 'unregister' });
    assert.equal(
      (await agents()).some(one => one.agent_id === 'reg-ann'),
      false,
    );
    const bob: Player = { ...ann, id: 'reg-bob' };
    const reader = await post.agent('reg-bob');
    const [again] = await reader.read('army', 'reg-bob', { wait: 10 });
    assert.equal(again.message.payload.task_id, request.payload.task_id);
    assert.equal(bob.id, 'reg-bob');
    const unknown = await boss.say('coordination', 'coordinator', { action: 'unregister', agent: 'reg-ann' });
    assert.deepEqual([unknown.status, unknown.body.error_code], [404, 'NOT_FOUND']);
    const head = await player(post, 'coordinator', 'reg-head');
    const grab = await head.say('coordination', 'coordinator', {
      action: 'register',
      agent: 'x',
      roles: ['supervisor'],
    });
    assert.equal(grab.status, 403);
    await post.admin.ask('DELETE', '/api/v2/agents/reg-head');
  });

  test('ARMY-45 a broadcast reaches every agent of the army but its sender, other actions whom they are addressed to', async () => {
    const [ann, bob] = [await player(post, 'tool', 'cast-ann'), await player(post, 'analyst', 'cast-bob')];
    await boss.tell('coordination', 'coordinator', { action: 'broadcast', text: 'all hands' });
    assert.equal((await ann.next('coordination')).payload.text, 'all hands');
    assert.equal((await bob.next('coordination')).payload.text, 'all hands');
    assert.deepEqual(await boss.all(), []);
    await boss.tell('coordination', 'analyst:cast-bob', { action: 'dance' });
    assert.equal((await bob.next('coordination')).payload.action, 'dance');
    assert.deepEqual(await ann.all(), []);
  });

  test('ARMY-72 an agent that reports more memory than it may take is given no new work until it reports less', async () => {
    const fat = await player(post, 'writer', 'fat', ['weigh']);
    const isOver = async (): Promise<boolean> =>
      (await agents()).find(one => one.agent_id === 'fat')?.roles.includes('army:overweight');
    const report = async (memoryMb: number | null): Promise<boolean> => {
      const capacity = memoryMb === null ? 11 : 10;
      await fat.tell('heartbeat', 'coordinator', {
        capacity,
        ...(memoryMb === null ? {} : { memory_mb: memoryMb }),
      });
      await eventually(async () => {
        const one = (await agents()).find(({ agent_id }) => agent_id === 'fat');
        return memoryMb === null ? one.capacity.slots === 11 : (await isOver()) === memoryMb > 100;
      });
      return isOver();
    };
    assert.equal(await report(100), false);
    assert.equal(await report(100.5), true);
    await ask('weigh1', 'weigh');
    await assert.rejects(fat.next('task_request', 1), /no task_request came/);
    assert.equal(await report(null), true);
    assert.equal(await report(100), false);
    assert.equal((await fat.next('task_request')).payload.task_id, 'weigh1.work');
  });

  test('ARMY-72 the built-in memory does not answer what would take more memory than an agent may: RESOURCE_EXHAUSTED, counted as a guardrail that bit', async () => {
    const ann = await player(post, 'writer', 'heavy-ann', ['heavy']);
    for (const key of ['heavy-1', 'heavy-2', 'heavy-3']) {
      await ann.tell('memory_store', 'memory', { key, value: 'x'.repeat(60_000), tags: ['heavy'] });
      await ann.next('memory_response');
    }
    const find = (limit: number): Promise<Loose> =>
      ann.say('memory_query', 'memory', { query: { type: 'tags', text: 'heavy' }, limit });
    const settle = (mb: number): Promise<unknown> =>
      boss.tell('config_update', 'coordinator', { settings: { max_memory_mb: mb } });
    await settle(1);
    const { status, body } = await find(3);
    assert.equal(status, 503);
    assert.deepEqual([body.error_code, body.error_type], ['RESOURCE_EXHAUSTED', 'resource_error']);
    assert.deepEqual([body.context.rule, body.context.limit_mb], ['agent_memory', 1]);
    assert.deepEqual(await ann.all(), []);
    assert.equal((await find(1)).status, 202);
    const { payload } = await ann.next('memory_response');
    assert.deepEqual([payload.results.length, payload.total], [1, 3]);
    await settle(100);
    assert.equal((await find(3)).status, 202);
    assert.equal((await ann.next('memory_response')).payload.results.length, 3);
    await eventually(async () => {
      const audit = await post.admin.ask('GET', '/api/v2/audit?limit=200&action=message.refused');
      return JSON.stringify(audit.body).includes('"rule":"agent_memory"');
    });
  });

  test('ARMY-47 ARMY-58 a heartbeat keeps what its agent holds beyond the lease; without one it goes back to the queue', async () => {
    const ann = await player(post, 'writer', 'beat-ann', ['beattask']);
    await ask('beat1', 'beattask');
    const request = await ann.next('task_request');
    for (let beats = 0; beats < 5; beats++) {
      await ann.tell('heartbeat', 'coordinator', beats === 0 ? undefined : { load: 0.5, capacity: 7 });
      await new Promise(resolve => setTimeout(resolve, 500));
    }
    assert.deepEqual(await ann.all(), []);
    const known = (await agents()).find(one => one.agent_id === 'beat-ann');
    assert.equal(known?.capacity.slots, 7);
    const again = await ann.next('task_request');
    assert.equal(again.payload.task_id, request.payload.task_id);
    assert.equal(again.metadata.retry_count, 1);
  });

  test('ARMY-48 an agent that is shut down gets no new work and loses what it still holds after the grace', async () => {
    const ann = await player(post, 'writer', 'down-ann', ['downtask']);
    const bob = await player(post, 'writer', 'down-bob', []);
    await ask('down1', 'downtask');
    await ann.next('task_request');
    await boss.tell('shutdown', 'writer:down-ann', { reason: 'night', grace: 'PT1S' });
    assert.equal((await ann.next('shutdown')).payload.reason, 'night');
    await ask('down2', 'downtask');
    assert.deepEqual(await ann.all(), []);
    await boss.tell('coordination', 'coordinator', {
      action: 'register',
      agent: 'down-bob',
      capabilities: ['downtask'],
    });
    const got = new Set<string>();
    while (got.size < 2) got.add((await bob.next('task_request')).payload.context.parent_task_id);
    assert.deepEqual([...got].sort(), ['down1', 'down2']);
  });

  test('ARMY-48 a built-in role obeys a supervisor only: it answers UNAVAILABLE until it is registered again', async () => {
    const head = await player(post, 'coordinator', 'rest-head');
    const refused = await head.say('shutdown', 'memory', { reason: 'mine now' });
    assert.deepEqual([refused.status, refused.body.error_code], [403, 'FORBIDDEN']);
    await post.admin.ask('DELETE', '/api/v2/agents/rest-head');
    await boss.tell('shutdown', 'memory', { reason: 'cleaning' });
    const query = { query: { type: 'key', text: 'none' } };
    const resting = await boss.say('memory_query', 'memory', query);
    assert.deepEqual([resting.status, resting.body.error_code], [503, 'UNAVAILABLE']);
    await boss.tell('coordination', 'coordinator', { action: 'register', role: 'memory' });
    await boss.tell('memory_query', 'memory', query);
    assert.deepEqual((await boss.next('memory_response')).payload, { results: [], total: 0 });
  });

  test('ARMY-49 ARMY-50 an accepted config_update holds for what starts then, is audited and answered; one bad setting refuses all', async () => {
    await boss.all();
    for (const settings of [
      { max_tokens: 50, colour: 'blue' },
      { max_tokens: 50, max_time: 'soon' },
      { max_tokens: 50, default_timeout: 'PT0S' },
      { max_tokens: '50' },
      {},
    ]) {
      const refused = await boss.say('config_update', 'coordinator', { settings });
      assert.deepEqual(
        [refused.status, refused.body.error_code],
        [400, 'VALIDATION_ERROR'],
        JSON.stringify(settings),
      );
    }
    const before = await boss.say('task_request', 'coordinator', {
      ...order('conf1', 'conftask'),
      ...{ constraints: { max_tokens: 60 }, parameters: { role: 'writer' } },
    });
    assert.equal(before.status, 202);
    await boss.tell('config_update', 'coordinator', { settings: { max_tokens: 50, max_time: 'PT1M' } });
    const { payload } = await boss.next('status_response');
    assert.deepEqual(
      [payload.settings.max_tokens, payload.settings.max_time, payload.settings.max_depth],
      [50, 'PT1M', 8],
    );
    const after = await boss.say('task_request', 'coordinator', {
      ...order('conf2', 'conftask'),
      ...{ constraints: { max_tokens: 60 }, parameters: { role: 'writer' } },
    });
    assert.deepEqual([after.status, after.body.error_code], [422, 'POLICY_VIOLATION']);
    await boss.tell('config_update', 'coordinator', { settings: { max_tokens: 4_000, max_time: 'PT5M' } });
    for (let tries = 0; ; tries++) {
      const audit = await post.admin.ask('GET', '/api/v2/audit?limit=200&action=army.config_updated');
      if (JSON.stringify(audit.body).includes('army.config_updated')) break;
      assert.ok(tries < 100, JSON.stringify(audit.body));
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  });

  test('ARMY-60 ARMY-54 after as many retries as were settled a recoverable error fails the task with its code', async () => {
    const ann = await player(post, 'writer', 'try-ann', ['trytask']);
    await boss.tell('config_update', 'coordinator', {
      settings: { retry_delays: ['PT0.05S', 'PT0.1S', 'PT0.2S'] },
    });
    await ask('try1', 'trytask');
    const counts: number[] = [];
    for (let tries = 0; tries < 4; tries++) {
      const { payload, metadata } = await ann.next('task_request');
      counts.push(metadata.retry_count);
      const context = { task_id: payload.task_id };
      await ann.tell('error', 'coordinator', {
        error_code: 'API_TIMEOUT',
        message: 'late',
        context,
        recoverable: true,
      });
    }
    assert.deepEqual(counts, [0, 1, 2, 3]);
    const error = await boss.next('error');
    assert.deepEqual([error.payload.error_code, error.payload.recoverable], ['API_TIMEOUT', false]);
    assert.deepEqual(await ann.all(), []);
    await boss.tell('config_update', 'coordinator', { settings: { retry_delays: ['PT1S', 'PT2S', 'PT4S'] } });
  });

  test('ARMY-82 an agent may send a hundred messages at once and 600 a minute, or as many as was settled; more gets RATE_LIMITED with the wait, and others are not slowed', async () => {
    const [ann, bob] = [await player(post, 'writer', 'pace-ann'), await player(post, 'writer', 'pace-bob')];
    const rush = await ann.who.send(
      'army',
      Array.from({ length: 150 }, () => ann.envelope('coordination', 'coordinator', { action: 'hm' })),
    );
    const refused = rush.body.results.filter((one: Loose) => one.status === 'rejected');
    assert.ok(refused.length >= 40 && refused.length <= 50, `${refused.length} refused`);
    const [first] = refused;
    assert.equal(first.error.error_code, 'RATE_LIMITED');
    assert.ok(first.error.context.retry_after > 0 && first.error.context.retry_after <= 0.2);
    await bob.tell('coordination', 'coordinator', { action: 'hm' });
    await boss.tell('config_update', 'coordinator', { settings: { rate_limit: 6 } });
    const slow = await ann.who.send(
      'army',
      Array.from({ length: 60 }, () => ann.envelope('coordination', 'coordinator', { action: 'hm' })),
    );
    const last = slow.body.results.at(-1);
    assert.ok(last.error.context.retry_after > 5, JSON.stringify(last));
    await boss.tell('config_update', 'coordinator', { settings: { rate_limit: 600 } });
  });
});
