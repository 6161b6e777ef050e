// Bringing a database to the schema this program knows: once, under a lock, whoever comes first. A newer schema is left alone and
// used, unless it says that this program is too old for it.

import type { PoolClient } from 'pg';
import { DomainError } from '../../domain/errors.ts';
import type { Database } from './database.ts';
import { MIGRATIONS, type Migration } from './migrations/migrations.ts';

const META = `
CREATE SCHEMA IF NOT EXISTS batuta;
CREATE TABLE IF NOT EXISTS batuta.meta (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  schema integer NOT NULL DEFAULT 0,
  min_program integer NOT NULL DEFAULT 0,
  -- Added to transaction numbers, so that they go on growing where a dump was restored into another database.
  txn_base bigint NOT NULL DEFAULT 0,
  home text NOT NULL
);
`;

/** Which database this is: a dump restored elsewhere finds itself in another one. */
const HOME = `(SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid
  FROM pg_database WHERE datname = current_database())`;

/** Brings the schema up to date and answers its version; throws `unavailable` where the schema is too new. */
export function migrate(database: Database, migrations: readonly Migration[] = MIGRATIONS): Promise<number> {
  return database.session(async client => {
    const known = await stateOf(client);
    if (known !== null && known.schema >= migrations.length && known.isHome)
      return checked(known, migrations);
    await client.query('BEGIN');
    try {
      // A migration may take longer than any statement that serves, and whoever waits for one longer than for a row.
      await client.query(`SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0`);
      await client.query('SELECT pg_advisory_xact_lock(7000, 1)');
      await client.query(META);
      await client.query(`INSERT INTO batuta.meta (home) VALUES (${HOME}) ON CONFLICT DO NOTHING`);
      const state = (await stateOf(client)) ?? { schema: 0, programMin: 0, isHome: true };
      for (const { sql, programMin } of migrations.slice(state.schema)) {
        await client.query(sql);
        await client.query('UPDATE batuta.meta SET schema = schema + 1, min_program = $1', [programMin]);
      }
      if (!state.isHome) await settleIn(client);
      await client.query('COMMIT');
      return checked((await stateOf(client)) ?? state, migrations);
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      throw error;
    }
  });
}

/** Where a schema stands: its version, what a program must know at least, and whether this is the database it was made in. */
export interface SchemaState {
  readonly schema: number;
  readonly programMin: number;
  readonly isHome: boolean;
}

/** The state of the schema, null where there is none. */
export async function stateOf(client: Pick<PoolClient, 'query'>): Promise<SchemaState | null> {
  const { rows } = await client.query<{ known: boolean }>(
    `SELECT to_regclass('batuta.meta') IS NOT NULL AS known`,
  );
  if (rows[0]?.known !== true) return null;
  const found = await client.query<SchemaState>(
    `SELECT schema, min_program AS "programMin", home = ${HOME} AS "isHome" FROM batuta.meta`,
  );
  return found.rows[0] ?? null;
}

/** Transaction numbers begin anew in another database; here they go on after the last one the dump knew. */
async function settleIn(client: PoolClient): Promise<void> {
  await client.query(
    `UPDATE batuta.meta SET home = ${HOME}, txn_base = greatest(
       txn_base, (SELECT coalesce(max(txn), 0) FROM batuta.event), (SELECT coalesce(max(txn), 0) FROM batuta.task),
       (SELECT coalesce(max(txn), 0) FROM batuta.lease), (SELECT coalesce(max(txn), 0) FROM batuta.mail)) + 1`,
  );
}

/** The schema's version; throws `unavailable` where the schema is too new. */
export function checked({ schema, programMin }: SchemaState, migrations: readonly Migration[]): number {
  if (programMin <= migrations.length) return schema;
  throw new DomainError(
    'unavailable',
    `the database has schema ${schema}, which this program (schema ${migrations.length}) is too old for; use the newer program`,
    { details: { schema, known: migrations.length, program_min: programMin } },
  );
}
