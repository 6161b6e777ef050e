// Concurrency keys and cached results over two engines on a real PostgreSQL, with the real clock and all they race about.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { AgentId } from '../../src/domain/ids.ts';
import type { AttemptContext, AttemptResult } from '../../src/engine/ports/executor.ts';
import { pause, systemClock } from '../../src/runtime/clock.ts';
import { openPostgres } from '../../src/store/postgres/open.ts';
import { openHouse, orderOf, until } from '../harness.ts';
import { freshDatabase, postgresMissing } from '../postgres.ts';

const skip = postgresMissing;

async function twoHouses(t: TestContext, run: (context: AttemptContext) => Promise<AttemptResult>) {
  const { url, drop } = await freshDatabase();
  const house = async (id: string) => {
    const store = await openPostgres({ url, auditKey: 'k', connections: 4 });
    return openHouse({ store, run, options: { serverId: id as AgentId, slotsPerType: 8 } });
  };
  const houses = [await house('a'), await house('b')] as const;
  t.after(async () => {
    await Promise.all(houses.map(one => one.stop()));
    await drop();
  });
  return houses;
}

test('concurrency keys: two nodes on one database never run more of a key than may', { skip }, async t => {
  let running = 0;
  let most = 0;
  const ran = new Map<string, number>();
  const [a, b] = await twoHouses(t, async ({ task }) => {
    running++;
    most = Math.max(most, running);
    ran.set(task.id, (ran.get(task.id) ?? 0) + 1);
    await pause(systemClock, 15);
    running--;
    return { status: 'completed', output: null };
  });
  const ids = Array.from({ length: 40 }, (_, n) => `t${n}`);
  const concurrency = { key: 'ein Schlüssel: mit "Allem"', limit: 3 };
  await Promise.all(ids.map((id, n) => (n % 2 === 0 ? a : b).engine.submit([orderOf(id, { concurrency })])));
  for (const id of ids) await until(a, id, task => task.outcome === 'completed');
  assert.ok(most <= 3, `${most} ran at once`);
  assert.deepEqual(
    [...ran.values()],
    ids.map(() => 1),
  );
});

test('SAM-234 a stampede over two nodes on one database runs one', { skip }, async t => {
  const ran: string[] = [];
  const [a, b] = await twoHouses(t, async ({ task }) => {
    ran.push(task.id);
    await pause(systemClock, 200);
    return { status: 'completed', output: task.id };
  });
  const ids = Array.from({ length: 40 }, (_, n) => `t${n}`);
  const cache = { ttlMs: 60_000 };
  await Promise.all(ids.map((id, n) => (n % 2 === 0 ? a : b).engine.submit([orderOf(id, { cache })])));
  for (const id of ids) {
    const { result } = await until(b, id, task => task.outcome === 'completed');
    assert.equal(result?.output, ran[0]);
  }
  assert.equal(ran.length, 1);
});
