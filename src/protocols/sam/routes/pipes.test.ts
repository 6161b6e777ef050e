// Pipes on the wire: what a worker's lease opens, and what it does not.

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { orderOf } from '../../../../test/harness.ts';
import { type Ask, type Loose, serve } from '../../../../test/serve.ts';
import type { TaskPipes } from '../../../domain/pipe.ts';

const PIPES: Readonly<Record<string, TaskPipes>> = {
  writer: { inputs: {}, outputs: { rows: { mode: 'stream', readers: [{ task: 'reader', input: 'in' }] } } },
  reader: { inputs: { in: { task: 'writer', output: 'rows' } }, outputs: {} },
};

async function setup(t: TestContext) {
  const served = await serve({
    badges: {
      worker: { permissions: ['task:write-result'] },
      bound: { permissions: ['task:write-result'], agentId: 'other' },
      elsewhere: { tenant: 'other', permissions: ['task:write-result'] },
    },
  });
  t.after(() => served.stop());
  const types = ['custom:writer', 'custom:reader'];
  const work = (body: object) =>
    served.ask('POST', '/api/v2/work', { as: 'worker', body: { agent_id: 'w', types, ...body } });
  await work({});
  const tokens: Record<string, number> = {};
  for (const [id, pipes] of Object.entries(PIPES)) {
    const spec = { type: 'custom', typeName: id, extra: { workflow: { pipes } } } as Loose;
    await served.house.engine.submit([orderOf(id, spec)]);
    const [lease] = (await work({ slots: 1, wait_seconds: 5 })).body.leases;
    tokens[id] = lease.fencing_token;
  }
  const held = (task: string) => ({ task_id: task, fencing_token: tokens[task] });
  const query = (task: string): string => `task_id=${task}&fencing_token=${tokens[task]}`;
  return {
    ...served,
    work,
    held,
    query,
    put: (number: number, raw: string, more: Ask = {}) =>
      served.ask('PUT', `/api/v2/work/outputs/rows/chunks/${number}?${query('writer')}`, {
        as: 'worker',
        raw,
        ...more,
        headers: { 'content-type': 'application/octet-stream', ...more.headers },
      }),
    get: (number: number, as = 'worker') =>
      served.ask('GET', `/api/v2/work/inputs/in/chunks/${number}?${query('reader')}`, { as }),
    post: (path: string, body: object, as = 'worker') =>
      served.ask('POST', `/api/v2/work/${path}`, { as, body }),
  };
}

const state = (value: unknown) => ({
  'x-pipe-state': Buffer.from(JSON.stringify(value)).toString('base64url'),
});

test('SAM-229 a worker writes chunks and another reads them, each taking its end over and leaving its state there', async t => {
  const { put, get, post, held } = await setup(t);
  assert.deepEqual((await post('outputs/rows/open', held('writer'))).body, { written: 0, state: null });
  assert.deepEqual((await put(1, 'one', { headers: state({ at: 'é' }) })).body, { outcome: 'kept' });
  assert.deepEqual((await post('outputs/rows/open', held('writer'))).body, {
    written: 1,
    state: { at: 'é' },
  });
  assert.equal((await get(1)).body, 'one');
  const none = await get(2);
  assert.deepEqual([none.status, none.headers.get('x-pipe')], [204, 'open']);
  const dealt = { ...held('reader'), up_to: 1, state: [1] };
  assert.equal((await post('inputs/in/acknowledge', dealt)).status, 204);
  assert.deepEqual((await post('inputs/in/open', held('reader'))).body, { acknowledged: 1, state: [1] });
  assert.equal((await get(1)).status, 404);
  assert.equal((await post('outputs/rows/end', held('writer'))).status, 204);
  const ended = await get(2);
  assert.deepEqual([ended.status, ended.headers.get('x-pipe')], [204, 'ended']);
  assert.deepEqual((await put(2, 'two')).body, { outcome: 'unwanted' });
});

test('SAM-229 a worker that reads by checkpoint says there how far it is, and the next one is leased both as they belong together', async t => {
  const { put, get, post, held, work } = await setup(t);
  for (const number of [1, 2, 3]) await put(number, `chunk ${number}`);
  const open = { ...held('reader'), by: 'checkpoint' };
  assert.deepEqual((await post('inputs/in/open', open)).body, { acknowledged: 0, state: null });
  assert.equal((await post('inputs/in/acknowledge', { ...held('reader'), up_to: 3 })).status, 409);
  assert.equal((await post('inputs/in/open', { ...open, by: 'guess' })).status, 400);
  const said = { ...held('reader'), checkpoint: { sum: 3 }, input_positions: { in: 2 } };
  assert.deepEqual((await work({ progress: [said] })).body.rejected, []);
  assert.equal((await get(2)).status, 404);
  const { checkpoint: _, ...nowhere } = said;
  const [refused] = (await work({ progress: [nowhere] })).body.rejected;
  assert.equal(refused.item, 'progress');
  const error = { code: 'EXECUTION_ERROR', message: 'it died', recoverable: true };
  await work({ results: [{ ...held('reader'), status: 'failed', error }] });
  const [lease] = (await work({ slots: 1, wait_seconds: 5 })).body.leases;
  assert.deepEqual(
    [lease.task_id, lease.checkpoint, lease.input_positions],
    ['reader', { sum: 3 }, { in: 2 }],
  );
});

test('SAM-229 SAM-230 nobody but who holds the lease reaches a pipe, with a credential that is for that', async t => {
  const { put, get, post, held, ask, query } = await setup(t);
  await put(1, 'one');
  assert.equal((await get(1, 'reader')).status, 403, 'it may read tasks only');
  assert.equal((await get(1, 'bound')).status, 403, 'it speaks for another agent');
  assert.equal((await get(1, 'elsewhere')).body.error.code, 'LEASE_LOST');
  const foreign = await put(2, 'two', { as: 'bound' });
  assert.equal(foreign.status, 403);
  const stale = { ...held('reader'), fencing_token: 99_999 };
  assert.equal((await post('inputs/in/open', stale)).body.error.code, 'LEASE_LOST');
  const unknown = await ask('GET', `/api/v2/work/inputs/out/chunks/1?${query('reader')}`, { as: 'worker' });
  assert.equal(unknown.status, 404);
  assert.deepEqual((await post('outputs/rows/open', held('writer'))).body, { written: 1, state: null });
});

test('SAM-230 a chunk that is too large, damaged or out of turn is refused, and nothing of it is kept', async t => {
  const { put, post, held, house } = await setup(t);
  assert.equal((await put(1, 'x'.repeat(4 * 1_024 ** 2 + 1))).status, 413);
  assert.equal(
    (await put(1, 'one', { headers: { 'x-checksum-sha256': hash('sha256', 'two') } })).status,
    422,
  );
  assert.equal((await put(2, 'two')).status, 409);
  assert.equal((await put(1, 'one', { headers: { 'x-pipe-state': '!' } })).status, 400);
  assert.equal((await put(1, 'one', { headers: state('x'.repeat(2_048)) })).status, 413);
  assert.deepEqual((await post('outputs/rows/open', held('writer'))).body, { written: 0, state: null });
  assert.deepEqual(await house.store.artifacts({ tenant: 'default' as Loose }), []);
  const digest = { 'x-checksum-sha256': hash('sha256', 'one') };
  assert.deepEqual((await put(1, 'one', { headers: digest })).body, { outcome: 'kept' });
});

test('SAM-230 what waits in pipes is no file of anybody: it is not listed', async t => {
  const { put, ask, house } = await setup(t);
  await put(1, 'one');
  assert.equal((await house.store.artifacts({ tenant: 'default' as Loose })).length, 1);
  assert.deepEqual((await ask('GET', '/api/v2/artifacts')).body.artifacts, []);
});
