import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DomainError } from '../domain/errors.ts';
import type { Outbound, OutboundRequest } from '../engine/ports/outbound.ts';
import { withHostBreakers } from './host-breakers.ts';

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

test('SAM-126 five failures in a row open a host’s breaker for 30 s, and whoever needs it fails fast', async () => {
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
