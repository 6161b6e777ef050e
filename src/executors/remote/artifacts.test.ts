// What a task left at its agent, brought home over the real way out into real blobs.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { until } from '../../../test/harness.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import { delegatingHouse, FarAgent, offerOf } from './far-agent.test.ts';

const ended = (task: { readonly outcome: unknown }) => task.outcome !== null;
const once = {
  strategy: 'fixed',
  attemptsMax: 1,
  firstDelayMs: 1,
  stepMs: 0,
  factor: 1,
  delayMaxMs: 1,
} as const;
const PARTS = 3;
const large = randomBytes((PARTS - 1) * 8 * 1024 * 1024 + 1);

test('SAM-99 a large artifact is fetched part by part, checked, and kept with its task', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  far.files.set('large.bin', large);
  far.files.set('empty.txt', Buffer.alloc(0));
  const id = await delegate('one');
  const artifacts = [offerOf('large.bin', large)];
  await remote.receive(far.webhook('task_completed', id, { result: { success: true, artifacts } }));
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'completed');
  const kept = await house.store.artifacts({ tenant: DEFAULT_TENANT, taskId: task.id });
  assert.equal(kept.length, 1);
  assert.equal(`sha256:${kept[0]?.sha256}`, artifacts[0]?.checksum);
  assert.equal(kept[0]?.attempt, 1);
  assert.equal(kept[0]?.type, 'report');
  assert.equal(kept[0]?.mediaType, 'text/plain');
  const asked = far.asked.filter(one => one.path === 'artifacts/large.bin');
  assert.equal(asked.length, PARTS);
  assert.equal(asked[1]?.headers['if-range'], '"one"');
  assert.equal(asked[0]?.headers['x-api-key'], 'key');
});

test('SAM-99 an agent that serves no parts is asked for the whole file', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  far.ranges = false;
  const files = { 'a.txt': Buffer.from('whole'), 'empty.txt': Buffer.alloc(0) };
  for (const [name, bytes] of Object.entries(files)) far.files.set(name, bytes);
  const artifacts = Object.entries(files).map(([name, bytes]) => offerOf(name, bytes));
  const id = await delegate('one');
  await remote.receive(far.webhook('task_completed', id, { result: { success: true, artifacts } }));
  const task = await until(house, 'one', ended);
  const kept = await house.store.artifacts({ tenant: DEFAULT_TENANT, taskId: task.id });
  assert.deepEqual(
    kept.map(one => [one.name, one.sizeBytes]),
    [
      ['a.txt', 5],
      ['empty.txt', 0],
    ],
  );
});

test('SAM-99 a file that does not match its checksum fails the attempt and is not kept', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const announced = Buffer.from('what was announced');
  far.files.set('a.txt', Buffer.from('what is served!!!!'));
  const id = await delegate('one', { retry: once });
  const artifacts = [offerOf('a.txt', announced)];
  await remote.receive(far.webhook('task_completed', id, { result: { success: true, artifacts } }));
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'failed');
  assert.equal(task.result?.error?.code, 'dependency_failed');
  assert.match(task.result?.error?.message ?? '', /a\.txt does not match its checksum/);
  assert.deepEqual(await house.store.artifacts({ tenant: DEFAULT_TENANT, taskId: task.id }), []);
  assert.equal(far.asked.filter(one => one.path === 'artifacts/a.txt').length, 3);
});

test('SAM-99 an output kept in an artifact is fetched like any other', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  far.files.set('output.json', Buffer.from('{"rows":[1,2]}'));
  const id = await delegate('one');
  const result = { success: true, output_ref: 'output.json' };
  await remote.receive(far.webhook('task_completed', id, { result }));
  assert.deepEqual((await until(house, 'one', ended)).result?.output, { rows: [1, 2] });
});

test('the credential goes to the agent alone, not to wherever its files lie', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const elsewhere = await new FarAgent().listen(context);
  const bytes = Buffer.from('elsewhere');
  elsewhere.files.set('a.txt', bytes);
  const id = await delegate('one');
  const artifacts = [{ ...offerOf('a.txt', bytes), url: `${elsewhere.url}/api/v2/artifacts/a.txt` }];
  await remote.receive(far.webhook('task_completed', id, { result: { success: true, artifacts } }));
  assert.equal((await until(house, 'one', ended)).outcome, 'completed');
  assert.equal(elsewhere.asked[0]?.headers['x-api-key'], undefined);
  assert.equal(elsewhere.asked[0]?.headers['x-api-secret'], undefined);
});

test('files of a failed task that cannot be had do not hide its failure', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const id = await delegate('one', { retry: once });
  const artifacts = [offerOf('gone.txt', Buffer.from('x'))];
  const error = { code: 'EXECUTION_ERROR', message: 'the real reason' };
  await remote.receive(far.webhook('task_failed', id, { result: { success: false, error, artifacts } }));
  const task = await until(house, 'one', ended);
  assert.equal(task.result?.error?.message, 'the real reason');
  assert.equal(task.result?.error?.code, 'task_failed');
});
