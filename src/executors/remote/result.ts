// What an ended attempt is worth here: its files copied, its output fetched, its failure in the model's words (`SAM-99`).

import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import type { TaskError } from '../../domain/task.ts';
import type { WorkResult } from '../../engine/api.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { ArtifactCopier } from './artifacts.ts';
import type { Delegation } from './delegation.ts';
import type { RemoteEnd } from './event.ts';
import { dependencyFailure } from './failure.ts';

/** What bringing a result home takes. */
export interface ResultDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly copier: ArtifactCopier;
}

const TRIES_MAX = 3;
const BACK_OFF_MS = 1_000;

/**
 * The result of an attempt that completed or failed. One whose files cannot be had, or are not what the agent says, has failed;
 * throws `unavailable` where it is this server that cannot keep them, and the signal's reason once it aborts.
 */
export async function bringHome(
  delegation: Delegation,
  end: RemoteEnd,
  deps: ResultDeps,
  signal: AbortSignal,
): Promise<WorkResult> {
  const { taskId, token } = delegation;
  const common = { taskId, token, metrics: end.metrics };
  if (end.error !== undefined) {
    await copyWhatIsLeft(delegation, end, deps, signal);
    const output = end.output === undefined ? {} : { output: end.output };
    return { ...common, status: 'failed', error: attributed(end.error, delegation), ...output };
  }
  try {
    const output = await insist(() => completedOutput(delegation, end, deps, signal), deps.clock, signal);
    return { ...common, status: 'completed', output };
  } catch (lost) {
    signal.throwIfAborted();
    if (lost instanceof DomainError && lost.code === 'unavailable') throw lost;
    const message = `the result is incomplete: ${lost instanceof Error ? lost.message : String(lost)}`;
    return { ...common, status: 'failed', error: attributed(dependencyFailure(message), delegation) };
  }
}

async function completedOutput(
  delegation: Delegation,
  end: RemoteEnd,
  { copier }: ResultDeps,
  signal: AbortSignal,
): Promise<Json> {
  await copier.copy(delegation, end.artifacts, signal);
  if (end.outputRef === undefined) return end.output ?? null;
  return copier.output(delegation, end.outputRef, signal);
}

/** The failure is what counts: files of a failed attempt that cannot be had change nothing. */
async function copyWhatIsLeft(
  delegation: Delegation,
  end: RemoteEnd,
  { copier, log }: ResultDeps,
  signal: AbortSignal,
): Promise<void> {
  try {
    await copier.copy(delegation, end.artifacts, signal);
  } catch (error) {
    signal.throwIfAborted();
    log.warn('what a failed task left at its agent could not be copied', {
      task: delegation.remoteId,
      error: String(error),
    });
  }
}

function attributed(error: TaskError, { agentId, remoteId }: Delegation): TaskError {
  return { ...error, details: { ...error.details, agent_id: agentId, remote_task_id: remoteId } };
}

async function insist<Answer>(
  work: () => Promise<Answer>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Answer> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await work();
    } catch (error) {
      if (tried === TRIES_MAX || signal.aborted) throw error;
      await pause(clock, BACK_OFF_MS * 2 ** (tried - 1), signal);
    }
  }
}
