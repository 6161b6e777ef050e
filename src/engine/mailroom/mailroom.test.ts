// The mailroom over a real store and engine, with a wire that says nothing and agents that do what a test says.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openHouse } from '../../../test/harness.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_GUARDRAILS } from '../../domain/guardrails.ts';
import { type AgentId, DEFAULT_TENANT, type TenantId } from '../../domain/ids.ts';
import { type Draft, inboxOfAgent, inboxOfRole, type Message, type MessageId } from '../../domain/message.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { seededRandom } from '../../runtime/random.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Validator } from '../ports/validator.ts';
import { Reviews } from '../reviews.ts';
import { Mailroom } from './mailroom.ts';

const DESK = inboxOfRole('plain', 'desk');

/** What a message is, where a test does not care. */
function draft(id: string, more: Partial<Draft> = {}): Draft {
  return {
    ...{
      tenant: DEFAULT_TENANT,
      id: id as MessageId,
      dialect: 'plain',
      type: 'note',
      from: 'ann',
      to: ['desk'],
    },
    ...{ correlationId: id, replyTo: null, taskId: null, priority: 5 as const, sentAt: 0, expiresAt: null },
    ...{ traceId: '0'.repeat(32), actor: 'key:ann', agentId: 'ann', envelope: null },
    meaning: { act: 'say', body: id },
    ...more,
  };
}

const wire: MessageWire = {
  name: 'plain',
  route: async ({ to, from }) =>
    to.map(name => ({ inbox: name === 'desk' ? DESK : inboxOfAgent(name), lane: from })),
  encode: () => ({}),
  wants: () => true,
  refusal: (message, error) =>
    message.type === 'error'
      ? null
      : draft(`refused.${message.id}`, {
          ...{ type: 'error', from: 'desk', to: [message.from], replyTo: message.id, actor: 'system' },
          meaning: {
            act: 'refuse',
            taskId: null,
            fault: { code: error.code, message: error.message, recoverable: false, details: error.details },
          },
        }),
  taskRequest: () => assert.fail('nobody asks for tasks here'),
  taskStop: () => assert.fail('nobody stops tasks here'),
  taskNews: () => [],
};

const nothingToValidate = (): never => assert.fail('nothing is validated here');
const validator: Validator = {
  orderOf: nothingToValidate,
  validate: nothingToValidate,
  offencesIn: nothingToValidate,
};

interface Choice {
  readonly clock?: Clock;
  readonly handle?: (message: Message) => Promise<readonly Draft[]>;
}

async function setup(t: TestContext, { clock = systemClock, handle = async () => [] }: Choice = {}) {
  const house = await openHouse({ clock });
  const { engine, store } = house;
  const seen: string[] = [];
  const open = (): Mailroom =>
    new Mailroom({
      ...{ log: silentLog, clock, store, engine, wires: [wire], webhooks: null },
      secrets: { webhookSecrets: async () => [] },
      ...{ validator, reviews: new Reviews(clock, store, engine) },
      guardrails: { of: () => DEFAULT_GUARDRAILS, bit: () => {} },
      seals: {
        isSigned: () => false,
        isConfidential: () => false,
        open: async message => message,
        sign: async one => one,
      },
      participants: [
        {
          name: 'desk',
          inboxes: [DESK],
          async handle(message) {
            seen.push(message.id);
            return handle(message);
          },
        },
      ],
      options: { self: `node:${seededRandom(seen.length + 1, () => 0).uuid()}`, leads: () => true },
    });
  const mailroom = open();
  await mailroom.start();
  t.after(async () => {
    await mailroom.stop();
    await house.stop();
  });
  const send = async (one: Draft, fingerprint = 'same') => {
    const [outcome] = await mailroom.send([{ draft: one, fingerprint }]);
    return outcome ?? assert.fail('every message is answered');
  };
  const read = (name: string, more: { readonly waitMs?: number; readonly tenant?: TenantId } = {}) =>
    mailroom.read({
      ...{ tenant: more.tenant ?? DEFAULT_TENANT, reader: name, inboxes: [inboxOfAgent(name)] },
      ...{ limit: 10, visibilityMs: 30_000, waitMs: more.waitMs ?? 0 },
    });
  return { house, mailroom, open, seen, send, read };
}

test('a built-in agent answers before the sender is answered, and what it says is in the inbox then', async t => {
  const answer = async ({ id, from }: Message) => [
    draft(`re.${id}`, { from: 'desk', to: [from], replyTo: id, actor: 'system' }),
  ];
  const { send, read, seen } = await setup(t, { handle: answer });
  assert.equal((await send(draft('one'))).status, 'accepted');
  assert.deepEqual(seen, ['one']);
  const [reply] = await read('ann');
  assert.equal(reply?.message.id, 're.one');
  assert.equal(reply?.message.replyTo, 'one');
});

test('what a built-in agent refuses leaves the id free, its sender is answered and told nothing more', async t => {
  let isWrong = true;
  const handle = async () => {
    if (isWrong) throw new DomainError('unprocessable', 'not like this');
    return [];
  };
  const { send, read, seen } = await setup(t, { handle });
  const refused = await send(draft('one'), 'first');
  assert.equal(refused.status === 'refused' && refused.error.code, 'unprocessable');
  isWrong = false;
  assert.equal((await send(draft('one'), 'second')).status, 'accepted');
  assert.deepEqual(seen, ['one', 'one']);
  assert.deepEqual(await read('ann'), []);
});

test('a repeated message is not answered anew, and another under its id is a conflict', async t => {
  const { send, seen } = await setup(t);
  await send(draft('one'));
  assert.equal((await send(draft('one'))).status, 'duplicate');
  const other = await send(draft('one'), 'other');
  assert.equal(other.status === 'refused' && other.error.code, 'conflict');
  assert.deepEqual(seen, ['one']);
});

test('messages about one task have their effects in order, others meanwhile', async t => {
  const order: string[] = [];
  const { promise: gate, resolve } = Promise.withResolvers<void>();
  const handle = async ({ id }: Message) => {
    if (id === 'a1') await gate;
    order.push(id);
    if (id === 'b1') resolve();
    return [];
  };
  const { mailroom } = await setup(t, { handle });
  const about = (id: string, taskId: string) => ({
    draft: draft(id, { taskId: taskId as Draft['taskId'] }),
    fingerprint: id,
  });
  await mailroom.send([about('a1', 'a'), about('a2', 'a'), about('b1', 'b')]);
  assert.deepEqual(order, ['b1', 'a1', 'a2']);
});

test('what was taken in but not answered when a process died is answered by whoever comes after', async t => {
  const { house, mailroom, open, seen } = await setup(t);
  // Held by a process that is gone: nobody will settle it.
  await house.store.mail.post([
    {
      ...{
        tenant: DEFAULT_TENANT,
        id: 'orphan' as MessageId,
        name: 'plain orphan',
        fingerprint: 'x',
        dialect: 'plain',
      },
      ...{
        type: 'note',
        from: 'ann',
        correlationId: 'orphan',
        replyTo: null,
        taskId: null,
        priority: 5,
        expiresAt: null,
      },
      content: {
        to: ['desk'],
        sentAt: 0,
        traceId: '0'.repeat(32),
        actor: 'key:ann',
        agentId: 'ann',
        meaning: { act: 'say', body: 1 },
        envelope: null,
      },
      entries: [{ inbox: DESK, lane: 'ann', held: { by: 'node:gone', ms: 50 } }],
      inboxMax: 10,
    },
  ]);
  await mailroom.stop();
  const after = open();
  await after.start();
  t.after(() => after.stop());
  const until = Date.now() + 5_000;
  while (!seen.includes('orphan') && Date.now() < until)
    await new Promise(resolve => setTimeout(resolve, 20));
  assert.deepEqual(seen, ['orphan']);
});

test('an agent with its role takes the place of one inside the server, which goes on once that is gone', async t => {
  const clock = new VirtualClock();
  const { house, mailroom, send, seen } = await setup(t, { clock });
  await house.engine.registerAgent({
    ...{ tenant: DEFAULT_TENANT, id: 'stand-in' as AgentId, kind: 'worker', types: [], capabilities: [] },
    ...{ roles: ['plain:desk'], slots: 1, capacity: {} },
  });
  mailroom.directory.forget(DEFAULT_TENANT);
  await send(draft('one'));
  assert.deepEqual(seen, []);
  await house.engine.removeAgent(DEFAULT_TENANT, 'stand-in' as AgentId);
  for (let second = 0; second < 15; second++) await clock.advance(1_000);
  assert.deepEqual(seen, ['one']);
});

test('who waits for a message gets it the moment it is sent, and tenants never get each other’s', async t => {
  const { send, read } = await setup(t);
  const waiting = read('bob', { waitMs: 20_000 });
  await send(draft('one', { to: ['bob'] }));
  assert.deepEqual(
    (await waiting).map(({ message }) => message.id),
    ['one'],
  );
  await send(draft('two', { to: ['bob'] }));
  assert.deepEqual(await read('bob', { tenant: 'other' as TenantId }), []);
});

test('a message that nobody takes in time is dead, and its sender is told once', async t => {
  const clock = new VirtualClock();
  const { send, read, mailroom } = await setup(t, { clock });
  await send(draft('one', { to: ['bob'], expiresAt: clock.now() + 1_000 }));
  for (let second = 0; second < 5; second++) await clock.advance(1_000);
  const [told, ...more] = await read('ann');
  assert.equal(told?.message.meaning.act === 'refuse' && told.message.meaning.fault.code, 'task_timeout');
  assert.deepEqual(more, []);
  const letters = await mailroom.deadLetters({ tenant: DEFAULT_TENANT, limit: 10 });
  assert.deepEqual(
    letters.map(({ reason, mail }) => [reason, mail?.id]),
    [['expired', 'one']],
  );
});
