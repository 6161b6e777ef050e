// How a task's failure is told: its code and class, what it was using, and what to do next (`SAM-50`, `SAM-51`, `SAM-82`).

import type { ErrorCode } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { FailureClass, Task, TaskError } from '../../domain/task.ts';
import type { Sample } from '../../store/rows.ts';
import { WORDINGS } from './errors.ts';

/** What a requester may be advised to do after a notification. */
export type RecommendedAction =
  | 'download_artifacts'
  | 'validate_data'
  | 'review_logs'
  | 'retry_task'
  | 'increase_resources'
  | 'decide_approval'
  | 'contact_administrator';

/** What a failure is told with beside itself. */
export interface FailureScene {
  readonly origin: string;
  readonly samples: readonly Sample[];
  readonly memoryLimitMb: number | undefined;
}

/** The class of a failure: what it calls for. */
export function failureClass(code: ErrorCode): FailureClass {
  switch (code) {
    case 'dependency_failed':
    case 'circuit_open':
    case 'unavailable':
    case 'upstream_timeout':
    case 'lease_lost':
      return 'network';
    case 'resource_exhausted':
    case 'rate_limited':
    case 'task_timeout':
      return 'resource';
    case 'unauthenticated':
    case 'forbidden':
      return 'authorisation';
    case 'invalid_request':
    case 'unserializable':
    case 'not_found':
    case 'conflict':
    case 'invalid_transition':
    case 'payload_too_large':
    case 'unprocessable':
    case 'policy_violation':
    case 'task_failed':
    case 'internal':
      return 'logic';
  }
}

/** The error object of a failed task. */
export function taskFailure(task: Task, error: TaskError, scene: FailureScene): JsonObject {
  const { code, severity } = WORDINGS[error.code];
  const kind = failureClass(error.code);
  return {
    code,
    message: error.message,
    category: 'task_execution_error',
    severity,
    class: kind,
    recoverable: error.recoverable,
    attempt: task.attempt,
    details: {
      ...error.details,
      task_id: task.id,
      execution_id: task.executionId,
      error_context: errorContext(scene),
      suggested_actions: actionsAfterFailure(error.code),
    },
    retry_after: null,
    documentation_url: `${scene.origin}/docs/errors/${code}`,
  };
}

/** A failure as an event tells it: code, message and details, without the task around it. */
export function briefFailure(error: TaskError): JsonObject {
  return {
    code: WORDINGS[error.code].code,
    message: error.message,
    recoverable: error.recoverable,
    class: failureClass(error.code),
    details: error.details ?? {},
  };
}

/** What helps after a failure, the most useful first. */
export function actionsAfterFailure(code: ErrorCode): readonly RecommendedAction[] {
  switch (failureClass(code)) {
    case 'network':
      return ['retry_task', 'review_logs'];
    case 'resource':
      return ['increase_resources', 'retry_task'];
    case 'authorisation':
      return ['contact_administrator'];
    case 'logic':
      return ['review_logs', 'retry_task'];
  }
}

/** True where only a person can help: a failure that trying again would repeat (`SAM-82`). */
export function needsPerson(task: Pick<Task, 'outcome' | 'result'>): boolean {
  const error = task.outcome === 'failed' ? task.result?.error : undefined;
  return error !== undefined && !error.recoverable && failureClass(error.code) === 'logic';
}

function errorContext({ samples, memoryLimitMb }: FailureScene): { readonly [key: string]: Json } {
  const last = samples.at(-1);
  if (last === undefined) return {};
  const { memoryMb, cpuPercent } = last;
  return {
    ...(memoryMb === undefined ? {} : { memory_usage: memoryMb }),
    ...(cpuPercent === undefined ? {} : { cpu_usage: cpuPercent }),
    ...(memoryMb === undefined || memoryLimitMb === undefined
      ? {}
      : { available_memory: Math.max(0, memoryLimitMb - memoryMb) }),
  };
}
