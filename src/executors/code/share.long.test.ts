// That a program is held to a part of a processor whatever it runs in.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { executorForTests, needsBubblewrap, run } from './fixture.test.ts';

const executor = executorForTests({ allowRlimits: true });
const withoutSandbox = executorForTests({ bubblewrapPath: '/nowhere/bwrap', allowRlimits: true });

test('SAM-118 a part of a processor is what a program gets, at every level', async t => {
  const shares: Record<string, number> = {};
  const spin = {
    python: 'import time\nend = time.time() + 3\nwhile time.time() < end: pass\nprint(time.process_time())',
    javascript: 'const end = Date.now() + 3000; while (Date.now() < end); return 1',
  };
  const share = async (of: ReturnType<typeof executorForTests>, language: 'python' | 'javascript') => {
    const spec = { resources: { cpuCores: 0.25 } };
    const { end } = await run(of(), { language, code: spin[language] }, { spec });
    assert.equal(end.status, 'completed', JSON.stringify(end));
    return Number(end.metrics?.cpuMeanPercent);
  };
  shares.wasm = await share(executor, 'javascript');
  shares.rlimits = await share(withoutSandbox, 'python');
  if (needsBubblewrap(t, executor())) shares.bubblewrap = await share(executor, 'python');
  // Half a second of a quarter is saved up from the start.
  for (const [level, percent] of Object.entries(shares)) assert.ok(percent < 45, `${level}: ${percent} %`);
});
