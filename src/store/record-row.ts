// The other things a store keeps, as rows: the shapes that the tables of every driver hold, and the port's nouns made of them.

import type { Artifact } from '../domain/artifact.ts';
import type { ArtifactId, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { type AuditEntry, LOG_LEVELS, type Sample, type StoredDocument, type StoredLogLine } from './rows.ts';

/** A log line; its level by its place among them. */
export interface LogRow {
  readonly id: number;
  readonly task: TaskKey;
  readonly tenant: TenantId;
  readonly at: number;
  readonly level: number;
  readonly component: string;
  readonly attempt: number;
  readonly agent: string | null;
  readonly message: string;
  readonly metadata: string | null;
}

/** The line of a row. */
export function lineOf(row: LogRow): StoredLogLine {
  return {
    id: row.id,
    tenant: row.tenant,
    key: row.task,
    at: row.at,
    level: LOG_LEVELS[row.level] ?? 'INFO',
    component: row.component,
    attempt: row.attempt,
    agentId: row.agent,
    message: row.message,
    ...(row.metadata !== null && { metadata: JSON.parse(row.metadata) as JsonObject }),
  };
}

/** What an attempt used at one instant. */
export interface SampleRow {
  readonly task: TaskKey;
  readonly tenant: TenantId;
  readonly attempt: number;
  readonly at: number;
  readonly cpu_percent: number | null;
  readonly memory_mb: number | null;
  readonly bytes_sent: number | null;
  readonly bytes_received: number | null;
  readonly disk_operations: number | null;
}

/** The sample of a row. */
export function sampleOf(row: SampleRow): Sample {
  return {
    tenant: row.tenant,
    key: row.task,
    attempt: row.attempt,
    at: row.at,
    ...(row.cpu_percent !== null && { cpuPercent: row.cpu_percent }),
    ...(row.memory_mb !== null && { memoryMb: row.memory_mb }),
    ...(row.bytes_sent !== null && { bytesSent: row.bytes_sent }),
    ...(row.bytes_received !== null && { bytesReceived: row.bytes_received }),
    ...(row.disk_operations !== null && { diskOperations: row.disk_operations }),
  };
}

/** What is known of a stored file; SQLite knows no truth but numbers. */
export interface ArtifactRow {
  readonly tenant: TenantId;
  readonly id: ArtifactId;
  readonly task_id: TaskId | null;
  readonly attempt: number | null;
  readonly type: string;
  readonly name: string;
  readonly media_type: string;
  readonly size_bytes: number;
  readonly sha256: string;
  readonly created_at: number;
  readonly quarantined: number | boolean;
}

/** The artifact of a row. */
export function artifactOf(row: ArtifactRow): Artifact {
  return {
    id: row.id,
    tenant: row.tenant,
    taskId: row.task_id,
    attempt: row.attempt,
    type: row.type,
    name: row.name,
    mediaType: row.media_type,
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    createdAt: row.created_at,
    quarantined: Boolean(row.quarantined),
  };
}

/** An entry of an audit. */
export interface AuditRow {
  readonly tenant: TenantId;
  readonly sequence: number;
  readonly at: number;
  readonly action: string;
  readonly principal: string;
  readonly object: string | null;
  readonly detail: string;
  readonly request_id: string | null;
  readonly hash: string;
}

/** The entry of a row. */
export function entryOf(row: AuditRow): AuditEntry {
  return {
    tenant: row.tenant,
    sequence: row.sequence,
    at: row.at,
    action: row.action,
    principal: row.principal,
    detail: JSON.parse(row.detail) as JsonObject,
    hash: row.hash,
    ...(row.object !== null && { object: row.object }),
    ...(row.request_id !== null && { requestId: row.request_id }),
  };
}

/** A small named record. */
export interface DocumentRow {
  readonly kind: string;
  readonly tenant: TenantId;
  readonly id: string;
  readonly version: number;
  readonly expires_at: number | null;
  readonly body: string;
}

/** The document of a row. */
export function documentOf(row: DocumentRow): StoredDocument {
  return {
    tenant: row.tenant,
    kind: row.kind,
    id: row.id,
    body: JSON.parse(row.body) as JsonObject,
    version: row.version,
    expiresAt: row.expires_at,
  };
}
