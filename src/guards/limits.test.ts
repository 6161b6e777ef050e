import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Principal } from '../domain/principal.ts';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/in-process.ts';
import { ACME, HOUR, NOON, SECOND, StillClock } from './fixture.test.ts';
import { DEFAULT_RATES, RateLimits, type RateOptions, type RateStanding } from './limits.ts';

function caller(id: string, more: Partial<Principal> = {}): Principal {
  return { tenant: ACME, id, method: 'api_key', permissions: new Set(), ...more };
}

const ANA = caller('key:ana');

function setup() {
  const clock = new StillClock();
  const random = systemRandom;
  const store = openSqliteInProcess({ path: ':memory:', clock, random, auditKey: 'k' });
  const node = (options?: RateOptions, countsMax?: number) =>
    new RateLimits(silentLog, clock, random, store, options, countsMax);
  return { clock, store, node, limits: node() };
}

function admitted(times: number, charge: () => RateStanding | null): number {
  return Array.from({ length: times }, charge).filter(standing => standing?.retryAfterMs === null).length;
}

test('SAM-52 each answer tells limit, remaining, reset and window, and past the limit when to come again', () => {
  const { limits, clock } = setup();
  clock.pass(10 * SECOND);
  assert.deepEqual(limits.charge(ANA, 'standard'), {
    limit: 1_000,
    remaining: 999,
    resetAt: NOON + HOUR,
    windowMs: HOUR,
    retryAfterMs: null,
  });
  assert.equal(
    admitted(2_000, () => limits.charge(ANA, 'standard')),
    999,
  );
  assert.deepEqual(limits.charge(ANA, 'standard'), {
    limit: 1_000,
    remaining: 0,
    resetAt: NOON + HOUR,
    windowMs: HOUR,
    retryAfterMs: HOUR - 10 * SECOND,
  });
  clock.pass(HOUR - 10 * SECOND);
  assert.equal(limits.charge(ANA, 'standard')?.remaining, 999);
});

test('SAM-52 callers without a credential have 100 requests a minute by address, an IPv6 network together', () => {
  const { limits, clock } = setup();
  assert.equal(
    admitted(150, () => limits.chargeAddress('203.0.113.1')),
    100,
  );
  assert.equal(limits.chargeAddress('203.0.113.2')?.remaining, 99);
  const addresses = Array.from({ length: 150 }, (_, at) => `2001:db8:1:2::${at}`).values();
  const next = () => limits.chargeAddress(addresses.next().value ?? '');
  assert.equal(admitted(150, next), 100);
  assert.deepEqual(limits.chargeAddress('203.0.113.1'), {
    limit: 100,
    remaining: 0,
    resetAt: NOON + 60 * SECOND,
    windowMs: 60 * SECOND,
    retryAfterMs: 60 * SECOND,
  });
  clock.pass(60 * SECOND);
  assert.equal(limits.chargeAddress('203.0.113.1')?.retryAfterMs, null);
});

test('SAM-53 a key’s own limit overrides the standard one, in either direction', () => {
  const { limits } = setup();
  const [few, many] = [caller('key:few', { rateLimit: 3 }), caller('key:many', { rateLimit: 1_500 })];
  assert.equal(
    admitted(2_000, () => limits.charge(few, 'standard')),
    3,
  );
  assert.equal(
    admitted(2_000, () => limits.charge(many, 'standard')),
    1_500,
  );
  assert.equal(
    admitted(2_000, () => limits.charge(ANA, 'standard')),
    1_000,
  );
});

test('SAM-53 status routes have a budget apart, one for each user however they come in', () => {
  const { limits } = setup();
  admitted(1_000, () => limits.charge(ANA, 'standard'));
  assert.equal(limits.charge(ANA, 'standard')?.remaining, 0);
  assert.equal(limits.charge(ANA, 'status')?.remaining, 9_999);
  const [byKey, byToken] = [caller('key:1', { userId: 'u' }), caller('jwt:2', { userId: 'u' })];
  limits.charge(byKey, 'status');
  assert.equal(limits.charge(byToken, 'status')?.remaining, 9_998);
});

test('SAM-53 what counts in neither budget shows the standard one and leaves it alone', () => {
  const { limits } = setup();
  for (let time = 0; time < 10; time += 1) assert.equal(limits.charge(ANA, 'free')?.remaining, 1_000);
  assert.equal(limits.charge(ANA, 'standard')?.remaining, 999);
});

test('SAM-53 callers of one name in two tenants do not share a budget', () => {
  const { limits } = setup();
  limits.charge(ANA, 'standard');
  const namesake = { ...ANA, tenant: 'other' as typeof ACME };
  assert.equal(limits.charge(namesake, 'standard')?.remaining, 999);
});

test('SAM-52 the limits are configurable, and off means none but a key’s own', () => {
  const { node } = setup();
  const tight = node({ standardPerHour: 2, statusPerHour: 3, unauthenticatedPerMinute: 4 });
  assert.equal(
    admitted(10, () => tight.charge(ANA, 'standard')),
    2,
  );
  assert.equal(
    admitted(10, () => tight.charge(ANA, 'status')),
    3,
  );
  assert.equal(
    admitted(10, () => tight.chargeAddress('203.0.113.1')),
    4,
  );
  const off = node('off');
  assert.equal(off.charge(ANA, 'standard'), null);
  assert.equal(off.charge(ANA, 'status'), null);
  assert.equal(off.chargeAddress('203.0.113.1'), null);
  assert.equal(off.standardPerHour, Infinity);
  const limited = caller('key:own', { rateLimit: 2 });
  assert.equal(
    admitted(10, () => off.charge(limited, 'standard')),
    2,
  );
});

test('SAM-52 nodes count together, and a restart forgets nothing', async () => {
  const { node, clock } = setup();
  const [one, two] = [node(), node()];
  await one.start();
  await two.start();
  admitted(600, () => one.charge(ANA, 'standard'));
  await one.share();
  await two.share();
  assert.equal(
    admitted(600, () => two.charge(ANA, 'standard')),
    400,
  );
  await two.stop();
  await one.stop();
  const restarted = node();
  await restarted.start();
  assert.equal(restarted.charge(ANA, 'standard')?.remaining, 0);
  assert.notEqual(restarted.charge(ANA, 'standard')?.retryAfterMs, null);
  clock.pass(HOUR);
  assert.equal(restarted.charge(ANA, 'standard')?.remaining, 999);
  await restarted.stop();
});

test('SAM-52 a store that fails for a while loses no count', async () => {
  const { node, store, clock } = setup();
  const one = node();
  await one.start();
  admitted(10, () => one.charge(ANA, 'standard'));
  const put = store.putDocuments;
  store.putDocuments = () => Promise.reject(new Error('down'));
  await assert.rejects(one.share(), /down/);
  store.putDocuments = put;
  await one.share();
  const two = node();
  await two.share();
  assert.equal(two.charge(ANA, 'standard')?.remaining, 989);
  clock.pass(0);
  await one.stop();
});

test('SAM-52 a flood of new callers shares one budget when memory is full, and the known keep theirs', () => {
  const { node, clock } = setup();
  const limits = node(DEFAULT_RATES, 10);
  limits.charge(ANA, 'standard');
  const addresses = Array.from({ length: 1_001 }, (_, at) => `198.51.${at >> 7}.${at & 127}`).values();
  const one = () => limits.chargeAddress(addresses.next().value ?? '');
  assert.equal(admitted(1_000, one), 9 + 100);
  assert.equal(limits.charge(ANA, 'standard')?.remaining, 998);
  clock.pass(60 * SECOND);
  assert.equal(one()?.remaining, 99);
});

test('SAM-52 a window never admits more than its limit, whatever the clock does', () => {
  const step = fc.record({ pass: fc.integer({ min: -30, max: 90 }), who: fc.nat({ max: 2 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 0, max: 5 }), (steps, limit) => {
      const { clock, node } = setup();
      const limits = node({ standardPerHour: 1, statusPerHour: 1, unauthenticatedPerMinute: limit });
      const counts = new Map<string, number>();
      for (const { pass, who } of steps) {
        clock.set(clock.now() + pass * SECOND);
        const standing = limits.chargeAddress(`203.0.113.${who}`);
        if (standing?.retryAfterMs !== null) continue;
        const window = `${who} ${standing.resetAt}`;
        counts.set(window, (counts.get(window) ?? 0) + 1);
      }
      for (const count of counts.values()) assert.ok(count <= limit);
    }),
    { numRuns: 50 },
  );
});

test('SAM-52 an address has one budget over all nodes, and the many that ask once or twice are not told of', async () => {
  const { node, clock, store } = setup();
  const [here, there] = [node(), node()];
  const ask = (limits: RateLimits) => limits.chargeAddress('203.0.113.1');
  assert.equal(
    admitted(60, () => ask(here)),
    60,
  );
  for (let at = 0; at < 500; at++) here.chargeAddress(`198.51.${at >> 7}.${at & 127}`);
  await here.share();
  await there.share();
  assert.equal(
    admitted(100, () => ask(there)),
    40,
  );
  const [document] = await store.documents({ kind: 'rate_counts' });
  assert.deepEqual(Object.keys(document?.body.counts ?? {}), ['address 203.0.113.1/32']);
  clock.pass(60 * SECOND);
  assert.equal(ask(there)?.remaining, 99, 'a new minute is a new budget');
});
