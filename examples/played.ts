// Plays an example for its test as its user would, and sees to it that nothing is left behind.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runExample, survivorsOf } from '../test/demo/script.ts';

const COMPILED = fileURLToPath(new URL('../node_modules/.cache/batuta', import.meta.url));

/** What an example said; rejects unless it ended well, and took its server and its files with it. */
export async function played(t: TestContext, args: readonly string[]): Promise<string> {
  const temporary = mkdtempSync(join(tmpdir(), 'batuta-example-test-'));
  // A server that root runs gives its browser a user of its own, who has to get there.
  chmodSync(temporary, 0o755);
  t.after(() => rmSync(temporary, { recursive: true, force: true }));
  const env = { TMPDIR: temporary, NODE_COMPILE_CACHE: COMPILED };
  const { exitCode, stdout, stderr, groupId } = await runExample('run.ts', { args, env });
  assert.equal(exitCode, 0, `${stdout}${stderr}`);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(await survivorsOf(groupId), []);
  return stdout;
}

/** A file name in a directory that goes with the test. */
export function fileFor(t: TestContext, name: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-example-out-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, name);
}

/** The rows of a table as `console.table` draws it, without head and index. */
export function rowsIn(said: string): readonly (readonly string[])[] {
  return said
    .split('\n')
    .filter(line => /^│ +\d/.test(line))
    .map(line =>
      line
        .split('│')
        .slice(2, -1)
        .map(cell => cell.trim().replaceAll("'", '')),
    );
}
