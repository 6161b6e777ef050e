// What the tests of the mailroom share: one over a real store and engine, with a wire that says nothing and agents that do what a test says.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { openHouse } from '../../../test/harness.ts';
import { DEFAULT_GUARDRAILS } from '../../domain/guardrails.ts';
import { DEFAULT_TENANT, type TenantId } from '../../domain/ids.ts';
import { type Draft, inboxOfAgent, inboxOfRole, type Message, type MessageId } from '../../domain/message.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { seededRandom } from '../../runtime/random.ts';
import type { Channel } from '../ports/channel.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Validator } from '../ports/validator.ts';
import { Reviews } from '../reviews.ts';
import { Mailroom } from './mailroom.ts';

/** Where the built-in agent reads. */
export const DESK = inboxOfRole('plain', 'desk');

/** A message, as it is where a test does not care. */
export function draft(id: string, more: Partial<Draft> = {}): Draft {
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

/** A wire with no words of its own. */
export const wire: MessageWire = {
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

/** What a test may choose. */
export interface Choice {
  readonly clock?: Clock;
  readonly handle?: (message: Message) => Promise<readonly Draft[]>;
  readonly wire?: MessageWire;
  /** Who calls subscribers. */
  readonly webhooks?: Channel;
}

/** A mailroom at work; it stops with the test. */
export async function setup(t: TestContext, choice: Choice = {}) {
  const { clock = systemClock, handle = async () => [], webhooks = null } = choice;
  const wires = [choice.wire ?? wire];
  const house = await openHouse({ clock });
  const { engine, store } = house;
  const seen: string[] = [];
  const open = (): Mailroom =>
    new Mailroom({
      ...{ log: silentLog, clock, store, engine, wires, webhooks },
      random: seededRandom(1, () => 0),
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
