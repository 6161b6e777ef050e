import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, getPriority } from 'node:os';
import { type TestContext, test } from 'node:test';
import { pause, systemClock } from './clock.ts';
import { giveWay, holdProcessors } from './processors.ts';
import { statFields, TICKS_PER_SECOND } from './procfs.ts';

/** A process that wants all the processor there is, and its number. */
async function greedy(t: TestContext): Promise<{ readonly child: ChildProcess; readonly pid: number }> {
  const child = spawn(process.execPath, ['-e', 'process.stdout.write("on"); for (;;);'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => child.kill('SIGKILL'));
  if (child.stdout === null || child.pid === undefined) throw new Error('it did not start');
  await once(child.stdout, 'data');
  return { child, pid: child.pid };
}

function cpuSeconds(pid: number): number {
  const [user = 0, system = 0] = statFields(pid).slice(11, 13).map(Number);
  return (user + system) / TICKS_PER_SECOND;
}

/** Processor time over time, once it has used up what it may save. */
async function shareOf(pid: number, ms: number): Promise<number> {
  const [usedAt, at] = [cpuSeconds(pid), systemClock.monotonic()];
  await pause(systemClock, ms);
  return ((cpuSeconds(pid) - usedAt) * 1_000) / (systemClock.monotonic() - at);
}

const skip = process.platform !== 'linux' || availableParallelism() < 1;

test('SAM-117 SAM-118 a process that wants more is held to its part of a processor, and goes on freely afterwards', {
  skip,
}, async t => {
  const { pid } = await greedy(t);
  const letGo = holdProcessors(systemClock, () => [pid], 0.2);
  await pause(systemClock, 1_000);
  const held = await shareOf(pid, 3_000);
  assert.ok(held > 0.02 && held < 0.3, `it had ${held} of a processor`);
  letGo();
  const [state] = statFields(pid);
  assert.notEqual(state, 'T');
  const before = cpuSeconds(pid);
  while (cpuSeconds(pid) < before + 0.5) await pause(systemClock, 20);
});

test('SAM-118 processes together have one share, those that begin meanwhile too', { skip }, async t => {
  const pids: number[] = [];
  const letGo = holdProcessors(systemClock, () => pids, 0.3);
  t.after(letGo);
  pids.push((await greedy(t)).pid, (await greedy(t)).pid);
  await pause(systemClock, 1_500);
  const shares = await Promise.all(pids.map(pid => shareOf(pid, 3_000)));
  const held = shares.reduce((sum, share) => sum + share, 0);
  assert.ok(held > 0.03 && held < 0.45, `they had ${shares} of a processor`);
});

test('SAM-117 every thread of a process gives way', { skip }, async t => {
  const { pid } = await greedy(t);
  giveWay([pid]);
  assert.equal(getPriority(pid), 10);
});
