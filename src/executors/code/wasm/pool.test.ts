import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { silentLog } from '../../../runtime/log.ts';
import { WasmChild } from './child.ts';
import { frameStart } from './frames.ts';
import { WasmPool } from './pool.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A clock that moves only when told. */
function manualClock() {
  let now = 0;
  const timers = new Set<{ at: number; callback: () => void }>();
  return {
    now: () => now,
    monotonic: () => now,
    after(ms: number, callback: () => void) {
      const timer = { at: now + ms, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    pass(ms: number): void {
      now += ms;
      for (const timer of [...timers].filter(({ at }) => at <= now)) {
        timers.delete(timer);
        timer.callback();
      }
    },
  };
}

/** A pool over processes that are only pretended. */
async function setup(sizeMax: number) {
  const clock = manualClock();
  const spawned: number[] = [];
  const spawn = (memoryMb: number): WasmChild => {
    spawned.push(memoryMb);
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const { promise, resolve } = Promise.withResolvers<{ exitCode: number | null }>();
    stdout.write(frameStart({ kind: 'ready' }));
    const kill = (): void => resolve({ exitCode: null });
    const process = { stdin, stdout, stderr, ended: promise, pids: () => [], ranOutOfMemory: () => false };
    return new WasmChild({ ...process, terminate: kill, kill }, memoryMb);
  };
  const pool = new WasmPool(silentLog, clock, { sizeMax, memoryMb: 256, spawn });
  await pool.start();
  const signal = new AbortController().signal;
  const take = (owner = 'a', memoryMb = 256): Promise<WasmChild> => pool.acquire({ owner, memoryMb }, signal);
  return { clock, pool, spawned, take };
}

test('SAM-109 one process is warm from the start, and the same is used again', async () => {
  const { pool, spawned, take } = await setup(2);
  assert.deepEqual(pool.counts(), { processes: 1, idle: 1, hits: 0, misses: 0 });
  const first = await take();
  pool.release(first);
  assert.equal(await take(), first);
  assert.deepEqual([spawned, pool.counts().hits, pool.counts().misses], [[256], 2, 0]);
});

test('SAM-109 the pool grows with demand to its size, and no further', async () => {
  const { pool, spawned, take } = await setup(2);
  const [one, two] = [await take(), await take()];
  const third = take();
  assert.deepEqual([spawned.length, pool.counts().misses], [2, 2]);
  pool.release(two);
  assert.equal(await third, two);
  assert.notEqual(one, two);
});

test('SAM-109 processes idle for ten minutes are let go, all but one', async () => {
  const { clock, pool, take } = await setup(3);
  const taken = [await take(), await take(), await take()];
  for (const child of taken) pool.release(child);
  clock.pass(9 * MINUTE);
  pool.release(await take());
  assert.equal(pool.counts().processes, 3);
  clock.pass(MINUTE);
  await taken[0]?.ended;
  assert.deepEqual(pool.counts().processes, 1);
  clock.pass(30 * MINUTE);
  assert.deepEqual(pool.counts().idle, 1);
});

test('a process that failed is replaced, and never handed out again', async () => {
  const { pool, spawned, take } = await setup(1);
  const failed = await take();
  await failed.kill();
  pool.release(failed);
  const next = await take();
  assert.notEqual(next, failed);
  assert.equal(spawned.length, 2);
});

test('a process that dies while idle is not handed out', async () => {
  const { pool, take } = await setup(1);
  const idle = await take();
  pool.release(idle);
  await idle.kill();
  assert.notEqual(await take(), idle);
});

test('a program of another memory size gets a process of its own, in place of one that is idle', async () => {
  const { pool, spawned, take } = await setup(1);
  const small = await take('a', 64);
  assert.deepEqual([small.memoryMb, spawned, pool.counts().processes], [64, [256, 64], 1]);
  const other = take('a', 256);
  pool.release(small);
  assert.equal((await other).memoryMb, 256);
});

test('SAM-120 a program prefers the process its own tenant used last', async () => {
  const { pool, take } = await setup(2);
  const [mine, theirs] = [await take('mine'), await take('theirs')];
  mine.owner = 'mine';
  theirs.owner = 'theirs';
  pool.release(mine);
  pool.release(theirs);
  assert.equal(await take('mine'), mine);
});

test('whoever stops waiting leaves the queue, and the next gets the process', async () => {
  const { pool, take } = await setup(1);
  const busy = await take();
  const controller = new AbortController();
  const given = pool.acquire({ owner: 'a', memoryMb: 256 }, controller.signal);
  const patient = take();
  controller.abort(new Error('changed my mind'));
  await assert.rejects(given, { message: 'changed my mind' });
  pool.release(busy);
  assert.equal(await patient, busy);
});

test('a closed pool ends its processes and turns everyone away', async () => {
  const { pool, take } = await setup(1);
  const busy = await take();
  const waiting = take();
  waiting.catch(() => {});
  await pool.stop();
  await busy.ended;
  await assert.rejects(waiting, { message: 'the pool is closed' });
  await assert.rejects(take(), { message: 'the pool is closed' });
});
