// Breakers of what services depend on, by a clock that is moved.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import { asDomainError, DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { silentLog } from '../../runtime/log.ts';
import { Dependencies } from './dependencies.ts';

function setup() {
  const clock = new VirtualClock();
  const dependencies = new Dependencies(silentLog, clock, null);
  let calls = 0;
  /** Calls once, with what it comes to: an answer, or how it fails; answers the breaker it was told of. */
  const call = async (thrown: DomainError | null, tenant: TenantId = DEFAULT_TENANT): Promise<JsonObject> => {
    const work = async (): Promise<void> => {
      calls++;
      if (thrown !== null) throw thrown;
    };
    const who = { service: 'data_analysis_service', operation: 'analyze' };
    return dependencies.call(tenant, who, work, new AbortController().signal).then(
      () => ({}),
      error => {
        const { code, details } = asDomainError(error);
        return { code, ...(details.circuit_breaker as JsonObject) };
      },
    );
  };
  return { clock, call, calls: () => calls };
}

const down = new DomainError('dependency_failed', 'no connection');
const standing = (status: string, failures: number, seconds = 0): JsonObject => ({
  ...{ status, retry_after_seconds: seconds, failure_threshold: 5, current_failures: failures },
});

test('NOOB-91 five failures in a row open a breaker for 30 s in which nothing is called, then one trial call decides', async () => {
  const { clock, call, calls } = setup();
  for (let failures = 1; failures < 5; failures++)
    assert.deepEqual(await call(down), { code: 'dependency_failed', ...standing('closed', failures) });
  assert.deepEqual(await call(down), { code: 'dependency_failed', ...standing('open', 5, 30) });
  assert.deepEqual(await call(null), { code: 'circuit_open', ...standing('open', 5, 30) });
  assert.equal(calls(), 5);
  await clock.advance(30_000);
  assert.deepEqual(await call(down), { code: 'dependency_failed', ...standing('open', 6, 30) });
  assert.equal(calls(), 6);
  await clock.advance(30_000);
  assert.deepEqual(await call(null), {});
  assert.deepEqual(await call(down), { code: 'dependency_failed', ...standing('closed', 1) });
});

test('NOOB-91 of all who call while a breaker is half open one is let through, the others are told so', async () => {
  const { clock, call, calls } = setup();
  for (let failures = 0; failures < 5; failures++) await call(down);
  await clock.advance(30_000);
  const [trial, ...others] = await Promise.all([call(null), call(null), call(null)]);
  assert.deepEqual(trial, {});
  for (const one of others) assert.deepEqual(one, { code: 'circuit_open', ...standing('half_open', 5) });
  assert.equal(calls(), 6);
});

test('NOOB-91 what succeeds in between, another tenant’s failures and a request that was bad open nothing', async () => {
  const { call } = setup();
  for (let failures = 0; failures < 4; failures++) await call(down);
  await call(null);
  assert.deepEqual(await call(down), { code: 'dependency_failed', ...standing('closed', 1) });
  for (let failures = 0; failures < 5; failures++) await call(down, 'other' as TenantId);
  const bad = new DomainError('task_failed', 'no such thing', { details: { status_code: 404 } });
  assert.deepEqual(await call(bad), { code: 'task_failed', ...standing('closed', 0) });
});
