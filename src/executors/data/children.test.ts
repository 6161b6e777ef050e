import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { AttemptAbort } from '../../engine/ports/executor.ts';
import { type DataChild, startChild } from './child-process.ts';
import { COMPILE_CACHE, type Given, scratch, setup } from './fixture.test.ts';

const ENDLESS: JsonObject = {
  sources: { s: { inline: [{ a: 1 }] } },
  sql: 'SELECT sum(x.n * y.n) FROM range(1000000) x(n), range(1000000) y(n)',
};

async function watched(t: TestContext, onStart: () => void = () => {}) {
  const children: DataChild[] = [];
  const attempt = await setup(t, {
    options: {
      keepSpare: false,
      startChild: async (clock, signal) => {
        onStart();
        const child = await startChild(clock, COMPILE_CACHE, signal);
        children.push(child);
        return child;
      },
    },
  });
  return { attempt, children };
}

/** Runs until the given moment, then aborts; answers how long the attempt took to settle. */
async function abortAt(
  t: TestContext,
  payload: JsonObject,
  moment: (abort: () => void) => Given,
): Promise<void> {
  const { attempt, children } = await watched(t);
  const controller = new AbortController();
  const { promise: moved, resolve } = Promise.withResolvers<number>();
  const given = moment(() => {
    // Not within the callback itself, as a cancel never is.
    setImmediate(() => {
      resolve(performance.now());
      controller.abort(new AttemptAbort('cancelled'));
    });
  });
  const run = attempt.run(payload, { ...given, signal: controller.signal });
  await assert.rejects(run, error => error instanceof AttemptAbort && error.cause === 'cancelled');
  const tookMs = performance.now() - (await moved);
  assert.ok(tookMs < 1_000, `settled ${tookMs} ms after the abort`);
  assert.deepEqual(await attempt.left(), []);
  assert.deepEqual(
    children.filter(child => child.isAlive),
    [],
  );
}

test('SAM-67 a cancel while SQL runs settles within a second, leaving no process and no file', t =>
  abortAt(t, ENDLESS, abort => ({
    onReport: ({ currentStep }) => {
      if (currentStep === 'Running SQL') abort();
    },
  })));

test('SAM-67 a cancel while a source is fetched settles within a second, leaving no process and no file', t => {
  const endless = new Readable({ read() {} });
  const payload = { sources: { s: { format: 'csv', artifact_id: 'a' } }, sql: 'FROM s' };
  return abortAt(t, payload, abort => ({
    stream: endless,
    onReport: () => {
      endless.push('a,b\n1,2\n');
      abort();
    },
  }));
});

test('SAM-67 a cancel while an artifact is saved settles within a second, leaving no process and no file', t => {
  const payload = { ...ENDLESS, sql: 'FROM s', outputs: [{ name: 'a', format: 'csv' }] };
  return abortAt(t, payload, abort => ({
    onSave: () => {
      abort();
      return new Promise(() => {});
    },
  }));
});

test('SAM-67 a cancel while its process starts settles within a second, leaving no process and no file', async t => {
  const controller = new AbortController();
  let starts = 0;
  let abortedAt = 0;
  const { attempt, children } = await watched(t, () => {
    // The first start is the probe's.
    if (++starts === 2) {
      setImmediate(() => {
        abortedAt = performance.now();
        controller.abort(new AttemptAbort('timeout'));
      });
    }
  });
  await assert.rejects(attempt.run(ENDLESS, { signal: controller.signal }), AttemptAbort);
  assert.ok(performance.now() - abortedAt < 1_000);
  assert.equal(starts, 2);
  assert.equal(children.length, 1);
  assert.deepEqual(await attempt.left(), []);
});

test('an attempt aborted before it began starts nothing', async t => {
  const { attempt, children } = await watched(t);
  const started = children.length;
  const signal = AbortSignal.abort(new AttemptAbort('shutdown'));
  await assert.rejects(attempt.run(ENDLESS, { signal }), AttemptAbort);
  assert.equal(children.length, started);
});

test('a child that dies is one failed attempt, worth another, and the next one runs', async t => {
  const { attempt, children } = await watched(t);
  const error = await attempt.error(ENDLESS, {
    onReport: ({ currentStep }) => {
      if (currentStep === 'Running SQL') void children.at(-1)?.kill();
    },
  });
  assert.deepEqual(
    [error.code, error.recoverable, error.details?.resource],
    ['resource_exhausted', true, 'memory'],
  );
  assert.deepEqual((await attempt.output({ ...ENDLESS, sql: 'FROM s' })).rows, [{ a: 1 }]);
  assert.deepEqual(await attempt.left(), []);
});

test('SAM-120 every attempt has a process of its own', async t => {
  const { attempt, children } = await watched(t);
  const started = children.length;
  await attempt.output({ ...ENDLESS, sql: 'FROM s' });
  await attempt.output({ ...ENDLESS, sql: 'FROM s' });
  assert.equal(children.length - started, 2);
  assert.ok(children.every(child => !child.isAlive));
});

test('a child whose parent goes away ends at once, whatever it does', async () => {
  const child = fork(new URL('./child.ts', import.meta.url), [], {
    env: {},
    execArgv: [],
    stdio: 'ignore',
    serialization: 'json',
  });
  await once(child, 'message');
  child.disconnect();
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
});

test('where DuckDB cannot be loaded the executor starts all the same, and says what is missing', async t => {
  const attempt = await setup(t, {
    options: {
      startChild: async () => {
        throw new DomainError('unavailable', 'the data engine could not be loaded: no such module');
      },
    },
  });
  const { available, missing, isolation } = attempt.executor.status();
  assert.equal(available, false);
  assert.match(missing ?? '', /no such module.*@duckdb\/node-api/);
  assert.deepEqual(isolation, []);
  const error = await attempt.error({ ...ENDLESS, sql: 'FROM s' });
  assert.deepEqual([error.code, error.recoverable], ['unavailable', true]);
});

test('the workspace of one attempt is no place for another: its directory is where it works', async t => {
  const { attempt } = await watched(t);
  const other = await scratch(t);
  const error = await attempt.error({ ...ENDLESS, sql: `FROM '${join(other, 'src', '0')}'` });
  assert.equal(error.code, 'policy_violation');
});
