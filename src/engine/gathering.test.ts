import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, planOf, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { NOTIFICATION_EVENTS } from '../domain/event.ts';
import { DEFAULT_TENANT, type TaskId } from '../domain/ids.ts';

const custom = { type: 'custom', typeName: 'work' } as const;
const WINDOW_MS = 2_000;

async function setup(batch: { itemsMax: number; delayMaxMs: number } | null, send?: HouseOptions['send']) {
  const clock = new VirtualClock();
  // Windows are counted from the epoch: begin one.
  await clock.advance(WINDOW_MS - (clock.now() % WINDOW_MS));
  const house = await openHouse({
    clock,
    options: { slotsPerType: 0 },
    ...(send === undefined ? {} : { send }),
  });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  const plan = { ...planOf([...NOTIFICATION_EVENTS]), progressIntervalMs: 1 };
  const notification = batch === null ? plan : { ...plan, batch };
  await house.engine.submit([orderOf('a', { ...custom, notification })]);
  const [lease] = (await worker.ask(1)).leases;
  await clock.advance(10);
  return {
    clock,
    house,
    worker,
    lease,
    async progress(...percentages: number[]) {
      for (const percentage of percentages) {
        await clock.advance(10);
        await worker.report(lease, { percentage });
      }
    },
    /** What was sent: per request, the event of its header and the events of its items. */
    requests: () =>
      house.sent.map(({ event, body }) => [
        event,
        Array.isArray(body) ? body.map(one => one.event_type) : 'no array',
      ]),
    sequences: () => house.sent.map(({ body }) => [body].flat().map(one => Number(one.sequence))),
    async close() {
      const stopping = house.stop();
      await clock.advance(10_000);
      await stopping;
    },
  };
}

test('SAM-84 progress is gathered for a while and sent as one array in order; without batch it is sent one by one', async () => {
  const batched = await setup({ itemsMax: 10, delayMaxMs: WINDOW_MS });
  await batched.progress(10, 20, 30);
  await batched.clock.advance(WINDOW_MS - 200);
  assert.deepEqual(batched.requests(), [['task_started', ['task_started']]]);
  await batched.clock.advance(200);
  const three = ['task_progress', 'task_progress', 'task_progress'];
  assert.deepEqual(batched.requests().slice(1), [['task_progress', three]]);
  const [, items] = batched.sequences();
  assert.deepEqual(
    items,
    [...(items ?? [])].sort((one, other) => one - other),
  );
  assert.equal(new Set(items).size, 3);
  await batched.close();
  const plain = await setup(null);
  await plain.progress(10, 20);
  await plain.clock.advance(10);
  assert.deepEqual(plain.requests(), [
    ['task_started', 'no array'],
    ['task_progress', 'no array'],
    ['task_progress', 'no array'],
  ]);
  await plain.close();
});

test('SAM-84 a full batch does not wait for its time, and none holds more than was asked for', async () => {
  const { requests, progress, close } = await setup({ itemsMax: 2, delayMaxMs: 60_000 });
  await progress(10, 20, 30, 40, 50);
  const two = ['task_progress', ['task_progress', 'task_progress']];
  assert.deepEqual(requests().slice(1), [two, two]);
  await close();
});

test('SAM-84 the end takes along what was gathered and waits for nothing', async () => {
  const { requests, progress, worker, lease, clock, close } = await setup({
    itemsMax: 10,
    delayMaxMs: 60_000,
  });
  await progress(10, 20);
  await worker.complete(lease, 1);
  await clock.advance(100);
  assert.deepEqual(requests().slice(1), [
    ['task_completed', ['task_progress', 'task_progress', 'task_completed']],
  ]);
  await close();
});

test('SAM-84 a batch that fails is told again, and nothing of it twice once it was taken', async () => {
  let tries = 0;
  const { requests, sequences, progress, clock, house, close } = await setup(
    { itemsMax: 10, delayMaxMs: WINDOW_MS },
    () => {
      const isRefused = ++tries === 2;
      return {
        status: isRefused ? 503 : 200,
        durationMs: 1,
        answer: '',
        verdict: isRefused ? 'retry' : 'delivered',
      };
    },
  );
  await progress(10, 20);
  await clock.advance(WINDOW_MS + 500);
  const two = ['task_progress', ['task_progress', 'task_progress']];
  assert.deepEqual(requests().slice(1), [two, two]);
  assert.deepEqual(house.sent[1]?.deliveryId, house.sent[2]?.deliveryId);
  await progress(30);
  await clock.advance(WINDOW_MS);
  assert.deepEqual(requests()[3], ['task_progress', ['task_progress']]);
  assert.ok(Math.min(...(sequences()[3] ?? [])) > Math.max(...(sequences()[2] ?? [])));
  await close();
});

test('SAM-86 a checkpoint alone is kept for the next attempt and told to nobody', async () => {
  const { clock, house, worker, lease, progress, requests, close } = await setup(null);
  const read = async () => house.engine.task(DEFAULT_TENANT, 'a' as TaskId);
  await progress(40);
  await clock.advance(10);
  const before = await read();
  await worker.report(lease, { checkpoint: { row: 7 } });
  const after = await read();
  assert.deepEqual(
    [after.checkpoint, after.version, after.progress],
    [{ row: 7 }, before.version, before.progress],
  );
  await clock.advance(10);
  await worker.report(lease, { percentage: 50, checkpoint: { row: 8 } });
  assert.equal((await read()).version, before.version + 1);
  await clock.advance(10);
  assert.equal(requests().filter(([event]) => event === 'task_progress').length, 2);
  await close();
});
