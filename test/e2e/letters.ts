// Mail for tests that walk every route: in each message wire that a server speaks a message, a refused one, and a subscription.

import assert from 'node:assert/strict';
import type { Loose } from '../serve.ts';
import type { Contract } from './contract.ts';
import type { Wire } from './wire.ts';

/** A message in few words. */
export interface Letter {
  readonly id: string;
  /** An agent with the army role supervisor. */
  readonly from: string;
  /** An agent with the army role writer; `custom:<to>` is work it takes. */
  readonly to: string;
  readonly text: string;
  /** The default one unless given. */
  readonly tenant?: string;
}

/** The message wires a server speaks, as its document has them. */
export function dialectsOf({ operations }: Contract): readonly string[] {
  return operations.flatMap(({ path }) => /^\/protocols\/(\w+)\/messages$/.exec(path)?.[1] ?? []);
}

const WRITTEN = '2026-01-01T00:00:00.000Z';
const ENVELOPES: Readonly<Record<string, (letter: Letter) => object>> = {
  army: ({ id, to, text }) => ({
    ...{ id, timestamp: WRITTEN, from: 'supervisor', to: `writer:${to}`, type: 'coordination' },
    payload: { action: 'note', text },
  }),
  blog: ({ id, from, to, text }) => ({
    ...{ id, from, to, type: 'notification', payload: { text } },
    metadata: { timestamp: WRITTEN },
  }),
  nooble: ({ id, from, to, text, tenant = 'default' }) => ({
    ...{
      message_id: id,
      task_id: `task-${id}`,
      correlation_id: id,
      tenant_id: tenant,
      status: 'completed',
    },
    ...{
      type: { domain: 'agent', action: 'notify' },
      schema_version: '1.1',
      created_at: WRITTEN,
      priority: 5,
    },
    ...{ source_service: from.replaceAll('-', '_'), target_service: to.replaceAll('-', '_') },
    payload: { text },
  }),
  task: ({ id, to, text }) => ({
    ...{ type: 'task.submit', message_id: id, task_id: id, task_type: to, input: { text } },
    ...{ timestamp: new Date().toISOString(), protocol_version: '1.0.0' },
  }),
};

/** The letter in the words of a wire; a wire nobody wrote words for here fails the test. */
export function letterIn(dialect: string, letter: Letter): object {
  const write = ENVELOPES[dialect];
  assert.ok(write !== undefined, `nobody knows how to write a letter in ${dialect}`);
  return write(letter);
}

/** The name as one wire's penfriend bears it: an agent's inbox is one for all wires, and whoever reads it takes everything. */
export function penfriend(name: string, dialect: string): string {
  return `${name}-${dialect}`;
}

/** The id, and the correlation, of what `sendLetters` sends: a tenant's own, for in one of the wires ids are unique over all tenants. */
export function letterId(dialect: string, tenant = 'default'): string {
  return `letter-${tenant}-${dialect}`;
}

/**
 * In every wire hires two agents, sends the letter from one to the other, and something that is no letter at all, which is kept among
 * the dead ones with its words.
 */
export async function sendLetters(wire: Wire, letter: Omit<Letter, 'id'>): Promise<void> {
  const slots = { capacity: { slots: 10 } };
  for (const dialect of dialectsOf(wire.contract)) {
    const [from, to] = [penfriend(letter.from, dialect), penfriend(letter.to, dialect)];
    await wire.post('/api/v2/agents', { agent_id: from, types: [], roles: ['army:supervisor'], ...slots });
    const writer = { agent_id: to, types: [`custom:${to}`], roles: ['army:writer'], ...slots };
    await wire.post('/api/v2/agents', writer);
    const path = `/protocols/${dialect}/messages`;
    await wire.post(path, letterIn(dialect, { ...letter, from, to, id: letterId(dialect, letter.tenant) }));
    await wire.post(path, { nonsense: letter.text }, { expect: 400 });
  }
}

/** The newest of the dead letters. */
export async function deadLetterOf(wire: Wire, dialect: string): Promise<Loose> {
  const { body } = await wire.get(`/protocols/${dialect}/dead-letters`);
  return body.dead_letters.at(-1);
}
