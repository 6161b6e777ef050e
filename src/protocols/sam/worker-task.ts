// What a worker gets of a task: the request as its requester wrote it, unknown fields included, without what is none of a worker's
// business (`SAM-3`, `SAM-132`).

import type { JsonObject } from '../../domain/json.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Task, TaskSpec } from '../../domain/task.ts';
import { instant, priorityName } from './vocabulary.ts';

/** The task in SAM's words; `notification_config` stays behind. */
export function workerTask({ id, executionId, spec }: Task): JsonObject {
  const {
    orchestrator_info: info,
    execution_config: config,
    notification_config: _,
    ...unknown
  } = spec.extra ?? {};
  return {
    ...unknown,
    task_id: id,
    execution_id: executionId,
    task_type: spec.type,
    description: spec.description,
    priority: priorityName(spec.priority),
    timeout: Math.round(spec.timeoutMs / 1_000),
    orchestrator_info: { ...objectOf(info), ...requester(spec) },
    task_data: spec.payload,
    execution_config: { ...objectOf(config), ...executionConfig(spec) },
    ...(spec.context === undefined ? {} : { context: spec.context }),
    trace_id: spec.traceId,
    ...(spec.traceparent === undefined ? {} : { traceparent: spec.traceparent }),
  };
}

function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

function requester({ requester: from }: TaskSpec): JsonObject {
  return {
    agent_id: from.agentId,
    ...(from.sessionId === undefined ? {} : { session_id: from.sessionId }),
    ...(from.userId === undefined ? {} : { user_id: from.userId }),
    ...(from.correlationId === undefined ? {} : { correlation_id: from.correlationId }),
  };
}

function executionConfig(spec: TaskSpec): JsonObject {
  const { resources } = spec;
  return {
    max_retries: spec.retry.attemptsMax - 1,
    retry_strategy: spec.retry.strategy,
    resource_limits: {
      ...(resources.memoryMb === undefined ? {} : { memory_mb: resources.memoryMb }),
      ...(resources.cpuCores === undefined ? {} : { cpu_cores: resources.cpuCores }),
      ...(resources.diskMb === undefined ? {} : { disk_mb: resources.diskMb }),
      ...(resources.networkMbps === undefined ? {} : { network_bandwidth_mbps: resources.networkMbps }),
      ...(spec.burst === true ? { burst: true } : {}),
    },
    environment: {
      variables: spec.variables,
      secrets: spec.secretNames,
      dependencies: spec.dependencies,
    },
    ...(spec.dependsOn.length === 0 ? {} : { depends_on: spec.dependsOn }),
    ...(spec.notBefore === undefined ? {} : { not_before: instant(spec.notBefore) }),
    ...(spec.attemptTimeoutMs === undefined ? {} : { attempt_timeout: spec.attemptTimeoutMs / 1_000 }),
    ...(spec.outputSchema === undefined ? {} : { output_schema: spec.outputSchema }),
    ...(spec.region === undefined ? {} : { region: spec.region }),
    ...(spec.preferredRegion === undefined ? {} : { region: spec.preferredRegion, region_mode: 'prefer' }),
    ...(spec.labels === undefined ? {} : { labels: spec.labels }),
  };
}
