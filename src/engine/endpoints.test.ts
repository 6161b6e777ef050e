import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { Endpoints } from './endpoints.ts';

const URL = 'https://receiver.test/';

function setup() {
  const clock = new VirtualClock();
  const endpoints = new Endpoints(clock, { perHour: 1_000_000 });
  const timeout = () => {
    const clearance = endpoints.clear(DEFAULT_TENANT, URL, true);
    return clearance.go ? clearance.timeoutMs : null;
  };
  const answer = (good: boolean, ms = 10) => endpoints.note(DEFAULT_TENANT, URL, good, ms);
  return { clock, endpoints, timeout, answer };
}

test('SAM-90 the timeout is four times the 95th percentile within 2 and 30 s, 10 s while little is known', () => {
  const { timeout, answer } = setup();
  assert.equal(timeout(), 10_000);
  for (let n = 0; n < 5; n++) answer(true, 1_000);
  assert.equal(timeout(), 4_000);
  for (let n = 0; n < 50; n++) answer(true, 5);
  assert.equal(timeout(), 2_000);
  for (let n = 0; n < 50; n++) answer(true, 20_000);
  assert.equal(timeout(), 30_000);
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
    assert.equal(timeout(), null);
    await clock.advance(openMs - 1);
    assert.equal(timeout(), null, `the breaker closed before ${openMs} ms`);
    await clock.advance(1);
    assert.equal(typeof timeout(), 'number', `no probe after ${openMs} ms`);
    assert.equal(timeout(), null, 'a second probe was let through');
    answer(false);
  }
  await clock.advance(600_000);
  timeout();
  assert.equal(answer(true), true);
  assert.equal(endpoints.list(DEFAULT_TENANT)[0]?.breaker, 'closed');
});
