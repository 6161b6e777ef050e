// What a program may use of processors, and what is said of its limits (SAM-117).

import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { suite, test } from 'node:test';
import { executorForTests, needsBubblewrap, run, specOf } from './fixture.test.ts';

const executor = executorForTests({ allowRlimits: true });
const withoutSandbox = executorForTests({ bubblewrapPath: '/nowhere/bwrap', allowRlimits: true });

const PROBE = {
  language: 'python',
  code: 'import os, json\nprint(json.dumps([os.nice(0), len(os.sched_getaffinity(0))]))',
};

async function seen(of: ReturnType<typeof executorForTests>, burst: boolean): Promise<unknown> {
  const { end, output } = await run(of(), PROBE, { spec: { burst } });
  assert.equal(end.status, 'completed', JSON.stringify(end));
  return JSON.parse(String(output.stdout));
}

suite('burst', () => {
  test('SAM-117 a program that may burst runs on every processor and gives way; another has its own alone', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const all = availableParallelism();
    assert.deepEqual(await seen(executor, true), [10, all]);
    assert.deepEqual(await seen(executor, false), [0, Math.min(1, all)]);
  });

  test('SAM-117 a plain child that may burst gives way too', async () => {
    assert.deepEqual(await seen(withoutSandbox, true), [10, availableParallelism()]);
    assert.deepEqual(await seen(withoutSandbox, false), [0, availableParallelism()]);
  });
});

suite('how limits are held', () => {
  const modes = (of: ReturnType<typeof executorForTests>, language: string, more: object = {}) =>
    of().limitModes?.(specOf({ language, code: '1' }, more));

  test('SAM-117 WebAssembly holds memory and disk, and processors from one whole one on', () => {
    const held = { memory: 'enforced', cpu: 'enforced', disk: 'enforced', network: 'advisory' };
    assert.deepEqual(modes(executor, 'javascript'), held);
    const half = { resources: { cpuCores: 0.5 } };
    assert.deepEqual(modes(executor, 'javascript', half), { ...held, cpu: 'advisory' });
  });

  test('SAM-117 bubblewrap holds everything but the processors of a program that may burst', t => {
    if (!needsBubblewrap(t, executor())) return;
    const held = { memory: 'enforced', cpu: 'enforced', disk: 'enforced', network: 'enforced' };
    assert.deepEqual(modes(executor, 'python'), held);
    assert.deepEqual(modes(executor, 'python', { burst: true }), { ...held, cpu: 'advisory' });
  });

  test('SAM-117 plain children are held in memory and on disk alone, and what cannot run here not at all', () => {
    const asked = { memory: 'advisory', cpu: 'advisory', disk: 'advisory', network: 'advisory' };
    assert.deepEqual(modes(withoutSandbox, 'python'), { ...asked, memory: 'enforced', disk: 'enforced' });
    assert.deepEqual(modes(executor, 'python', { minIsolation: 'remote' }), asked);
  });
});
