// The far end of webhooks: what is believed, what is stored before it is acknowledged, and what is said back.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { until } from '../../../test/harness.ts';
import { DEFAULT_TENANT, type TaskId, type TenantId } from '../../domain/ids.ts';
import { AGENT, delegatingHouse, SECRET, signed } from './far-agent.test.ts';
import type { ReceivedWebhook } from './index.ts';

const unknown = { event_type: 'task_progress', task_id: 'nobody-knows-this' };
const call = (id: string) => ({ tenant: DEFAULT_TENANT, id: id as TaskId, actor: 'test' });

function without(webhook: ReceivedWebhook, name: string): ReceivedWebhook {
  return { ...webhook, headers: { ...webhook.headers, [name]: undefined } };
}

test('SAM-95 a webhook without signature or timestamp, or one over 300 s off, is an invalid request', async context => {
  const { remote } = await delegatingHouse(context);
  const good = signed(unknown, { agentId: AGENT });
  const bad = [
    without(good, 'x-webhook-signature'),
    without(good, 'x-webhook-timestamp'),
    signed(unknown, { agentId: AGENT, ageSeconds: 302 }),
    signed(unknown, { agentId: AGENT, ageSeconds: -302 }),
    signed(unknown, { agentId: AGENT, headers: { 'x-webhook-timestamp': 'yesterday' } }),
  ];
  for (const webhook of bad) await assert.rejects(remote.receive(webhook), { code: 'invalid_request' });
  const late = signed(unknown, { agentId: AGENT, ageSeconds: 295 });
  assert.deepEqual(await remote.receive(late), { acknowledged: true });
});

test('SAM-95 a webhook that no secret of the agent signed is not believed, whoever it names', async context => {
  const { remote, house } = await delegatingHouse(context);
  const strangers = [
    signed(unknown, { agentId: AGENT, secrets: ['another secret'] }),
    signed(unknown, { agentId: 'nobody-here' }),
    without(signed(unknown), 'x-sam-agent-id'),
    signed(unknown, { agentId: AGENT, headers: { 'x-webhook-signature': 'sha256=00' } }),
    { ...signed(unknown, { agentId: AGENT }), body: Buffer.from('{"event_type":"task_completed"}') },
  ];
  for (const webhook of strangers) {
    const refused = { code: 'unauthenticated', message: 'no secret of the agent matches the signature' };
    await assert.rejects(remote.receive(webhook), refused);
  }
  assert.deepEqual(await house.store.documents({ kind: 'webhook_received' }), []);
});

test('SAM-95 Standard Webhooks headers must be whole, fresh and right where there are any', async context => {
  const { remote } = await delegatingHouse(context);
  const how = { agentId: AGENT, standard: true } as const;
  assert.deepEqual(await remote.receive(signed(unknown, how)), { acknowledged: true });
  for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature'])
    await assert.rejects(remote.receive(without(signed(unknown, how), name)), { code: 'invalid_request' });
  const changed = [
    { 'webhook-id': 'another name' },
    { 'webhook-signature': 'v1,AAAA' },
    { 'webhook-signature': 'v2,AAAA' },
    { 'x-webhook-signature': `sha256=${'0'.repeat(64)}` },
  ];
  for (const headers of changed)
    await assert.rejects(remote.receive(signed(unknown, { ...how, headers })), { code: 'unauthenticated' });
});

test('SAM-95 while an agent changes its secret either side may be behind', async context => {
  const { remote } = await delegatingHouse(context);
  const how = { agentId: AGENT, standard: true } as const;
  // The agent is ahead: SAM's signature is by a secret not known here, the standard's is by both.
  const ahead = signed(unknown, { ...how, secrets: ['newer', SECRET] });
  assert.deepEqual(await remote.receive(ahead), { acknowledged: true });
  // This server is ahead: the agent still signs by the secret that older tasks brought along.
  await remote.enrol({ tenant: DEFAULT_TENANT, agentId: AGENT, webhookSecret: 'newest' });
  assert.deepEqual(await remote.receive(signed(unknown, { agentId: AGENT })), { acknowledged: true });
  const newest = signed(unknown, { agentId: AGENT, secrets: ['newest'] });
  assert.deepEqual(await remote.receive(newest), { acknowledged: true });
});

test('SAM-96 a delivery that comes again is acknowledged as a duplicate and changes nothing', async context => {
  const { house, far, remote, delegate, task } = await delegatingHouse(context);
  const id = await delegate('one');
  const first = far.webhook('task_progress', id, { status: { progress_percentage: 10 } });
  assert.deepEqual(await remote.receive(first), { acknowledged: true });
  await until(house, 'one', one => one.progress?.percentage === 10);
  const { version } = await task('one');
  assert.deepEqual(await remote.receive(first), { acknowledged: true, duplicate: true });
  const deliveryId = String(first.headers['x-delivery-id']);
  const other = far.webhook('task_completed', id, { result: { success: true } }, { deliveryId });
  await assert.rejects(remote.receive(other), { code: 'conflict' });
  assert.equal((await task('one')).version, version);
  const [kept] = await house.store.documents({ kind: 'webhook_received' });
  const keptHours = Math.round(((kept?.expiresAt ?? 0) - Date.now()) / 3_600_000);
  assert.equal(keptHours, 24);
});

test('SAM-96 what was acknowledged is stored: another process finds it', async context => {
  const { house, far, remote, delegate, another } = await delegatingHouse(context);
  const id = await delegate('one');
  await remote.stop();
  const result = { success: true, output: 'kept' };
  await remote.receive(far.webhook('task_completed', id, { result }));
  assert.equal((await house.engine.task(DEFAULT_TENANT, 'one' as TaskId)).outcome, null);
  await another();
  const task = await until(house, 'one', one => one.outcome !== null);
  assert.equal(task.result?.output, 'kept');
  assert.equal(task.attempt, 1);
});

test('SAM-96 unknown tasks, events of later protocols and tasks that are over are acknowledged and ignored', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  assert.deepEqual(await remote.receive(signed(unknown, { agentId: AGENT })), { acknowledged: true });
  const id = await delegate('one');
  assert.deepEqual(await remote.receive(far.webhook('task_dreamt', id)), { acknowledged: true });
  await remote.receive(far.webhook('task_completed', id, { result: { success: true } }));
  const done = await until(house, 'one', one => one.outcome !== null);
  const late = far.webhook('task_failed', id, { result: { success: false } });
  assert.deepEqual(await remote.receive(late), { acknowledged: true });
  assert.equal((await until(house, 'one', () => true)).outcome, done.outcome);
});

test('SAM-96 a signed body that is no webhook is an invalid request', async context => {
  const { remote } = await delegatingHouse(context);
  const bodies = [{ task_id: 'a' }, { event_type: 'task_started' }, { event_type: 5, task_id: 'a' }];
  for (const body of bodies)
    await assert.rejects(remote.receive(signed(body, { agentId: AGENT })), { code: 'invalid_request' });
  const headers = { 'x-webhook-event': 'task_completed' };
  await assert.rejects(remote.receive(signed(unknown, { agentId: AGENT, headers })), {
    code: 'invalid_request',
  });
});

test('SAM-96 an agent that was not yet told of a cancel or pause is told in the answer to its webhook', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  far.answers.set('POST tasks', () => ({ drop: true }));
  const cancelled = await delegate('cancelled');
  await house.engine.cancel(call('cancelled'));
  assert.deepEqual(await remote.receive(far.webhook('task_progress', cancelled)), {
    acknowledged: true,
    next_instructions: { action: 'cancel' },
  });
  const paused = await delegate('paused');
  await house.engine.pause({ ...call('paused'), force: true });
  assert.deepEqual(await remote.receive(far.webhook('task_progress', paused)), {
    acknowledged: true,
    next_instructions: { action: 'pause' },
  });
  const ended = far.webhook('task_cancelled', cancelled, { result: { success: false } });
  assert.deepEqual(await remote.receive(ended), { acknowledged: true });
});

test('an agent says nothing of another agent’s task', async context => {
  const { house, far, remote, delegate, task } = await delegatingHouse(context);
  const id = await delegate('one');
  const { version } = await task('one');
  for (const tenant of [DEFAULT_TENANT, 'elsewhere' as TenantId])
    await remote.enrol({ tenant, agentId: 'intruder' as typeof AGENT, webhookSecret: `of ${tenant}` });
  for (const tenant of ['default', 'elsewhere']) {
    const how = { agentId: 'intruder', secrets: [`of ${tenant}`] as const, deliveryId: randomUUID() };
    const forged = far.webhook('task_completed', id, { result: { success: true } }, how);
    assert.deepEqual(await remote.receive(forged), { acknowledged: true });
  }
  const open = await house.store.documents({ kind: 'delegation' });
  assert.equal(open[0]?.body.end, null);
  assert.equal((await task('one')).version, version);
});
