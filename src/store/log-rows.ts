// What an attempt says and uses while it runs, as rows: log lines and resource samples. They belong to no change of a task.

import type { TaskKey, TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';

/** Log severities, least first. */
export const LOG_LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'CRITICAL'] as const;
/** A log line's severity (`SAM-61`). */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A log line to keep. */
export interface LogLine {
  readonly tenant: TenantId;
  readonly key: TaskKey;
  readonly at: number;
  readonly level: LogLevel;
  readonly component: string;
  readonly attempt: number;
  readonly agentId: string | null;
  readonly message: string;
  readonly metadata?: JsonObject;
}

/** A kept log line; `id` grows with time and is the page cursor. */
export interface StoredLogLine extends LogLine {
  readonly id: number;
}

/** Which log lines; `since` inclusive, `until` exclusive, `text` a case-insensitive substring; `last` answers the newest `limit` instead of the oldest. */
export interface LogQuery {
  readonly key: TaskKey;
  readonly levelMin?: LogLevel;
  readonly since?: number;
  readonly until?: number;
  readonly attempt?: number;
  readonly text?: string;
  readonly afterId?: number;
  readonly last?: boolean;
  readonly limit: number;
}

/** What an attempt used at one instant (`SAM-124`). */
export interface Sample {
  readonly tenant: TenantId;
  readonly key: TaskKey;
  readonly attempt: number;
  readonly at: number;
  readonly cpuPercent?: number;
  readonly memoryMb?: number;
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
  readonly diskOperations?: number;
}

/** Which samples. */
export interface SampleQuery {
  readonly key: TaskKey;
  readonly since?: number;
  readonly limit: number;
}
