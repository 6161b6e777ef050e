// What pipes refuse, in words.

import { DomainError } from '../domain/errors.ts';
import type { Json } from '../domain/json.ts';
import { PIPE_STATE_LENGTH_MAX } from '../domain/pipe.ts';
import type { PipeEnd } from './pipe-calls.ts';

/** Throws `payload_too_large` for a state that is. */
export function requireState(state: Json | undefined): void {
  if (state === undefined || JSON.stringify(state).length <= PIPE_STATE_LENGTH_MAX) return;
  throw new DomainError('payload_too_large', 'the state that goes with a chunk is too large', {
    details: { limit_characters: PIPE_STATE_LENGTH_MAX },
  });
}

/** For whoever is further than the writer. */
export function notWritten(pipe: string, chunk: number): DomainError {
  return new DomainError('conflict', `chunk ${chunk} of ${pipe} was not written yet`);
}

/** For whoever would go on from where chunks were let go of: a gap is refused, never made. */
export function letGoAlready({ name }: PipeEnd, upTo: number, position: number): DomainError {
  const message = `a checkpoint that goes to chunk ${position} of ${name} is of no use: up to ${upTo} they were let go of`;
  return new DomainError('conflict', message, { details: { pipe: name, position, let_go: upTo } });
}

/** For a name that the task does not know, or a pipe that is not meant for it. */
export function noSuchPipe({ taskId, name }: PipeEnd): DomainError {
  return new DomainError('not_found', `task ${taskId} has no pipe called ${name} at this end`, {
    details: { task_id: taskId, pipe: name },
  });
}

/** For an attempt that another has followed. */
export function lost({ taskId, token }: PipeEnd): DomainError {
  return new DomainError('lease_lost', `a later attempt of task ${taskId} has taken the pipe over`, {
    details: { task_id: taskId, fencing_token: token },
  });
}

/** All its readers have acknowledged it. */
export function notThere(pipe: string, chunk: number): DomainError {
  return new DomainError('not_found', `chunk ${chunk} of ${pipe} is not there any more`, {
    details: { pipe, chunk },
  });
}
