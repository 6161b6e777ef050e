// The SAM v2 wire as a client sees it, second half: agents, deliveries, keys, tenants, secrets, tokens and health.

import type { DeliveryStatus } from '../domain/delivery.ts';
import type { NotificationEvent } from '../domain/event.ts';
import type { JsonObject } from '../domain/json.ts';
import type { TaskType } from '../domain/task.ts';

/** What is common to every list: how to page through it (`SAM-5`). */
export interface PageQuery {
  readonly limit?: number | undefined;
  readonly offset?: number | undefined;
}

/** What is common to every list's answer. */
export interface PageAnswer {
  readonly total: number;
  readonly limit: number;
  readonly offset: number;
}

/** What an agent tells of itself (`SAM-135`). */
export interface AgentRegistration {
  readonly agent_id: string;
  /** Task types, or `custom:<name>`. */
  readonly types: readonly string[];
  readonly kind?: 'worker' | 'sam' | undefined;
  /** What it can do beside its types; tasks may require some of them. */
  readonly skills?: readonly string[] | undefined;
  /** What it answers to in messages: `<wire>:<role>`. */
  readonly roles?: readonly string[] | undefined;
  readonly capacity?:
    | {
        readonly slots?: number | undefined;
        readonly memory_mb?: number | undefined;
        readonly cpu_cores?: number | undefined;
        readonly disk_mb?: number | undefined;
        readonly network_bandwidth_mbps?: number | undefined;
      }
    | undefined;
  readonly region?: string | undefined;
  /** `canary` for one that is tried (`SAM-228`). */
  readonly labels?: readonly string[] | undefined;
  readonly version?: string | undefined;
  readonly url?: string | undefined;
  /** JSON Schemas by custom type name (`SAM-175`). */
  readonly schemas?:
    | Readonly<Record<string, { readonly input?: JsonObject; readonly output?: JsonObject }>>
    | undefined;
}

/** An agent and how it is (`SAM-135`, `SAM-136`). */
export interface AgentView {
  readonly agent_id: string;
  readonly kind: 'local' | 'worker' | 'sam';
  readonly types: readonly string[];
  readonly skills: readonly string[];
  readonly health: 'healthy' | 'degraded' | 'draining' | 'offline';
  /** Share of its last attempts that failed. */
  readonly error_rate?: number;
  readonly capacity: {
    readonly slots?: number;
    readonly free?: { readonly slots?: number };
    readonly [more: string]: unknown;
  };
  readonly region?: string;
  readonly labels?: readonly string[];
  readonly seen_at: string;
  readonly [more: string]: unknown;
}

/** A process that serves from the store (`SAM-224`). */
export interface NodeView {
  readonly node_id: string;
  readonly version: string;
  readonly url: string | null;
  readonly region?: string;
  readonly labels?: readonly string[];
  readonly state: 'active' | 'draining';
  readonly leads: boolean;
  readonly running_tasks: number;
  readonly started_at: string;
  readonly seen_at: string;
}

/** Runs of canaries, or of the rest, over what both ran. */
export interface RunFigures {
  readonly runs: number;
  readonly error_rate: number | null;
  readonly p95_ms: number | null;
}

/** What nodes and agents labelled `canary` get (`SAM-228`). */
export interface CanaryView {
  /** Of new tasks, 0–1. */
  readonly share: number;
  /** Whose tasks all go to them first. */
  readonly tenants: readonly string[];
  readonly set_at: string | null;
  readonly set_by: string;
  /** Since when and why they get nothing, and what they had. */
  readonly stopped: {
    readonly share: number;
    readonly tenants: readonly string[];
    readonly at: string;
    readonly because: 'error_rate' | 'latency';
    readonly canary: RunFigures;
    readonly rest: RunFigures;
  } | null;
}

/** Filters of the delivery list (`SAM-92`). */
export interface DeliveryFilter extends PageQuery {
  readonly task_id?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly status?: DeliveryStatus | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/** A delivery with its attempts (`SAM-92`). */
export interface DeliveryView {
  readonly delivery_id: string;
  readonly task_id: string;
  readonly endpoint: string;
  readonly event_type: NotificationEvent;
  /** Of the event it tells of. */
  readonly sequence: number;
  readonly status: DeliveryStatus;
  readonly attempts: readonly {
    readonly attempt: number;
    readonly timestamp: string;
    /** HTTP status; null where there was no answer. */
    readonly status: number | null;
    readonly duration_ms: number;
    readonly answer: string;
  }[];
  readonly created_at: string;
  readonly [more: string]: unknown;
}

/** An endpoint's health (`SAM-90`). */
export interface EndpointView {
  readonly endpoint: string;
  readonly breaker: 'closed' | 'open' | 'probing';
  readonly success_rate: number | null;
  readonly p95_ms: number | null;
  readonly [more: string]: unknown;
}

/** What a new API key may do, and when (`SAM-19`). */
export interface ApiKeyRequest {
  readonly name: string;
  readonly permissions: readonly string[];
  readonly task_types?: readonly TaskType[] | undefined;
  /** Requests an hour. */
  readonly rate_limit?: number | undefined;
  readonly usage_quota?: number | undefined;
  readonly expires_at?: string | undefined;
  readonly allowed_ips?: readonly string[] | undefined;
  /** `HH:MM-HH:MM` in UTC. */
  readonly allowed_hours?: string | undefined;
  /** The one agent the key may speak for. */
  readonly agent_id?: string | undefined;
  readonly require_signature?: boolean | undefined;
}

/** An API key without its secret. */
export interface ApiKeyView {
  readonly api_key: string;
  readonly name?: string;
  readonly permissions?: readonly string[];
  readonly created_at?: string;
  readonly expires_at?: string | null;
  readonly revoked_at?: string | null;
  readonly [more: string]: unknown;
}

/** A key with its secret, shown once (`SAM-18`). */
export interface ApiKeySecret extends ApiKeyView {
  readonly api_secret: string;
}

/** A tenant. */
export interface TenantView {
  readonly tenant_id: string;
  readonly name: string;
  /** Share of the capacity, against the others'. */
  readonly weight: number;
  readonly [more: string]: unknown;
}

/** Filters of the audit. */
export interface AuditFilter {
  readonly action?: string | undefined;
  readonly principal?: string | undefined;
  readonly object?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** Only entries after this sequence. */
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}

/** An entry of the audit. */
export interface AuditEntry {
  readonly sequence: number;
  readonly timestamp: string;
  readonly action: string;
  readonly principal: string;
  readonly object?: string;
  readonly detail: JsonObject;
  readonly request_id?: string;
  readonly hash: string;
}

/** A new tenant's first key, shown once. */
export interface TenantSecret {
  readonly tenant_id: string;
  readonly api_key: string;
  readonly api_secret: string;
}

/** An exchanged token, shaped as RFC 6749 (`SAM-16`). */
export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: string;
  readonly expires_in: number;
  readonly refresh_token?: string;
  readonly scope?: string;
}

/** The server's health (`SAM-198`). */
export interface HealthAnswer {
  readonly status: 'healthy' | 'degraded' | 'unhealthy';
  readonly timestamp: string;
  readonly version: string;
  /** Seconds. */
  readonly uptime: number;
  readonly metrics?: JsonObject;
  readonly dependencies?: JsonObject;
  readonly [more: string]: unknown;
}
