import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Evidence, errorOf } from './diagnosis.ts';
import { limitsOfTrial } from './limits.ts';
import { type CodeJob, codeJobOf, isAllowed } from './payload.ts';

const limits = limitsOfTrial();
const job = (language: string, code: string): CodeJob => codeJobOf({ language, code });

function diagnosed(evidence: Partial<Evidence>, of = job('python', 'pass')) {
  const calm = { exitCode: 1, lastWords: '', memoryPeakMb: 1, diskMb: 1, ranOutOfMemory: false };
  return errorOf(of, { ...calm, ...evidence }, limits);
}

test('exit code 0 is no error, unless the kernel ended it for lack of memory', () => {
  assert.equal(diagnosed({ exitCode: 0 }), null);
  assert.equal(diagnosed({ exitCode: 0, ranOutOfMemory: true })?.code, 'resource_exhausted');
});

test('SAM-118 running out of memory or disk is told from failing by what was said and how it ended', () => {
  const exhausted: readonly [Partial<Evidence>, string][] = [
    [{ lastWords: 'Traceback:\nMemoryError\n' }, 'memory'],
    [{ exitCode: 134, lastWords: "terminate called after throwing 'std::bad_alloc'\n" }, 'memory'],
    [{ exitCode: 139, memoryPeakMb: 250 }, 'memory'],
    [{ lastWords: 'OSError: [Errno 28] No space left on device\n' }, 'disk'],
    [{ exitCode: 153 }, 'disk'],
    [{ diskMb: 511 }, 'disk'],
  ];
  for (const [evidence, resource] of exhausted)
    assert.equal(diagnosed(evidence)?.details?.resource, resource);
  assert.equal(diagnosed({ exitCode: 139 })?.code, 'task_failed');
});

test('SAM-137 python and shell syntax errors are placed in the source', () => {
  const places: readonly [CodeJob, string, number, number][] = [
    [
      job('python', 'if x:\n\t\ty = (1 +* 2)'),
      '  File "/dir/main.py", line 2\n    y = (1 +* 2)\n            ^\nSyntaxError: invalid syntax',
      2,
      11,
    ],
    [
      job('python', 'def f():\nx'),
      '  File "/dir/main.py", line 2\n    x\n    ^\nIndentationError: expected a block',
      2,
      1,
    ],
    [job('shell', 'a\nb )'), '/dir/main.sh: 2: Syntax error: ")" unexpected', 2, 3],
    [
      job('shell', 'a\nb )'),
      "/dir/main.sh: line 2: syntax error near unexpected token `)'\n/dir/main.sh: line 2: `b )'",
      2,
      3,
    ],
  ];
  for (const [of, lastWords, line, column] of places) {
    const error = diagnosed({ lastWords, exitCode: 2 }, of);
    assert.deepEqual(
      [error?.details?.reason, error?.details?.line, error?.details?.column],
      ['syntax_error', line, column],
    );
    assert.equal(error?.recoverable, false);
  }
});

test('SAM-138 network.allow names hosts exactly, by suffix, and by port', () => {
  const cases: readonly [string, string, boolean][] = [
    ['https://example.org/x', 'example.org', true],
    ['https://EXAMPLE.org/x', 'Example.Org', true],
    ['https://sub.example.org/', 'example.org', false],
    ['https://sub.example.org/', '*.example.org', true],
    ['https://example.org/', '*.example.org', false],
    ['https://evilexample.org/', '*.example.org', false],
    ['https://example.org/', 'example.org:443', true],
    ['http://example.org/', 'example.org:443', false],
    ['http://example.org:8080/', 'example.org:8080', true],
    ['http://[::1]:80/', '[::1]', true],
    ['http://example.org@evil.example/', 'example.org', false],
  ];
  for (const [url, allowed, expected] of cases)
    assert.equal(isAllowed(new URL(url), [allowed]), expected, `${url} ${allowed}`);
});
