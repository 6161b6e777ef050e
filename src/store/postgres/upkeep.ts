// What keeps the database in order, and how it is: retention, the weeks of the event log, sizes and health.

import { DomainError } from '../../domain/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { NamedTasks, PurgeCounts, PurgeTerms, StoreMeasure } from '../rows.ts';
import { type Context, reading, repeatable, writing } from './context.ts';
import type { Queues } from './queues.ts';
import { Recent } from './recent.ts';
import { plain } from './records.ts';

interface CountsRow {
  readonly leased: number;
  readonly timers: number;
  readonly deliveries: number;
  readonly bytes: number;
  readonly writable: boolean;
  readonly oldest_xmin_age_s: number;
  readonly dead_tuples: number;
  readonly clock_ms: number;
  readonly clock_ahead_ms: number;
}

type PurgedRow = Omit<PurgeCounts, 'more'>;

const AHEAD = repeatable('partition ahead', 'SELECT batuta.partition_ahead(batuta.moment($1))');
const PURGE = writing('purge', 'SELECT * FROM batuta.purge($1, $2, $3, $4, $5, $6)');
const PURGE_NAMED = writing(
  'purge named tasks',
  `WITH mine AS (SELECT key FROM batuta.task
     WHERE tenant = $1 AND id = ANY ($2::text[]) AND ended_at IS NOT NULL AND purged = 0 FOR UPDATE),
   ended AS (DELETE FROM batuta.ended WHERE task IN (SELECT key FROM mine)),
   deliveries AS (DELETE FROM batuta.delivery WHERE task IN (SELECT key FROM mine)),
   edges AS (DELETE FROM batuta.edge WHERE dependent IN (SELECT key FROM mine)),
   events AS (DELETE FROM batuta.event WHERE task IN (SELECT key FROM mine)),
   logs AS (DELETE FROM batuta.log WHERE task IN (SELECT key FROM mine) RETURNING 1),
   samples AS (DELETE FROM batuta.sample WHERE task IN (SELECT key FROM mine) RETURNING 1),
   tasks AS (UPDATE batuta.task t SET purged = 1, spec = batuta.stub(t.spec), result = NULL, progress = NULL, checkpoint = NULL,
     session = NULL, user_id = NULL, correlation = NULL, starts = NULL FROM mine WHERE t.key = mine.key RETURNING 1)
   SELECT (SELECT count(*) FROM tasks) AS tasks, (SELECT count(*) FROM logs) AS logs, (SELECT count(*) FROM samples) AS samples`,
);
const WEEKS = reading('weeks to drop', 'SELECT batuta.weeks_to_drop(batuta.moment($2) - $1) AS name');
const DROP = repeatable('drop week', 'SELECT batuta.drop_week($1)');
const COUNTS = reading(
  'counts',
  `SELECT (SELECT count(*) FROM batuta.lease) AS leased, (SELECT count(*) FROM batuta.timer) AS timers,
     (SELECT count(*) FROM batuta.delivery WHERE status IN ('pending', 'sending')) AS deliveries,
     pg_database_size(current_database()) AS bytes,
     NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off' AS writable,
     greatest(0, (SELECT extract(epoch FROM now() - min(started)) FROM (
       SELECT xact_start AS started FROM pg_stat_activity WHERE backend_xmin IS NOT NULL
       UNION ALL SELECT prepared FROM pg_prepared_xacts) s))::float8 AS oldest_xmin_age_s,
     (SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'batuta') AS dead_tuples,
     (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS clock_ms`,
);

/** Retention and figures. */
export class Upkeep {
  readonly #context: Context;
  readonly #queues: Queues;
  readonly #schemaVersion: number;
  readonly #counts: Recent<CountsRow>;
  #last: StoreMeasure | null = null;

  constructor(context: Context, queues: Queues, clock: Clock, schemaVersion: number) {
    this.#context = context;
    this.#queues = queues;
    this.#schemaVersion = schemaVersion;
    this.#counts = new Recent(clock, async () => {
      const asked = clock.now();
      const [row] = await context.probe<Omit<CountsRow, 'clock_ahead_ms'>>(COUNTS, []);
      if (row === undefined) throw new Error('figures are one row');
      return { ...row, clock_ahead_ms: row.clock_ms - (asked + clock.now()) / 2 };
    });
  }

  /** Makes room in the event log for the weeks to come. */
  async prepare(): Promise<void> {
    await this.#context.glance(AHEAD, [this.#context.given]);
  }

  /** Deletes at most `limit` things of each kind that are past their term, and the weeks of events that nobody needs. */
  async purge(terms: PurgeTerms, limit: number): Promise<PurgeCounts> {
    await this.prepare();
    const { resultsMs, logsMs, samplesMs, artifactsMs } = terms;
    const { given } = this.#context;
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<PurgedRow>(PURGE, [resultsMs, logsMs, samplesMs, artifactsMs, limit, given]),
    );
    const [counts] = rows;
    if (counts === undefined) throw new Error('a purge answers one row');
    const { freed, ...numbers } = counts;
    const more = Object.values(numbers).some(count => count === limit);
    if (!more) await this.#dropWeeks(resultsMs);
    return { ...numbers, freed, more };
  }

  /** Removes all content of tasks that ended, with what they logged. */
  async purgeNamed({ tenant, ids }: NamedTasks): Promise<PurgeCounts> {
    type Row = Pick<PurgeCounts, 'tasks' | 'logs' | 'samples'>;
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<Row>(PURGE_NAMED, [plain(tenant), ids.map(plain)]),
    );
    const [counts] = rows;
    if (counts === undefined) throw new Error('a purge answers one row');
    return { ...counts, artifacts: 0, documents: 0, freed: [], more: false };
  }

  /** Sizes and health; a database that is away is one that cannot be written. */
  async measure(): Promise<StoreMeasure> {
    try {
      const counts = await this.#counts.get();
      const ready = await this.#queues.ready();
      this.#last = {
        ready,
        leased: counts.leased,
        timers: counts.timers,
        deliveriesPending: counts.deliveries,
        bytes: counts.bytes,
        schemaVersion: this.#schemaVersion,
        writable: counts.writable,
        database: {
          oldestXminAgeS: counts.oldest_xmin_age_s,
          deadTuples: counts.dead_tuples,
          clockAheadMs: Math.round(counts.clock_ahead_ms),
        },
      };
      return this.#last;
    } catch (error) {
      const isAway = error instanceof DomainError && error.code === 'unavailable';
      if (!isAway || this.#last === null || this.#context.database.stopped) throw error;
      return { ...this.#last, writable: false };
    }
  }

  async #dropWeeks(resultsMs: number): Promise<void> {
    const weeks = await this.#context.glance<{ name: string }>(WEEKS, [resultsMs, this.#context.given]);
    for (const { name } of weeks) await this.#context.glance(DROP, [name]);
  }
}
