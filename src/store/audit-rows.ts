// What the audit keeps, and how it is asked.

import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';

/** An audit entry to append. */
export interface NewAuditEntry {
  readonly tenant: TenantId;
  /** `auth.accepted`, `auth.refused`, `task.cancelled`, … */
  readonly action: string;
  readonly principal: string;
  readonly object?: string;
  readonly detail: JsonObject;
  readonly requestId?: string;
}

/** A kept audit entry: `hash` is HMAC(audit key, previous hash and entry). */
export interface AuditEntry extends NewAuditEntry {
  readonly sequence: number;
  readonly at: number;
  readonly hash: string;
}

/** Which audit entries. */
export interface AuditQuery {
  readonly tenant: TenantId;
  readonly action?: string;
  readonly principal?: string;
  readonly object?: string;
  readonly since?: number;
  readonly until?: number;
  readonly afterSequence?: number;
  readonly limit: number;
}
