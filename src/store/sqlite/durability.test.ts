// What SQLite must survive: kills, full disks, torn logs, strangers' files, second openers; and a copy taken while serving.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import type { TaskId } from '../../domain/ids.ts';
import { ACME, claimedOne, current, ending, order, submitted } from '../conformance-setup.ts';
import type { Store } from '../store.ts';
import { copyDatabase } from './copy.ts';
import { openSqlite } from './open.ts';

const auditKey = 'the audit’s key';

/** A directory of the test's own and a database's path in it. */
function setup(t: TestContext): { readonly directory: string; readonly path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-durable-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, path: join(directory, 'batuta.db') };
}

async function opened(t: TestContext, path: string): Promise<Store> {
  const store = await openSqlite({ path, auditKey });
  t.after(() => store.stop());
  return store;
}

async function holds(store: Store, ids: readonly string[]): Promise<readonly boolean[]> {
  const tasks = await store.read(ids.map(id => ({ tenant: ACME, id: id as TaskId })));
  return tasks.map(task => task !== null);
}

/** A process that submits from 16 callers without end and prints each id once it was acknowledged. */
function submitter(t: TestContext, path: string, shell?: string): ChildProcess {
  const script = `
    import { openSqlite } from ${JSON.stringify(new URL('./open.ts', import.meta.url).href)};
    import { order } from ${JSON.stringify(new URL('../conformance-setup.ts', import.meta.url).href)};
    const store = await openSqlite({ path: ${JSON.stringify(path)}, auditKey: 'k' });
    let made = 0;
    const call = async () => {
      for (;;) {
        const id = 'task-' + made++;
        const [outcome] = await store.submit([order(id)]);
        if (outcome.status === 'created') process.stdout.write(id + '\\n');
      }
    };
    await Promise.all(Array.from({ length: 16 }, call)).catch(error => {
      process.stdout.write('error ' + error.code + '\\n', () => process.exit(1));
    });`;
  const command = [process.execPath, '--input-type=module', '-e', script];
  const child =
    shell === undefined
      ? spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
      : spawn('sh', ['-c', `${shell}; exec "$@"`, 'sh', ...command], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function linesOf(
  child: ChildProcess,
  enough: number,
  atEnough: () => void,
): Promise<readonly string[]> {
  const lines: string[] = [];
  assert.ok(child.stdout);
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === enough) atEnough();
  }
  return lines;
}

const refuses = (code: string, words: RegExp) => (error: Error & { code?: string }) => {
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return true;
};

test('SAM-47 what was acknowledged before a SIGKILL is there after it', async t => {
  const { path } = setup(t);
  const child = submitter(t, path);
  const ids = await linesOf(child, 500, () => child.kill('SIGKILL'));
  assert.equal(ids.length >= 500, true);
  const store = await opened(t, path);
  assert.equal((await holds(store, ids)).indexOf(false), -1);
  assert.equal((await store.measure()).ready >= ids.length, true);
});

test('a torn end of the write-ahead log costs nothing that was acknowledged', async t => {
  const { path } = setup(t);
  const child = submitter(t, path);
  const ids = await linesOf(child, 200, () => child.kill('SIGKILL'));
  appendFileSync(`${path}-wal`, Buffer.alloc(5_000, 0xab));
  const store = await opened(t, path);
  assert.equal((await holds(store, ids)).indexOf(false), -1);
  await submitted(store, order('afterwards'));
});

test('a file size limit is answered as unavailable, and what was acknowledged is kept', async t => {
  const { path } = setup(t);
  const child = submitter(t, path, 'ulimit -f 4000');
  const lines = await linesOf(child, Number.POSITIVE_INFINITY, () => {});
  assert.equal(lines.at(-1), 'error unavailable');
  const ids = lines.filter(line => line.startsWith('task-'));
  assert.equal(ids.length > 0, true);
  const store = await opened(t, path);
  assert.equal((await holds(store, ids)).indexOf(false), -1);
});

test('a full disk is answered as unavailable, loses nothing, and serves again once there is room', async t => {
  const { directory } = setup(t);
  const small = join(directory, 'small');
  mkdirSync(small);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', small], { stdio: 'ignore' });
  } catch {
    t.skip('mounting a small file system is not allowed here');
    return;
  }
  const ballast = join(small, 'ballast');
  writeFileSync(ballast, Buffer.alloc(1_000_000));
  const store = await openSqlite({ path: join(small, 'batuta.db'), auditKey });
  try {
    const ids: string[] = [];
    const fill = async (): Promise<void> => {
      for (let batch = 0; ; batch++) {
        const tasks = Array.from({ length: 50 }, (_, at) => order(`task-${batch}-${at}`));
        await store.submit(tasks);
        ids.push(...tasks.map(({ id }) => id));
      }
    };
    await assert.rejects(fill(), refuses('unavailable', /disk is full/));
    assert.equal((await store.measure()).ready, ids.length);
    assert.equal((await holds(store, ids)).indexOf(false), -1);
    rmSync(ballast);
    await submitted(store, ...Array.from({ length: 50 }, (_, at) => order(`afterwards-${at}`)));
    assert.equal((await store.measure()).writable, true);
  } finally {
    await store.stop();
    execFileSync('umount', [small]);
  }
});

test('a second opener is refused while the first is open, in this process and in another', async t => {
  const { path } = setup(t);
  const child = submitter(t, path);
  assert.ok(child.stdout);
  await once(createInterface({ input: child.stdout }), 'line');
  await assert.rejects(openSqlite({ path, auditKey }), refuses('unavailable', /open in another process/));
  child.kill('SIGKILL');
  await once(child, 'exit');
  const store = await opened(t, path);
  await assert.rejects(openSqlite({ path, auditKey }), refuses('unavailable', /open in another process/));
  await store.stop();
  await (await openSqlite({ path, auditKey })).stop();
});

test('a database of a newer program is refused and left as it is', async t => {
  const { path } = setup(t);
  await (await openSqlite({ path, auditKey })).stop();
  const raw = new DatabaseSync(path);
  raw.exec('PRAGMA user_version = 99');
  raw.close();
  await assert.rejects(openSqlite({ path, auditKey }), refuses('unavailable', /schema 99.*newer program/));
  const after = new DatabaseSync(path, { readOnly: true });
  assert.equal(after.prepare('PRAGMA user_version').get()?.user_version, 99);
  after.close();
});

test('a file that is no database, or another program’s, is refused and left as it is', async t => {
  const { directory, path } = setup(t);
  writeFileSync(path, 'a shopping list, much longer than the header of a database would be. '.repeat(20));
  await assert.rejects(openSqlite({ path, auditKey }), refuses('unavailable', /not a Batuta database/));
  const foreign = join(directory, 'foreign.db');
  const raw = new DatabaseSync(foreign);
  raw.exec('CREATE TABLE contacts (name TEXT)');
  raw.close();
  await assert.rejects(openSqlite({ path: foreign, auditKey }), refuses('unavailable', /another program/));
});

test('a directory that is missing or may not be written is refused with a hint', async t => {
  const { directory } = setup(t);
  const missing = join(directory, 'nowhere', 'batuta.db');
  await assert.rejects(openSqlite({ path: missing, auditKey }), refuses('unavailable', /directory exists/));
  if (process.getuid?.() === 0)
    return t.diagnostic('root may write everywhere: only the missing directory was tried');
  chmodSync(directory, 0o500);
  t.after(() => chmodSync(directory, 0o700));
  const path = join(directory, 'batuta.db');
  await assert.rejects(openSqlite({ path, auditKey }), refuses('unavailable', /may be written/));
});

test('a damaged database is refused, not served in part', async t => {
  const { path } = setup(t);
  await (await openSqlite({ path, auditKey })).stop();
  truncateSync(path, 8_192);
  await assert.rejects(openSqlite({ path, auditKey }), refuses('unavailable', /damaged/));
});

test('a write-ahead log whose database is gone is not thrown away', async t => {
  const { path } = setup(t);
  const child = submitter(t, path);
  const ids = await linesOf(child, 50, () => child.kill('SIGKILL'));
  renameSync(path, `${path}.moved`);
  await assert.rejects(openSqlite({ path, auditKey }), refuses('unavailable', /write-ahead log is there/));
  renameSync(`${path}.moved`, path);
  const store = await opened(t, path);
  assert.equal((await holds(store, ids)).indexOf(false), -1);
});

test('a backup taken while serving is whole, opens, and refuses to overwrite', async t => {
  const { directory, path } = setup(t);
  const store = await opened(t, path);
  const before = Array.from({ length: 200 }, (_, at) => order(`before-${at}`));
  await submitted(store, ...before);
  await store.commit([ending(await claimedOne(store))]);
  const copy = join(directory, 'copy.db');
  const busy = Array.from({ length: 20 }, (_, at) => store.submit([order(`during-${at}`)]));
  await Promise.all([copyDatabase(path, copy), ...busy]);
  await assert.rejects(copyDatabase(path, copy), { code: 'conflict' });
  await assert.rejects(copyDatabase(path, join(directory, 'nowhere', 'copy.db')), { code: 'unavailable' });

  const restored = await opened(t, copy);
  assert.equal(
    (
      await holds(
        restored,
        before.map(({ id }) => id),
      )
    ).indexOf(false),
    -1,
  );
  assert.deepEqual(await current(restored, 'before-0'), await current(store, 'before-0'));
  const later = await claimedOne(restored);
  assert.equal(later.task.id, 'before-1');
});
