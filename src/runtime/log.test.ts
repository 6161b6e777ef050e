import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

/** What a process with a log says on standard error, line by line. */
function saidBy(statements: string): readonly Readonly<Record<string, unknown>>[] {
  const program = `import { createLog } from '${new URL('./log.ts', import.meta.url)}'; ${statements}`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.equal(stdout, '');
  return stderr
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
}

test('an error is logged with its message, its stack and its cause, and below its verbosity nothing is', () => {
  const [line, ...more] = saidBy(
    "const log = createLog('warn'); log.info('quiet'); log.error('it failed', { error: new Error('broken', { cause: new Error('rust') }) });",
  );
  assert.deepEqual([line?.msg, more], ['it failed', []]);
  const error = line?.error as { message: string; stack: string; cause: { message: string } };
  assert.deepEqual([error.message, error.cause.message], ['broken', 'rust']);
  assert.match(error.stack, /Error: broken\n/);
});

test('a child adds its fields to every line, and an error given as text stays text', () => {
  const [line] = saidBy("createLog('info').child({ part: 'a' }).warn('odd', { error: 'Error: as text' });");
  assert.deepEqual([line?.part, line?.error, line?.msg], ['a', 'Error: as text', 'odd']);
});
