// The audit: per tenant a numbered chain of entries that is only ever appended to. Two processes may reach for the same number;
// the one that comes second reads on and takes the next.

import { DatabaseError } from 'pg';
import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { auditHash } from '../audit-chain.ts';
import { type AuditRow, entryOf } from '../record-row.ts';
import type { AuditEntry, AuditQuery, NewAuditEntry } from '../rows.ts';
import { gathered } from './calls.ts';
import { Conditions, type Context, reading, writing } from './context.ts';
import { plain } from './records.ts';

interface LinkRow {
  readonly at: number;
  readonly tenant: TenantId;
  readonly sequence: number;
  readonly hash: string;
}

const TRIES_MAX = 50;
const UNIQUE_VIOLATION = '23505';

const LAST = reading(
  'last audit',
  `SELECT m.at, w.tenant, coalesce(a.sequence, 0) AS sequence, coalesce(a.hash, '') AS hash
   FROM (SELECT batuta.moment($2) AS at) m CROSS JOIN unnest($1::text[]) w(tenant)
   LEFT JOIN LATERAL (SELECT sequence, hash FROM batuta.audit a WHERE a.tenant = w.tenant
     ORDER BY sequence DESC LIMIT 1) a ON true`,
);
const APPEND = writing(
  'append audit',
  `INSERT INTO batuta.audit (tenant, sequence, at, action, principal, object, detail, request_id, hash)
   SELECT tenant, sequence, at, action, principal, object, detail, request_id, hash
   FROM json_to_recordset($1) e(tenant text, sequence bigint, at bigint, action text, principal text, object text,
     detail text, request_id text, hash text) ORDER BY tenant, sequence`,
);

/** The audits of all tenants. */
export class Audit {
  readonly #context: Context;
  readonly #auditKey: string | Uint8Array;
  readonly #call: (entries: readonly NewAuditEntry[]) => Promise<null>;

  constructor(context: Context, auditKey: string | Uint8Array) {
    this.#context = context;
    this.#auditKey = auditKey;
    this.#call = gathered(async calls => {
      await this.#append(calls.flat());
      return calls.map(() => null);
    });
  }

  /** Appends entries, each chained to its tenant's last. */
  async append(entries: readonly NewAuditEntry[]): Promise<void> {
    if (entries.length > 0) await this.#context.write(() => this.#call(entries));
  }

  /** Entries that match, oldest first. */
  async list(query: AuditQuery): Promise<readonly AuditEntry[]> {
    const text = (value: string | undefined): string | undefined =>
      value === undefined ? undefined : plain(value);
    const conditions = new Conditions('tenant = $1', plain(query.tenant))
      .add('action = ?', text(query.action))
      .add('principal = ?', text(query.principal))
      .add('object = ?', text(query.object))
      .add('at >= ?', query.since)
      .add('at < ?', query.until)
      .add('sequence > ?', query.afterSequence);
    const statement = reading(
      `audit ${conditions.shape}`,
      `SELECT * FROM batuta.audit ${conditions.where} ORDER BY sequence LIMIT ${conditions.param(query.limit)}`,
    );
    const rows = await this.#context.read<AuditRow>(statement, conditions.values);
    return rows.map(entryOf);
  }

  async #append(entries: readonly NewAuditEntry[]): Promise<void> {
    const tenants = [...new Set(entries.map(({ tenant }) => tenant))];
    for (let tries = 1; ; tries++) {
      const last = await this.#context.glance<LinkRow>(LAST, [tenants, this.#context.given]);
      try {
        await this.#context.database.ask(APPEND, [JSON.stringify(this.#chain(entries, last))]);
        return;
      } catch (error) {
        const taken = error instanceof DatabaseError && error.code === UNIQUE_VIOLATION;
        if (!taken) throw error;
        if (tries === TRIES_MAX) {
          throw new DomainError('unavailable', 'the audit is being written to by too many', { cause: error });
        }
      }
    }
  }

  #chain(entries: readonly NewAuditEntry[], last: readonly LinkRow[]): readonly object[] {
    const links = new Map(last.map(link => [link.tenant, link]));
    return entries.map(entry => {
      const link = links.get(entry.tenant);
      if (link === undefined) throw new Error(`tenant ${entry.tenant} has no place in the audit`);
      const sequence = link.sequence + 1;
      // What is hashed must be what will be read back.
      const detail = JSON.stringify(entry.detail);
      const kept = {
        tenant: entry.tenant,
        sequence,
        at: link.at,
        action: plain(entry.action),
        principal: plain(entry.principal),
        ...(entry.object !== undefined && { object: plain(entry.object) }),
        ...(entry.requestId !== undefined && { requestId: plain(entry.requestId) }),
      };
      const hash = auditHash(this.#auditKey, link.hash, {
        ...kept,
        detail: JSON.parse(detail) as JsonObject,
      });
      links.set(entry.tenant, { ...link, sequence, hash });
      return { ...kept, request_id: kept.requestId ?? null, detail, hash };
    });
  }
}
