// What is known of stored files, and which of their bytes nothing refers to any more.

import type { Artifact } from '../../domain/artifact.ts';
import type { ArtifactId, TenantId } from '../../domain/ids.ts';
import { type ArtifactRow, artifactOf } from '../record-row.ts';
import type { ArtifactQuery } from '../rows.ts';
import { Conditions, type Context, reading, repeatable, writing } from './context.ts';
import { plain } from './records.ts';

const PUT = repeatable('put artifacts', 'SELECT batuta.put_artifacts($1)');
// Asked again it would no longer know which digests it freed.
const DROP = writing('drop artifacts', 'SELECT batuta.drop_artifacts($1, $2) AS digest');

/** The artifacts of all tasks. */
export class Artifacts {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Stores or overwrites what is known of artifacts. */
  async put(artifacts: readonly Artifact[]): Promise<void> {
    const packed = artifacts.map((artifact, pos) => ({
      ...artifact,
      pos,
      name: plain(artifact.name),
      mediaType: plain(artifact.mediaType),
      type: plain(artifact.type),
    }));
    await this.#context.write(() => this.#context.database.ask(PUT, [JSON.stringify(packed)]));
  }

  /** A tenant's artifacts that match, oldest first. */
  async list(query: ArtifactQuery): Promise<readonly Artifact[]> {
    const text = (value: string | undefined): string | undefined =>
      value === undefined ? undefined : plain(value);
    const conditions = new Conditions('tenant = $1', plain(query.tenant))
      .add('id = ?', text(query.id))
      .add('task_id = ?', text(query.taskId))
      .add('task_id = ANY(?::text[])', query.taskIds?.map(plain))
      .add('(md5(name) = md5(?) AND name = ?)', text(query.name));
    const statement = reading(
      `artifacts ${conditions.shape}`,
      `SELECT * FROM batuta.artifact ${conditions.where} ORDER BY created_at, key`,
    );
    const rows = await this.#context.read<ArtifactRow>(statement, conditions.values);
    return rows.map(artifactOf);
  }

  /** Forgets artifacts; answers the digests nothing refers to any more. */
  async drop(
    refs: readonly { readonly tenant: TenantId; readonly id: ArtifactId }[],
  ): Promise<readonly string[]> {
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<{ digest: string }>(DROP, [
        refs.map(({ tenant }) => plain(tenant)),
        refs.map(({ id }) => plain(id)),
      ]),
    );
    return rows.map(({ digest }) => digest);
  }
}
