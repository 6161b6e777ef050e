// What is found out about the system when its health is asked for; wires word it.

import type { JsonObject } from '../domain/json.ts';

/** How well something is. */
export type Wellness = 'healthy' | 'degraded' | 'unhealthy';

/** The state of this process and of what it depends on (`SAM-198`, `SAM-199`). */
export interface HealthReport {
  readonly uptimeSeconds: number;
  readonly activeTasks: number;
  readonly queueSize: number;
  /** Of the machine's memory, processors and disk, in percent. */
  readonly memoryPercent: number;
  readonly cpuPercent: number;
  readonly diskPercent: number;
  readonly database: Wellness;
  readonly externalApis: Wellness;
  readonly fileSystem: Wellness;
  /** Whether the process may be sent work: migrated, writable, not draining. */
  readonly ready: boolean;
  /** What else an operator should know: limits in force, isolation levels, what is missing. */
  readonly detail?: JsonObject;
}
