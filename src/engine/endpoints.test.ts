import assert from 'node:assert/strict';
import { test } from 'node:test';
import { share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import { Endpoints } from './endpoints.ts';

const URL = 'https://receiver.test/';

function setup() {
  const clock = new VirtualClock();
  const store = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const endpoints = new Endpoints(silentLog, clock, systemRandom, store, { perHour: 1_000_000 });
  const timeout = async () => {
    const clearance = await endpoints.clear(DEFAULT_TENANT, URL, true);
    return clearance.go ? clearance.timeoutMs : null;
  };
  const answer = (good: boolean, ms = 10) => endpoints.note(DEFAULT_TENANT, URL, good, ms);
  return { clock, store, endpoints, timeout, answer };
}

test('SAM-90 the timeout is four times the 95th percentile within 2 and 30 s, 10 s while little is known', async () => {
  const { timeout, answer } = setup();
  assert.equal(await timeout(), 10_000);
  for (let n = 0; n < 5; n++) answer(true, 1_000);
  assert.equal(await timeout(), 4_000);
  for (let n = 0; n < 50; n++) answer(true, 5);
  assert.equal(await timeout(), 2_000);
  for (let n = 0; n < 50; n++) answer(true, 20_000);
  assert.equal(await timeout(), 30_000);
});

test('SAM-90 an endpoint shows its mean, percentile, success rate and hourly availability, and warns when it slows down', () => {
  const { endpoints, answer } = setup();
  for (let n = 0; n < 100; n++) answer(true, 10);
  answer(false);
  const [calm] = endpoints.list(DEFAULT_TENANT);
  assert.deepEqual([calm?.meanMs, calm?.p95Ms, calm?.successRate, calm?.warning], [10, 10, 0.98, null]);
  assert.equal(calm?.availability[0]?.share, 100 / 101);
  for (let n = 0; n < 50; n++) answer(true, 500);
  assert.match(endpoints.list(DEFAULT_TENANT)[0]?.warning ?? '', /three times/);
});

test('SAM-91 the breaker opens for 30 s, doubling to ten minutes, and lets a single probe through', async () => {
  const { clock, endpoints, timeout, answer } = setup();
  for (let n = 0; n < 10; n++) answer(false);
  for (const openMs of [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000]) {
    assert.equal(await timeout(), null);
    await clock.advance(openMs - 1);
    assert.equal(await timeout(), null, `the breaker closed before ${openMs} ms`);
    await clock.advance(1);
    assert.equal(typeof (await timeout()), 'number', `no probe after ${openMs} ms`);
    assert.equal(await timeout(), null, 'a second probe was let through');
    answer(false);
  }
  await clock.advance(600_000);
  await timeout();
  assert.equal(answer(true), true);
  assert.equal(endpoints.list(DEFAULT_TENANT)[0]?.breaker, 'closed');
});

/** Nodes on one store, each with its endpoints. */
function cluster(perHour = 1_000_000) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const open = share(truth);
  return {
    clock,
    truth,
    async node() {
      const handle = open();
      const endpoints = new Endpoints(silentLog, clock, systemRandom, handle.store, { perHour });
      await endpoints.start();
      return {
        handle,
        endpoints,
        clear: async (isEnd = true) => (await endpoints.clear(DEFAULT_TENANT, URL, isEnd)).go,
        note: (good: boolean) => endpoints.note(DEFAULT_TENANT, URL, good, 10),
        breaker: () => endpoints.list(DEFAULT_TENANT)[0]?.breaker,
      };
    },
  };
}

test('SAM-91 a breaker that opens at one node is open at all, and what closes it closes it everywhere, told or not', async () => {
  for (const deaf of [false, true]) {
    const { clock, node } = cluster();
    const [a, b] = [await node(), await node()];
    for (const { handle } of [a, b]) handle.deaf = deaf;
    for (let n = 0; n < 10; n++) a.note(false);
    await clock.advance(deaf ? 3_100 : 10);
    assert.deepEqual([await b.clear(), b.breaker()], [false, 'open'], `deaf: ${deaf}`);
    await clock.advance(30_000);
    assert.equal(await b.clear(), true);
    await clock.advance(deaf ? 3_100 : 10);
    assert.deepEqual([await a.clear(), a.breaker()], [false, 'probing'], `deaf: ${deaf}`);
    assert.deepEqual([b.note(true), b.breaker()], [true, 'closed']);
    await clock.advance(deaf ? 3_100 : 10);
    assert.deepEqual([await a.clear(), a.breaker()], [true, 'closed'], `deaf: ${deaf}`);
  }
});

test('SAM-91 of all nodes that would try an endpoint again at the same moment one does, and its failure counts for all', async () => {
  const { clock, node } = cluster();
  const nodes = [await node(), await node(), await node()];
  for (const { handle } of nodes) handle.deaf = true;
  for (let n = 0; n < 10; n++) nodes[0]?.note(false);
  await clock.advance(31_000);
  const cleared = await Promise.all(nodes.map(one => one.clear()));
  assert.equal(cleared.filter(Boolean).length, 1);
  nodes[cleared.indexOf(true)]?.note(false);
  await clock.advance(59_000);
  assert.deepEqual(await Promise.all(nodes.map(one => one.clear())), [false, false, false]);
});

test('SAM-91 another node tries again where the one that tried died of it', async () => {
  const { clock, node } = cluster();
  const [a, b] = [await node(), await node()];
  for (let n = 0; n < 10; n++) a.note(false);
  await clock.advance(30_100);
  assert.equal(await a.clear(), true);
  await clock.advance(100);
  a.handle.cut();
  assert.equal(await b.clear(), false);
  await clock.advance(60_000);
  assert.equal(await b.clear(), true);
});

test('breakers and budgets are documents only where nodes share the store, and none while all is well', async () => {
  const { clock, truth, node } = cluster();
  const alone = setup();
  await alone.endpoints.start();
  const a = await node();
  const documents = async () =>
    (
      await Promise.all(['endpoint_breaker', 'endpoint_counts'].map(kind => truth.documents({ kind })))
    ).flat();
  for (let n = 0; n < 50; n++) {
    await a.clear();
    a.note(n % 5 !== 0);
  }
  await clock.advance(10_000);
  assert.deepEqual(await documents(), []);
  for (let n = 0; n < 10; n++) a.note(false);
  for (let n = 0; n < 10; n++) alone.answer(false);
  await clock.advance(10);
  assert.equal((await documents()).length, 1);
  assert.deepEqual(await alone.store.documents({ kind: 'endpoint_breaker' }), []);
  await clock.advance(2 * 3_600_000);
  assert.deepEqual(await documents(), []);
});

test('a store that is away keeps nobody from trying an endpoint again', async () => {
  const clock = new VirtualClock();
  let isAway = false;
  const store = {
    capabilities: { shared: true },
    hear: () => () => {},
    documents: async () => (isAway ? Promise.reject(new Error('away')) : []),
    putDocuments: async () => (isAway ? Promise.reject(new Error('away')) : []),
  };
  const endpoints = new Endpoints(silentLog, clock, systemRandom, store, { perHour: 1_000_000 });
  await endpoints.start();
  isAway = true;
  for (let n = 0; n < 10; n++) endpoints.note(DEFAULT_TENANT, URL, false, 10);
  const clear = async () => (await endpoints.clear(DEFAULT_TENANT, URL, true)).go;
  await clock.advance(29_900);
  assert.equal(await clear(), false);
  await clock.advance(200);
  assert.deepEqual([await clear(), await clear()], [true, false]);
});

test('SAM-54 an endpoint’s hour is counted over all nodes, and a node that starts anew counts on', async () => {
  const { clock, node } = cluster(100);
  const [a, b] = [await node(), await node()];
  const sentBy = async (one: Awaited<ReturnType<typeof node>>) => {
    let sent = 0;
    while (sent < 200 && (await one.clear())) sent++;
    return sent;
  };
  for (let n = 0; n < 60; n++) await a.clear();
  await clock.advance(6_100);
  assert.equal(await sentBy(b), 40);
  await clock.advance(6_100);
  a.handle.cut();
  const c = await node();
  assert.deepEqual([await sentBy(c), await sentBy(a)], [0, 0]);
  await clock.advance(3_600_000);
  assert.equal(await sentBy(c), 100);
});

test('SAM-91 tries that began before the breaker opened do not keep it open for longer', async () => {
  const { clock, timeout, answer } = setup();
  for (let n = 0; n < 30; n++) answer(false);
  await clock.advance(29_999);
  assert.equal(await timeout(), null);
  await clock.advance(1);
  assert.equal(typeof (await timeout()), 'number');
  answer(false);
  await clock.advance(60_000);
  assert.equal(typeof (await timeout()), 'number');
});

test('SAM-54 what a breaker holds back takes nothing of the hour', async () => {
  const { clock, node } = cluster(20);
  const a = await node();
  for (let n = 0; n < 10; n++) {
    await a.clear();
    a.note(false);
  }
  for (let n = 0; n < 100; n++) assert.equal(await a.clear(), false);
  await clock.advance(30_000);
  assert.equal(await a.clear(), true);
  a.note(true);
  let left = 0;
  while (await a.clear()) left++;
  assert.equal(left, 9);
});
