// What one node was told of agents, at the other nodes: by a hint at once, and without one within a second.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orderOf, workAs } from '../../test/harness.ts';
import { type Node, setupNodes } from '../../test/nodes.ts';
import { DomainError } from '../domain/errors.ts';
import type { AgentId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { AgentRegistration } from './api.ts';
import type { PayloadCheck } from './ports/schemas.ts';

const BATCH = { type: 'custom', typeName: 'x' } as const;
const SELF: AgentRegistration = {
  tenant: DEFAULT_TENANT,
  id: 'w' as AgentId,
  kind: 'worker',
  types: ['custom:x'],
  capabilities: [],
  slots: 7,
  capacity: {},
};

/** Of a schema, knows what it requires. */
const NEEDS_ALONE: PayloadCheck = {
  async admit() {},
  async check({ required }, payload) {
    for (const field of required as readonly string[])
      if (!Object.hasOwn(payload as object, field))
        throw new DomainError('invalid_request', `${field} is missing`);
  },
};

async function agentAt(node: Node) {
  return (await node.engine.agents(DEFAULT_TENANT)).find(({ agent }) => agent.id === SELF.id) ?? null;
}

test('SAM-233 what is said of an agent at one node is read at once at every other, though no hint reaches them', async t => {
  const { node } = setupNodes(t);
  const [a, b] = [await node('a'), await node('b')];
  for (const { handle } of [a, b]) handle.deaf = true;
  await a.engine.registerAgent(SELF);
  assert.equal((await agentAt(b))?.agent.slots, 7);
  await b.engine.registerAgent({ ...SELF, slots: 3 });
  assert.equal((await agentAt(a))?.agent.slots, 3);
  await b.engine.drainAgent(DEFAULT_TENANT, SELF.id);
  assert.equal((await agentAt(a))?.health, 'draining');
  await a.engine.removeAgent(DEFAULT_TENANT, SELF.id);
  assert.equal(await agentAt(b), null);
  await assert.rejects(b.engine.drainAgent(DEFAULT_TENANT, SELF.id), { code: 'not_found' });
});

test('SAM-233 an agent that one node drained gets nothing at another a second later, however it keeps asking there', async t => {
  const { clock, node } = setupNodes(t);
  const [a, b] = [await node('a'), await node('b')];
  for (const { handle } of [a, b]) handle.deaf = true;
  const atB = workAs(b, 'w', ['custom:x']);
  await b.engine.registerAgent(SELF);
  await b.engine.submit([orderOf('1', BATCH), orderOf('2', BATCH)]);
  assert.equal((await atB.ask(1)).leases.length, 1);
  // It was just heard of at the one, which must not make the other's word of it older.
  await clock.advance(30_000);
  await a.engine.drainAgent(DEFAULT_TENANT, SELF.id);
  await clock.advance(1_000);
  assert.equal((await atB.ask(1)).leases.length, 0);
  // Nor does its being heard of there undo what was said here.
  await clock.advance(30_000);
  await atB.ask(1);
  assert.equal((await agentAt(a))?.health, 'draining');
});

test('SAM-233 a task is checked by the schema its worker registered with another node within the last second', async t => {
  const { clock, node } = setupNodes(t, { schemas: NEEDS_ALONE });
  const [a, b] = [await node('a'), await node('b')];
  for (const { handle } of [a, b]) handle.deaf = true;
  const needing = (field: string) => ({
    ...SELF,
    schemas: { x: { input: { type: 'object', required: [field] } } },
  });
  const kindOf = async (id: string, payload: { readonly [field: string]: number }) =>
    (await b.engine.submit([orderOf(id, { ...BATCH, payload: { type_name: 'x', ...payload } })]))[0]?.kind;
  await a.engine.registerAgent(needing('old'));
  assert.equal(await kindOf('1', { old: 1 }), 'admitted');
  await a.engine.registerAgent(needing('new'));
  await clock.advance(1_000);
  assert.deepEqual([await kindOf('2', { old: 1 }), await kindOf('3', { new: 1 })], ['refused', 'admitted']);
  // A worker that speaks to a node which has not heard of it yet is no stranger: what it registered stays.
  await a.engine.registerAgent({ ...needing('other'), id: 'v' as AgentId });
  await workAs(b, 'v', ['custom:x']).ask(1);
  const kept = (await a.store.documents({ kind: 'agent', ids: ['v'] }))[0]?.body;
  assert.deepEqual(kept?.schemas, needing('other').schemas);
});

test('SAM-113 an agent that five errors running of its own have barred is barred at every node, for a minute, then two', async t => {
  const { clock, node } = setupNodes(t, { options: { leaseMs: 2_000 } });
  const [a, b] = [await node('a'), await node('b')];
  const [atA, atB] = [workAs(a, 'w', ['custom:x']), workAs(b, 'w', ['custom:x'])];
  await atA.hello();
  await a.engine.submit(Array.from({ length: 30 }, (_, at) => orderOf(`t${at}`, BATCH)));
  const take = async (one: typeof atA, slots: number) => (await one.ask(slots)).leases;
  const lose = async (count: number) => {
    assert.equal((await take(atA, count)).length, count);
    // It never speaks of them again.
    await clock.advance(8_000);
  };
  await lose(4);
  const [good] = await take(atB, 1);
  await clock.advance(1_000);
  await atB.complete(good, null);
  // At the node that counts them a good end between starts the count anew; elsewhere it cannot be known.
  await lose(5);
  for (const one of [atA, atB]) assert.equal((await take(one, 1)).length, 0);
  await clock.advance(40_000);
  for (const one of [atA, atB]) assert.equal((await take(one, 1)).length, 0);
  await clock.advance(20_000);
  await lose(5);
  await clock.advance(60_000);
  for (const one of [atA, atB]) assert.equal((await take(one, 1)).length, 0);
  await clock.advance(60_000);
  const [back] = await take(atB, 1);
  await atB.complete(back, null);
  await clock.advance(4_000);
  assert.deepEqual(await a.store.documents({ kind: 'agent_bar' }), [], 'a good end is good everywhere');
});
