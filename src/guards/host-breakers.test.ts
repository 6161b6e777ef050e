import assert from 'node:assert/strict';
import { test } from 'node:test';
import { share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DomainError } from '../domain/errors.ts';
import type { Outbound, OutboundRequest } from '../engine/ports/outbound.ts';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import { HostBreakers, withHostBreakers } from './host-breakers.ts';

const to = (url: string): OutboundRequest => ({
  url,
  method: 'GET',
  headers: {},
  timeoutMs: 1_000,
  answerBytesMax: 1_000,
});
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'answered',
    error => (error instanceof DomainError ? error.code : 'other'),
  );

function setup() {
  const clock = new VirtualClock();
  let state: 'up' | 'down' | 'refused' | 'broken' = 'down';
  let reached = 0;
  const bare: Outbound = {
    check: async () => {},
    stop: async () => {},
    async send() {
      reached++;
      if (state === 'down') throw new DomainError('dependency_failed', 'no connection');
      if (state === 'refused') throw new DomainError('policy_violation', 'not permitted');
      return { status: state === 'broken' ? 502 : 200, headers: {}, body: new Uint8Array(), durationMs: 1 };
    },
  };
  const outbound = withHostBreakers(bare, clock);
  return { clock, outbound, set: (next: typeof state) => (state = next), reached: () => reached };
}

test('SAM-126 ARMY-83 five failures in a row open a host’s breaker for 30 s, and whoever needs it fails fast', async () => {
  const { clock, outbound, set, reached } = setup();
  for (let n = 0; n < 5; n++)
    assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'dependency_failed');
  set('up');
  assert.equal(await codeOf(outbound.send(to('https://a.test/other'))), 'circuit_open');
  assert.equal(reached(), 5);
  await clock.advance(30_000);
  assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'answered');
});

test('SAM-126 one host’s breaker does not concern another, and a good answer starts the count anew', async () => {
  const { outbound, set } = setup();
  for (let n = 0; n < 4; n++) await codeOf(outbound.send(to('https://a.test/')));
  set('up');
  assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'answered');
  set('down');
  for (let n = 0; n < 4; n++)
    assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'dependency_failed');
  for (let n = 0; n < 5; n++) await codeOf(outbound.send(to('https://b.test/')));
  assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'dependency_failed');
});

test('SAM-126 an answer of 5xx is a failure; a target that is not permitted is none', async () => {
  const { outbound, set } = setup();
  set('refused');
  for (let n = 0; n < 9; n++)
    assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'policy_violation');
  set('broken');
  for (let n = 0; n < 5; n++) assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'answered');
  assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'circuit_open');
});

test('SAM-126 once its time is up one request tries a host, and one that says nothing of it lets another try', async () => {
  const { clock, outbound, set, reached } = setup();
  for (let n = 0; n < 5; n++) await codeOf(outbound.send(to('https://a.test/')));
  await clock.advance(30_000);
  const codes = await Promise.all([1, 2, 3].map(() => codeOf(outbound.send(to('https://a.test/')))));
  assert.deepEqual([...codes].sort(), ['circuit_open', 'circuit_open', 'dependency_failed']);
  await clock.advance(30_000);
  set('refused');
  assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'policy_violation');
  set('up');
  assert.equal(await codeOf(outbound.send(to('https://a.test/'))), 'answered');
  assert.equal(reached(), 8);
});

test('SAM-126 what one node finds of a host all know, whichever way out found it, and one of them tries it again', async () => {
  const clock = new VirtualClock();
  const open = share(openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' }));
  let isUp = false;
  let reached = 0;
  const bare: Outbound = {
    check: async () => {},
    stop: async () => {},
    async send() {
      reached++;
      if (!isUp) throw new DomainError('dependency_failed', 'no connection');
      return { status: 200, headers: {}, body: new Uint8Array(), durationMs: 1 };
    },
  };
  const node = async (): Promise<Outbound> => {
    const breakers = new HostBreakers(silentLog, clock, open().store);
    await breakers.start();
    return breakers.around(bare);
  };
  const [a, b] = [await node(), await node()];
  for (let n = 0; n < 5; n++) await codeOf(a.send(to('https://a.test/')));
  await clock.advance(10);
  assert.deepEqual([await codeOf(b.send(to('https://a.test/'))), reached], ['circuit_open', 5]);
  await clock.advance(30_000);
  isUp = true;
  const codes = await Promise.all([a, b].map(way => codeOf(way.send(to('https://a.test/')))));
  assert.deepEqual([[...codes].sort(), reached], [['answered', 'circuit_open'], 6]);
  await clock.advance(10);
  for (const way of [a, b]) assert.equal(await codeOf(way.send(to('https://a.test/'))), 'answered');
});
