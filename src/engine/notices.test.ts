// Notices: others who are told of a task's end, each by a delivery of its own, and when the phase is over in which they are.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, planOf, workAs } from '../../test/harness.ts';
import { share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import type { EndNotice } from '../domain/delivery.ts';
import { DEFAULT_TENANT, type TaskId } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import type { ChannelMessage, SendOutcome } from './ports/channel.ts';

const custom = { type: 'custom', typeName: 'work' } as const;
const MAIL = 'mailto:ann@example.com';
const HOOK = 'https://other.test/hook';
const notices: readonly EndNotice[] = [
  { channel: 'email', url: MAIL, events: ['task_completed', 'task_failed'] },
  { channel: 'webhook', url: HOOK, events: ['task_failed'] },
];

async function setup(more: Partial<HouseOptions> = {}) {
  const clock = new VirtualClock();
  const house = await openHouse({ clock, ...more, options: { slotsPerType: 0 } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  return {
    ...{ clock, house, worker },
    task: (id: string) => house.engine.task(DEFAULT_TENANT, id as TaskId),
    async close() {
      const stopping = house.stop();
      await clock.advance(10_000);
      await stopping;
    },
  };
}

const outcome = (verdict: SendOutcome['verdict'], answer = ''): SendOutcome => ({
  ...{ status: verdict === 'delivered' ? 200 : 503, durationMs: 5, answer, verdict },
});

const places = (sent: readonly ChannelMessage[]): readonly string[] =>
  sent.map(({ endpoint, event }) => `${event} ${endpoint}`).sort();

test('NOOB-52 whoever is named for it is told of an end beside the plan of the task, and of nothing before it', async () => {
  const { clock, house, worker, task, close } = await setup();
  const notification = { ...planOf(['task_started', 'task_completed']), secretSealed: 'its own' };
  await house.engine.submit([orderOf('good', { ...custom, notification, notices })]);
  await worker.complete((await worker.ask(1)).leases[0], 1);
  await clock.advance(1_000);
  const [own, ...others] = house.sent.filter(({ event }) => event === 'task_completed');
  assert.deepEqual(places(house.sent), [
    'task_completed https://receiver.test/hook',
    `task_completed ${MAIL}`,
    'task_started https://receiver.test/hook',
  ]);
  assert.deepEqual([own?.secrets, others.map(({ secrets }) => secrets)], [['its own'], [['tenant-secret']]]);
  assert.equal((await task('good')).state, 'notified');
  house.sent.length = 0;
  await house.engine.submit([
    orderOf('bad', { ...custom, notices }),
    orderOf('late', { ...custom, notices, timeoutMs: 2_000 }),
  ]);
  const { leases } = await worker.ask(2);
  await worker.fail(
    leases.find(({ task: { id } }) => id === 'bad'),
    { recoverable: false },
  );
  await clock.advance(5_000);
  const failures = [`task_failed ${HOOK}`, `task_failed ${MAIL}`];
  assert.deepEqual(places(house.sent), [...failures, ...failures].sort());
  await close();
});

test('NOOB-52 a task is notified once all are told, and failed to notify where one was given up', async () => {
  const slow = Promise.withResolvers<SendOutcome>();
  let answer = (_: ChannelMessage): SendOutcome | Promise<SendOutcome> => outcome('delivered');
  const { clock, house, worker, task, close } = await setup({ send: message => answer(message) });
  const both = notices.map(notice => ({ ...notice, events: ['task_completed'] as const }));
  const end = async (id: string) => {
    await house.engine.submit([orderOf(id, { ...custom, notices: both })]);
    await worker.complete((await worker.ask(1)).leases[0], 1);
    await clock.advance(1_000);
    return task(id);
  };
  answer = ({ endpoint }) => (endpoint === MAIL ? slow.promise : outcome('delivered'));
  assert.equal((await end('slow')).state, 'notifying');
  slow.resolve(outcome('delivered'));
  await clock.advance(1_000);
  assert.equal((await task('slow')).state, 'notified');
  answer = ({ endpoint }) => outcome(endpoint === MAIL ? 'fail' : 'delivered', 'no such mailbox');
  const failed = await end('failed');
  assert.equal(failed.state, 'notification_failed');
  const events = await house.store.events({ of: 'task', key: failed.key, afterSequence: 0, limit: 50 });
  const last = events.at(-1);
  assert.equal(last?.kind === 'state' ? last.reason : null, '1 of 2 notifications failed');
  // Neither knows of the other's end before its own is written down.
  const gate = Promise.withResolvers<SendOutcome>();
  answer = () => gate.promise;
  assert.equal((await end('at-once')).state, 'notifying');
  gate.resolve(outcome('delivered'));
  await clock.advance(1_000);
  assert.equal((await task('at-once')).state, 'notified');
  await close();
});

test('NOOB-52 who is only told of an end cannot change how the task tells of itself', async () => {
  const { clock, house, worker, task, close } = await setup({
    send: ({ endpoint }) => ({
      ...outcome('delivered'),
      ...(endpoint === HOOK
        ? { acknowledgement: { acknowledged: true, next_instructions: { action: 'retry' } } }
        : {}),
    }),
  });
  await house.engine.submit([orderOf('meek', { ...custom, notices })]);
  await worker.fail((await worker.ask(1)).leases[0], { recoverable: false });
  await clock.advance(5_000);
  assert.equal((await task('meek')).state, 'notified');
  assert.equal((await house.store.list({ tenant: DEFAULT_TENANT, limit: 10, offset: 0 })).total, 1);
  await close();
});

test('NOOB-52 what a server did not send of an end before it died is sent by the next', async t => {
  const { truth, first, die, clock } = await twoServers(t);
  await first.house.engine.submit([orderOf('kept', { ...custom, notices })]);
  await first.worker.complete((await first.worker.ask(1)).leases[0], 1);
  await clock.advance(1_000);
  assert.equal((await first.task('kept')).state, 'notifying');
  die();
  const next = await setup({ store: truth, clock });
  await clock.advance(60_000);
  assert.deepEqual(places(next.house.sent), [`task_completed ${MAIL}`]);
  assert.equal((await next.task('kept')).outcome, 'completed');
  await next.close();
});

test('NOOB-52 a server that died once all were told leaves a task that is notified when its time to tell is over', async t => {
  const { truth, first, die, clock } = await twoServers(t);
  await first.house.engine.submit([orderOf('cut', { ...custom, notices })]);
  await first.worker.complete((await first.worker.ask(1)).leases[0], 1);
  await clock.advance(1_000);
  die();
  const { items } = await truth.deliveries({ tenant: DEFAULT_TENANT, limit: 10, offset: 0 });
  await truth.settleDeliveries(items.map(({ id }) => ({ id, next: { status: 'delivered' } })));
  clock.leap(24 * 3_600_000);
  const next = await setup({ store: truth, clock });
  await clock.advance(1_000);
  assert.equal((await next.task('cut')).state, 'notified');
  assert.deepEqual(next.house.sent, []);
  await next.close();
});

/** A server whose receivers never answer, which can die, and the store it leaves to the next. */
async function twoServers(t: TestContext) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  t.after(() => truth.stop());
  const handle = share(truth)();
  const store = Object.setPrototypeOf(
    { ...handle.store, capabilities: { shared: false } },
    handle.store,
  ) as Store;
  const first = await setup({ store, clock, send: () => new Promise(() => {}) });
  return { truth, clock, first, die: () => handle.cut() };
}
