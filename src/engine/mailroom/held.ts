// What is held back until somebody has said something: how it is kept, and how a task looks whose output is. Nothing here decides.

import type { DomainError } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import type { TaskError } from '../../domain/failure.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Message } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { ReleaseTerms } from '../ports/message-wire.ts';

/** What waits for a word, by the execution or the review it is about. */
export const HELD_KIND = 'release';
/** What became of an output that waited. */
export const SETTLED_KIND = 'release_verdict';

/** A completed task's output; its terms are those that held when it came. */
export interface HeldOutput {
  readonly subject: 'output';
  readonly task_id: string;
  /** The event that said it was completed. */
  readonly sequence: number;
  readonly state: 'validating' | 'reviewing';
  readonly terms: ReleaseTerms;
}

/** The answer to a message that asked for a review. */
export interface HeldAnswer {
  readonly subject: 'content';
  readonly dialect: string;
  readonly message_id: string;
}

/** What became of an output. */
export interface Settled {
  readonly state: 'released' | 'refused';
  /** Why it was refused. */
  readonly error: TaskError | null;
}

/** The review of a task's output. */
export function outputReviewId({ executionId }: Pick<Task, 'executionId'>): string {
  return `output.${executionId}`;
}

/** The review a message asks for. */
export function contentReviewId({ position }: Pick<Message, 'position'>): string {
  return `content.${position}`;
}

/** The task as it looks while its output waits. */
export function withheldTask(task: Task, state: HeldOutput['state']): Task {
  const currentStep = state === 'reviewing' ? 'waiting for a person' : 'being validated';
  return {
    ...task,
    ...{ state: 'running', outcome: null, endedAt: null, result: null },
    progress: { percentage: 100, currentStep },
  };
}

/** The task as it looks once its output was refused: failed, and without it. */
export function refusedTask(task: Task, error: TaskError): Task {
  return {
    ...task,
    state: 'failed',
    outcome: 'failed',
    result: { metrics: task.result?.metrics ?? {}, error },
  };
}

/** The event of its end, told as what it came to. */
export function refusedEvent(event: TaskEvent & { readonly kind: 'state' }, error: TaskError): TaskEvent {
  return { ...event, to: 'failed', error };
}

/** Why an output was refused, as a task keeps it. */
export function refusalOf({ code, message, details }: DomainError): TaskError {
  return { code, message, recoverable: false, details };
}

/** What a person's word amounts to as the verdict of a validation. */
export function verdictOfPerson(isApproved: boolean, comment: string | undefined): JsonObject {
  const message = comment ?? 'it was not approved';
  return {
    valid: isApproved,
    score: isApproved ? 1 : 0,
    issues: isApproved ? [] : [{ rule: 'human_review', severity: 'error', code: 'REJECTED', message }],
    recommendations: isApproved || comment === undefined ? [] : [comment],
  };
}
