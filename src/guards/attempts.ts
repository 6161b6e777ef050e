// Every authentication attempt on its way into the audit (`SAM-8`): alike ones within a writing are one entry with their count and
// all their request ids, so that auditing costs a busy server a few rows a second and no request a wait.

import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { NewAuditEntry } from '../store/rows.ts';
import type { AuditWriter } from './audit.ts';

/** One attempt; nothing in it may be a credential. */
export interface Attempt {
  readonly tenant: TenantId;
  readonly action: 'auth.accepted' | 'auth.refused';
  /** `key:<id>`, `jwt:<name>`, or `unknown`. */
  readonly principal: string;
  /** `api_key`, `jwt+api_key`, `hmac`, `none` … */
  readonly method: string;
  readonly address: string;
  /** Why refused, or what is worth knowing of an accepted one. */
  readonly reason: string | null;
  readonly requestId: string;
}

interface Group {
  readonly attempt: Attempt;
  count: number;
  readonly requestIds: string[];
}

const REQUEST_IDS_MAX = 500;
const GROUPS_MAX = 10_000;

/** Gathers attempts for an audit writer, which fetches them at each writing; memory stays bounded under any flood. */
export class AttemptLog {
  readonly #audit: Pick<AuditWriter, 'record' | 'wake'>;
  #groups = new Map<string, Group>();

  constructor(audit: AuditWriter) {
    this.#audit = audit;
    audit.addSource(() => this.#drain());
  }

  record(attempt: Attempt): void {
    const group = this.#groupOf(attempt);
    group.count += 1;
    group.requestIds.push(attempt.requestId);
    if (group.requestIds.length >= REQUEST_IDS_MAX) {
      this.#groups.delete(keyOf(group.attempt));
      this.#audit.record(entryOf(group));
    }
    this.#audit.wake();
  }

  #groupOf(attempt: Attempt): Group {
    // From very many addresses at once, those that come last are counted together.
    const counted = this.#groups.size < GROUPS_MAX ? attempt : { ...attempt, address: 'many' };
    const key = keyOf(attempt);
    const known = this.#groups.get(key) ?? this.#groups.get(keyOf(counted));
    if (known !== undefined) return known;
    const group = { attempt: counted, count: 0, requestIds: [] };
    this.#groups.set(keyOf(counted), group);
    return group;
  }

  #drain(): readonly NewAuditEntry[] {
    const groups = this.#groups;
    this.#groups = new Map();
    return [...groups.values()].map(entryOf);
  }
}

function keyOf({ tenant, action, principal, method, address, reason }: Attempt): string {
  return `${tenant} ${action} ${principal} ${method} ${address} ${reason}`;
}

function entryOf({ attempt, count, requestIds }: Group): NewAuditEntry {
  const { tenant, action, principal, method, address, reason } = attempt;
  const [requestId] = requestIds;
  const why = reason === null ? {} : { reason };
  const detail: JsonObject = { method, address, ...why, count, ...(count > 1 ? { requestIds } : {}) };
  return { tenant, action, principal, detail, ...(requestId === undefined ? {} : { requestId }) };
}
