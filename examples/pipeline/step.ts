// Workers of the pipeline in a process of their own, a worker a step: node step.ts <process> read|filter|sum… It may be killed at any moment and
// started again, here or on another machine: whoever takes a step up goes on where it was.

import { open } from 'node:fs/promises';
import { type TaskContext, type TaskHandler, Worker, type WorkTask } from '../../src/sdk/index.ts';
import { connect } from '../connect.ts';
import { type Failure, failuresIn, type Total } from './log.ts';

/** A chunk holds 4 MiB at most: the lines that begin in so many bytes of the file, none of which is longer than what is left. */
const SLICE = 4 * 1_024 ** 2 - 4_096;
/** A checkpoint costs a commit: one every few chunks is often enough, for what comes after it comes again. */
const CHUNKS_A_CHECKPOINT = 2;

const HANDLERS: Readonly<Record<string, TaskHandler<never>>> = { read, filter, sum };
const [name = '', ...roles] = process.argv.slice(2);
const client = connect();
const workers = roles.map(role => {
  const handler = HANDLERS[role];
  if (handler === undefined) throw new Error(`there is no step ${role}`);
  return new Worker({ client, agentId: `${role}-${name}`, handlers: { [`${role}-log`]: handler } });
});
const stop = async (): Promise<void> => {
  await Promise.all(workers.map(worker => worker.stop({ graceMs: 0, handInMs: 1_000 })));
  process.exit();
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
// Whoever started it is gone, in whatever way.
process.stdin.once('end', stop).resume();
await Promise.all(workers.map(worker => worker.start()));
console.log('ready');

/** Goes on behind what is written already: a chunk is the same slice of the file each time. */
async function read({ data }: WorkTask<{ path: string }>, context: TaskContext) {
  const lines = context.output('lines');
  await using file = await open(data.path);
  const { size } = await file.stat();
  let slice = await lines.written();
  // `write` waits while the pipe is full, so that is all there is to do about a filter that is slow.
  for (; slice * SLICE < size; slice++) {
    const [from, to] = [await lineAfter(slice * SLICE), await lineAfter((slice + 1) * SLICE)];
    const bytes = new Uint8Array(to - from);
    await file.read(bytes, 0, bytes.length, from);
    if (!(await lines.writeBytes(bytes))) break;
  }
  return { chunks: slice };

  /** Where the first line begins that does so there or behind. */
  async function lineAfter(position: number): Promise<number> {
    if (position === 0 || position >= size) return Math.min(position, size);
    const { buffer } = await file.read(new Uint8Array(4_096), 0, 4_096, position - 1);
    return position + buffer.indexOf(10);
  }
}

/** Remembers nothing: a chunk is done with when the loop asks for the next, once all that came of it is on disk. */
async function filter(_: WorkTask, context: TaskContext) {
  const failures = context.output('failures');
  let first = true;
  for await (const { number, bytes } of context.input('lines')) {
    if (first) console.log(`filter begins with chunk ${number}`);
    first = false;
    for (const failure of failuresIn(new TextDecoder().decode(bytes))) await failures.write(failure);
    console.log(`filter has chunk ${number}`);
  }
}

/** Remembers its sums: a chunk is done with once a checkpoint includes it, and sums and place come back together. */
async function sum(_: WorkTask, context: TaskContext) {
  const totals = (context.saved ?? {}) as Record<string, Total>;
  const failures = context.input('failures', { by: 'checkpoint' });
  let first = true;
  for await (const chunk of failures) {
    if (first) console.log(`sum begins with chunk ${chunk.number}`);
    first = false;
    for (const { path, ms } of chunk.records<Failure>()) {
      const before = totals[path] ?? { count: 0, ms: 0 };
      totals[path] = { count: before.count + 1, ms: before.ms + ms };
    }
    await failures.acknowledge(chunk);
    if (chunk.number % CHUNKS_A_CHECKPOINT === 0) context.checkpoint(totals);
  }
  return totals;
}
