// What the engine needs from something that runs tasks of one type in this process. One folder under executors/ each.

import type { Readable } from 'node:stream';
import type { Artifact } from '../../domain/artifact.ts';
import type { ArtifactId, TaskId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import {
  type IsolationLevel,
  type LimitModes,
  type ResourceLimits,
  type Task,
  type TaskError,
  type TaskMetrics,
  type TaskSpec,
  type TaskType,
  type WorkType,
  workTypeOf,
} from '../../domain/task.ts';
import type { Service } from '../../runtime/service.ts';
import type { RecordWrite } from '../../store/memory.ts';
import type { Traffic } from './outbound.ts';
import type { PipeInput, PipeOutput } from './pipes.ts';

/** What a probe found: whether the type can run here, and how well. */
export interface ExecutorStatus {
  readonly available: boolean;
  /** What is missing, in words an operator can act on. */
  readonly missing?: string;
  /** The levels it can offer on this host, per language or engine where they differ. */
  readonly isolation: readonly IsolationLevel[];
  readonly detail: JsonObject;
}

/** What an attempt found out about what it looks after, and somebody may have asked to hear of (`SAM-170`). */
export type AttemptAlert =
  | {
      readonly kind: 'resource_warning';
      readonly resource: string;
      readonly value: number;
      readonly limit: number;
    }
  | { readonly kind: 'agent_error'; readonly error: TaskError }
  | { readonly kind: 'note'; readonly name: string; readonly detail: JsonObject };

/** What a report carries; a percentage lower than the last is raised to it. */
export interface ProgressReport {
  readonly percentage?: number;
  readonly currentStep?: string;
  readonly totalSteps?: number;
  readonly intermediate?: Json;
  /** A resumable state; the next attempt gets the last one. */
  readonly checkpoint?: Json;
  /** Committed with the rest of the report or not at all, so that who goes on from the checkpoint neither loses nor repeats one. */
  readonly alerts?: readonly AttemptAlert[];
}

/** A file an attempt leaves. */
export interface NewArtifact {
  readonly name: string;
  readonly type: string;
  readonly mediaType: string;
  readonly source: Readable | Uint8Array;
}

/** What a task left under a name; of several the one of its last attempt. */
export interface ArtifactOfTask {
  readonly taskId: string;
  readonly name: string;
}

/** Everything an attempt may touch. */
export interface AttemptContext {
  readonly task: Task;
  readonly checkpoint: Json | null;
  /** Values of the task's secrets by name; masked wherever they would be stored (`SAM-34`). */
  readonly secrets: Readonly<Record<string, string>>;
  /** Aborts on cancel, pause, timeout, lost lease and shutdown; its reason is an `AttemptAbort`. */
  readonly signal: AbortSignal;
  /** An empty directory of this attempt's own (mode 0700), removed afterwards. */
  readonly workspace: string;
  /** Takes account of all that the attempt sends and gets; the engine samples it. */
  readonly traffic: Traffic;
  report(progress: ProgressReport): void;
  log(level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR', message: string, metadata?: JsonObject): void;
  sample(usage: {
    readonly cpuPercent?: number;
    readonly memoryMb?: number;
    /** Read and write calls of its processes since the attempt began. */
    readonly diskOperations?: number;
  }): void;
  /** Once per resource and attempt: a limit is near (`SAM-118`). */
  warn(resource: 'memory' | 'disk' | 'time', value: number, limit: number): void;
  /** Streams an artifact this task's submitter may read, by its id or as what an earlier task left under a name; throws `not_found`. */
  openArtifact(
    which: ArtifactId | ArtifactOfTask,
  ): Promise<{ readonly artifact: Artifact; readonly stream: Readable }>;
  /** Output of an earlier task of the same tenant; throws `not_found`. */
  outputOf(taskId: string): Promise<Json>;
  saveArtifact(file: NewArtifact): Promise<Artifact>;
  /** What another step streams to this one, by the name this one knows it by; its verbs reject with `not_found` for any other. */
  input(name: string): PipeInput;
  /** What this step streams to others. */
  output(name: string): PipeOutput;
}

/** Why an attempt was told to stop. */
export class AttemptAbort extends Error {
  override readonly cause: 'cancelled' | 'paused' | 'timeout' | 'lease_lost' | 'shutdown';

  constructor(cause: AttemptAbort['cause']) {
    super(`the attempt was stopped: ${cause}`);
    this.name = 'AttemptAbort';
    this.cause = cause;
  }
}

/** What a completed attempt changes beside its task: a record, and the note that tells of it; all of it happens with the task's end, or nothing. */
export interface AttemptEffect {
  /** Where its expectation fails, the attempt runs again: it was decided on what is no more. */
  readonly record: RecordWrite;
  readonly note: { readonly name: string; readonly detail: JsonObject };
}

/** How an attempt ended. */
export type AttemptResult =
  | {
      readonly status: 'completed';
      readonly output: Json;
      readonly effect?: AttemptEffect;
      readonly metrics?: TaskMetrics;
      readonly isolation?: IsolationLevel;
    }
  | {
      readonly status: 'failed';
      readonly error: TaskError;
      /** What there is all the same: stdout, partial rows … */
      readonly output?: Json;
      readonly metrics?: TaskMetrics;
      readonly isolation?: IsolationLevel;
    };

/** A task that does what another one's end leaves undone; handed in for its tenant. */
export interface Farewell {
  readonly id: TaskId;
  readonly spec: TaskSpec;
  readonly fingerprint: string;
}

/** What an executor runs, as queues and workers name it. */
export function workTypesOf({ type, typeNames }: Pick<Executor, 'type' | 'typeNames'>): readonly WorkType[] {
  return typeNames === undefined ? [type] : typeNames.map(typeName => workTypeOf({ type, typeName }));
}

/** What runs tasks of this kind in this process; absent where workers alone do. */
export function executorOf(
  executors: ReadonlyMap<TaskType, Executor>,
  { type, typeName }: Pick<TaskSpec, 'type' | 'typeName'>,
): Executor | undefined {
  const executor = executors.get(type);
  const names = executor?.typeNames;
  return names === undefined || names.includes(typeName ?? '') ? executor : undefined;
}

/** Runs the tasks of one type in this process. */
export interface Executor extends Service {
  readonly type: TaskType;
  /** Of an executor of `custom` tasks the names of those it runs, for every tenant. */
  readonly typeNames?: readonly string[];
  /** JSON Schema of the type's payload, for validation and the OpenAPI document. */
  readonly payloadSchema: JsonObject;
  /** Limits of a task that names none. */
  readonly defaults: {
    readonly resources: Required<Omit<ResourceLimits, 'networkMbps' | 'gpuUnits'>>;
    readonly expectedMs: number;
  };
  /** Attempts at once in this process, where the type is not to have as many as the others. */
  readonly slots?: number;
  /**
   * Its attempts only look after other tasks and go on from their checkpoint: they are handed back at once where a node drains, and one
   * that is lost with its node does not count as a try.
   */
  readonly coordinates?: boolean;
  /** What this host offers; called after start, answered from memory. */
  status(): ExecutorStatus;
  /**
   * Refuses what can never run here: `invalid_request` with `details.errors` of `{field, message}` for contradictions in the
   * payload (field paths begin `task_data`), `unprocessable` for what this host lacks, `policy_violation` for what the tenant may not
   * ask of it. The schema was checked before.
   */
  check(spec: TaskSpec, tenant?: TenantId): void | Promise<void>;
  /** How the limits of such a task are held on this host; absent where none is held by force. Never throws (`SAM-117`). */
  limitModes?(spec: TaskSpec): LimitModes;
  /** A task to be handed in before one of this type is cancelled, so that what it has left undone is done; null for none. */
  farewell?(task: Task): Farewell | null;
  /** Runs one attempt to its end. Must settle within 1 s of the signal's abort, leaving no process and no file behind. */
  run(context: AttemptContext): Promise<AttemptResult>;
}
