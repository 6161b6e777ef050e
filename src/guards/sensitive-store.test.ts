// What a store keeps of sensitive content, seen from below and from above.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Draft } from '../domain/message.ts';
import { messageOf, packed, taskSending } from '../engine/mailroom/packing.ts';
import { systemClock } from '../runtime/clock.ts';
import { systemRandom } from '../runtime/random.ts';
import { ACME, claimedOne, ending, order, submitted } from '../store/conformance-setup.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import { withSensitiveSealed } from './sensitive-store.ts';
import { Vault } from './vault.ts';

function setup() {
  const auditKey = Buffer.alloc(32);
  const below = openSqliteInProcess({ path: ':memory:', clock: systemClock, random: systemRandom, auditKey });
  const above = withSensitiveSealed(below, new Vault(systemRandom, Buffer.alloc(32, 7)));
  return { below, above };
}

const payload = { word: 'secreto' };

test('NOOB-33 a sensitive task is read, listed, claimed and repeated as it was, and its store holds none of its words', async () => {
  const { below, above } = setup();
  const one = order('a', { spec: { payload, description: 'secreto', context: payload, sensitive: true } });
  await submitted(above, one);
  const [again] = await above.submit([one]);
  assert.ok(again?.status === 'same');
  assert.deepEqual(again.task.spec.payload, payload);
  const claim = await claimedOne(above);
  assert.deepEqual([claim.task.spec.payload, claim.task.spec.context], [payload, payload]);
  const change = ending(claim);
  const error = { code: 'task_failed', message: 'secreto', recoverable: false } as const;
  await above.commit([{ ...change, sensitiveOf: ACME, result: { output: payload, error, metrics: {} } }]);
  const { items } = await above.list({ tenant: ACME, limit: 1, offset: 0 });
  assert.deepEqual([items[0]?.result?.output, items[0]?.result?.error], [payload, error]);
  assert.equal(items[0]?.spec.description, 'secreto');
  const ref = { tenant: ACME, id: one.id };
  assert.ok(JSON.stringify(await above.read([ref])).includes('secreto'));
  assert.ok(!JSON.stringify(await below.read([ref])).includes('secreto'));
  await below.stop();
});

test('NOOB-33 what only looks sealed, and what is not sensitive, is read as it was written', async () => {
  const { below, above } = setup();
  const odd = { $sealed: 'v1.none.AAAA' };
  await submitted(
    above,
    order('plain', { spec: { payload: odd } }),
    order('odd', { spec: { payload: odd, sensitive: true } }),
  );
  for (const id of ['plain', 'odd'] as const) {
    const [task] = await above.read([{ tenant: ACME, id: order(id).id }]);
    assert.deepEqual(task?.spec.payload, odd);
  }
  await below.stop();
});

test('NOOB-33 the message that asks whoever elsewhere for a sensitive task is kept as secret as the task, and known for sensitive when it is read', async () => {
  const { below, above } = setup();
  const draft: Draft = {
    ...{ tenant: ACME, id: 'm-1' as Draft['id'], dialect: 'army', type: 'task_request', from: 'coordinator' },
    ...{ to: ['writer'], correlationId: 'c', replyTo: null, taskId: null, priority: 3, sentAt: 0 },
    ...{ expiresAt: null, traceId: 't', actor: 'system', agentId: null },
    ...{ meaning: { act: 'say' } as Draft['meaning'], envelope: payload },
  };
  const read = async (isSecret: boolean, id: string) => {
    const spec = isSecret ? { sensitive: true as const } : {};
    const asked = taskSending({ ...draft, id: id as Draft['id'] }, { spec } as Parameters<
      typeof taskSending
    >[1]);
    await above.mail.post([packed(asked, [])]);
    const query = { tenant: ACME, dialect: 'army', ids: [id as Draft['id']], limit: 1 };
    const [[kept], [seen]] = await Promise.all([below.mail.mail(query), above.mail.mail(query)]);
    assert.ok(kept !== undefined && seen !== undefined);
    const message = messageOf(seen);
    assert.deepEqual(message.envelope, payload);
    return [JSON.stringify(kept).includes('secreto'), message.isSensitive];
  };
  assert.deepEqual(await read(true, 'm-1'), [false, true]);
  assert.deepEqual(await read(false, 'm-2'), [true, undefined]);
  await below.stop();
});
