// What is known of stored files, and which of their bytes nothing refers to any more.

import type { Artifact } from '../../domain/artifact.ts';
import type { ArtifactId, TenantId } from '../../domain/ids.ts';
import { type ArtifactRow, artifactOf } from '../record-row.ts';
import type { ArtifactQuery } from '../rows.ts';
import type { Connection, Prepared, Value } from './connection.ts';

type Reference = Pick<ArtifactRow, 'tenant' | 'id' | 'sha256'>;

/** The artifacts of all tasks. */
export class Artifacts {
  readonly #connection: Connection;
  readonly #put: Prepared<object>;
  readonly #find: Prepared<Reference>;
  readonly #drop: Prepared<object>;
  readonly #refers: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#put = connection.prepare(
      `INSERT INTO artifact (tenant, id, task_id, attempt, type, name, media_type, size_bytes, sha256, created_at,
         quarantined) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id, tenant) DO UPDATE SET task_id = excluded.task_id, attempt = excluded.attempt,
         type = excluded.type, name = excluded.name, media_type = excluded.media_type,
         size_bytes = excluded.size_bytes, sha256 = excluded.sha256, quarantined = excluded.quarantined`,
    );
    this.#find = connection.prepare('SELECT tenant, id, sha256 FROM artifact WHERE id = ? AND tenant = ?');
    this.#drop = connection.prepare('DELETE FROM artifact WHERE id = ? AND tenant = ?');
    this.#refers = connection.prepare('SELECT 1 FROM artifact WHERE sha256 = ? LIMIT 1');
  }

  /** Stores or overwrites what is known of artifacts. */
  put(artifacts: readonly Artifact[]): void {
    for (const artifact of artifacts) {
      this.#put.run(
        artifact.tenant,
        artifact.id,
        artifact.taskId,
        artifact.attempt,
        artifact.type,
        artifact.name,
        artifact.mediaType,
        artifact.sizeBytes,
        artifact.sha256,
        artifact.createdAt,
        artifact.quarantined ? 1 : 0,
      );
    }
  }

  /** A tenant's artifacts that match, oldest first. */
  list(query: ArtifactQuery): readonly Artifact[] {
    const conditions = ['tenant = ?'];
    const values: Value[] = [query.tenant];
    const equals = (column: string, value: string | undefined): void => {
      if (value === undefined) return;
      conditions.push(`${column} = ?`);
      values.push(value);
    };
    equals('id', query.id);
    equals('task_id', query.taskId);
    equals('name', query.name);
    if (query.taskIds !== undefined) {
      conditions.push('task_id IN (SELECT value FROM json_each(?))');
      values.push(JSON.stringify(query.taskIds));
    }
    return this.#connection
      .prepare<ArtifactRow>(
        `SELECT * FROM artifact WHERE ${conditions.join(' AND ')} ORDER BY created_at, key`,
      )
      .all(...values)
      .map(artifactOf);
  }

  /** Forgets artifacts; answers the digests nothing refers to any more. */
  drop(refs: readonly { readonly tenant: TenantId; readonly id: ArtifactId }[]): readonly string[] {
    const digests = new Set<string>();
    for (const { tenant, id } of refs) {
      const row = this.#find.get(id, tenant);
      if (row === undefined) continue;
      this.#drop.run(id, tenant);
      digests.add(row.sha256);
    }
    return [...digests].filter(digest => this.#refers.get(digest) === undefined);
  }

  /** Artifacts made before an instant, oldest first. */
  before(instant: number, limit: number): readonly Reference[] {
    return this.#connection
      .prepare<Reference>(
        'SELECT tenant, id, sha256 FROM artifact WHERE created_at < ? ORDER BY created_at LIMIT +?',
      )
      .all(instant, limit);
  }
}
