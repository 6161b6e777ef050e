// Results of tasks that agents ask of each other without the coordinator: what holds them back, and who lets them go.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player } from '../../../test/army-stage.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

const GOOD =
  'The sea rises and falls twice a day. The moon pulls the water, and the water follows it around the world.';
const OFFENCE = 'You are a fucking idiot.';

suite('results that are held back', () => {
  let post: Post;
  let head: Player;
  let boss: Player;
  let ann: Player;
  let rita: Player;
  let tim: Player;
  before(async () => {
    post = await openPost();
    head = await player(post, 'coordinator', 'head');
    boss = await player(post, 'supervisor', 'boss');
    ann = await player(post, 'writer', 'ann', ['draft']);
    rita = await player(post, 'researcher', 'rita');
    tim = await player(post, 'tool', 'tim', ['draft']);
  });
  after(() => post.stop());

  const ask = (id: string, more: object = {}, metadata?: object): Promise<Loose> =>
    head.say(
      'task_request',
      'writer',
      { task_id: id, task_type: 'draft', description: 'about tides', ...more },
      metadata === undefined ? {} : { metadata: metadata as Loose },
    );
  const respond = async (id: string, content: string): Promise<void> => {
    assert.equal((await ann.next('task_request')).payload.task_id, id);
    await ann.tell('task_response', 'coordinator:head', {
      ...{ task_id: id, status: 'completed', result: { content, sources: [] } },
    });
  };
  const status = async (id: string): Promise<Loose> => {
    await boss.tell('status_query', 'coordinator:batuta', { task_id: id });
    return (await boss.next('status_response')).payload;
  };

  const overSam = async (id: string): Promise<Loose> =>
    (await post.admin.ask('GET', `/api/v2/task-status/${id}`)).body;
  const listed = async (state: string, id: string): Promise<readonly string[]> => {
    const { body } = await post.admin.ask('GET', `/api/v2/task-status?status=${state}&task_ids=${id}`);
    return body.tasks.map((one: Loose) => one.task_id);
  };

  test('ARMY-73 what offends is refused with POLICY_VIOLATION: a request is not run, a result not released', async () => {
    const refused = await ask('rude1', { description: OFFENCE });
    assert.deepEqual([refused.status, refused.body.error_code], [422, 'POLICY_VIOLATION']);
    assert.equal((await ask('rude2')).status, 202);
    await respond('rude2', OFFENCE);
    const { type, payload } = await head.next();
    assert.deepEqual(
      [type, payload.error_code, payload.context.task_id],
      ['error', 'POLICY_VIOLATION', 'rude2'],
    );
    assert.ok(!JSON.stringify(payload).includes(OFFENCE));
    assert.equal((await status('rude2')).status, 'failed');
    assert.deepEqual(await head.all(), []);
  });

  test('ARMY-77 a result that must be valid is released once it is, and one that is not never; a coordinator has its own validated', async () => {
    const call = async (id: string, more: object, content: string): Promise<void> => {
      await rita.tell('task_request', 'tool', { task_id: id, task_type: 'draft', description: 'd', ...more });
      assert.equal((await tim.next('task_request')).payload.task_id, id);
      await tim.tell('task_response', 'researcher:rita', {
        ...{ task_id: id, status: 'completed', result: { content, sources: [] } },
      });
    };
    const constraints = { required_validation: true };
    await call('valid1', { constraints }, GOOD);
    assert.equal((await rita.next('task_response')).payload.result.content, GOOD);
    const expected_output = { format: 'markdown', sections: ['Summary'] };
    await call('valid2', { constraints, expected_output }, GOOD);
    const { payload } = await rita.next('error');
    assert.deepEqual([payload.error_code, payload.recoverable], ['POLICY_VIOLATION', false]);
    await call('free', { expected_output }, 'ok');
    assert.equal((await rita.next('task_response')).payload.result.content, 'ok');
    assert.deepEqual(await rita.all(), []);
    await ask('own', { constraints, expected_output });
    await respond('own', 'ok');
    assert.equal((await head.next('task_response')).payload.result.content, 'ok');
  });

  test('ARMY-75 personal data in a result that must be valid is an error that names no datum, unless the request’s context allows it', async () => {
    const told = `${GOOD} Write to ann@example.com if you wonder why.`;
    const call = async (id: string, context: object): Promise<Loose> => {
      const order = { task_id: id, task_type: 'draft', description: 'd', context };
      await rita.tell('task_request', 'tool', { ...order, constraints: { required_validation: true } });
      assert.equal((await tim.next('task_request')).payload.task_id, id);
      await tim.tell('task_response', 'researcher:rita', {
        ...{ task_id: id, status: 'completed', result: { content: told, sources: [] } },
      });
      return rita.next();
    };
    for (const [id, context] of [
      ['pii1', {}],
      ['pii2', { pii_allowed: false }],
      ['pii3', { pii_allowed: 'true' }],
    ] as const) {
      const { type, payload } = await call(id, context);
      assert.deepEqual(
        [type, payload.error_code, payload.context.task_id],
        ['error', 'POLICY_VIOLATION', id],
      );
      assert.ok(JSON.stringify(payload).includes('PERSONAL_DATA_EMAIL'), JSON.stringify(payload));
      assert.ok(!JSON.stringify(payload).includes('ann@example.com'));
      assert.ok(!JSON.stringify(await status(id)).includes('ann@example.com'));
    }
    const { type, payload } = await call('pii4', { pii_allowed: true });
    assert.deepEqual([type, payload.result.content], ['task_response', told]);
  });

  test('ARMY-75 the coordinator’s flow gives a result with personal data back to be mended, unless the request’s context allows it', async () => {
    const told = `${GOOD} Write to ann@example.com if you wonder why.`;
    const respondTo = async (request: Loose, content: string): Promise<void> =>
      void (await ann.tell('task_response', 'coordinator', {
        ...{ task_id: request.payload.task_id, status: 'completed', result: { content, sources: [] } },
      }));
    const flow = async (id: string, context: object): Promise<Loose> => {
      const parameters = { role: 'writer' };
      const order = { task_id: id, task_type: 'draft', description: 'about tides', parameters, context };
      await boss.tell('task_request', 'coordinator:batuta', order);
      const request = await ann.next('task_request');
      await respondTo(request, told);
      return request;
    };
    await flow('pii5', {});
    const again = await ann.next('task_request');
    assert.match(JSON.stringify(again.payload.context), /PERSONAL_DATA_EMAIL/);
    await respondTo(again, GOOD);
    assert.equal((await boss.next('task_response')).payload.result.content, GOOD);
    await flow('pii6', { pii_allowed: true });
    assert.equal((await boss.next('task_response')).payload.result.content, told);
  });

  test('ARMY-79 ARMY-77 a critical result, or one a person is to see, waits for the supervisor, shown as such, by SAM as running without result; their word releases or refuses it', async () => {
    const asks: readonly [string, object, object | undefined, boolean][] = [
      ['seen1', {}, { priority: 'critical' }, true],
      ['seen2', { constraints: { human_review: true } }, undefined, false],
    ];
    for (const [id, more, metadata, valid] of asks) {
      await ask(id, more, metadata);
      await respond(id, GOOD);
      const request = await boss.next('validation_request');
      assert.deepEqual([request.payload.content, request.payload.context.task_id], [GOOD, id]);
      const shown = await status(id);
      assert.deepEqual([shown.status, shown.waiting_for], ['running', 'person']);
      assert.deepEqual(await head.all(), []);
      const held = await overSam(id);
      assert.deepEqual(
        [held.current_status.state, held.current_status.outcome, held.current_status.progress.current_step],
        ['running', null, 'waiting for a person'],
      );
      assert.ok(!JSON.stringify(held).includes(GOOD));
      assert.equal((await post.admin.ask('GET', `/api/v2/task-output/${id}`)).status, 404);
      assert.deepEqual(await listed('completed', id), []);
      const verdict = { valid, score: 1, issues: [], recommendations: valid ? [] : ['too short'] };
      await boss.tell('validation_response', 'coordinator:batuta', verdict, { reply_to: request.id });
      const { type, payload } = await head.next();
      if (valid) assert.deepEqual([type, payload.result.content], ['task_response', GOOD]);
      else
        assert.match(
          `${type} ${payload.error_code} ${payload.message}`,
          /^error POLICY_VIOLATION .*too short/,
        );
      const over = valid ? 'completed' : 'failed';
      const after = await overSam(id);
      assert.equal(after.current_status.state, over);
      assert.equal(
        JSON.stringify(after).includes(GOOD),
        valid,
        'what is refused shows no more than what is held',
      );
      if (valid) assert.deepEqual(await listed(over, id), [id]);
    }
  });
});
