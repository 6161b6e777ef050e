// The task: a unit of delegated work with a durable life. This file says what a task is; `transitions.ts` says how it moves.

import type { EndNotice, NotificationPlan } from './delivery.ts';
import type { TaskError } from './failure.ts';
import type { AgentId, ExecutionId, FencingToken, TaskId, TaskKey, TenantId } from './ids.ts';
import type { Json, JsonObject } from './json.ts';
import type { Manner } from './message.ts';
import type { Priority } from './priority.ts';
import type { Progress } from './progress.ts';
import type { RetryPolicy } from './retry.ts';
import type { Outcome, TaskState } from './transitions.ts';

export type { FailureClass, TaskError } from './failure.ts';
export type { Progress } from './progress.ts';

/** The kinds of work; `custom` is refined by a worker's own type name. */
export const TASK_TYPES = [
  'code_execution',
  'web_automation',
  'data_processing',
  'content_generation',
  'api_integration',
  'workflow_orchestration',
  'monitoring_task',
  'custom',
] as const;

/** A task's type. */
export type TaskType = (typeof TASK_TYPES)[number];

/** What a queue and a worker agree on: a task type, or `custom:<name>`. */
export type WorkType = string;

/** The isolation levels, weakest first (`SAM-121`). */
export const ISOLATION_LEVELS = ['wasm', 'process', 'rlimits', 'bubblewrap', 'remote'] as const;

/** How strongly an attempt is kept apart from its host. */
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

/** What a task may use; absent means the type's default. */
export interface ResourceLimits {
  readonly memoryMb?: number;
  readonly cpuCores?: number;
  readonly diskMb?: number;
  readonly networkMbps?: number;
  readonly gpuUnits?: number;
}

/** Whether a limit is held by force, or only asked for (`SAM-117`). */
export type LimitMode = 'enforced' | 'advisory';

/** How each limit of a task is held where it runs. */
export type LimitModes = Readonly<Record<'memory' | 'cpu' | 'disk' | 'network', LimitMode>>;

/** Who asked, in the requester's own words; all four are list filters (`SAM-32`). */
export interface Requester {
  readonly agentId: AgentId;
  readonly sessionId?: string;
  readonly userId?: string;
  readonly correlationId?: string;
}

/** The immutable order: everything the requester decided, in canonical units. */
export interface TaskSpec {
  readonly type: TaskType;
  readonly description: string;
  /** The type's own input (`task_data` on the SAM wire). */
  readonly payload: JsonObject;
  /** Worker type name and capabilities of a `custom` task. */
  readonly typeName?: string;
  readonly requiredCapabilities?: readonly string[];
  /** What it is to this server while nobody else is there for its type. */
  readonly fallback?: Pick<TaskSpec, 'type' | 'typeName' | 'payload'>;
  /** Reserved work that it, and what it makes, may be: written by participants of this server, never read from outside. */
  readonly entrusted?: readonly string[];
  readonly priority: Priority;
  readonly requester: Requester;
  /** Running time summed over attempts, in milliseconds. */
  readonly timeoutMs: number;
  readonly attemptTimeoutMs?: number;
  /** How long its requester expects it to run, in milliseconds; over twice that is warned of once. */
  readonly expectedMs?: number;
  /** What it is told and what it leaves is kept encrypted and shown to nobody else: not in logs, events, or to models. */
  readonly sensitive?: true;
  /** Lines of its log below this are not kept. */
  readonly logLevelMin?: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';
  readonly queueTimeoutMs?: number;
  /** The instant (epoch milliseconds) at which it ends as `timeout`, however far it is. */
  readonly deadlineAt?: number;
  /** Let in although nobody can run it yet: it waits for an agent that can. */
  readonly awaitsAgent?: boolean;
  readonly retry: RetryPolicy;
  readonly resources: ResourceLimits;
  /** May use processors beyond its own while nobody else wants them (`SAM-117`). */
  readonly burst?: boolean;
  readonly variables: Readonly<Record<string, string>>;
  /** Names in the tenant's secret store; values exist only in a running attempt (`SAM-34`). */
  readonly secretNames: readonly string[];
  readonly dependencies: readonly string[];
  readonly dependsOn: readonly TaskId[];
  /** Those of them that need only end, however. */
  readonly dependsOnEnds?: readonly TaskId[];
  /** Not to be started before this instant (epoch milliseconds). */
  readonly notBefore?: number;
  readonly minIsolation?: IsolationLevel;
  /** Runs in this region alone (`SAM-225`). */
  readonly region?: string;
  /** Runs here where there is room soon, else anywhere; never beside `region` (`SAM-225`). */
  readonly preferredRegion?: string;
  /** Drawn at its submit to be among those that canaries try (`SAM-228`). */
  readonly canary?: true;
  readonly outputSchema?: JsonObject;
  /** An identical task's result, no older than so many milliseconds, will do; `key` tells apart what else is identical (`SAM-234`). */
  readonly cache?: { readonly ttlMs: number; readonly key?: string };
  /** Starts only while fewer than `limit` tasks of its tenant with this key run, on whatever node. */
  readonly concurrency?: { readonly key: string; readonly limit: number };
  readonly notification?: NotificationPlan;
  /** Who else is told of its end. */
  readonly notices?: readonly EndNotice[];
  readonly context?: JsonObject;
  readonly labels?: Readonly<Record<string, string>>;
  /** W3C trace context: 32 hex digits, and the whole incoming header where there was one. */
  readonly traceId: string;
  readonly traceparent?: string;
  readonly retryOf?: TaskId;
  /** The credential it came in with, for quotas (`SAM-119`). */
  readonly submittedBy?: string;
  /** The message that asked for it, where one did, and what it said. */
  readonly origin?: TaskOrigin;
  /** How many tasks made one another to get here; at most 8. */
  readonly depth: number;
  /** Fields of the request that no one here knows, kept unchanged (`SAM-3`). */
  readonly extra?: JsonObject;
}

/** The order as an attempt in this server has it: that of its fallback, where it has one. */
export function asRunHere(spec: TaskSpec): TaskSpec {
  if (spec.fallback === undefined) return spec;
  const { fallback, requiredCapabilities: _, typeName: __, ...rest } = spec;
  return { ...rest, ...fallback };
}

/** A message that asked for a task: by what wire, who sent it, and what it said in that wire's words. */
export interface TaskOrigin {
  readonly dialect: string;
  readonly messageId: string;
  readonly from: string;
  /** The agent whose credentials sent it. */
  readonly agentId: string | null;
  readonly taskType: string;
  readonly input: Json;
  readonly terms: JsonObject;
  /** What is told of the task is told likewise. */
  readonly manner?: Manner;
}

/** What an attempt used (`SAM-81`): seconds, MB, %, counts. */
export interface TaskMetrics {
  readonly executionSeconds?: number;
  readonly memoryPeakMb?: number;
  readonly cpuMeanPercent?: number;
  readonly apiCalls?: number;
  readonly tokensUsed?: number;
  /** What it cost in the tenant's currency, as far as whoever ran it counts that. */
  readonly cost?: number;
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
}

/** What a finished task leaves. */
export interface TaskResult {
  readonly output?: Json;
  readonly error?: TaskError;
  readonly metrics: TaskMetrics;
  /** The level the last attempt ran at. */
  readonly isolation?: IsolationLevel;
  /** The task that made it, where this one was spared the work (`SAM-234`). */
  readonly cachedFrom?: { readonly taskId: TaskId; readonly executionId: ExecutionId };
}

/** The right of one worker to run one attempt, until it expires. */
export interface Lease {
  readonly token: FencingToken;
  readonly agentId: AgentId;
  /** Epoch milliseconds by the store's clock. */
  readonly claimedAt: number;
  readonly expiresAt: number;
  /** When the attempt must end, by the task's or the attempt's timeout. */
  readonly deadlineAt: number;
}

/** A task as the store knows it at one instant; `version` is the number of its last event. */
export interface Task {
  readonly key: TaskKey;
  readonly tenant: TenantId;
  readonly id: TaskId;
  readonly executionId: ExecutionId;
  readonly spec: TaskSpec;
  readonly state: TaskState;
  /** Kept for ever once reached. */
  readonly outcome: Outcome | null;
  readonly version: number;
  /** Attempts begun so far. */
  readonly attempt: number;
  readonly createdAt: number;
  readonly queuedAt: number | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly updatedAt: number;
  /** Running time of finished attempts, in milliseconds. */
  readonly ranMs: number;
  readonly agentId: AgentId | null;
  readonly lease: Lease | null;
  /** The token of the last attempt that is over; a result repeated under it is known (`SAM-133`). */
  readonly lastToken: FencingToken | null;
  readonly progress: Progress | null;
  readonly checkpoint: Json | null;
  readonly result: TaskResult | null;
  /** Set once its content was removed by retention (`SAM-183`). */
  readonly purged: boolean;
}

/** What the queue of a task is named by: `code_execution`, or `custom:<type name>`. */
export function workTypeOf(spec: Pick<TaskSpec, 'type' | 'typeName'>): WorkType {
  return spec.type === 'custom' ? `custom:${spec.typeName ?? ''}` : spec.type;
}
