// What a task used, from what its attempts reported and what was sampled of them: the same figures for status, metrics and webhooks
// (`SAM-59`, `SAM-64`, `SAM-81`).

import type { JsonObject } from '../../domain/json.ts';
import type { LimitModes, ResourceLimits, Task } from '../../domain/task.ts';
import { hasEnded } from '../../domain/transitions.ts';
import type { Sample } from '../../store/rows.ts';
import { instant } from './vocabulary.ts';

/** `resource_usage` of a status answer; current values are 0 once the task has ended. */
export function resourceUsage(task: Task, samples: readonly Sample[], limits: ResourceLimits): JsonObject {
  const latest = hasEnded(task.state) ? undefined : samples.at(-1);
  const bytes = bytesOf(task, samples);
  return {
    memory: {
      current_mb: Math.round(latest?.memoryMb ?? 0),
      peak_mb: peakMemoryMb(task, samples),
      ...(limits.memoryMb === undefined ? {} : { limit_mb: limits.memoryMb }),
    },
    cpu: {
      current_percentage: latest?.cpuPercent ?? 0,
      average_percentage: meanCpu(task, samples),
    },
    network: { bytes_sent: bytes.sent, bytes_received: bytes.received },
  };
}

/** Each limit the task has, and whether it is held by force or only asked for (`SAM-117`). */
export function wireLimits(limits: ResourceLimits, modes: LimitModes, burst = false): JsonObject {
  const { memoryMb, cpuCores, diskMb, networkMbps } = limits;
  return {
    ...(memoryMb === undefined ? {} : { memory_mb: { limit: memoryMb, mode: modes.memory } }),
    ...(cpuCores === undefined
      ? {}
      : { cpu_cores: { limit: cpuCores, mode: modes.cpu, ...(burst ? { burst } : {}) } }),
    ...(diskMb === undefined ? {} : { disk_mb: { limit: diskMb, mode: modes.disk } }),
    ...(networkMbps === undefined
      ? {}
      : { network_bandwidth_mbps: { limit: networkMbps, mode: modes.network } }),
  };
}

/** The totals of a task (`SAM-81`): seconds, MB, %, counts. */
export function totalsOf(task: Task, samples: readonly Sample[], now: number): JsonObject {
  const reported = task.result?.metrics;
  const bytes = bytesOf(task, samples);
  return {
    execution_time: reported?.executionSeconds ?? ranSeconds(task, now),
    memory_used: peakMemoryMb(task, samples),
    cpu_usage: meanCpu(task, samples),
    api_calls: reported?.apiCalls ?? 0,
    tokens_used: reported?.tokensUsed ?? 0,
    data_transferred: round((bytes.sent + bytes.received) / 1_000_000, 3),
    ...cachedFrom(task),
  };
}

/** Marks a task that was spared its work, with the one whose result it has (`SAM-234`). */
export function cachedFrom({ result }: Pick<Task, 'result'>): JsonObject {
  const source = result?.cachedFrom;
  if (source === undefined) return {};
  return { cached: true, cached_from: { task_id: source.taskId, execution_id: source.executionId } };
}

/** One sample on the wire (`SAM-124`). */
export function wireSample(sample: Sample): JsonObject {
  return {
    timestamp: instant(sample.at),
    attempt: sample.attempt,
    ...(sample.cpuPercent === undefined ? {} : { cpu_percentage: sample.cpuPercent }),
    ...(sample.memoryMb === undefined ? {} : { memory_mb: sample.memoryMb }),
    ...(sample.bytesSent === undefined ? {} : { bytes_sent: sample.bytesSent }),
    ...(sample.bytesReceived === undefined ? {} : { bytes_received: sample.bytesReceived }),
    ...(sample.diskOperations === undefined ? {} : { disk_operations: sample.diskOperations }),
  };
}

/** Samples thinned to one per attempt and so many milliseconds: means of CPU and memory, the last of what only grows. */
export function thinned(samples: readonly Sample[], resolutionMs: number): readonly Sample[] {
  const buckets = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.attempt}:${Math.floor(sample.at / resolutionMs)}`;
    const bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, [sample]);
    else bucket.push(sample);
  }
  return [...buckets.values()].map(merged);
}

function merged(bucket: readonly Sample[]): Sample {
  const last = Object.assign({}, ...bucket) as Sample;
  const cpu = mean(bucket.map(one => one.cpuPercent));
  const memory = mean(bucket.map(one => one.memoryMb));
  return {
    ...last,
    ...(cpu === null ? {} : { cpuPercent: cpu }),
    ...(memory === null ? {} : { memoryMb: memory }),
  };
}

function ranSeconds(task: Task, now: number): number {
  const underWay = task.lease === null ? 0 : Math.max(0, now - task.lease.claimedAt);
  return round((task.ranMs + underWay) / 1_000, 3);
}

function peakMemoryMb(task: Task, samples: readonly Sample[]): number {
  const sampled = samples.reduce((peak, one) => Math.max(peak, one.memoryMb ?? 0), 0);
  return Math.round(Math.max(task.result?.metrics.memoryPeakMb ?? 0, sampled));
}

function meanCpu(task: Task, samples: readonly Sample[]): number {
  return task.result?.metrics.cpuMeanPercent ?? mean(samples.map(one => one.cpuPercent)) ?? 0;
}

/** Samples count an attempt's bytes from its start, so a task's are the sums of each attempt's last. */
function bytesOf(
  task: Task,
  samples: readonly Sample[],
): { readonly sent: number; readonly received: number } {
  const lastOf = new Map<number, { sent: number; received: number }>();
  for (const { attempt, bytesSent, bytesReceived } of samples) {
    const last = lastOf.get(attempt) ?? { sent: 0, received: 0 };
    last.sent = bytesSent ?? last.sent;
    last.received = bytesReceived ?? last.received;
    lastOf.set(attempt, last);
  }
  const sums = { sent: 0, received: 0 };
  for (const { sent, received } of lastOf.values()) {
    sums.sent += sent;
    sums.received += received;
  }
  const reported = task.result?.metrics;
  return { sent: reported?.bytesSent ?? sums.sent, received: reported?.bytesReceived ?? sums.received };
}

function mean(values: readonly (number | undefined)[]): number | null {
  const known = values.filter(value => value !== undefined);
  if (known.length === 0) return null;
  return round(known.reduce((sum, value) => sum + value, 0) / known.length, 2);
}

function round(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
