// The SAM v2 wire as a client sees it: the bodies of task routes, in the wire's own words. Administration is in wire-admin.ts.
// Requests take `undefined` for absent; answers may hold more than is named here.

import type { NotificationEvent } from '../domain/event.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { IsolationLevel, TaskType } from '../domain/task.ts';
import type { Outcome, Phase, TaskState } from '../domain/transitions.ts';

/** The names SAM gives to five of the ten priorities. */
export type WirePriority = 'critical' | 'urgent' | 'high' | 'normal' | 'low';

/** The states SAM shows; the precise one is `lifecycle_state` (`SAM-57`). */
export type WireState = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';

/** Who asks for a task; the client fills in `agent_id` and `timestamp` where they are absent (`SAM-32`). */
export interface OrchestratorReference {
  readonly agent_id?: string | undefined;
  readonly timestamp?: string | undefined;
  readonly session_id?: string | undefined;
  readonly user_id?: string | undefined;
  readonly correlation_id?: string | undefined;
}

/** How a task is run and retried; durations in seconds (`SAM-33`). */
export interface ExecutionConfig {
  readonly max_retries?: number | undefined;
  readonly retry_strategy?: 'exponential' | 'linear' | 'fixed' | 'custom' | undefined;
  readonly retry_delay?: number | undefined;
  readonly attempt_timeout?: number | undefined;
  readonly queue_timeout?: number | undefined;
  readonly resource_limits?:
    | {
        readonly memory_mb?: number | undefined;
        readonly burst?: boolean | undefined;
        readonly cpu_cores?: number | undefined;
        readonly disk_mb?: number | undefined;
        readonly network_bandwidth_mbps?: number | undefined;
      }
    | undefined;
  readonly environment?:
    | {
        readonly variables?: Readonly<Record<string, string>> | undefined;
        readonly secrets?: readonly string[] | undefined;
        readonly dependencies?: readonly string[] | undefined;
      }
    | undefined;
  readonly depends_on?: readonly string[] | undefined;
  /** The result of an identical task, at most `ttl` seconds old, will do; `key` tells apart what else is identical (`SAM-234`). */
  readonly cache?: { readonly ttl: number; readonly key?: string | undefined } | undefined;
  /** At most `limit` tasks of the tenant with this key run at once; 1 where absent. */
  readonly concurrency?: { readonly key: string; readonly limit?: number | undefined } | undefined;
  /** ISO 8601: not to be started before. */
  readonly not_before?: string | undefined;
  readonly min_isolation?: IsolationLevel | undefined;
  readonly region?: string | undefined;
  /** Whether the task runs in the region alone, or there while there is room; `bind` where absent. */
  readonly region_mode?: 'bind' | 'prefer' | undefined;
  /** JSON Schema the output must satisfy. */
  readonly output_schema?: JsonObject | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** For `retry_strategy` `custom`. */
  readonly retry_policy?:
    | {
        readonly delays_ms?: readonly number[] | undefined;
        readonly factor?: number | undefined;
        readonly max_delay?: number | undefined;
        readonly codes?: readonly string[] | undefined;
      }
    | undefined;
}

/** Whom to tell, and of what (`SAM-36`). */
export interface NotificationConfig {
  readonly webhook_url: string;
  readonly webhook_secret?: string | undefined;
  readonly notification_events?: readonly NotificationEvent[] | undefined;
  readonly retry_policy?:
    | {
        readonly max_attempts?: number | undefined;
        readonly backoff_strategy?: 'exponential' | 'linear' | 'fixed' | undefined;
      }
    | undefined;
  /** Seconds between progress notifications. */
  readonly progress_interval?: number | undefined;
  readonly encoding?: 'gzip' | undefined;
  readonly format?: 'msgpack' | undefined;
  readonly batch?: { readonly max_items: number; readonly max_delay_ms: number } | undefined;
}

/** What the executor may read of the conversation around the task (`SAM-38`). */
export interface TaskSurroundings {
  readonly conversation_history?: readonly JsonObject[] | undefined;
  readonly previous_tasks?: readonly string[] | undefined;
  readonly shared_state?: JsonObject | undefined;
  readonly metadata?: JsonObject | undefined;
}

/** The body of execute-task (`SAM-30`); the client makes a `task_id` where it is absent. */
export interface TaskRequest {
  readonly task_id?: string | undefined;
  readonly task_type: TaskType;
  readonly description: string;
  readonly task_data: JsonObject;
  readonly priority?: WirePriority | undefined;
  /** Seconds of running time over all attempts. */
  readonly timeout?: number | undefined;
  readonly orchestrator_info?: OrchestratorReference | undefined;
  readonly execution_config?: ExecutionConfig | undefined;
  readonly notification_config?: NotificationConfig | undefined;
  readonly context?: TaskSurroundings | undefined;
}

/** The answer to an admitted task (`SAM-41`). */
export interface Acceptance {
  readonly status: 'accepted' | 'queued';
  readonly task_id: string;
  readonly execution_id: string;
  readonly agent_id: string;
  readonly estimated_duration: number;
  readonly queue_position: number;
  readonly resource_allocation: {
    readonly memory_mb?: number;
    readonly cpu_cores?: number;
    readonly estimated_cost: number;
  };
  readonly monitoring: {
    readonly status_url: string;
    readonly logs_url: string;
    readonly metrics_url: string;
  };
  readonly timestamps: {
    readonly received: string;
    readonly queued: string;
    readonly estimated_start: string;
    readonly estimated_completion: string;
  };
}

/** One item's answer of a batch: `body` is an `Acceptance` under 200, an error body otherwise (`SAM-39`). */
export interface BatchItem {
  /** Null where the item had none to name. */
  readonly task_id: string | null;
  readonly http_status: number;
  readonly body: JsonObject;
}

/** A stored file as task-status and the artifact routes show it (`SAM-71`). */
export interface ArtifactReference {
  readonly artifact_id: string;
  readonly type: string;
  readonly name: string;
  readonly size_bytes: number;
  readonly url: string;
  /** `sha256:` and lower-case hex. */
  readonly checksum: string;
}

/** How far a running task has come (`SAM-58`). */
export interface WireProgress {
  readonly percentage?: number;
  readonly current_step?: string;
  readonly total_steps?: number;
  readonly estimated_remaining?: number;
  readonly estimated?: boolean;
}

/** A task as task-status shows it (`SAM-55`–`SAM-59`). */
export interface TaskStatus {
  readonly task_id: string;
  readonly execution_id: string;
  readonly agent_id: string | null;
  readonly current_status: {
    readonly state: WireState;
    readonly paused?: boolean;
    readonly requires_human_intervention?: boolean;
    readonly lifecycle_state?: TaskState;
    readonly phase?: Phase;
    readonly outcome?: Outcome | null;
    readonly attempt?: number;
    readonly queue_position?: number | null;
    /** Why it waits: `because` and what goes with it. */
    readonly waiting?: JsonObject;
    readonly progress?: WireProgress;
    readonly timestamps?: {
      readonly created?: string;
      readonly queued?: string;
      readonly started?: string;
      readonly last_update?: string;
      readonly completed?: string;
      readonly estimated_start?: string;
      readonly estimated_completion?: string;
    };
    readonly [more: string]: unknown;
  };
  readonly resource_usage?: JsonObject;
  readonly execution_details?: {
    readonly output?: Json;
    readonly artifacts?: readonly ArtifactReference[];
    readonly intermediate_results?: readonly JsonObject[];
    readonly error_details?: JsonObject;
    /** It was spared its work, and has the result of that task (`SAM-234`). */
    readonly cached?: true;
    readonly cached_from?: { readonly task_id: string; readonly execution_id: string };
    readonly [more: string]: unknown;
  };
  readonly logs?: readonly LogRecord[];
  readonly metrics?: JsonObject;
  readonly context?: JsonObject;
  readonly [more: string]: unknown;
}

/** What to leave in or out of a status (`SAM-56`). */
export interface StatusOptions {
  readonly include_logs?: boolean | undefined;
  readonly include_metrics?: boolean | undefined;
  readonly include_context?: boolean | undefined;
  readonly log_level?: 'debug' | 'info' | 'warn' | 'error' | undefined;
  /** ISO 8601: only what is newer. */
  readonly since?: string | undefined;
}

/** Filters of the status list, all holding together (`SAM-60`). */
export interface StatusQuery {
  readonly task_ids?: readonly string[] | undefined;
  readonly agent_id?: string | undefined;
  readonly status?: WireState | undefined;
  readonly session_id?: string | undefined;
  readonly user_id?: string | undefined;
  readonly correlation_id?: string | undefined;
  readonly limit?: number | undefined;
  readonly offset?: number | undefined;
}

/** A page of statuses. */
export interface StatusList {
  readonly tasks: readonly TaskStatus[];
  readonly not_found: readonly string[];
  readonly total: number;
  readonly limit: number;
  readonly offset: number;
}

/** A task after an order to cancel, pause or resume it. */
export interface ControlAnswer {
  readonly task_id: string;
  readonly execution_id: string;
  readonly state: WireState;
  readonly lifecycle_state: TaskState;
  readonly paused: boolean;
  readonly outcome: Outcome | null;
}

/** A line of a task's log (`SAM-61`). */
export interface LogRecord {
  readonly timestamp: string;
  readonly level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'CRITICAL';
  readonly component: string;
  readonly task_id: string;
  readonly message: string;
  readonly metadata?: JsonObject;
  readonly [more: string]: unknown;
}

/** Filters of a task's log (`SAM-64`). */
export interface LogFilter {
  readonly level?: 'debug' | 'info' | 'warn' | 'error' | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly attempt?: number | undefined;
  /** Text a line must contain. */
  readonly q?: string | undefined;
}

/** What a task used (`SAM-64`). */
export interface TaskMetrics {
  readonly task_id: string;
  readonly execution_id: string;
  readonly totals: JsonObject;
  readonly attempts: readonly { readonly attempt: number; readonly samples: readonly JsonObject[] }[];
}

/** The names events have on the stream (`SAM-65`). */
export type StreamEventName = NotificationEvent | 'state_changed' | 'log' | 'end';

/** One event of a task's or a tenant's stream; `id` resumes the stream after it. */
export interface StreamEvent {
  readonly id: string | null;
  readonly event: StreamEventName;
  readonly data: JsonObject;
}

/** What a worker says of one attempt's end. */
export interface WorkResult {
  readonly task_id: string;
  readonly fencing_token: number;
  readonly status: 'completed' | 'failed';
  readonly output?: Json | undefined;
  readonly error?:
    | {
        readonly code: string;
        readonly message: string;
        readonly recoverable: boolean;
        readonly details?: JsonObject | undefined;
      }
    | undefined;
  readonly artifacts?: readonly ArtifactReference[] | undefined;
  readonly metrics?: WorkMetrics | undefined;
}

/** What a worker says an attempt used: seconds, MB, %, counts. */
export interface WorkMetrics {
  readonly execution_time?: number;
  readonly memory_used?: number;
  readonly cpu_usage?: number;
  readonly api_calls?: number;
  readonly tokens_used?: number;
  readonly bytes_sent?: number;
  readonly bytes_received?: number;
}

/** What a worker says of an attempt under way. */
export interface WorkProgress {
  readonly task_id: string;
  readonly fencing_token: number;
  readonly percentage?: number | undefined;
  readonly current_step?: string | undefined;
  readonly total_steps?: number | undefined;
  readonly intermediate_result?: Json | undefined;
  readonly checkpoint?: Json | undefined;
  /** Of each input that is read by checkpoint, the last chunk that the checkpoint includes. */
  readonly input_positions?: Readonly<Record<string, number>> | undefined;
}

/** A log line a worker adds to its task's log. */
export interface WorkLog {
  readonly task_id: string;
  readonly fencing_token: number;
  readonly timestamp: string;
  readonly level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';
  readonly message: string;
  readonly component?: string | undefined;
  readonly metadata?: JsonObject | undefined;
}

/** A task a worker holds, proved by its token. */
export interface WorkReference {
  readonly task_id: string;
  readonly fencing_token: number;
}

/** One exchange of a worker: what it tells and what it asks (`SAM-131`). */
export interface WorkRequest {
  readonly agent_id: string;
  /** Task types, or `custom:<name>`. */
  readonly types: readonly string[];
  readonly capabilities?: readonly string[] | undefined;
  readonly region?: string | undefined;
  readonly labels?: readonly string[] | undefined;
  readonly version?: string | undefined;
  /** New tasks wanted at most. */
  readonly slots: number;
  /** How long to wait for one, 0–60. */
  readonly wait_seconds: number;
  readonly results?: readonly WorkResult[] | undefined;
  readonly progress?: readonly WorkProgress[] | undefined;
  readonly logs?: readonly WorkLog[] | undefined;
  readonly heartbeats?: readonly WorkReference[] | undefined;
}

/** A task leased to a worker (`SAM-132`). */
export interface WorkLease {
  readonly task: {
    readonly task_id: string;
    readonly task_type: TaskType;
    readonly task_data: JsonObject;
    readonly description?: string;
    readonly [more: string]: unknown;
  };
  readonly execution_id: string;
  readonly attempt: number;
  readonly checkpoint?: Json;
  readonly input_positions?: Readonly<Record<string, number>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly fencing_token: number;
  readonly lease_expires_at: string;
}

/** The answer to a worker's exchange (`SAM-132`, `SAM-133`). */
export interface WorkAnswer {
  readonly leases: readonly WorkLease[];
  readonly cancellations: readonly (WorkReference & { readonly reason?: string })[];
  readonly extensions: readonly (WorkReference & { readonly lease_expires_at: string })[];
  readonly rejected: readonly (WorkReference & {
    readonly error?: { readonly code?: string; readonly message?: string };
  })[];
}
