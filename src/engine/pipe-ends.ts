// The ends of pipes as an attempt in this process holds them: chunks one after the other, waited for as long as the attempt lives.

import { buffer } from 'node:stream/consumers';
import type { RunningAttempt } from './attempts.ts';
import type { PipeEnd } from './pipe-calls.ts';
import type { Pipes } from './pipes.ts';
import type { PipeInput, PipeOutput } from './ports/pipes.ts';

/** An input of the attempt's task. */
export function inputFor(
  pipes: Pipes,
  attempt: RunningAttempt,
  name: string,
  signal: AbortSignal,
): PipeInput {
  const end = endOf(attempt, name);
  return {
    open: () => pipes.openInput(end),
    async next(after, waitMs = Number.POSITIVE_INFINITY) {
      const found = await pipes.read(end, after, { waitMs, signal });
      signal.throwIfAborted();
      if (found === null) return 'later';
      if (found.kind === 'end') return 'end';
      return { number: found.number, bytes: await buffer(found.stream) };
    },
    acknowledge: (upTo, state) => pipes.acknowledge(end, upTo, state),
  };
}

/** An output of the attempt's task; it numbers the chunks. */
export function outputFor(
  pipes: Pipes,
  attempt: RunningAttempt,
  name: string,
  signal: AbortSignal,
): PipeOutput {
  const end = endOf(attempt, name);
  const patience = { waitMs: Number.POSITIVE_INFINITY, signal };
  let written: number | null = null;
  return {
    async open() {
      const position = await pipes.openOutput(end);
      written = position.written;
      return position;
    },
    async write(bytes, state) {
      written ??= (await pipes.openOutput(end)).written;
      const chunk = { number: written + 1, size: bytes.length, source: bytes };
      const outcome = await pipes.write(end, state === undefined ? chunk : { ...chunk, state }, patience);
      signal.throwIfAborted();
      if (outcome !== 'kept') return false;
      written++;
      return true;
    },
    end: () => pipes.endOutput(end),
  };
}

function endOf({ task, token }: RunningAttempt, name: string): PipeEnd {
  return { tenant: task.tenant, taskId: task.id, token, name };
}
