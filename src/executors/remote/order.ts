// A leased task as the order another SAM server gets: its execute-task body, and how far it may be passed on (`SAM-98`, `SAM-100`).

import { DomainError } from '../../domain/errors.ts';
import { NOTIFICATION_EVENTS } from '../../domain/event.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Priority } from '../../domain/priority.ts';
import type { ResourceLimits, Task, TaskSpec } from '../../domain/task.ts';
import type { Random } from '../../runtime/random.ts';

/** How often a task may be passed on from server to server. */
export const DEPTH_MAX = 8;

/** What an order says beside the task; equal scenes make equal bodies, so that an order can be sent again. */
export interface OrderScene {
  /** `{execution_id}.{attempt}`. */
  readonly remoteId: string;
  /** This server, as whose task the agent runs it. */
  readonly serverId: string;
  readonly agentId: string;
  readonly receiverUrl: string;
  readonly webhookSecret: string;
}

/** The body of execute-task; throws `policy_violation` where the task has come too far or would go in a circle. */
export function orderBody(task: Task, scene: OrderScene): JsonObject {
  const { spec } = task;
  const {
    orchestrator_info: info,
    execution_config: config,
    notification_config: _,
    ...unknown
  } = spec.extra ?? {};
  return {
    ...unknown,
    task_id: scene.remoteId,
    task_type: spec.type,
    description: spec.description === '' ? `a ${spec.type} task` : spec.description,
    priority: priorityName(spec.priority),
    timeout: timeoutSeconds(task),
    orchestrator_info: { ...objectOf(info), ...requester(task, scene.serverId) },
    task_data: taskData(spec),
    execution_config: { ...objectOf(config), ...executionConfig(spec) },
    notification_config: {
      webhook_url: scene.receiverUrl,
      webhook_secret: scene.webhookSecret,
      notification_events: NOTIFICATION_EVENTS,
      ...progressInterval(spec),
    },
    context: { ...spec.context, metadata: { ...objectOf(spec.context?.metadata), ...nextHop(spec, scene) } },
  };
}

/** Continues the task's trace with a span of its own. */
export function traceparentOf({ spec }: Task, random: Random): string {
  return `00-${spec.traceId}-${Buffer.from(random.bytes(8)).toString('hex')}-01`;
}

function nextHop(spec: TaskSpec, { serverId, agentId }: OrderScene): JsonObject {
  const depth = spec.depth + 1;
  const path = agentPath(spec);
  if (depth > DEPTH_MAX) {
    throw new DomainError('policy_violation', `the task was passed on more than ${DEPTH_MAX} times`, {
      details: { rule: 'delegation_depth', depth, limit: DEPTH_MAX },
    });
  }
  const met = [agentId, serverId].find(id => path.includes(id));
  if (met !== undefined) {
    throw new DomainError('policy_violation', `the task came by way of ${met} and may not go there again`, {
      details: { rule: 'delegation_path', agent_path: path, agent_id: met },
    });
  }
  return { depth, agent_path: [...path, serverId] };
}

function agentPath(spec: TaskSpec): readonly Json[] {
  const path = objectOf(spec.context?.metadata).agent_path;
  return Array.isArray(path) ? path : [];
}

/** What the attempt may take, counted from its claim so that it never changes. */
function timeoutSeconds({ spec, lease }: Task): number {
  const ms = lease === null ? spec.timeoutMs : lease.deadlineAt - lease.claimedAt;
  return Math.min(604_800, Math.max(1, Math.ceil(ms / 1_000)));
}

function requester({ spec, lease, createdAt }: Task, serverId: string): JsonObject {
  const { sessionId, userId, correlationId } = spec.requester;
  return {
    agent_id: serverId,
    timestamp: new Date(lease?.claimedAt ?? createdAt).toISOString(),
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
    ...(userId === undefined ? {} : { user_id: userId }),
    ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
  };
}

function taskData({ payload, typeName, requiredCapabilities }: TaskSpec): JsonObject {
  return {
    ...payload,
    ...(typeName === undefined ? {} : { type_name: typeName }),
    ...(requiredCapabilities === undefined ? {} : { required_capabilities: requiredCapabilities }),
  };
}

/** The agent tries once: attempts are this server's to count. */
function executionConfig(spec: TaskSpec): JsonObject {
  return {
    max_retries: 0,
    resource_limits: { ...wireLimits(spec.resources), ...(spec.burst === true ? { burst: true } : {}) },
    environment: {
      variables: spec.variables,
      secrets: spec.secretNames,
      dependencies: spec.dependencies,
    },
    ...(spec.minIsolation === undefined ? {} : { min_isolation: spec.minIsolation }),
    ...(spec.outputSchema === undefined ? {} : { output_schema: spec.outputSchema }),
    ...(spec.labels === undefined ? {} : { labels: spec.labels }),
  };
}

/** What needs nothing of a resource names no limit of it: the wire knows no limit of 0. */
function wireLimits({ memoryMb = 0, cpuCores = 0, diskMb = 0, networkMbps = 0 }: ResourceLimits): JsonObject {
  return {
    ...(memoryMb > 0 ? { memory_mb: memoryMb } : {}),
    ...(cpuCores > 0 ? { cpu_cores: cpuCores } : {}),
    ...(diskMb > 0 ? { disk_mb: diskMb } : {}),
    ...(networkMbps > 0 ? { network_bandwidth_mbps: networkMbps } : {}),
  };
}

function progressInterval({ notification }: TaskSpec): JsonObject {
  const ms = notification?.progressIntervalMs;
  return ms === undefined ? {} : { progress_interval: Math.max(1, ms / 1_000) };
}

/** The nearest named level that is not more urgent. */
function priorityName(priority: Priority): string {
  if (priority === 0) return 'critical';
  if (priority === 1) return 'urgent';
  if (priority === 2) return 'high';
  return priority <= 5 ? 'normal' : 'low';
}

function objectOf(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}
