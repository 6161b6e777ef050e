// What a program may use of processors, and what is said of its limits (SAM-117).

import assert from 'node:assert/strict';
import { availableParallelism, getPriority } from 'node:os';
import { suite, test } from 'node:test';
import { begin, executorForTests, needsBubblewrap, processesWith, run, specOf } from './fixture.test.ts';

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

  test('SAM-117 JavaScript that may burst gives way in a process that serves nobody else afterwards', async () => {
    const loop = {
      language: 'javascript',
      code: 'progress(1); const end = Date.now() + 1500; while (Date.now() < end); return 1',
    };
    const hosts = () =>
      processesWith('wasm/host').then(found => new Map(found.map(pid => [pid, getPriority(pid)])));
    const attempt = await begin(executor(), loop, { spec: { burst: true } });
    await attempt.reported(({ percentage }) => percentage === 1);
    const [burst] = [...(await hosts())].filter(([, niceness]) => niceness === 10).map(([pid]) => pid);
    assert.ok(burst !== undefined);
    assert.equal((await attempt.result).status, 'completed');
    assert.equal((await hosts()).has(burst), false);
  });
});

suite('how limits are held', () => {
  const modes = (of: ReturnType<typeof executorForTests>, language: string, more: object = {}) =>
    of().limitModes?.(specOf({ language, code: '1' }, more));

  test('SAM-117 WebAssembly holds everything but the processors of a program that may burst', () => {
    const held = { memory: 'enforced', cpu: 'enforced', disk: 'enforced', network: 'enforced' };
    assert.deepEqual(modes(executor, 'javascript'), held);
    assert.deepEqual(modes(executor, 'javascript', { resources: { cpuCores: 0.5 } }), held);
    assert.deepEqual(modes(executor, 'javascript', { burst: true }), { ...held, cpu: 'advisory' });
  });

  test('SAM-117 bubblewrap holds everything but the processors of a program that may burst', t => {
    if (!needsBubblewrap(t, executor())) return;
    const held = { memory: 'enforced', cpu: 'enforced', disk: 'enforced', network: 'enforced' };
    assert.deepEqual(modes(executor, 'python'), held);
    assert.deepEqual(modes(executor, 'python', { burst: true }), { ...held, cpu: 'advisory' });
  });

  test('SAM-117 plain children are held in all but what they send, and what cannot run here not at all', () => {
    const asked = { memory: 'advisory', cpu: 'advisory', disk: 'advisory', network: 'advisory' };
    assert.deepEqual(modes(withoutSandbox, 'python'), {
      ...asked,
      memory: 'enforced',
      cpu: 'enforced',
      disk: 'enforced',
    });
    assert.deepEqual(modes(executor, 'python', { minIsolation: 'remote' }), asked);
  });
});
