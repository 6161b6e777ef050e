// What an attempt knows and hands on: the book that is in every checkpoint, and the output that is made of it (`SAM-172`).

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Judged } from './finding.ts';
import type { HistoryFile, Row } from './history.ts';
import { percentile } from './latency.ts';
import type { Plan, PlannedCheck } from './plan.ts';
import { NEW_STANDING, type Standing, worstOf } from './standing.ts';

/** Everything that must not be lost or repeated; plain JSON. */
export interface Book {
  readonly startedAt: number;
  /** The first run that is not done yet; null where there is none. */
  readonly dueAt: number | null;
  readonly runs: number;
  /** Runs that were due and could not be. */
  readonly missed: number;
  /** One for each check. */
  readonly standings: readonly Standing[];
  readonly rows: readonly Row[];
  readonly files: readonly HistoryFile[];
}

/** Why there are no more runs. */
export type EndedBy = 'once' | 'count' | 'duration' | 'schedule' | 'timeout' | 'fail_on';

const VERSION = 1;

/** A book without entries. */
export function newBook(plan: Plan, now: number): Book {
  return {
    startedAt: now,
    dueAt: plan.schedule === null ? now : plan.schedule.timetable.dueFrom(now, now),
    runs: 0,
    missed: 0,
    standings: plan.checks.map(() => NEW_STANDING),
    rows: [],
    files: [],
  };
}

/** The book as a checkpoint. */
export function checkpointOf(book: Book): Json {
  return { version: VERSION, book: book as unknown as JsonObject };
}

/** The book of a checkpoint; null where it is none of this plan's. */
export function bookIn(checkpoint: Json | null, plan: Plan): Book | null {
  if (!isJsonObject(checkpoint) || checkpoint.version !== VERSION) return null;
  const book = checkpoint.book as unknown as Book;
  return book.standings.length === plan.checks.length ? book : null;
}

/** The task's output. */
export function outputOf(
  book: Book,
  plan: Plan,
  end: { readonly at: number; readonly by: EndedBy },
): JsonObject {
  return {
    state: worstOf(book.standings.map(({ state }) => state)),
    runs: book.runs,
    runs_missed: book.missed,
    started_at: instant(book.startedAt),
    ended_at: instant(end.at),
    ended_by: end.by,
    checks: plan.checks.map((check, index) => checkOutput(check, book.standings[index] ?? NEW_STANDING)),
    history: book.files,
  };
}

/** A result as users see it. */
export function resultOf({ unit }: PlannedCheck, result: Judged): JsonObject {
  const { at, level, value, latencyMs, message, limit, fault, detail } = result;
  return {
    at: instant(at),
    level,
    value,
    unit,
    latency_ms: latencyMs,
    message,
    ...(limit === null ? {} : { limit }),
    ...(fault === null ? {} : { code: fault.code }),
    ...detail,
  };
}

function checkOutput(check: PlannedCheck, standing: Standing): JsonObject {
  const { results, failures, latency, last } = standing;
  const at = (share: number): number | null => rounded(percentile(latency, share));
  return {
    name: check.name,
    type: check.spec.type,
    state: standing.state,
    flapping: standing.flapping,
    results,
    failures,
    availability_percent: results === 0 ? null : Math.round((1 - failures / results) * 100_000) / 1_000,
    latency_ms:
      latency.count === 0
        ? null
        : {
            min: rounded(latency.min),
            mean: rounded(latency.sum / latency.count),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: rounded(latency.max),
          },
    last: last === null ? null : resultOf(check, last),
    alerts: standing.alerts,
    state_changes_total: standing.changesInAll,
    state_changes: standing.changes.map(change => ({ ...change, at: instant(change.at) })),
  };
}

/** An instant as users see it. */
export function instant(at: number): string {
  return new Date(at).toISOString();
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10;
}
