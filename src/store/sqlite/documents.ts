// Small named records with versions and expiry, for whatever the engine and the guards must remember.

import { type DocumentRow, documentOf } from '../record-row.ts';
import type { DocumentOutcome, DocumentQuery, DocumentWrite, StoredDocument } from '../rows.ts';
import type { Connection, Prepared, Value } from './connection.ts';

/** All documents. */
export class Documents {
  readonly #connection: Connection;
  readonly #version: Prepared<{ version: number }>;
  readonly #put: Prepared<object>;
  readonly #delete: Prepared<object>;
  readonly #expire: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#version = connection.prepare(
      `SELECT version FROM document WHERE kind = ? AND tenant = ? AND id = ?
       AND (expires_at IS NULL OR expires_at > ?)`,
    );
    this.#put = connection.prepare(
      'INSERT OR REPLACE INTO document (kind, tenant, id, version, expires_at, body) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#delete = connection.prepare('DELETE FROM document WHERE kind = ? AND tenant = ? AND id = ?');
    this.#expire = connection.prepare(
      `DELETE FROM document WHERE (kind, tenant, id) IN
       (SELECT kind, tenant, id FROM document WHERE expires_at IS NOT NULL AND expires_at <= ? LIMIT +?)`,
    );
  }

  /** Documents that match and have not expired, by tenant and id. */
  list(query: DocumentQuery): readonly StoredDocument[] {
    const conditions = ['kind = ?', '(expires_at IS NULL OR expires_at > ?)'];
    const values: Value[] = [query.kind, this.#connection.now];
    if (query.tenant !== undefined) {
      conditions.push('tenant = ?');
      values.push(query.tenant);
    }
    if (query.ids !== undefined) {
      conditions.push('id IN (SELECT value FROM json_each(?))');
      values.push(JSON.stringify(query.ids));
    }
    return this.#connection
      .prepare<DocumentRow>(
        `SELECT * FROM document WHERE ${conditions.join(' AND ')} ORDER BY tenant, id LIMIT +? OFFSET +?`,
      )
      .all(...values, query.limit ?? -1, query.offset ?? 0)
      .map(documentOf);
  }

  /** Writes or deletes each document whose expectation holds, in order; the version of a deleted one is 0. */
  put(writes: readonly DocumentWrite[]): readonly DocumentOutcome[] {
    return writes.map(write => this.#write(write));
  }

  /** Deletes expired documents, at most `limit`; answers how many. */
  expire(limit: number): number {
    return this.#expire.run(this.#connection.now, limit).changes;
  }

  #write({ kind, tenant, id, body, expected, expiresAt }: DocumentWrite): DocumentOutcome {
    const version = this.#version.get(kind, tenant, id, this.#connection.now)?.version;
    const holds =
      expected === undefined || (expected === 'absent' ? version === undefined : expected === version);
    if (!holds) return { status: 'conflict' };
    if (body === null) {
      this.#delete.run(kind, tenant, id);
      return { status: 'done', version: 0 };
    }
    const next = (version ?? 0) + 1;
    this.#put.run(kind, tenant, id, next, expiresAt ?? null, JSON.stringify(body));
    return { status: 'done', version: next };
  }
}
