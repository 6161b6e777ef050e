// What execute-task answers: an admission in SAM's words, whether admitted, rejected or refused (`SAM-40` to `SAM-47`).

import type { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ResourceLimits } from '../../domain/task.ts';
import type { Admission } from '../../engine/api.ts';
import type { ErrorScene } from '../protocol.ts';
import { errorBody, statusOf } from './errors.ts';
import { PREFIX } from './route.ts';
import { instant } from './vocabulary.ts';

/** A status and the body that goes with it. */
export interface Answered {
  readonly status: number;
  readonly body: JsonObject;
}

/** The answer to one order. */
export function answerTo(admission: Admission, scene: ErrorScene): Answered {
  switch (admission.kind) {
    case 'admitted':
      return { status: 200, body: admittedBody(admission, scene.origin) };
    case 'rejected':
      return {
        status: statusOf(admission.error),
        body: {
          status: 'rejected',
          task_id: admission.task,
          execution_id: admission.executionId,
          ...errorBody(admission.error, scene),
        },
      };
    case 'refused':
      return refusal(admission.error, scene);
  }
}

/** An error as one answer among others. */
export function refusal(error: DomainError, scene: ErrorScene): Answered {
  return { status: statusOf(error), body: errorBody(error, scene) };
}

function admittedBody(admission: Admission & { kind: 'admitted' }, origin: string): JsonObject {
  const { task } = admission;
  return {
    status: admission.status,
    task_id: task,
    execution_id: admission.executionId,
    agent_id: admission.agentId,
    estimated_duration: Math.ceil(admission.expectedMs / 1_000),
    queue_position: admission.queuePosition,
    resource_allocation: allocation(admission.resources, admission.estimatedCost),
    monitoring: {
      status_url: `${origin}${PREFIX}/task-status/${task}`,
      logs_url: `${origin}${PREFIX}/task-logs/${task}`,
      metrics_url: `${origin}${PREFIX}/task-metrics/${task}`,
    },
    timestamps: {
      received: instant(admission.receivedAt),
      queued: instant(admission.queuedAt),
      estimated_start: instant(admission.estimatedStartAt),
      estimated_completion: instant(admission.estimatedCompletionAt),
    },
  };
}

function allocation({ memoryMb, cpuCores }: ResourceLimits, estimatedCost: number): JsonObject {
  return {
    ...(memoryMb === undefined ? {} : { memory_mb: memoryMb }),
    ...(cpuCores === undefined ? {} : { cpu_cores: cpuCores }),
    estimated_cost: estimatedCost,
  };
}
