// Tools that keep failing: left alone at once, tried by one call after half a minute.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { player } from '../../../test/army-stage.ts';
import { openPost } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import type { Draft } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import { silentLog } from '../../runtime/log.ts';
import { Tools } from './tools.ts';

const TENANT = 'acme' as TenantId;
const tool = (name: string, role = 'tool'): Pick<Task, 'tenant' | 'spec'> =>
  ({
    tenant: TENANT,
    spec: { type: 'custom', typeName: name, requiredCapabilities: [`army:${role}`] },
  }) as unknown as Task;
const call = (name: string, to = 'tool'): Pick<Draft, 'tenant' | 'to' | 'meaning'> => ({
  ...{ tenant: TENANT, to: [to] },
  meaning: {
    act: 'request_task',
    task: {
      ...{ taskId: 't' as TaskId, taskType: name, description: 'd', input: {}, terms: {}, retryCount: 0 },
    },
  },
});
const moved = (to: string, error?: { readonly code: string }): TaskEvent =>
  ({ kind: 'state', from: 'running', to, attempt: 1, ...(error && { error }) }) as unknown as TaskEvent;
const FAILED = moved('queued', { code: 'task_failed' });
const COMPLETED = moved('completed');
const LOST = { kind: 'agent_error' } as unknown as TaskEvent;

test('ARMY-83 five failures in a row open a tool’s breaker for 30 s, calls meanwhile get CIRCUIT_OPEN at once, then one trial call decides', async () => {
  const clock = new VirtualClock();
  const store = { capabilities: { shared: false } } as unknown as ConstructorParameters<
    typeof Tools
  >[0]['store'];
  const tools = new Tools({ log: silentLog, clock, store });
  const waitOf = async (name: string, to?: string): Promise<number> => {
    try {
      await tools.requireWell(call(name, to));
      return 0;
    } catch (error) {
      assert.ok(error instanceof DomainError);
      assert.equal(error.code, 'circuit_open');
      return error.retryAfterMs ?? assert.fail();
    }
  };
  for (const event of [FAILED, FAILED, FAILED, FAILED, COMPLETED, FAILED, LOST, FAILED, moved('timeout')])
    tools.hear(tool('weather'), event);
  assert.equal(await waitOf('weather'), 0);
  // What was given back or withdrawn says nothing, and other roles have no breaker.
  for (const event of [moved('queued', { code: 'unavailable' }), moved('cancelled')])
    tools.hear(tool('weather'), event);
  for (let failed = 0; failed < 9; failed++) tools.hear(tool('weather', 'writer'), FAILED);
  assert.equal(await waitOf('weather'), 0);
  tools.hear(tool('weather'), FAILED);
  assert.equal(await waitOf('weather'), 30_000);
  assert.deepEqual([await waitOf('maps'), await waitOf('weather', 'writer')], [0, 0]);
  await clock.advance(30_000);
  assert.equal(await waitOf('weather'), 0);
  assert.ok((await waitOf('weather')) > 0);
  tools.hear(tool('weather'), FAILED);
  assert.equal(await waitOf('weather'), 30_000);
  await clock.advance(30_000);
  assert.equal(await waitOf('weather'), 0);
  tools.hear(tool('weather'), COMPLETED);
  assert.deepEqual([await waitOf('weather'), await waitOf('weather')], [0, 0]);
});

test('ARMY-83 ARMY-124 who calls a tool that failed five times is answered 503 CIRCUIT_OPEN with the wait, and nothing is made of it', async t => {
  const post = await openPost();
  t.after(() => post.stop());
  const writer = await player(post, 'writer', 'ann');
  const hammer = await player(post, 'tool', 'hammer', ['nail', 'screw']);
  const ask = (id: string, type: string): Promise<Loose> =>
    writer.say('task_request', 'tool', { task_id: id, task_type: type, description: 'do it' });
  for (let n = 1; n <= 5; n++) {
    assert.equal((await ask(`nail${n}`, 'nail')).status, 202);
    await hammer.next('task_request');
    await hammer.tell('error', 'writer:ann', {
      ...{ error_code: 'BENT', message: 'bent it', context: { task_id: `nail${n}` }, recoverable: false },
    });
    assert.equal((await writer.next('error')).payload.error_code, 'BENT');
  }
  const refused = await ask('nail6', 'nail');
  assert.deepEqual([refused.status, refused.body.error_code], [503, 'CIRCUIT_OPEN']);
  const wait = refused.body.context.retry_after;
  assert.ok(wait > 20 && wait <= 30, String(wait));
  assert.equal((await post.admin.ask('GET', '/api/v2/task-status/nail6')).status, 404);
  assert.equal((await ask('screw1', 'screw')).status, 202);
  assert.equal((await hammer.next('task_request')).payload.task_id, 'screw1');
});
