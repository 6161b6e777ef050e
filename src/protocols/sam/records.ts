// Small things on this wire: log records, artifacts, events (`SAM-61`, `SAM-65`, `SAM-71`).

import type { Artifact } from '../../domain/artifact.ts';
import { notificationOf, type TaskEvent } from '../../domain/event.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { hasEnded, isEnd, type TaskState } from '../../domain/transitions.ts';
import type { LogLevel, LogLine } from '../../store/rows.ts';
import { briefFailure } from './failure.ts';
import { instant, samState } from './vocabulary.ts';

/** The levels a filter may name, with the severity each is a minimum of. */
export const LEVEL_NAMES = ['debug', 'info', 'warn', 'error', 'critical'] as const;

/** The severity a filter's name means, whatever its case. */
export function levelOf(name: string): LogLevel {
  return name.toUpperCase() as LogLevel;
}

/** A log line as a record. */
export function logRecord(line: LogLine, task: Task): JsonObject {
  const { metadata } = line;
  const duration = metadata?.duration;
  return {
    timestamp: instant(line.at),
    level: line.level,
    component: line.component,
    task_id: task.id,
    execution_id: task.executionId,
    ...(line.agentId === null ? {} : { agent_id: line.agentId }),
    attempt: line.attempt,
    message: line.message,
    trace_id: task.spec.traceId,
    ...(typeof duration === 'number' ? { duration } : {}),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** An artifact; `origin` makes its URL absolute. */
export function wireArtifact(artifact: Artifact, origin: string): JsonObject {
  return {
    artifact_id: artifact.id,
    type: artifact.type,
    name: artifact.name,
    media_type: artifact.mediaType,
    size_bytes: artifact.sizeBytes,
    url: `${origin}/api/v2/artifacts/${artifact.id}`,
    checksum: `sha256:${artifact.sha256}`,
    ...(artifact.taskId === null ? {} : { task_id: artifact.taskId }),
    ...(artifact.attempt === null ? {} : { attempt: artifact.attempt }),
    created_at: instant(artifact.createdAt),
  };
}

/** An event as streams show it. */
export function wireEvent(event: TaskEvent): JsonObject {
  const notification = notificationOf(event);
  return {
    event_type: notification ?? (event.kind === 'state' ? 'state_changed' : event.kind),
    task_id: event.taskId,
    sequence: event.sequence,
    timestamp: instant(event.at),
    ...eventDetail(event),
  };
}

/** After an end the outcome shows, which a later event does not bear. */
function stateShown(to: TaskState): JsonObject {
  if (isEnd(to)) return { state: samState(to, to) };
  return hasEnded(to) ? {} : { state: samState(to, null) };
}

function eventDetail(event: TaskEvent): JsonObject {
  switch (event.kind) {
    case 'state':
      return {
        from: event.from,
        to: event.to,
        ...stateShown(event.to),
        phase: event.phase,
        actor: event.actor,
        ...(event.reason === undefined ? {} : { reason: event.reason }),
        ...(event.attempt === undefined ? {} : { attempt: event.attempt }),
        ...(event.error === undefined ? {} : { error: briefFailure(event.error) }),
      };
    case 'progress':
      return {
        attempt: event.attempt,
        progress: {
          percentage: event.progress.percentage,
          ...(event.progress.currentStep === undefined ? {} : { current_step: event.progress.currentStep }),
          ...(event.progress.totalSteps === undefined ? {} : { total_steps: event.progress.totalSteps }),
        },
        ...(event.intermediate === undefined ? {} : { intermediate_result: event.intermediate }),
      };
    case 'agent_error':
      return { attempt: event.attempt, agent_id: event.agentId, error: briefFailure(event.error) };
    case 'resource_warning':
      return { attempt: event.attempt, resource: event.resource, value: event.value, limit: event.limit };
    case 'note':
      return { name: event.name, detail: event.detail };
  }
}
