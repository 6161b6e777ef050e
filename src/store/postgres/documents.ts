// Small named records with versions and expiry, for whatever the engine and the guards must remember.

import { type DocumentRow, documentOf } from '../record-row.ts';
import type { DocumentOutcome, DocumentQuery, DocumentWrite, StoredDocument } from '../rows.ts';
import { Conditions, type Context, reading, writing } from './context.ts';
import { plain } from './records.ts';

// A write whose answer was lost may have happened; asked again it could meet itself as a conflict.
const PUT = writing('put documents', 'SELECT version FROM batuta.put_documents($1, $2) ORDER BY pos');

/** All documents. */
export class Documents {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Documents that match and have not expired, by tenant and id. */
  async list(query: DocumentQuery): Promise<readonly StoredDocument[]> {
    const conditions = new Conditions(
      'kind = $1 AND (expires_at IS NULL OR expires_at > batuta.moment($2))',
      plain(query.kind),
      this.#context.given,
    )
      .add('tenant = ?', query.tenant === undefined ? undefined : plain(query.tenant))
      .add('id = ANY (?::text[])', query.ids?.map(plain));
    const statement = reading(
      `documents ${conditions.shape}`,
      `SELECT * FROM batuta.document ${conditions.where} ORDER BY tenant, id
       LIMIT ${conditions.param(query.limit ?? null)} OFFSET ${conditions.param(query.offset ?? 0)}`,
    );
    const rows = await this.#context.read<DocumentRow>(statement, conditions.values);
    return rows.map(documentOf);
  }

  /** Writes or deletes each document whose expectation holds, in order; the version of a deleted one is 0. */
  async put(writes: readonly DocumentWrite[]): Promise<readonly DocumentOutcome[]> {
    const packed = writes.map(({ kind, tenant, id, body, expected, expiresAt }, pos) => ({
      pos,
      kind: plain(kind),
      tenant: plain(tenant),
      id: plain(id),
      body: body === null ? null : JSON.stringify(body),
      expected: expected === 'absent' ? 0 : (expected ?? null),
      expires_at: expiresAt ?? null,
    }));
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<{ version: number | null }>(PUT, [
        JSON.stringify(packed),
        this.#context.given,
      ]),
    );
    this.#context.tell({ documents: [...new Set(writes.map(({ kind }) => kind))] });
    return rows.map(
      ({ version }): DocumentOutcome =>
        version === null ? { status: 'conflict' } : { status: 'done', version },
    );
  }
}
