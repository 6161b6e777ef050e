import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import type { AgentId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import { DrivingSeat } from './driving-seat.ts';

const agent = { tenant: DEFAULT_TENANT, agentId: 'far' as AgentId };

function setup(shared = true) {
  const clock = new VirtualClock();
  const random = systemRandom;
  const store = openSqliteInProcess({ path: ':memory:', clock, random, auditKey: Buffer.alloc(32) });
  const seat = () => new DrivingSeat(agent, clock, random, store, { shared });
  return { clock, one: seat(), other: seat() };
}

test('of several nodes one drives an agent, for as long as it says so in time', async () => {
  const { clock, one, other } = setup();
  assert.equal(await one.take(), true);
  assert.equal(await other.take(), false);
  for (let round = 0; round < 5; round += 1) {
    await clock.advance(20_000);
    assert.equal(await one.take(), true);
    assert.equal(await other.take(), false);
  }
});

test('a node that falls silent loses the seat to the next, and knows it', async () => {
  const { clock, one, other } = setup();
  await one.take();
  await clock.advance(30_001);
  assert.equal(await other.take(), true);
  assert.equal(await one.take(), false);
});

test('a node that leaves frees the seat at once', async () => {
  const { one, other } = setup();
  await one.take();
  await one.leave();
  assert.equal(await other.take(), true);
});

test('alone on its store a node need not ask', async () => {
  const { one, other } = setup(false);
  assert.deepEqual([await one.take(), await other.take()], [true, true]);
});
