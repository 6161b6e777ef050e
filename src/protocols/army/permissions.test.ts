// The table of who may say what to whom, against a copy of it written down once more, by itself and through the door.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player } from '../../../test/army-stage.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { permits } from './permissions.ts';
import { ROLES, type Role, TYPES, type Type } from './words.ts';

const four: readonly Role[] = ['specialist', 'researcher', 'writer', 'analyst'];
type Row = readonly [
  from: readonly Role[],
  types: readonly Type[],
  to: readonly Role[] | 'asker' | 'asker or coordinator',
];

/** As the specification has it, row by row. */
const TABLE: readonly Row[] = [
  [['coordinator'], ['task_request'], [...four, 'tool']],
  [['coordinator'], ['validation_request'], ['validator', 'supervisor']],
  [['coordinator', 'supervisor'], ['status_query', 'coordination', 'shutdown', 'config_update'], ROLES],
  [four, ['task_request'], ['tool', 'coordinator']],
  [four, ['validation_request'], ['validator']],
  [['supervisor'], ['task_request'], ['coordinator']],
  [['coordinator', ...four, 'validator', 'supervisor'], ['memory_store', 'memory_query'], ['memory']],
  [['validator', 'supervisor'], ['validation_response'], 'asker'],
  [['memory'], ['memory_response'], 'asker'],
  [['coordinator', ...four, 'tool'], ['task_response', 'task_update'], 'asker'],
  [ROLES, ['coordination', 'status_query'], ['coordinator']],
  [ROLES, ['error', 'status_response'], 'asker or coordinator'],
  [ROLES, ['heartbeat'], ['coordinator', 'supervisor']],
];

function isInTable(from: Role, type: Type, to: Role, asker: Role | null): boolean {
  return TABLE.some(([senders, types, receivers]) => {
    if (!senders.includes(from) || !types.includes(type)) return false;
    if (receivers === 'asker') return to === asker;
    if (receivers === 'asker or coordinator') return to === (asker ?? 'coordinator');
    return receivers.includes(to);
  });
}

const combinations = ROLES.flatMap(from => TYPES.flatMap(type => ROLES.map(to => ({ from, type, to }))));

test('ARMY-107 all 9 × 15 × 9 combinations are permitted as the table says, whoever asked', () => {
  assert.equal(combinations.length, 9 * 15 * 9);
  for (const one of combinations)
    for (const asker of [null, ...ROLES])
      assert.equal(
        permits({ ...one, asker }),
        isInTable(one.from, one.type, one.to, asker),
        JSON.stringify({ ...one, asker }),
      );
});

suite('through the door', () => {
  let post: Post;
  const players = new Map<Role, Player>();
  before(async () => {
    post = await openPost();
    for (const role of ROLES) players.set(role, await player(post, role, `p-${role}`, ['any']));
  });
  after(() => post.stop());

  const PAYLOADS: Readonly<Record<Type, object>> = {
    task_request: { task_id: 'x', task_type: 'any', description: 'x' },
    task_response: { task_id: 'x', status: 'completed' },
    task_update: { task_id: 'x', status: 'running' },
    error: { error_code: 'X', message: 'x' },
    status_query: { scope: 'system' },
    status_response: { status: 'fine' },
    coordination: { action: 'hello' },
    validation_request: { content: 'x' },
    validation_response: { valid: true, score: 1, issues: [], recommendations: [] },
    memory_store: { key: 'x', value: 1 },
    memory_query: { query: { type: 'key', text: 'x' } },
    memory_response: { results: [], total: 0 },
    heartbeat: {},
    shutdown: { reason: 'x', grace: 'PT1H' },
    config_update: { settings: { max_tokens: 4_000 } },
  };

  test('ARMY-107 ARMY-118 what is not in the table is refused as FORBIDDEN and reaches nobody, for every combination', async () => {
    // A task that each role asked for cannot be had: answers to tasks are refused to all but who asked, who is the coordinator here.
    const coordinator = players.get('coordinator');
    await coordinator?.tell('task_request', 'writer', { ...PAYLOADS.task_request, task_id: 'asked' });
    const answers: readonly Type[] = ['task_response', 'task_update'];
    let number = 0;
    for (const from of ROLES) {
      const envelopes: { envelope: Loose; isAllowed: boolean }[] = [];
      for (const one of combinations.filter(combination => combination.from === from)) {
        const { type, to } = one;
        const isOfTask = answers.includes(type);
        // Whoever is sent home says nothing more.
        if (type === 'shutdown' && isInTable(from, type, to, null)) continue;
        const payload = isOfTask ? { ...PAYLOADS[type], task_id: 'asked' } : { ...PAYLOADS[type] };
        if (type === 'task_request') Object.assign(payload, { task_id: `x${number}` });
        envelopes.push({
          envelope: {
            ...{ id: `perm-${++number}`, timestamp: new Date().toISOString(), from, to, type, payload },
          },
          isAllowed: isInTable(from, type, to, isOfTask ? 'coordinator' : null),
        });
      }
      const sent = await players.get(from)?.who.send(
        'army',
        envelopes.map(({ envelope }) => envelope),
      );
      assert.equal(sent?.status, 207);
      for (const [at, { envelope, isAllowed }] of envelopes.entries()) {
        const result: Loose = sent?.body.results[at];
        const isForbidden = result.error?.error_code === 'FORBIDDEN';
        assert.equal(isForbidden, !isAllowed, `${JSON.stringify(envelope)}: ${JSON.stringify(result)}`);
      }
    }
    const validator = players.get('validator');
    const heard = (await validator?.all()) ?? [];
    assert.ok(heard.length > 0);
    for (const { from, type } of heard)
      assert.ok(isInTable(from, type, 'validator', null) || type === 'error', `${from} ${type}`);
  });

  test('ARMY-106 a role that was not granted is nobody’s to claim, nor another agent’s name, and the role claimed hears nothing', async () => {
    const writer = players.get('writer');
    const analyst = players.get('analyst');
    await analyst?.all();
    for (const forged of [
      { from: 'coordinator' },
      { from: 'writer:p-analyst' },
      { from: 'writer', metadata: { priority: 'normal', from_agent: 'p-analyst' } },
    ]) {
      const refused = await writer?.who.send('army', {
        ...writer.envelope('status_query', 'coordinator', { scope: 'system' }),
        ...forged,
      });
      assert.equal(refused?.status, 403, JSON.stringify(refused?.body));
      assert.equal(refused?.body.error_code, 'FORBIDDEN');
    }
    assert.deepEqual(await analyst?.all(), []);
    const nobody = await post.agent('p-unregistered');
    const refused = await nobody.send('army', writer?.envelope('heartbeat', 'coordinator'));
    assert.equal(refused.status, 403);
  });
});
