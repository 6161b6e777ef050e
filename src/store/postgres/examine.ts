// What can be done to a database without serving from it: bringing its schema up to date, and finding out all that decides
// whether nodes can work on it, and how well.

import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { pause, systemClock } from '../../runtime/clock.ts';
import { clientOptions, Database } from './database.ts';
import { storeError } from './errors.ts';
import { checked, migrate, type SchemaState, stateOf } from './migrate.ts';
import { MIGRATIONS } from './migrations/migrations.ts';
import { trustsAnybody } from './tls.ts';

/** Which database, and whether a pooler stands before it. */
export interface PostgresPlace {
  readonly url: string;
  readonly pooled: boolean;
}

/** A node that has said within seconds that it lives. */
export interface LivingNode {
  readonly id: string;
  readonly version: string;
  readonly state: string;
}

/** What is known of a database. */
export interface PostgresFacts {
  readonly version: string;
  readonly versionMajor: number;
  /** Null before the first start; `known` is what this program would bring it to. */
  readonly schema: (SchemaState & { readonly known: number }) | null;
  /** Whether this user may make the schema, or change the one that is there. */
  readonly mayMigrate: boolean;
  readonly writable: boolean;
  /** Settings under which a commit that was answered may be lost. */
  readonly forgetful: readonly string[];
  /** How far the database's clock is ahead of this process's, in milliseconds. */
  readonly clockAheadMs: number;
  readonly roundTripMs: number;
  readonly oldestXminAgeS: number;
  /** Whose transaction that is. */
  readonly oldestXminBy: string | null;
  readonly deadTuples: number;
  readonly rows: number;
  readonly connectionsUsed: number;
  readonly connectionsMax: number;
  readonly encrypted: boolean;
  /** Encrypted, but to whoever answers: no certificate was checked. */
  readonly unverified: boolean;
  /** Whether what one connection notifies reaches another that listens. */
  readonly listens: boolean;
  readonly nodes: readonly LivingNode[];
}

const LISTEN_MS_MAX = 2_000;
const STATEMENT_MS_MAX = 10_000;
const DURABLE = ['fsync', 'full_page_writes', 'synchronous_commit'];

const FACTS = `SELECT current_setting('server_version') AS version,
  current_setting('server_version_num')::integer / 10000 AS "versionMajor",
  NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off' AS writable,
  CASE WHEN to_regnamespace('batuta') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
    ELSE pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'batuta'), 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('batuta')
        AND relkind IN ('r', 'p', 'S') AND NOT pg_has_role(relowner, 'USAGE')) END AS "mayMigrate",
  (SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'batuta') AS "deadTuples",
  (SELECT coalesce(sum(n_live_tup), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'batuta') AS rows,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS "connectionsUsed",
  current_setting('max_connections')::integer AS "connectionsMax",
  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted`;
const OLDEST = `SELECT extract(epoch FROM now() - xact_start)::float8 AS age,
    concat_ws(' ', 'process', pid::text, nullif(application_name, ''), state) AS by
  FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
  UNION ALL SELECT extract(epoch FROM now() - prepared)::float8, 'the prepared transaction ' || gid FROM pg_prepared_xacts
  ORDER BY age DESC LIMIT 1`;
const NODES = `SELECT body FROM batuta.document WHERE kind = 'node' AND (expires_at IS NULL OR expires_at > $1) ORDER BY id`;

/**
 * Brings the schema to this program's, or with `check` only looks; answers the versions before and after, 0 for none. Throws
 * `unavailable` where the database cannot be used or its schema is too new.
 */
export async function migratePostgres(
  { url, pooled }: PostgresPlace,
  { check }: { readonly check: boolean },
): Promise<{ readonly from: number; readonly to: number; readonly isMoved: boolean }> {
  const database = new Database(reachOf({ url, pooled }));
  try {
    const state = await database.session(client => stateOf(client));
    const from = state === null ? 0 : checked(state, MIGRATIONS);
    const to = check ? Math.max(from, MIGRATIONS.length) : await migrate(database);
    return { from, to, isMoved: state?.isHome === false };
  } finally {
    await database.stop();
  }
}

/** Looks at a database, changing nothing; rejects with `unavailable` where it cannot be reached. */
export async function examinePostgres(place: PostgresPlace): Promise<PostgresFacts> {
  const client = new pg.Client(clientOptions(reachOf(place)));
  client.on('error', () => {});
  try {
    await client.connect();
    const one = async <Row extends object>(
      sql: string,
      values: readonly unknown[] = [],
    ): Promise<Row | undefined> => (await client.query<Row>(sql, [...values])).rows[0];
    const facts = await one<Omit<PostgresFacts, 'schema' | 'nodes' | 'listens' | 'unverified'>>(FACTS);
    if (facts === undefined) throw new Error('facts are one row');
    const asked = systemClock.now();
    const clock = await one<{ now: number }>(
      `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now`,
    );
    const answered = systemClock.now();
    const oldest = await one<{ age: number; by: string }>(OLDEST);
    const settings = await client.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE name = ANY ($1) AND setting = 'off'`,
      [DURABLE],
    );
    const state = await stateOf(client);
    const now = clock?.now ?? answered;
    const nodes = state === null ? [] : (await client.query<{ body: string }>(NODES, [Math.floor(now)])).rows;
    return {
      ...facts,
      unverified: facts.encrypted && trustsAnybody(place.url),
      schema: state === null ? null : { ...state, known: MIGRATIONS.length },
      forgetful: settings.rows.map(({ name }) => `${name} = off`),
      clockAheadMs: Math.round(now - (asked + answered) / 2),
      roundTripMs: answered - asked,
      oldestXminAgeS: Math.max(0, oldest?.age ?? 0),
      oldestXminBy: oldest?.by ?? null,
      nodes: nodes.map(({ body }) => JSON.parse(body) as LivingNode),
      listens: await hears(client, place),
    };
  } catch (error) {
    throw storeError(error);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Whether a connection of its own hears what this one tells. */
async function hears(teller: pg.Client, place: PostgresPlace): Promise<boolean> {
  const channel = `batuta_probe_${randomUUID().replaceAll('-', '')}`;
  const listener = new pg.Client(clientOptions(reachOf(place)));
  listener.on('error', () => {});
  try {
    await listener.connect();
    const heard = new Promise<boolean>(resolve => listener.once('notification', () => resolve(true)));
    await listener.query(`LISTEN ${channel}`);
    await teller.query('SELECT pg_notify($1, $2)', [channel, '']);
    return await Promise.race([heard, pause(systemClock, LISTEN_MS_MAX).then(() => false)]);
  } catch {
    return false;
  } finally {
    await listener.end().catch(() => {});
  }
}

function reachOf({ url, pooled }: PostgresPlace) {
  return { url, pooled, connections: 3, statementMsMax: STATEMENT_MS_MAX, patienceMs: 0 };
}
