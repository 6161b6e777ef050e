// The audit: per tenant a numbered chain of entries that is only ever appended to.

import type { JsonObject } from '../../domain/json.ts';
import { auditHash } from '../audit-chain.ts';
import { type AuditRow, entryOf } from '../record-row.ts';
import type { AuditEntry, AuditQuery, NewAuditEntry } from '../rows.ts';
import type { Connection, Prepared, Value } from './connection.ts';

type Link = Pick<AuditRow, 'sequence' | 'hash'>;

/** The audits of all tenants. */
export class Audit {
  readonly #connection: Connection;
  readonly #auditKey: string | Uint8Array;
  readonly #last: Prepared<Link>;
  readonly #insert: Prepared<object>;

  constructor(connection: Connection, auditKey: string | Uint8Array) {
    this.#connection = connection;
    this.#auditKey = auditKey;
    this.#last = connection.prepare(
      'SELECT sequence, hash FROM audit WHERE tenant = ? ORDER BY sequence DESC LIMIT 1',
    );
    this.#insert = connection.prepare(
      `INSERT INTO audit (tenant, sequence, at, action, principal, object, detail, request_id, hash)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
  }

  /** Appends entries, each chained to its tenant's last. */
  append(entries: readonly NewAuditEntry[]): void {
    const at = this.#connection.now;
    for (const entry of entries) {
      const last = this.#last.get(entry.tenant);
      const sequence = (last?.sequence ?? 0) + 1;
      // What is hashed must be what will be read back.
      const detail = JSON.stringify(entry.detail);
      const hash = auditHash(this.#auditKey, last?.hash ?? '', {
        ...entry,
        detail: JSON.parse(detail) as JsonObject,
        sequence,
        at,
      });
      this.#insert.run(
        entry.tenant,
        sequence,
        at,
        entry.action,
        entry.principal,
        entry.object ?? null,
        detail,
        entry.requestId ?? null,
        hash,
      );
    }
  }

  /** Entries that match, oldest first. */
  list(query: AuditQuery): readonly AuditEntry[] {
    const conditions = ['tenant = ?'];
    const values: Value[] = [query.tenant];
    const add = (condition: string, value: Value | undefined): void => {
      if (value === undefined) return;
      conditions.push(condition);
      values.push(value);
    };
    add('action = ?', query.action);
    add('principal = ?', query.principal);
    add('object = ?', query.object);
    add('at >= ?', query.since);
    add('at < ?', query.until);
    add('sequence > ?', query.afterSequence);
    return this.#connection
      .prepare<AuditRow>(`SELECT * FROM audit WHERE ${conditions.join(' AND ')} ORDER BY sequence LIMIT +?`)
      .all(...values, query.limit)
      .map(entryOf);
  }
}
