// The order for a step's child task: made of what was written for the step and of the workflow's own task, the same each time, so that a
// coordinator that begins anew finds the task it made before (`SAM-165`, `SAM-167`).

import { hash } from 'node:crypto';
import { isErrorCode } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { TaskPipes } from '../../domain/pipe.ts';
import { RETRY_POLICIES, type RetryPolicy } from '../../domain/retry.ts';
import type { ResourceLimits, Task, TaskSpec, TaskType } from '../../domain/task.ts';
import type { EngineApi, TaskOrder } from '../../engine/api.ts';
import type { WrittenWork } from './payload.ts';

/** What is to be done, for which step. */
export interface Errand {
  readonly id: TaskId;
  readonly step: string;
  readonly item: number | null;
  /** `undo`: it compensates the step. */
  readonly purpose: 'do' | 'undo';
  readonly type: TaskType;
  readonly work: WrittenWork;
  readonly payload: JsonObject;
  /** What it reads and writes while others run. */
  readonly pipes?: TaskPipes;
  /** Up to where a batch goes. */
  readonly upTo?: JsonObject;
}

/** What of the run its children get. */
export interface ErrandScene {
  readonly parent: Task;
  readonly shared: JsonObject;
  readonly remainingMs: number;
  readonly engine: Pick<EngineApi, 'defaultTimeoutMs' | 'defaultResources'>;
}

const PREFIX_LENGTH_MAX = 120;

/** The id of a step's child: the workflow's with the step's behind it, and the item's number. */
export function childId(
  parent: string,
  step: string,
  item: number | null,
  purpose: 'do' | 'undo' = 'do',
): TaskId {
  const rest = `${item === null ? '' : `.${item}`}${purpose === 'undo' ? '.undo' : ''}`;
  return `${prefixOf(parent)}.${step}${rest}` as TaskId;
}

/** The id of the task that closes a cancelled run; no step's child has one like it. */
export function closingId(parent: string): TaskId {
  return `${prefixOf(parent)}:cancelled` as TaskId;
}

function prefixOf(parent: string): string {
  if (parent.length <= PREFIX_LENGTH_MAX) return parent;
  return `${parent.slice(0, PREFIX_LENGTH_MAX - 17)}-${hash('sha256', parent, 'hex').slice(0, 16)}`;
}

/** The order; its fingerprint is of what was asked for, not of the time that is left. */
export function orderFor(errand: Errand, { parent, shared, remainingMs, engine }: ErrandScene): TaskOrder {
  const { spec, tenant } = parent;
  const { work, type, payload } = errand;
  const config = work.execution_config ?? {};
  const kind = kindIn(type, payload);
  const timeoutMs = work.timeout === undefined ? engine.defaultTimeoutMs(tenant, kind) : work.timeout * 1_000;
  const limits = config.resource_limits;
  const childSpec: TaskSpec = {
    ...kind,
    ...fallbackIn(type, payload),
    description: work.description ?? `step ${errand.step} of ${parent.id}`,
    payload,
    priority: spec.priority,
    requester: { ...spec.requester, correlationId: correlationOf(parent) },
    timeoutMs: Math.max(1_000, Math.ceil(Math.min(timeoutMs, remainingMs))),
    queueTimeoutMs: Math.max(1_000, Math.ceil(remainingMs)),
    retry: retryOf(work.retry),
    resources: { ...engine.defaultResources(kind), ...(limits === undefined ? {} : limitsOf(limits)) },
    variables: { ...spec.variables, ...config.environment?.variables },
    secretNames: config.environment?.secrets ?? [],
    dependencies: config.environment?.dependencies ?? [],
    dependsOn: [],
    ...optional('minIsolation', config.min_isolation ?? spec.minIsolation),
    ...optional(config.region_mode === 'prefer' ? 'preferredRegion' : 'region', config.region),
    ...optional('outputSchema', config.output_schema),
    ...optional('labels', spec.labels),
    ...optional('logLevelMin', spec.logLevelMin),
    ...optional('sensitive', spec.sensitive),
    ...optional('entrusted', spec.entrusted),
    context: { ...spec.context, shared_state: shared },
    traceId: spec.traceId,
    ...optional('traceparent', spec.traceparent),
    ...optional('submittedBy', spec.submittedBy),
    depth: spec.depth + 1,
    extra: { workflow: markOf(parent, errand) },
  };
  const asked: Json = [type, payload, errand.purpose];
  return {
    tenant,
    id: errand.id,
    spec: childSpec,
    fingerprint: `workflow:${parent.executionId}:${hash('sha256', JSON.stringify(asked), 'hex')}`,
    actor: actorOf(parent),
    steps: {},
  };
}

/** Who acts when a workflow orders its children about. */
export function actorOf({ id }: Pick<Task, 'id'>): string {
  return `workflow:${id}`;
}

/** What all children of a run are found by. */
export function correlationOf({ id, spec }: Pick<Task, 'id' | 'spec'>): string {
  return spec.requester.correlationId ?? id;
}

/** Whether the task was made by that very run. */
export function isChildOf(child: Task, { executionId }: Pick<Task, 'executionId'>): boolean {
  const mark = child.spec.extra?.workflow;
  return isJsonObject(mark) && mark.execution_id === executionId;
}

function markOf(parent: Task, { step, item, purpose, pipes, upTo }: Errand): JsonObject {
  return {
    task_id: parent.id,
    execution_id: parent.executionId,
    step,
    ...(item === null ? {} : { item }),
    ...(purpose === 'undo' ? { purpose } : {}),
    ...optional('pipes', pipes as unknown as JsonObject | undefined),
    ...optional('up_to', upTo),
  };
}

function kindIn(
  type: TaskType,
  payload: JsonObject,
): Pick<TaskSpec, 'type' | 'typeName' | 'requiredCapabilities'> {
  if (type !== 'custom') return { type };
  const { type_name: name, required_capabilities: capabilities } = payload;
  return {
    type,
    typeName: typeof name === 'string' ? name : '',
    ...(Array.isArray(capabilities) ? { requiredCapabilities: capabilities.map(String) } : {}),
  };
}

/** What a custom step is to this server while no agent is there for its type: its `fallback`, data of another custom type. */
function fallbackIn(type: TaskType, { fallback }: JsonObject): Pick<TaskSpec, 'fallback'> {
  if (type !== 'custom' || !isJsonObject(fallback) || typeof fallback.type_name !== 'string') return {};
  return { fallback: { type, typeName: fallback.type_name, payload: fallback } };
}

/** Steps that say nothing are tried once, but for those whose worker is lost: a crash must not fail a workflow (`SAM-167`). */
function retryOf(written: WrittenWork['retry']): RetryPolicy {
  if (written === undefined) return { ...RETRY_POLICIES.exponential, retryCodes: ['unavailable'] };
  const {
    max_attempts: attemptsMax = 1,
    strategy = 'exponential',
    delay,
    max_delay: longest,
    codes,
  } = written;
  return {
    ...RETRY_POLICIES[strategy],
    attemptsMax,
    ...(delay === undefined ? {} : { firstDelayMs: Math.round(delay * 1_000) }),
    ...(longest === undefined ? {} : { delayMaxMs: Math.round(longest * 1_000) }),
    ...(codes === undefined ? {} : { retryCodes: codes.filter(isErrorCode) }),
  };
}

function limitsOf(
  limits: NonNullable<NonNullable<WrittenWork['execution_config']>['resource_limits']>,
): ResourceLimits {
  return {
    ...optional('memoryMb', limits.memory_mb),
    ...optional('cpuCores', limits.cpu_cores),
    ...optional('diskMb', limits.disk_mb),
    ...optional('networkMbps', limits.network_bandwidth_mbps),
  };
}

function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [Key in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [Key in Name]?: Value };
}
