// From SAM's words to the model's: a valid execute-task body becomes a task order. Decides defaults and units; judging the order is
// the engine's.

import type { NotificationPlan } from '../../domain/delivery.ts';
import { DomainError, isErrorCode } from '../../domain/errors.ts';
import { NOTIFICATION_EVENTS } from '../../domain/event.ts';
import type { AgentId, TaskId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Principal } from '../../domain/principal.ts';
import { DEFAULT_PRIORITY } from '../../domain/priority.ts';
import { RETRY_POLICIES, type RetryPolicy } from '../../domain/retry.ts';
import type { ResourceLimits, TaskSpec } from '../../domain/task.ts';
import type { EngineApi, TaskOrder } from '../../engine/api.ts';
import { fingerprintOf } from '../fingerprint.ts';
import { type Fault, instantOf } from '../validation.ts';
import { canonicalCode } from './errors.ts';
import { deliveryRetry } from './instructions.ts';
import { invalidRequest, refuseForeignAgent, refuseForeignSteps, refuseForeignType } from './refusals.ts';
import {
  executionConfig,
  notificationConfig,
  orchestratorInfo,
  type TaskBody,
  taskBody,
} from './schema/task.ts';
import { type PriorityName, priorityOf } from './vocabulary.ts';

/** What decoding needs to know beside the body. */
export interface DecodeScene {
  readonly principal: Principal;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly traceId: string;
  readonly traceparent: string;
  readonly steps: Readonly<Record<string, number>>;
}

/** What decoding asks of others. */
export interface DecodeDeps {
  readonly engine: Pick<EngineApi, 'defaultTimeoutMs' | 'defaultResources'>;
  /** Encrypts a task's webhook secret for storage, so that it opens for no other tenant and as nothing else. */
  sealWebhookSecret(tenant: TenantId, secret: string): Promise<string> | string;
}

/** SAM-33's default; the named policies' own attempt counts are for wires on which no `max_retries` exists (`SAM-127`). */
const MAX_RETRIES_DEFAULT = 3;

/** A week (`SAM-31`). */
const TIMEOUT_MS_MAX = 604_800_000;

/** The order a body stands for; throws `invalid_request` for contradictions and `forbidden` for what the credential may not ask. */
export async function decodeTask(body: TaskBody, scene: DecodeScene, deps: DecodeDeps): Promise<TaskOrder> {
  const { principal, headers } = scene;
  const { type, typeName, requiredCapabilities } = kindOf(body);
  refuseContradictions(body, headers);
  refuseForeignType(principal, type);
  if (type === 'workflow_orchestration') refuseForeignSteps(principal, body.task_data);
  refuseForeignAgent(principal, body.orchestrator_info.agent_id);
  const config = body.execution_config ?? {};
  const kind = typeName === undefined ? { type } : { type, typeName };
  const idempotencyKey = headers['idempotency-key'];
  const spec: TaskSpec = {
    ...kind,
    description: body.description,
    payload: body.task_data as JsonObject,
    ...(requiredCapabilities === undefined ? {} : { requiredCapabilities }),
    priority: priorityIn(body, headers),
    requester: requesterOf(body.orchestrator_info),
    timeoutMs: timeoutIn(body, headers) ?? deps.engine.defaultTimeoutMs(principal.tenant, kind),
    retry: retryOf(config),
    resources: { ...deps.engine.defaultResources(kind), ...limitsOf(config.resource_limits) },
    ...(config.resource_limits?.burst === true ? { burst: true } : {}),
    variables: variablesOf(config.environment?.variables),
    secretNames: config.environment?.secrets ?? [],
    dependencies: config.environment?.dependencies ?? [],
    dependsOn: (config.depends_on ?? []) as TaskId[],
    ...timesOf(config),
    ...(config.min_isolation === undefined ? {} : { minIsolation: config.min_isolation }),
    ...regionIn(config),
    ...(config.output_schema === undefined ? {} : { outputSchema: config.output_schema as JsonObject }),
    ...limitsToRunning(config),
    ...(config.labels === undefined ? {} : { labels: config.labels }),
    ...(await notificationIn(body, principal.tenant, deps)),
    ...(body.context === undefined ? {} : { context: body.context as JsonObject }),
    traceId: scene.traceId,
    traceparent: scene.traceparent,
    depth: depthIn(body),
    submittedBy: principal.id,
    extra: extraOf(body),
  };
  return {
    tenant: principal.tenant,
    id: body.task_id as TaskId,
    spec,
    fingerprint: fingerprintOf(body),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    actor: principal.id,
    steps: scene.steps,
  };
}

/** The region as it is asked for, bound to or preferred (`SAM-225`). */
export function regionIn(config: {
  readonly region?: string;
  readonly region_mode?: 'bind' | 'prefer';
}): Pick<TaskSpec, 'region' | 'preferredRegion'> {
  const { region, region_mode: mode } = config;
  if (region === undefined) return {};
  return mode === 'prefer' ? { preferredRegion: region } : { region };
}

function kindOf(body: TaskBody): Pick<TaskSpec, 'type' | 'typeName' | 'requiredCapabilities'> {
  if (body.task_type !== 'custom') return { type: body.task_type };
  const { type_name: typeName, required_capabilities: capabilities } = body.task_data as JsonObject;
  const faults: Fault[] = [];
  if (typeof typeName !== 'string' || !/^[A-Za-z0-9._:-]{1,200}$/.test(typeName))
    faults.push({ field: 'task_data.type_name', message: 'must name the worker type of a custom task' });
  if (capabilities !== undefined && !isStrings(capabilities))
    faults.push({ field: 'task_data.required_capabilities', message: 'must be an array of strings' });
  if (faults.length > 0) throw invalidRequest(faults);
  return {
    type: 'custom',
    typeName: typeName as string,
    ...(capabilities === undefined ? {} : { requiredCapabilities: capabilities as string[] }),
  };
}

function isStrings(value: Json): value is string[] {
  return Array.isArray(value) && value.every(one => typeof one === 'string');
}

function refuseContradictions(body: TaskBody, headers: DecodeScene['headers']): void {
  const faults: Fault[] = [];
  const named = headers['x-manus-agent-id'];
  if (named !== undefined && named !== body.orchestrator_info.agent_id)
    faults.push({ field: 'X-Manus-Agent-ID', message: 'must equal orchestrator_info.agent_id' });
  const attempt = body.execution_config?.attempt_timeout;
  const timeoutMs = timeoutIn(body, headers);
  if (timeoutMs !== undefined && timeoutMs > TIMEOUT_MS_MAX)
    faults.push({ field: 'X-Timeout', message: 'must be at most 604,800 seconds' });
  if (attempt !== undefined && timeoutMs !== undefined && attempt * 1_000 > timeoutMs)
    faults.push({ field: 'execution_config.attempt_timeout', message: 'must not be above timeout' });
  if (body.execution_config?.region_mode !== undefined && body.execution_config.region === undefined)
    faults.push({ field: 'execution_config.region_mode', message: 'needs a region' });
  if (body.execution_config?.depends_on?.includes(body.task_id) === true)
    faults.push({ field: 'execution_config.depends_on', message: 'must not name the task itself' });
  if (faults.length > 0) throw invalidRequest(faults);
}

function priorityIn(body: TaskBody, headers: DecodeScene['headers']): TaskSpec['priority'] {
  const name = body.priority ?? (headers['x-task-priority'] as PriorityName | undefined);
  return name === undefined ? DEFAULT_PRIORITY : priorityOf(name);
}

function timeoutIn(body: TaskBody, headers: DecodeScene['headers']): number | undefined {
  const header = headers['x-timeout'];
  const seconds = body.timeout ?? (header === undefined ? undefined : Number(header));
  return seconds === undefined ? undefined : seconds * 1_000;
}

function requesterOf(from: TaskBody['orchestrator_info']): TaskSpec['requester'] {
  return {
    agentId: from.agent_id as AgentId,
    ...(from.session_id === undefined ? {} : { sessionId: from.session_id }),
    ...(from.user_id === undefined ? {} : { userId: from.user_id }),
    ...(from.correlation_id === undefined ? {} : { correlationId: from.correlation_id }),
  };
}

type ExecutionConfig = NonNullable<TaskBody['execution_config']>;

function retryOf(config: ExecutionConfig): RetryPolicy {
  const named: RetryPolicy = RETRY_POLICIES[config.retry_strategy ?? 'exponential'];
  const own = config.retry_strategy === 'custom' ? (config.retry_policy ?? {}) : {};
  return {
    ...named,
    attemptsMax: (config.max_retries ?? MAX_RETRIES_DEFAULT) + 1,
    ...(config.retry_delay === undefined ? {} : { firstDelayMs: Math.round(config.retry_delay * 1_000) }),
    ...(own.factor === undefined ? {} : { factor: own.factor }),
    ...(own.max_delay === undefined ? {} : { delayMaxMs: Math.round(own.max_delay * 1_000) }),
    ...(own.delays_ms === undefined ? {} : { delaysMs: own.delays_ms }),
    ...(own.codes === undefined ? {} : { retryCodes: own.codes.map(knownCode) }),
  };
}

function knownCode(name: string): string {
  const code = isErrorCode(name) ? name : canonicalCode(name);
  if (code === null)
    throw invalidRequest([
      { field: 'execution_config.retry_policy.codes', message: `has the unknown error code ${name}` },
    ]);
  return code;
}

/** Limits in the model's names; absent ones stay absent. */
export function limitsOf(from: ExecutionConfig['resource_limits']): ResourceLimits {
  if (from === undefined) return {};
  return {
    ...(from.memory_mb === undefined ? {} : { memoryMb: from.memory_mb }),
    ...(from.cpu_cores === undefined ? {} : { cpuCores: from.cpu_cores }),
    ...(from.disk_mb === undefined ? {} : { diskMb: from.disk_mb }),
    ...(from.network_bandwidth_mbps === undefined ? {} : { networkMbps: from.network_bandwidth_mbps }),
  };
}

/** What spares or holds up a task: an identical one's result, others of its key. */
function limitsToRunning({ cache, concurrency }: ExecutionConfig): Pick<TaskSpec, 'cache' | 'concurrency'> {
  return {
    ...(cache === undefined
      ? {}
      : {
          cache: {
            ttlMs: Math.round(cache.ttl * 1_000),
            ...(cache.key === undefined ? {} : { key: cache.key }),
          },
        }),
    ...(concurrency === undefined
      ? {}
      : { concurrency: { key: concurrency.key, limit: concurrency.limit ?? 1 } }),
  };
}

function variablesOf(
  from: Readonly<Record<string, string | number | boolean>> | undefined,
): TaskSpec['variables'] {
  if (from === undefined) return {};
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [name, String(value)]));
}

function timesOf(
  config: ExecutionConfig,
): Pick<TaskSpec, 'notBefore' | 'attemptTimeoutMs' | 'queueTimeoutMs'> {
  return {
    ...(config.not_before === undefined ? {} : { notBefore: instantOf(config.not_before) }),
    ...(config.attempt_timeout === undefined ? {} : { attemptTimeoutMs: config.attempt_timeout * 1_000 }),
    ...(config.queue_timeout === undefined ? {} : { queueTimeoutMs: config.queue_timeout * 1_000 }),
  };
}

async function notificationIn(
  body: TaskBody,
  tenant: TenantId,
  deps: DecodeDeps,
): Promise<{ readonly notification?: NotificationPlan }> {
  const from = body.notification_config;
  if (from === undefined) return {};
  const { webhook_secret: secret, batch } = from;
  const sealed = secret === undefined ? undefined : await deps.sealWebhookSecret(tenant, secret);
  return {
    notification: {
      channel: 'webhook',
      url: from.webhook_url,
      ...(sealed === undefined ? {} : { secretSealed: sealed }),
      events: from.notification_events ?? NOTIFICATION_EVENTS,
      retry: deliveryRetry(from.retry_policy),
      ...(from.progress_interval === undefined
        ? {}
        : { progressIntervalMs: Math.round(from.progress_interval * 1_000) }),
      ...(from.encoding === undefined ? {} : { encoding: from.encoding }),
      ...(from.format === undefined ? {} : { format: from.format }),
      ...(batch === undefined
        ? {}
        : { batch: { itemsMax: batch.max_items, delayMaxMs: batch.max_delay_ms } }),
      ...(from.encrypt_to === undefined ? {} : { encryptTo: from.encrypt_to as JsonObject }),
    },
  };
}

/** How many tasks made one another to get here, as a delegating server says it (`SAM-100`). */
function depthIn(body: TaskBody): number {
  const metadata = body.context?.metadata as JsonObject | undefined;
  const depth = metadata?.depth;
  return typeof depth === 'number' && Number.isInteger(depth) && depth > 0 ? depth : 0;
}

/** Fields that no schema names, each where it stood; the caller's own timestamp is among them, for workers to see (`SAM-3`). */
function extraOf(body: TaskBody): JsonObject {
  const { timestamp } = body.orchestrator_info;
  const inConfig = unknownIn(body.execution_config, executionConfig);
  const inNotification = unknownIn(body.notification_config, notificationConfig);
  return {
    ...unknownIn(body, taskBody),
    orchestrator_info: { timestamp, ...unknownIn(body.orchestrator_info, orchestratorInfo) },
    ...(inConfig === undefined ? {} : { execution_config: inConfig }),
    ...(inNotification === undefined ? {} : { notification_config: inNotification }),
  };
}

function unknownIn(
  value: object | undefined,
  schema: { readonly properties: object },
): JsonObject | undefined {
  let unknown: Record<string, Json> | undefined;
  for (const [key, inner] of Object.entries(value ?? {})) {
    if (Object.hasOwn(schema.properties, key)) continue;
    unknown ??= {};
    unknown[key] = inner as Json;
  }
  return unknown;
}

/** The body as a task body; its schema must have been checked. */
export function asTaskBody(value: unknown): TaskBody {
  if (!isJsonObject(value)) throw new DomainError('invalid_request', 'a task is an object');
  return value as unknown as TaskBody;
}
