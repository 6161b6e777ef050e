// What an agent says of a task, by webhook or status answer, in the model's words, and how it changes what is known of the attempt:
// in the agent's own order, and never after an end (`SAM-97`).

import { DomainError, type ErrorCode } from '../../domain/errors.ts';
import { NOTIFICATION_EVENTS, type NotificationEvent } from '../../domain/event.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { TaskError, TaskMetrics } from '../../domain/task.ts';
import { failureOf } from './failure.ts';

/** How far an agent says it has come. */
export interface RemoteProgress {
  readonly percentage?: number;
  readonly currentStep?: string;
  readonly totalSteps?: number;
}

/** What an agent says that belongs into the task's log. */
export interface RemoteLine {
  readonly at: number;
  readonly level: 'INFO' | 'WARN' | 'ERROR';
  readonly message: string;
  readonly metadata?: JsonObject;
}

/** A file the agent offers. */
export interface RemoteArtifact {
  readonly name: string;
  readonly type: string;
  readonly mediaType: string;
  /** Absolute, or a path at the agent. */
  readonly url: string;
  /** Lower-case hex; null where the agent gives none. */
  readonly sha256: string | null;
  readonly sizeBytes: number | null;
  readonly id: string | null;
}

/** How the task ended at the agent. */
export interface RemoteEnd {
  readonly outcome: 'completed' | 'failed' | 'cancelled';
  readonly output?: Json;
  /** The artifact that holds the output, in its place. */
  readonly outputRef?: Json;
  readonly error?: TaskError;
  readonly artifacts: readonly RemoteArtifact[];
  readonly metrics: TaskMetrics;
}

/** One thing an agent said. */
export interface RemoteEvent {
  /** The agent's number for it; a status answer has none, and is the newest there is. */
  readonly sequence: number | null;
  readonly at: number | null;
  readonly polled: boolean;
  readonly progress: RemoteProgress | null;
  readonly line: Omit<RemoteLine, 'at'> | null;
  readonly end: RemoteEnd | null;
}

/** What folding reads and writes of a delegation. */
export interface Heard {
  readonly sequence: number | null;
  readonly eventAt: number | null;
  readonly heardAt: number;
  readonly progress: RemoteProgress | null;
  readonly lines: readonly RemoteLine[];
  readonly end: RemoteEnd | null;
}

const LINES_MAX = 50;
const STEP_LENGTH_MAX = 1_000;
const ARTIFACTS_MAX = 1_000;

/** The delegation after the event; a stale one, or one after the end, changes nothing but when the agent was last heard. */
export function fold<State extends Heard>(known: State, event: RemoteEvent, now: number): State {
  const heard = { ...known, heardAt: now };
  if (known.end !== null || isStale(known, event)) return heard;
  return {
    ...heard,
    sequence: event.sequence ?? known.sequence,
    eventAt: event.at === null ? known.eventAt : Math.max(event.at, known.eventAt ?? event.at),
    progress: event.progress === null ? known.progress : { ...known.progress, ...event.progress },
    lines:
      event.line === null || known.lines.length >= LINES_MAX
        ? known.lines
        : [...known.lines, { at: now, ...event.line }],
    end: event.end,
  };
}

function isStale(known: Heard, { sequence, at, polled }: RemoteEvent): boolean {
  if (polled) return false;
  if (sequence !== null && known.sequence !== null) return sequence <= known.sequence;
  return at !== null && known.eventAt !== null && at < known.eventAt;
}

/** A webhook's body; null for an event of a later protocol; throws `invalid_request` where it names no event. */
export function readWebhook(body: JsonObject): RemoteEvent | null {
  const { event_type: named, sequence, timestamp } = body;
  if (typeof named !== 'string') {
    const errors = [{ field: 'event_type', message: 'is required' }];
    throw new DomainError('invalid_request', 'event_type is required', { details: { errors } });
  }
  const event = NOTIFICATION_EVENTS.find(one => one === named);
  if (event === undefined) return null;
  return {
    sequence: Number.isInteger(sequence) ? Number(sequence) : null,
    at: instantOf(timestamp),
    polled: false,
    progress: progressOf(objectOf(body.status), 'progress_percentage'),
    line: lineOf(event, body),
    end: endOf(event, body),
  };
}

/** A task-status answer. */
export function readStatus(body: JsonObject): RemoteEvent {
  const status = objectOf(body.current_status);
  const details = objectOf(body.execution_details);
  const end = polledEnd(status, details, objectOf(body.metrics));
  return {
    sequence: null,
    at: instantOf(objectOf(status.timestamps).last_update),
    polled: true,
    progress: end === null ? progressOf(objectOf(status.progress), 'percentage') : null,
    line: null,
    end,
  };
}

function lineOf(event: NotificationEvent, body: JsonObject): RemoteEvent['line'] {
  switch (event) {
    case 'task_started':
      return { level: 'INFO', message: 'the agent began to run the task' };
    case 'agent_error': {
      const told = [body.error, objectOf(body.result).error].find(isJsonObject);
      const { message, code, details = {} } = failureOf(told, 'internal');
      return {
        level: 'ERROR',
        message: `an error at the agent: ${message}`,
        metadata: { code, ...details },
      };
    }
    case 'resource_warning': {
      const warning = objectOf(body.warning);
      const what = typeof warning.resource === 'string' ? ` of ${warning.resource}` : '';
      return { level: 'WARN', message: `a limit${what} is near at the agent`, metadata: warning };
    }
    case 'task_progress':
    case 'task_completed':
    case 'task_failed':
    case 'task_timeout':
    case 'task_cancelled':
      return null;
  }
}

function endOf(event: NotificationEvent, body: JsonObject): RemoteEnd | null {
  const result = objectOf(body.result);
  switch (event) {
    case 'task_completed':
      return result.success === false ? failed(result, 'task_failed') : completed(result);
    case 'task_failed':
      return failed(result, 'task_failed');
    case 'task_timeout':
      return failed(result, 'task_timeout');
    case 'task_cancelled':
      return { outcome: 'cancelled', ...leftovers(result), error: failureOf(result.error, 'unavailable') };
    case 'task_started':
    case 'task_progress':
    case 'agent_error':
    case 'resource_warning':
      return null;
  }
}

function polledEnd(status: JsonObject, details: JsonObject, metrics: JsonObject): RemoteEnd | null {
  const result = { ...details, error: details.error_details, metrics };
  switch (status.state) {
    case 'completed':
      return completed(result);
    case 'failed':
      return failed(result, status.outcome === 'timeout' ? 'task_timeout' : 'task_failed');
    case 'cancelled':
      return { outcome: 'cancelled', ...leftovers(result), error: failureOf(result.error, 'unavailable') };
    default:
      return null;
  }
}

function completed(result: JsonObject): RemoteEnd {
  const { output, output_ref: outputRef } = result;
  return {
    outcome: 'completed',
    ...leftovers(result),
    ...(output === undefined && outputRef !== undefined ? { outputRef } : { output: output ?? null }),
  };
}

function failed(result: JsonObject, otherwise: ErrorCode): RemoteEnd {
  const { output } = result;
  return {
    outcome: 'failed',
    ...leftovers(result),
    error: failureOf(result.error, otherwise),
    ...(output === undefined ? {} : { output }),
  };
}

function leftovers(result: JsonObject): Pick<RemoteEnd, 'artifacts' | 'metrics'> {
  const offered = Array.isArray(result.artifacts) ? result.artifacts.slice(0, ARTIFACTS_MAX) : [];
  return {
    artifacts: offered.flatMap(one => artifactOf(one) ?? []),
    metrics: metricsOf(objectOf(result.metrics)),
  };
}

/** An artifact reference, or a bare artifact id; null for what cannot be fetched. */
export function artifactOf(told: Json): RemoteArtifact | null {
  const offer: JsonObject = typeof told === 'string' ? { artifact_id: told } : objectOf(told);
  const id = textOf(offer.artifact_id);
  const url = textOf(offer.url) ?? (id === null ? null : `/api/v2/artifacts/${encodeURIComponent(id)}`);
  if (url === null) return null;
  const [, sha256] = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(textOf(offer.checksum) ?? '') ?? [];
  const { size_bytes: size } = offer;
  return {
    id,
    url,
    name: textOf(offer.name)?.slice(0, STEP_LENGTH_MAX) ?? id ?? 'artifact',
    type: textOf(offer.type) ?? 'data_file',
    mediaType: textOf(offer.media_type) ?? 'application/octet-stream',
    sha256: sha256?.toLowerCase() ?? null,
    sizeBytes: Number.isInteger(size) ? Number(size) : null,
  };
}

function metricsOf(told: JsonObject): TaskMetrics {
  const count = (value: Json | undefined): number | undefined =>
    typeof value === 'number' && value >= 0 ? value : undefined;
  const megabytes = count(told.data_transferred);
  const metrics = {
    executionSeconds: count(told.execution_time),
    memoryPeakMb: count(told.memory_used),
    cpuMeanPercent: count(told.cpu_usage),
    apiCalls: count(told.api_calls),
    tokensUsed: count(told.tokens_used),
    // SAM tells the sum of both directions.
    bytesReceived: megabytes === undefined ? undefined : Math.round(megabytes * 1_000_000),
  };
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => value !== undefined));
}

function progressOf(status: JsonObject, percentageName: string): RemoteProgress | null {
  const percentage = status[percentageName];
  const { current_step: step, total_steps: total } = status;
  const progress: RemoteProgress = {
    ...(typeof percentage === 'number' ? { percentage: Math.min(100, Math.max(0, percentage)) } : {}),
    ...(typeof step === 'string' ? { currentStep: step.slice(0, STEP_LENGTH_MAX) } : {}),
    ...(Number.isInteger(total) && Number(total) >= 0 ? { totalSteps: Number(total) } : {}),
  };
  return Object.keys(progress).length === 0 ? null : progress;
}

/** An instant without a zone is UTC. */
function instantOf(told: Json | undefined): number | null {
  const text = typeof told === 'string' ? told : '';
  const zoned = /([Zz]|[+-]\d\d:?\d\d)$/.test(text.slice(10));
  const at = Date.parse(zoned ? text : `${text}Z`);
  return Number.isNaN(at) ? null : at;
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function objectOf(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}
