import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { capacityOf, linkMbps } from './capacity.ts';

test('SAM-115 the bandwidth of a host is that of its fastest link, and unknown where no link has a speed', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'batuta-links-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const link = async (name: string, speed: string): Promise<void> => {
    await mkdir(join(directory, name));
    await writeFile(join(directory, name, 'speed'), speed);
  };
  assert.equal(await linkMbps(join(directory, 'missing')), null);
  await mkdir(join(directory, 'lo'));
  await link('virtual0', '-1\n');
  assert.equal(await linkMbps(directory), null);
  await link('eth0', '1000\n');
  await link('eth1', '10000\n');
  assert.equal(await linkMbps(directory), 10_000);
});

test('SAM-115 tasks may reserve less memory and disk than there is, and each processor twice', async () => {
  const { memoryMb = 0, cpuCores, diskMb = 0 } = await capacityOf(tmpdir());
  assert.ok(memoryMb > 0 && memoryMb < totalmem() / 1_048_576);
  assert.equal(cpuCores, 2 * availableParallelism());
  assert.ok(diskMb > 0);
});
