import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openHouse, orderOf, workAs } from '../../test/harness.ts';
import { share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { connect } from '../../test/simulation/faults.ts';
import { type AgentId, DEFAULT_TENANT, type TaskId } from '../domain/ids.ts';
import type { ScheduleOrder } from '../domain/schedule.ts';
import type { TaskSpec } from '../domain/task.ts';
import { type Random, systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import type { Engine } from './engine.ts';

/** As a template writes it. */
const word = (name: string): string => `\${${name}}`;
const tenant = DEFAULT_TENANT;
const custom = { type: 'custom', typeName: 'work' } as const;
const HOUR = 3_600_000;
const MINUTE = 60_000;
const minutely = { timing: { by: 'interval', everyMs: MINUTE } } as const;

function schedule(
  id: string,
  more: Partial<ScheduleOrder> = {},
  spec: Partial<TaskSpec> = {},
): ScheduleOrder {
  return {
    tenant,
    id,
    timing: { by: 'interval', everyMs: HOUR },
    template: orderOf('template', { ...custom, ...spec }).spec,
    written: {},
    overlap: 'skip',
    catchUp: 'once',
    catchUpMax: 10,
    jitterMs: 0,
    startAt: null,
    endAt: null,
    actor: 'test',
    ...more,
  };
}

function truthOf(t: TestContext, clock: VirtualClock) {
  const store = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  t.after(() => store.stop());
  return store;
}

async function setup(t: TestContext) {
  const clock = new VirtualClock();
  const store = truthOf(t, clock);
  const house = await openHouse({ clock, store, options: { slotsPerType: 0 } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  const { engine } = house;
  return { clock, store, house, engine, worker, tasks: () => idsIn(engine, store) };
}

async function idsIn(_engine: Engine, store: ReturnType<typeof truthOf>): Promise<readonly string[]> {
  const { items } = await store.list({ tenant, limit: 1_000, offset: 0 });
  return items.map(({ id }) => id).sort();
}

test('schedules: a run an interval, each a task with the words of its instant, correlated to its schedule', async t => {
  const { clock, engine, tasks } = await setup(t);
  await engine.schedules.create(
    schedule(
      'hourly',
      {},
      {
        payload: {
          since: word('previous_at'),
          at: word('scheduled_at'),
          day: word('scheduled_date'),
          js: word('other'),
        },
        variables: { NAME: word('schedule_id') },
      },
    ),
  );
  await clock.advance(2 * HOUR + 1_000);
  assert.deepEqual(await tasks(), ['hourly.20260101T010000Z']);
  const task = await engine.task(tenant, 'hourly.20260101T010000Z' as TaskId);
  assert.deepEqual(task.spec.payload, {
    since: '',
    at: '2026-01-01T01:00:00.000Z',
    day: '2026-01-01',
    js: word('other'),
  });
  assert.deepEqual(task.spec.variables, { NAME: 'hourly' });
  assert.equal(task.spec.requester.correlationId, 'schedule:hourly');
  const { runs, skipped } = await engine.schedules.get(tenant, 'hourly');
  assert.deepEqual([runs, skipped], [1, 1]);
});

test('schedules: cron goes by the wall clock of its time zone, over a change to summer time too', async t => {
  const { engine } = await setup(t);
  const timing = { by: 'cron', cron: '30 2 * * *', timezone: 'Europe/Berlin' } as const;
  const kept = await engine.schedules.create(schedule('nightly', { timing, startAt: Date.UTC(2026, 2, 27) }));
  const next = engine.schedules.next(kept, 4).map(at => new Date(at).toISOString());
  // On the 29th there is no half past two.
  assert.deepEqual([next[0], next[1]], ['2026-03-27T01:30:00.000Z', '2026-03-28T01:30:00.000Z']);
  assert.equal(next[3], '2026-03-30T00:30:00.000Z');
});

test('schedules: overlap `queue` runs one after the other, `cancel_previous` ends the one before', async t => {
  const { clock, engine, worker, tasks } = await setup(t);
  await engine.schedules.create(schedule('queued', { overlap: 'queue' }));
  await engine.schedules.create(schedule('newest', { overlap: 'cancel_previous' }));
  await clock.advance(2 * HOUR + 1_000);
  assert.equal((await tasks()).length, 4);
  const { leases } = await worker.ask(10);
  assert.deepEqual(
    leases.map(({ task }) => task.id),
    ['queued.20260101T010000Z', 'newest.20260101T020000Z'],
  );
  const before = await engine.task(tenant, 'newest.20260101T010000Z' as TaskId);
  assert.equal(before.outcome, 'cancelled');
  await worker.complete(leases[0], null);
  assert.equal((await worker.ask(10)).leases[0]?.task.id, 'queued.20260101T020000Z');
});

for (const [catchUp, made] of [
  ['skip', []],
  ['once', ['s.20260101T070000Z']],
  ['all', ['s.20260101T050000Z', 's.20260101T060000Z', 's.20260101T070000Z']],
] as const) {
  test(`schedules: after a downtime catch-up \`${catchUp}\` makes ${made.length} of seven missed runs`, async t => {
    const clock = new VirtualClock();
    const store = truthOf(t, clock);
    const wire = connect(store, clock, systemRandom, { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 });
    const dead = await openHouse({ clock, store: wire.store });
    await workAs(dead, 'w1', ['custom:work']).hello();
    await dead.engine.schedules.create(schedule('s', { catchUp, catchUpMax: 3, overlap: 'queue' }));
    wire.cut();
    clock.leap(7.5 * HOUR);
    const alive = await openHouse({ clock, store });
    await clock.advance(2_000);
    assert.deepEqual(await idsIn(alive.engine, store), made);
    await clock.advance(HOUR);
    assert.deepEqual(await idsIn(alive.engine, store), [...made, 's.20260101T080000Z']);
  });
}

test('schedules: paused nothing runs, and what was due meanwhile is not made up for; deleted nothing runs at all', async t => {
  const { clock, engine, tasks } = await setup(t);
  await engine.schedules.create(schedule('s', { ...minutely, catchUp: 'all', overlap: 'queue' }));
  await engine.schedules.pause(tenant, 's');
  assert.deepEqual(engine.schedules.next(await engine.schedules.get(tenant, 's'), 3), []);
  await clock.advance(3.5 * MINUTE);
  await engine.schedules.resume(tenant, 's');
  await clock.advance(MINUTE);
  assert.deepEqual(await tasks(), ['s.20260101T000400Z']);
  await engine.schedules.remove(tenant, 's');
  await clock.advance(2 * MINUTE);
  assert.equal((await tasks()).length, 1);
  await assert.rejects(engine.schedules.get(tenant, 's'), { code: 'not_found' });
});

test('schedules: start, end and jitter; run now is a run beside the others', async t => {
  const { clock, engine, tasks } = await setup(t);
  const start = clock.now();
  const bounds = { startAt: start + 2 * MINUTE, endAt: start + 3 * MINUTE, jitterMs: 30_000 };
  await engine.schedules.create(schedule('s', { ...minutely, ...bounds, overlap: 'queue' }));
  await engine.schedules.runNow(tenant, 's');
  await clock.advance(6 * MINUTE);
  const ids = await tasks();
  assert.deepEqual(ids, ['s.20260101T000200Z', 's.20260101T000300Z', `s.manual.${start}`]);
  const delays = await Promise.all(
    ids.slice(0, 2).map(async (id, n) => {
      const { spec } = await engine.task(tenant, id as TaskId);
      return (spec.notBefore ?? 0) - (start + (n + 2) * MINUTE);
    }),
  );
  assert.ok(delays.every(delay => delay > 0 && delay < 30_000));
  assert.notEqual(delays[0], delays[1]);
  assert.equal((await engine.schedules.get(tenant, 's')).state, 'ended');
});

test('schedules: one that could never run, ends before it begins, or bears a taken name is refused', async t => {
  const { engine } = await setup(t);
  const refused = (more: Partial<ScheduleOrder>, spec: Partial<TaskSpec> = {}) =>
    engine.schedules.create(schedule('s', more, spec));
  await assert.rejects(refused({}, { typeName: 'nobody' }), { code: 'unprocessable' });
  await assert.rejects(refused({ endAt: 1 }), { code: 'unprocessable' });
  await assert.rejects(refused({ timing: { by: 'cron', cron: '0 0 31 2 *', timezone: 'UTC' } }), /never due/);
  await refused({});
  await assert.rejects(refused({}), { code: 'conflict' });
});

test('schedules: a run is made once, whatever answers are lost and however often the server dies', async t => {
  const clock = new VirtualClock();
  const store = truthOf(t, clock);
  const faults = { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 };
  let seed = 7;
  const random: Random = {
    ...systemRandom,
    fraction() {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    },
  };
  const first = await openHouse({ clock, store });
  await workAs(first, 'w1', ['custom:work']).hello();
  await first.engine.schedules.create(
    schedule('s', { ...minutely, overlap: 'queue', catchUp: 'all', catchUpMax: 100 }),
  );
  await first.engine.stop();
  for (let life = 0; life < 8; life++) {
    Object.assign(faults, { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 });
    const wire = connect(store, clock, random, faults);
    await openHouse({ clock, store: wire.store, options: { slotsPerType: 0 } });
    Object.assign(faults, { refused: 0.2, lost: 0.2, delayMsMax: 40, hintsLost: 0 });
    await clock.advance(MINUTE + life * 370);
    wire.cut();
  }
  const last = await openHouse({ clock, store, options: { slotsPerType: 0 } });
  await clock.advance(5_000);
  const expected = Array.from({ length: 8 }, (_, n) => `s.20260101T000${n + 1}00Z`);
  assert.deepEqual(await idsIn(last.engine, store), expected);
  assert.equal((await last.engine.schedules.get(tenant, 's')).lastError, null);
});

test('schedules: several nodes make each run once, and another goes on when the one that did the chores is gone', async t => {
  const clock = new VirtualClock();
  const truth = truthOf(t, clock);
  const open = share(truth);
  const node = async (id: string) => {
    const handle = open();
    const options = { serverId: id as AgentId, slotsPerType: 0 };
    return { ...(await openHouse({ clock, store: handle.store, options })), handle };
  };
  const [a, b] = [await node('a'), await node('b')];
  await workAs(b, 'w1', ['custom:work']).hello();
  const timing = { by: 'interval', everyMs: 60_000 } as const;
  await b.engine.schedules.create(schedule('s', { timing, overlap: 'queue' }));
  await clock.advance(125_000);
  a.handle.cut();
  await clock.advance(120_000);
  assert.deepEqual(
    await idsIn(b.engine, truth),
    [1, 2, 3, 4].map(minute => `s.20260101T000${minute}00Z`),
  );
});
