import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { findGroupBase, Group } from './cgroup.ts';

const root = await mkdtemp(join(tmpdir(), 'batuta-cgroup-'));
after(() => rm(root, { recursive: true }));

/** A directory with the files the kernel would put into a new group. */
async function kernelGroup(path: string, files: readonly string[]): Promise<string> {
  await mkdir(path, { recursive: true });
  for (const file of files) await writeFile(join(path, file), '');
  return path;
}

const FILES = [
  'memory.max',
  'memory.swap.max',
  'memory.oom.group',
  'pids.max',
  'cpu.weight',
  'cpu.max',
  'cgroup.procs',
  'cgroup.kill',
];
const LIMITS = { memoryMb: 64, processes: 80, cpuCores: 1.5, cpuBurst: false };

test('SAM-117 a group holds memory, swap, processes and processors', async () => {
  const path = await kernelGroup(join(root, 'full'), FILES);
  const group = new Group(path);
  group.make(LIMITS);
  group.add(42);
  group.kill();
  const written = Object.fromEntries(
    await Promise.all(FILES.map(async file => [file, await readFile(join(path, file), 'utf8')])),
  );
  assert.deepEqual(written, {
    'memory.max': String(64 * 1_048_576),
    'memory.swap.max': '0',
    'memory.oom.group': '1',
    'pids.max': '80',
    'cpu.weight': '150',
    'cpu.max': '150000 100000',
    'cgroup.procs': '42',
    'cgroup.kill': '1',
  });
});

test('SAM-117 a group that may burst has its cores as its share and no bound', async () => {
  const path = await kernelGroup(join(root, 'burst'), FILES);
  assert.deepEqual(new Group(path).make({ ...LIMITS, cpuBurst: true }), { holdsCpu: true });
  const [weight, max] = await Promise.all(
    ['cpu.weight', 'cpu.max'].map(file => readFile(join(path, file), 'utf8')),
  );
  assert.deepEqual([weight, max], ['150', 'max 100000']);
});

test('a group does without the cpu controller, but not without memory and processes', async () => {
  const less = await kernelGroup(join(root, 'less'), ['memory.max', 'pids.max']);
  assert.deepEqual(new Group(less).make(LIMITS), { holdsCpu: false });
  for (const only of ['memory.max', 'pids.max']) {
    const path = await kernelGroup(join(root, `only-${only}`), [only]);
    assert.throws(() => new Group(path).make(LIMITS), { code: 'ENOENT' });
  }
});

test('the kernel ending a group for lack of memory is seen', async () => {
  const path = await kernelGroup(join(root, 'oom'), FILES);
  await writeFile(join(path, 'memory.events'), 'low 0\noom 0\noom_kill 0\n');
  assert.equal(new Group(path).ranOutOfMemory(), false);
  await writeFile(join(path, 'memory.events'), 'low 0\noom 1\noom_kill 2\n');
  assert.equal(new Group(path).ranOutOfMemory(), true);
  assert.equal(new Group(join(root, 'none')).ranOutOfMemory(), false);
});

test('a directory that is no control group is not taken for one, and nothing is left in it', async () => {
  const mount = await mkdtemp(join(root, 'mount-'));
  const membership = join(root, 'membership');
  await writeFile(membership, '1:name=systemd:/\n0::/some.slice\n');
  const found = findGroupBase(mount, membership);
  assert.match('missing' in found ? found.missing : '', /no writable cgroup v2/);
  assert.deepEqual(await readdir(mount), []);
  await writeFile(membership, '4:memory:/\n');
  assert.deepEqual(findGroupBase(mount, membership), { missing: 'this process is in no cgroup v2' });
});
