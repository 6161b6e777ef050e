// The way to a PostgreSQL: a few connections, statements with limits on their time, and what to do when a connection breaks.
// Every statement is a transaction by itself. What is lost on the way is asked again only where that can do no harm.

import pg, { type PoolClient, type PoolConfig } from 'pg';
import { DomainError } from '../../domain/errors.ts';
import { type Clock, pause, systemClock } from '../../runtime/clock.ts';
import { fateOf, storeError } from './errors.ts';
import { reachBy } from './tls.ts';

/** A value that crosses to the database. */
export type Value = string | number | boolean | null | Uint8Array | readonly (string | number)[];

/** One kind of statement. */
export interface Statement {
  /** Names the prepared statement; unique in the driver. */
  readonly name: string;
  readonly text: string;
  /** Doing it twice has the same effect as once, so it may be asked again when its answer was lost. */
  readonly repeatable: boolean;
}

/** Rows and whether the statement was sent more than once, the earlier answer being unknown. */
export interface Answer<Row> {
  readonly rows: readonly Row[];
  readonly repeated: boolean;
}

/** How to reach a database. */
export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most. */
  readonly connections: number;
  /**
   * Something like PgBouncer in transaction mode stands between: no prepared statements, no session's settings, no LISTEN. Then the
   * time limits of statements are to be set on the role.
   */
  readonly pooled: boolean;
  readonly statementMsMax: number;
  /** How long a statement that did not happen, or may happen again, waits for a database that is away; 8 s unless said otherwise. */
  readonly patienceMs?: number;
}

const CONNECT_MS_MAX = 5_000;
const LOCK_MS_MAX = 10_000;
const IDLE_MS_MAX = 60_000;
const PATIENCE_MS = 8_000;
const PAUSE_MS_MAX = 1_000;
const TRIES_MAX = 20;
/** The hot verbs have connections of their own, so that no crowd of readers keeps them waiting. */
const HOT_SHARE = 0.4;

const INT8_OID = 20;

/** Numbers of 64 bits as numbers: none here passes 2^53. */
const types: NonNullable<PoolConfig['types']> = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** Connections to one database. */
export class Database {
  readonly #options: DatabaseOptions;
  readonly #clock: Clock = systemClock;
  readonly #hot: pg.Pool;
  readonly #rest: pg.Pool;
  #stopped = false;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    const hot = Math.max(2, Math.round(options.connections * HOT_SHARE));
    this.#hot = poolOf(options, hot);
    this.#rest = poolOf(options, Math.max(1, options.connections - hot));
  }

  /** Runs a statement; rejects with `unavailable` where the database is at fault, else with PostgreSQL's own error. */
  async ask<Row extends object>(
    statement: Statement,
    values: readonly Value[],
    { hot = false, patient = true }: { readonly hot?: boolean; readonly patient?: boolean } = {},
  ): Promise<Answer<Row>> {
    const until = this.#clock.monotonic() + (this.#options.patienceMs ?? PATIENCE_MS);
    let repeated = false;
    for (let tries = 1; ; tries++) {
      if (this.#stopped) throw closed();
      let sent = false;
      try {
        const client = await (hot ? this.#hot : this.#rest).connect();
        sent = true;
        const rows = await this.#run<Row>(client, statement, values);
        return { rows, repeated };
      } catch (error) {
        if (this.#stopped) throw closed();
        const fate = sent ? fateOf(error) : connectFateOf(error);
        const again = fate === 'undone' || (fate === 'unknown' && statement.repeatable);
        if (!again || !patient || tries === TRIES_MAX || this.#clock.monotonic() >= until)
          throw storeError(error);
        if (fate === 'unknown') repeated = true;
      }
      await pause(this.#clock, Math.min(PAUSE_MS_MAX, 10 * 2 ** tries));
    }
  }

  /** True from the moment it was asked to stop. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** A connection for what must be several statements; given back, or broken off where the work failed. */
  async session<Result>(work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    if (this.#stopped) throw closed();
    let client: PoolClient;
    try {
      client = await this.#rest.connect();
    } catch (error) {
      throw storeError(error);
    }
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client.release(true);
      throw storeError(error);
    }
  }

  /** Closes all connections once their statements are done. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await Promise.all([this.#hot.end(), this.#rest.end()]);
  }

  async #run<Row extends object>(
    client: PoolClient,
    { name, text }: Statement,
    values: readonly Value[],
  ): Promise<readonly Row[]> {
    try {
      const query = { text, values: [...values], ...(!this.#options.pooled && { name }) };
      const { rows } = await client.query<Row>(query);
      client.release();
      return rows;
    } catch (error) {
      client.release(fateOf(error) === 'unknown');
      throw error;
    }
  }
}

/** What pg needs to know to connect, session settings included where there are sessions. */
export function clientOptions({ url, pooled, statementMsMax }: DatabaseOptions): pg.ClientConfig {
  return {
    ...reachBy(url),
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
    types,
    // The server ends a statement first; this is for a server that is not heard of any more.
    query_timeout: statementMsMax + CONNECT_MS_MAX,
    ...(!pooled && {
      application_name: 'batuta',
      statement_timeout: statementMsMax,
      lock_timeout: LOCK_MS_MAX,
      idle_in_transaction_session_timeout: IDLE_MS_MAX,
      // Plans are kept; one made while a table was small must not read all of it when it has grown.
      options: '-c enable_seqscan=off -c jit=off -c random_page_cost=1.1',
    }),
  };
}

function poolOf(options: DatabaseOptions, max: number): pg.Pool {
  const pool = new pg.Pool({
    ...clientOptions(options),
    max,
    idleTimeoutMillis: IDLE_MS_MAX,
    allowExitOnIdle: true,
  });
  // A connection that breaks fails its statement, if it has one; the event itself tells nothing more.
  pool.on('error', () => {});
  pool.on('connect', client => client.on('error', () => {}));
  return pool;
}

/** Nothing was sent yet; a database that answers with a refusal will refuse again. */
function connectFateOf(error: unknown): 'undone' | 'refused' {
  return fateOf(error) === 'refused' ? 'refused' : 'undone';
}

function closed(): DomainError {
  return new DomainError('unavailable', 'the store is closed');
}
