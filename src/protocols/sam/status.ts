// What a task looks like from outside: gathers what its status answer is made of, as little as the question needs, and writes it
// down (`SAM-55` to `SAM-60`).

import type { Artifact } from '../../domain/artifact.ts';
import type { TaskEvent } from '../../domain/event.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { hasEnded, isHeld, phaseOf } from '../../domain/transitions.ts';
import type { EngineApi, TaskForecast, WaitingReason } from '../../engine/api.ts';
import type { LogLevel, Sample, StoredLogLine } from '../../store/rows.ts';
import type { Store } from '../../store/store.ts';
import { needsPerson, taskFailure } from './failure.ts';
import { logRecord, wireArtifact } from './records.ts';
import { cachedFrom, resourceUsage, totalsOf, wireLimits, wireSample } from './usage.ts';
import { instant, priorityName, samState } from './vocabulary.ts';

/** What a status question asks for. */
export interface StatusWish {
  readonly logs: boolean;
  readonly metrics: boolean;
  readonly context: boolean;
  readonly levelMin?: LogLevel;
  /** Only what is newer, in epoch milliseconds. */
  readonly since?: number;
}

/** Where a status is read from. */
export interface StatusDeps {
  readonly engine: Pick<EngineApi, 'forecast' | 'defaultResources' | 'limitModes'>;
  readonly store: Pick<Store, 'artifacts' | 'events' | 'logs' | 'samples'>;
  readonly serverId: string;
}

/** Everything a status answer is made of. */
export interface StatusView {
  readonly task: Task;
  readonly forecast: TaskForecast;
  readonly artifacts: readonly Artifact[];
  readonly samples: readonly Sample[];
  /** The events that may carry intermediate results. */
  readonly events: readonly TaskEvent[];
  readonly logs: readonly StoredLogLine[] | null;
  /** The last lines before a failure (`SAM-51`). */
  readonly lastLines: readonly StoredLogLine[];
}

const EVENTS_MAX = 1_000;
const LINES_MAX = 1_000;
const SAMPLES_MAX = 10_000;
const FAILURE_LINES = 100;

const NO_FORECAST: TaskForecast = {
  queuePosition: null,
  waiting: null,
  estimatedStartAt: null,
  estimatedCompletionAt: null,
  remainingMs: null,
  estimatedPercentage: null,
};

/** Reads what the answer needs; a task that never ran has nothing but itself and its forecast. */
export async function viewOf(task: Task, wish: StatusWish, deps: StatusDeps): Promise<StatusView> {
  const { store, engine } = deps;
  const { key, tenant } = task;
  const began = task.attempt > 0 && !task.purged;
  const failed = task.result?.error !== undefined && !task.purged;
  const since = wish.since === undefined ? {} : { since: wish.since + 1 };
  const level = wish.levelMin === undefined ? {} : { levelMin: wish.levelMin };
  const [forecast, artifacts, samples, events, logs, lastLines] = await Promise.all([
    hasEnded(task.state) ? NO_FORECAST : engine.forecast(task),
    task.purged ? [] : began ? store.artifacts({ tenant, taskId: task.id }) : [],
    began ? store.samples({ key, limit: SAMPLES_MAX }) : [],
    began
      ? store.events({
          of: 'task',
          key,
          afterSequence: Math.max(0, task.version - EVENTS_MAX),
          limit: EVENTS_MAX,
        })
      : [],
    wish.logs ? store.logs({ key, ...since, ...level, last: true, limit: LINES_MAX }) : null,
    failed ? store.logs({ key, last: true, limit: FAILURE_LINES }) : [],
  ]);
  return { task, forecast, artifacts, samples, events, logs, lastLines };
}

/** The status answer. */
export function wireStatus(
  view: StatusView,
  wish: StatusWish,
  scene: { readonly origin: string; readonly now: number; readonly deps: StatusDeps },
): JsonObject {
  const { task, samples } = view;
  const { spec } = task;
  const limits = { ...scene.deps.engine.defaultResources(spec), ...spec.resources };
  return {
    task_id: task.id,
    execution_id: task.executionId,
    agent_id: task.agentId ?? scene.deps.serverId,
    task_type: spec.type,
    description: spec.description,
    priority: priorityName(spec.priority),
    timeout: Math.round(spec.timeoutMs / 1_000),
    ...(spec.retryOf === undefined ? {} : { retry_of: spec.retryOf }),
    ...(task.purged ? { purged: true } : {}),
    current_status: currentStatus(view),
    resource_usage: {
      ...resourceUsage(task, samples, limits),
      limits: wireLimits(limits, scene.deps.engine.limitModes(task), spec.burst),
    },
    execution_details: executionDetails(view, wish, { origin: scene.origin, memoryLimitMb: limits.memoryMb }),
    ...(view.logs === null ? {} : { logs: view.logs.map(line => logRecord(line, task)) }),
    ...(wish.metrics ? { metrics: metricsOf(view, wish, scene.now) } : {}),
    ...(wish.context ? { context: spec.context ?? {} } : {}),
  };
}

function currentStatus({ task, forecast }: StatusView): JsonObject {
  return {
    state: samState(task.state, task.outcome),
    paused: task.state === 'paused',
    requires_human_intervention: needsPerson(task),
    lifecycle_state: task.state,
    phase: phaseOf(task.state),
    outcome: task.outcome,
    attempt: task.attempt,
    queue_position: forecast.queuePosition ?? 0,
    ...(forecast.waiting === null ? {} : { waiting: wireWaiting(forecast.waiting) }),
    progress: progressOf(task, forecast),
    timestamps: timestampsOf(task, forecast),
  };
}

/** 100 % is said of success alone, and a percentage nobody reported is marked as estimated (`SAM-58`, `SAM-125`). */
export function progressOf(task: Task, forecast: TaskForecast): JsonObject {
  const { progress } = task;
  const reported = progress?.percentage;
  const estimated = reported === undefined && isHeld(task.state) ? forecast.estimatedPercentage : null;
  const sofar = Math.min(reported ?? estimated ?? 0, 99);
  const remainingMs = hasEnded(task.state) ? 0 : forecast.remainingMs;
  return {
    percentage: task.outcome === 'completed' ? 100 : sofar,
    ...(progress?.currentStep === undefined ? {} : { current_step: progress.currentStep }),
    ...(progress?.totalSteps === undefined ? {} : { total_steps: progress.totalSteps }),
    ...(remainingMs === null ? {} : { estimated_remaining: Math.ceil(remainingMs / 1_000) }),
    ...(estimated !== null || progress?.estimated === true ? { estimated: true } : {}),
  };
}

function timestampsOf(task: Task, forecast: TaskForecast): JsonObject {
  return {
    created: instant(task.createdAt),
    ...at('queued', task.queuedAt),
    ...at('started', task.startedAt),
    last_update: instant(task.updatedAt),
    ...at('completed', task.endedAt),
    ...at('estimated_start', forecast.estimatedStartAt),
    ...at('estimated_completion', forecast.estimatedCompletionAt),
  };
}

function at(name: string, ms: number | null): JsonObject {
  return ms === null ? {} : { [name]: instant(ms) };
}

/** Why a task waits, in words a caller can act on. */
export function wireWaiting(waiting: WaitingReason): JsonObject {
  switch (waiting.because) {
    case 'paused':
      return { because: 'paused' };
    case 'not_before':
      return { because: 'not_before', until: instant(waiting.until) };
    case 'retry_delay':
      return { because: 'retry_delay', attempt: waiting.attempt };
    case 'dependencies':
      return { because: 'dependencies', waiting_for: waiting.waitingFor };
    case 'no_agent_online':
      return {
        because: 'no_agent_online',
        work_type: waiting.workType,
        capabilities: waiting.capabilities,
      };
    case 'quota':
      return { because: 'quota', position: waiting.position, ...waiting.spent };
    case 'concurrency':
      return {
        because: 'concurrency',
        position: waiting.position,
        key: waiting.key,
        limit: waiting.limit,
        held_by: waiting.heldBy,
      };
    case 'no_free_slot':
      return {
        because: 'no_free_slot',
        position: waiting.position,
        held_by: waiting.heldBy,
        slots: waiting.slots,
      };
    case 'about_to_start':
      return { because: 'about_to_start', position: waiting.position };
    case 'waiting_downstream':
      return {
        because: 'waiting_downstream',
        output: waiting.output,
        pending_chunks: waiting.pending.chunks,
        pending_bytes: waiting.pending.bytes,
      };
  }
}

function executionDetails(
  view: StatusView,
  wish: StatusWish,
  scene: { readonly origin: string; readonly memoryLimitMb: number | undefined },
): JsonObject {
  const { task } = view;
  const { since = Number.NEGATIVE_INFINITY } = wish;
  const output = task.result?.output;
  const isolation = task.result?.isolation;
  const failure = task.result?.error;
  return {
    ...(output === undefined ? {} : { output }),
    artifacts: view.artifacts
      .filter(one => !one.quarantined && one.createdAt > since)
      .map(one => wireArtifact(one, scene.origin)),
    intermediate_results: intermediateResults(view.events, since),
    ...(isolation === undefined ? {} : { isolation }),
    ...cachedFrom(task),
    ...(failure === undefined
      ? {}
      : {
          error_details: {
            ...taskFailure(task, failure, { ...scene, samples: view.samples }),
            logs: view.lastLines.map(line => logRecord(line, task)),
            samples: view.samples.slice(-FAILURE_LINES).map(wireSample),
          },
        }),
  };
}

/** What attempts reported on their way, each with its instant; anything but an object is put into one. */
export function intermediateResults(events: readonly TaskEvent[], since: number): readonly Json[] {
  return events.flatMap(event => {
    if (event.kind !== 'progress' || event.intermediate === undefined || event.at <= since) return [];
    const { intermediate } = event;
    const timestamp = instant(event.at);
    return isJsonObject(intermediate)
      ? [{ timestamp, ...intermediate }]
      : [{ timestamp, value: intermediate }];
  });
}

function metricsOf(
  { task, samples }: StatusView,
  { since = Number.NEGATIVE_INFINITY }: StatusWish,
  now: number,
): JsonObject {
  return {
    ...totalsOf(task, samples, now),
    samples: samples.filter(one => one.at > since).map(wireSample),
  };
}

/** Names the state of a task a wish is answered from: equal tags mean equal answers, however they are encoded (`SAM-55`). */
export function statusTag(view: Pick<StatusView, 'task' | 'samples' | 'logs'>, wish: StatusWish): string {
  const { task, samples, logs } = view;
  const asked = `${wish.logs ? 'l' : ''}${wish.metrics ? 'm' : ''}${wish.context ? 'c' : ''}`;
  const logTag = logs === null ? '' : `-${wish.levelMin ?? ''}${logs.at(-1)?.id ?? 0}`;
  const since = wish.since === undefined ? '' : `-s${wish.since}`;
  return `W/"${task.executionId}-${task.version}-${task.state}-${asked}${samples.at(-1)?.at ?? ''}${logTag}${since}"`;
}
