// Schedules: one order handed in again and again. Which runs are made of the instants that are due is decided here, purely; when
// instants are due is the engine's timetable's to say.

import type { TaskId, TenantId } from './ids.ts';
import type { JsonObject } from './json.ts';
import type { TaskSpec } from './task.ts';

/** When a schedule is due: by the clock on the wall of a place, or every so many milliseconds from its start. */
export type Timing =
  | { readonly by: 'cron'; readonly cron: string; readonly timezone: string }
  | { readonly by: 'interval'; readonly everyMs: number };

/** What a due run does while the one before has not ended. */
export const OVERLAP_POLICIES = ['skip', 'queue', 'cancel_previous'] as const;

/** One of them. */
export type OverlapPolicy = (typeof OVERLAP_POLICIES)[number];

/** Of the runs that came due while nobody was there: the last if it is hardly late, the last in any case, or all up to a number. */
export const CATCH_UP_POLICIES = ['skip', 'once', 'all'] as const;

/** One of them. */
export type CatchUpPolicy = (typeof CATCH_UP_POLICIES)[number];

/** A schedule as it was ordered. Instants are epoch milliseconds. */
export interface ScheduleOrder {
  readonly tenant: TenantId;
  /** Unique in its tenant; the ids of its runs begin with it. */
  readonly id: string;
  readonly timing: Timing;
  /** The order of each run, in whose texts `${scheduled_at}` and the like are replaced. */
  readonly template: TaskSpec;
  /** The template as its requester wrote it, to be shown. */
  readonly written: JsonObject;
  readonly overlap: OverlapPolicy;
  readonly catchUp: CatchUpPolicy;
  /** Missed runs made up for under `all`, the latest ones. */
  readonly catchUpMax: number;
  /** Each run starts up to so much later, by its own name, so that many schedules do not start as one. */
  readonly jitterMs: number;
  readonly startAt: number | null;
  readonly endAt: number | null;
  readonly actor: string;
}

/** A schedule and how far it has come. */
export interface Schedule extends ScheduleOrder {
  readonly state: 'active' | 'paused' | 'ended';
  readonly createdAt: number;
  /** What was due up to here has been decided. */
  readonly decidedUntil: number;
  readonly lastRun: { readonly taskId: TaskId; readonly scheduledAt: number } | null;
  readonly runs: number;
  /** Runs not made because the one before had not ended. */
  readonly skipped: number;
  /** Why the last run that could not be made was not. */
  readonly lastError: string | null;
}

/** A run later than this was missed. */
const LATE_MS = 60_000;

/** Which of the instants that are due, earliest first, become runs now. */
export function runsOf(
  due: readonly number[],
  now: number,
  { catchUp, catchUpMax }: Pick<Schedule, 'catchUp' | 'catchUpMax'>,
): readonly number[] {
  const last = due.at(-1);
  if (last === undefined) return [];
  switch (catchUp) {
    case 'skip':
      return now - last <= LATE_MS ? [last] : [];
    case 'once':
      return [last];
    case 'all':
      return due.slice(-catchUpMax);
  }
}

/** The id of a run: the same for the same instant, whoever makes it and however often. */
export function runIdOf(id: string, scheduledAt: number, byHand = false): TaskId {
  const instant = new Date(scheduledAt).toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '');
  return `${id}.${byHand ? `manual.${scheduledAt}` : instant}` as TaskId;
}

/** The words that stand for something in a template; what is not among them is left as it is. */
export function wordsOf(
  { id, timing }: Pick<Schedule, 'id' | 'timing'>,
  scheduledAt: number,
  previousAt: number | null,
): Readonly<Record<string, string>> {
  const timeZone = timing.by === 'cron' ? timing.timezone : 'UTC';
  return {
    schedule_id: id,
    scheduled_at: new Date(scheduledAt).toISOString(),
    scheduled_date: new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }).format(scheduledAt),
    scheduled_unix: String(Math.floor(scheduledAt / 1_000)),
    previous_at: previousAt === null ? '' : new Date(previousAt).toISOString(),
  };
}

/** The template with its words replaced, in whatever text of what the requester decided. */
export function specOfRun(template: TaskSpec, words: Readonly<Record<string, string>>): TaskSpec {
  const { description, payload, variables, labels, context } = template;
  return {
    ...template,
    description: filled(description, words),
    payload: filled(payload, words),
    variables: filled(variables, words),
    ...(labels === undefined ? {} : { labels: filled(labels, words) }),
    ...(context === undefined ? {} : { context: filled(context, words) }),
  };
}

function filled<Value>(value: Value, words: Readonly<Record<string, string>>): Value {
  return JSON.parse(JSON.stringify(value), (_, inner: unknown) =>
    typeof inner === 'string'
      ? inner.replace(/\$\{([a-z_]+)\}/g, (whole, word: string) =>
          Object.hasOwn(words, word) ? (words[word] ?? whole) : whole,
        )
      : inner,
  ) as Value;
}
