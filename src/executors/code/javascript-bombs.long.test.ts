import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { begin, errorOf, executorForTests, js, processesWith, run } from './fixture.test.ts';

const executor = executorForTests();

/** Ends are promised within 1 s; a machine busy with other tests gets more. */
const LOADED_SECONDS = 4;

suite('what a program that misbehaves comes to', () => {
  const limited = { attemptTimeoutMs: 200 };

  test('SAM-141 endless loops of every kind end at their time, with the server unharmed', async () => {
    const loops = [
      'for (;;);',
      'try { for (;;); } finally { for (;;); }',
      '(function again() { Promise.resolve().then(again); })()',
      'for (;;) await 0;',
      '/(a+)+$/.test("a".repeat(40) + "b")',
      'while (true) await new Promise(done => setTimeout(done, 1));',
      'await new Promise(done => setTimeout(done, 1e9))',
    ];
    for (const code of loops) {
      const { end, warnings } = await run(executor(), js(code), { spec: limited });
      assert.equal(errorOf(end).code, 'task_timeout', code);
      const seconds = end.metrics?.executionSeconds ?? Number.POSITIVE_INFINITY;
      assert.ok(seconds < 0.2 + LOADED_SECONDS, `${code} took ${seconds} s`);
      assert.deepEqual(warnings, [{ resource: 'time', value: 0.16, limit: 0.2 }]);
    }
  });

  test('SAM-141 a memory bomb of every kind ends as exhausted, having been warned of', async () => {
    const bombs = [
      'const held = []; for (;;) held.push(new Array(1000).fill(held.length));',
      'const held = []; for (let i = 0; ; i++) held.push("x".repeat(1e6) + i);',
      'const held = []; for (;;) held.push(new Uint8Array(1e6));',
    ];
    for (const code of bombs) {
      const { end, warnings } = await run(executor(), js(code), { spec: { resources: { memoryMb: 32 } } });
      const error = errorOf(end);
      assert.deepEqual(
        [error.code, error.details?.resource, error.details?.limit],
        ['resource_exhausted', 'memory', 32],
      );
      assert.ok((end.metrics?.memoryPeakMb ?? 0) < 300, 'far from gigabytes');
      assert.deepEqual(
        warnings.map(({ resource, limit }) => [resource, limit]),
        [['memory', 32]],
      );
    }
  });

  test('huge strings, deep recursion and deep nesting fail the program alone', async () => {
    const codes = [
      'let s = "x"; for (;;) s += s;',
      'function f() { return f() + 1; } f();',
      'JSON.parse("[".repeat(1e6))',
      'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a',
      'new RegExp("(".repeat(1e5) + ")".repeat(1e5))',
    ];
    for (const code of codes) {
      const { end } = await run(executor(), js(code), { spec: { attemptTimeoutMs: 1_000 } });
      const error = errorOf(end);
      assert.ok(
        ['task_failed', 'resource_exhausted', 'task_timeout'].includes(error.code),
        `${code}: ${JSON.stringify(error)}`,
      );
    }
    assert.equal((await run(executor(), js('1'))).output.result, 1);
  });

  test('SAM-141 an output bomb, a disk bomb and a flood of files end as exhausted', async () => {
    const bombs = [
      ['for (;;) console.log("y".repeat(10000));', 'output'],
      ['console.log("y".repeat(30e6));', 'output'],
      ['for (let i = 0; ; i++) writeOutput("f" + i % 50, "y".repeat(1e6));', 'disk'],
      ['for (let i = 0; ; i++) writeOutput("f" + i, "");', 'output_files'],
    ] as const;
    for (const [code, resource] of bombs) {
      const { end } = await run(executor(), js(code), { spec: { resources: { diskMb: 8 } } });
      assert.equal(errorOf(end).code, 'resource_exhausted', code);
      assert.equal(errorOf(end).details?.resource, resource);
    }
  });

  test('SAM-141 programs that loop for ever do not keep the server from its own work', async () => {
    const loops = Array.from({ length: 4 }, () => run(executor(), js('for (;;);'), { spec: limited }));
    const startedAt = performance.now();
    await new Promise(done => setImmediate(done));
    assert.ok(performance.now() - startedAt < LOADED_SECONDS * 1_000);
    for (const { end } of await Promise.all(loops)) assert.equal(errorOf(end).code, 'task_timeout');
  });

  test('progress of nonsense and checkpoints without measure do not reach the engine', async () => {
    const code = 'progress({}, [], NaN); progress("40", "s".repeat(5000)); checkpoint("x".repeat(2e6));';
    const { end, reports } = await run(executor(), js(code));
    assert.match(errorOf(end).message, /a checkpoint is at most 1 MiB/);
    assert.deepEqual(reports, [{}, { currentStep: 's'.repeat(1_000) }]);
  });

  test('floods of reports, timers and requests reach the server as a few', async () => {
    const flood = await run(
      executor(),
      js('for (let i = 0; i < 20000; i++) progress(i / 200); checkpoint(7);'),
    );
    assert.ok(flood.reports.length < 200, `${flood.reports.length} reports`);
    assert.equal(flood.reports.at(-1)?.checkpoint, 7);
    const timers = await run(executor(), js('for (;;) setTimeout(() => {}, 1e6);'));
    assert.match(errorOf(timers.end).message, /more than 1000 timers and requests are under way/);
  });

  test('an aborted program is gone at once, and nothing of it is left', async () => {
    const attempt = await begin(executor(), js('progress(1); writeOutput("half", "x"); for (;;);'));
    await attempt.reported(report => report.percentage === 1);
    const startedAt = performance.now();
    attempt.abort('cancelled');
    const error = errorOf(await attempt.result);
    assert.ok(performance.now() - startedAt < LOADED_SECONDS * 1_000);
    assert.deepEqual([error.message, error.recoverable], ['the program was stopped: cancelled', false]);
    assert.deepEqual(attempt.saved, []);
    assert.deepEqual(await processesWith(attempt.workspace), []);
  });

  test('an attempt aborted before it begins runs nothing', async () => {
    const attempt = await begin(executor(), js('progress(1)'));
    attempt.abort('shutdown');
    await attempt.result.catch(() => {});
    assert.deepEqual(attempt.saved, []);
  });
});
