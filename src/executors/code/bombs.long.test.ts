import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { begin, errorOf, executorForTests, needsBubblewrap, processesWith, run } from './fixture.test.ts';

const executor = executorForTests();
const marker = `bomb-${process.pid}`;
/** Ends are promised within 1 s of a limit; a machine busy with other tests gets more. */
const LOADED_MS = 5_000;
const py = (code: string): { language: string; code: string } => ({
  language: 'python',
  code: `# ${marker}\n${code}`,
});
const sh = (code: string): { language: string; code: string } => ({
  language: 'shell',
  code: `# ${marker}\n${code}`,
});
const RESOURCES = { memoryMb: 64, cpuCores: 1, diskMb: 16 };

async function exhausted(payload: JsonObject, resource: string, resources = RESOURCES): Promise<void> {
  const startedAt = performance.now();
  const options = { spec: { resources } };
  const { end, output } = await run(executor(), { ...payload, args: [marker] }, options);
  const error = errorOf(end);
  assert.deepEqual(
    [error.code, error.details?.resource],
    ['resource_exhausted', resource],
    JSON.stringify({ error, output }),
  );
  assert.ok(performance.now() - startedAt < LOADED_MS, `${performance.now() - startedAt} ms`);
  assert.deepEqual(await processesWith(marker), []);
}

suite('SAM-141 bombs end within a moment of their limit, and the server lives', () => {
  test('SAM-141 a fork bomb', async t => {
    if (!needsBubblewrap(t, executor())) return;
    await exhausted(sh('b() { b | b & }; b; sleep 20'), 'processes');
    await exhausted(
      py('import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(9)'),
      'processes',
    );
  });

  test('SAM-141 a memory bomb, by one process, by many, in shared memory, and by one great demand', async t => {
    if (!needsBubblewrap(t, executor())) return;
    await exhausted(py('held = []\nwhile True: held.append(bytearray(1 << 20))'), 'memory');
    await exhausted(
      py(
        'import os, time\nfor _ in range(6): os.fork() or [h := bytearray(40 << 20), time.sleep(20)]\ntime.sleep(20)',
      ),
      'memory',
    );
    await exhausted(
      py(
        'import mmap, time\nm = mmap.mmap(-1, 200 << 20)\nfor i in range(0, 200 << 20, 4096): m[i] = 1\ntime.sleep(20)',
      ),
      'memory',
    );
    await exhausted(py('x = bytearray(1 << 40)'), 'memory');
  });

  test('SAM-141 a disk bomb, in one file, in many, in unlinked ones, and in names alone', async t => {
    if (!needsBubblewrap(t, executor())) return;
    await exhausted(sh('head -c 100M /dev/zero > big; sleep 20'), 'disk');
    await exhausted(
      sh('for i in $(seq 1000); do head -c 1M /dev/zero > "$BATUTA_OUTPUT/$i"; done; sleep 20'),
      'disk',
    );
    await exhausted(
      py(
        'import os, time\nheld = []\nfor i in range(40):\n  f = open(str(i), "wb"); f.write(bytes(1 << 20)); f.flush(); os.unlink(str(i)); held.append(f)\ntime.sleep(20)',
      ),
      'disk',
    );
    await exhausted(py('for i in range(1000000): open(f"n{i}", "w")'), 'disk', { ...RESOURCES, diskMb: 4 });
    await exhausted(sh('head -c 100M /dev/zero > /tmp/big'), 'disk');
  });

  test('SAM-141 an output bomb', async t => {
    if (!needsBubblewrap(t, executor())) return;
    await exhausted(sh('yes'), 'output');
    await exhausted(sh('yes >&2'), 'output');
  });

  test('a flood of reports reaches the engine as a few', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const code = 'for i in $(seq 20000); do echo "::batuta progress=$((i / 200)) step=$i"; done';
    const { end, output, reports } = await run(executor(), sh(code));
    assert.deepEqual([end.status, output.stdout], ['completed', '']);
    assert.ok(reports.length < 200, `${reports.length} reports`);
    assert.deepEqual(reports.at(-1), { percentage: 100, currentStep: '20000' });
  });

  test('SAM-141 more than 100 output files', async t => {
    if (!needsBubblewrap(t, executor())) return;
    await exhausted(sh('for i in $(seq 101); do : > "$BATUTA_OUTPUT/$i"; done'), 'output_files');
  });

  test('SAM-141 an endless loop ends at its time', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const { end, warnings } = await run(executor(), sh('while :; do :; done'), {
      spec: { attemptTimeoutMs: 500 },
    });
    assert.equal(errorOf(end).code, 'task_timeout');
    assert.deepEqual(warnings, [{ resource: 'time', value: 0.4, limit: 0.5 }]);
    assert.ok((end.metrics?.executionSeconds ?? 99) < 0.5 + LOADED_MS / 1_000);
  });

  test('SAM-118 nearing the memory and disk limits warns once of each', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const code =
      'import time\nf = open("f", "wb")\nfor _ in range(14): f.write(bytes(1 << 20))\nf.flush()\nheld = bytearray(50 << 20)\ntime.sleep(1.5)';
    const { end, warnings } = await run(executor(), py(code), { spec: { resources: RESOURCES } });
    assert.equal(end.status, 'completed');
    assert.deepEqual(warnings.map(({ resource, limit }) => [resource, limit]).sort(), [
      ['disk', 16],
      ['memory', 64],
    ]);
  });
});

suite('what is left of a program that is stopped', () => {
  test('an aborted program is asked to end first, and its last words are not lost to the processes it left', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const code =
      'trap "echo ::batuta checkpoint=1; exit 0" TERM; echo ::batuta progress=1; while :; do sleep 0.05; done';
    const attempt = await begin(executor(), sh(code));
    await attempt.reported(report => report.percentage === 1);
    attempt.abort('shutdown');
    const error = errorOf(await attempt.result);
    assert.deepEqual([error.message, error.recoverable], ['the program was stopped: shutdown', true]);
    assert.ok(attempt.reports.some(report => report.checkpoint === 1));
  });

  test('daemons, sessions of their own and programs deaf to TERM are gone with the attempt', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const code = `
      trap '' TERM
      setsid sh -c "trap '' TERM; sleep 300 & sleep 300" ${marker} >/dev/null 2>&1 &
      (nohup sh -c 'sleep 300; :' ${marker} >/dev/null 2>&1 &)
      echo ::batuta progress=1
      while :; do sleep 1; done`;
    const attempt = await begin(executor(), sh(code));
    await attempt.reported(report => report.percentage === 1);
    assert.notDeepEqual(await processesWith(marker), []);
    const startedAt = performance.now();
    attempt.abort('cancelled');
    await attempt.result;
    assert.ok(performance.now() - startedAt < LOADED_MS);
    assert.deepEqual(await processesWith(attempt.workspace), []);
    assert.deepEqual(await processesWith(marker), []);
  });

  test('what a program left running when it ended well is ended too', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const { end } = await run(executor(), sh(`setsid sh -c 'sleep 300; :' ${marker} & exit 0`));
    assert.equal(end.status, 'completed');
    assert.deepEqual(await processesWith(marker), []);
  });

  test('SAM-124 a program is sampled every five seconds', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const code =
      'import time\nheld = bytearray(30 << 20)\nwhile time.process_time() < 0.5: pass\ntime.sleep(6)';
    const { samples, end } = await run(executor(), py(code));
    assert.equal(samples.length, 1);
    const [sample] = samples as { cpuPercent: number; memoryMb: number }[];
    assert.ok(sample !== undefined && sample.memoryMb >= 30 && sample.memoryMb < 60, JSON.stringify(sample));
    assert.ok(sample.cpuPercent >= 5 && sample.cpuPercent <= 110, JSON.stringify(sample));
    assert.ok((end.metrics?.memoryPeakMb ?? 0) >= 30 && (end.metrics?.cpuMeanPercent ?? 0) > 0);
  });
});
