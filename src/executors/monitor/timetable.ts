// When runs are due (`SAM-171`): a grid of instants that begins with the task and is kept through pauses and restarts. Pure.

import { Cron } from 'croner';
import type { Schedule } from './payload.ts';

/** When to run. */
export interface Timetable {
  /** The first run due at or after an instant, epoch milliseconds; null where there is none. */
  dueFrom(instant: number, startedAt: number): number | null;
  /** How many runs are due from one instant to before another; of more than a thousand, a thousand. */
  dueBetween(from: number, until: number, startedAt: number): number;
}

const COUNTED_MAX = 1_000;

/** Every so many milliseconds from the start on. */
export function everyInterval(everyMs: number): Timetable {
  const dueFrom = (instant: number, startedAt: number): number =>
    startedAt + Math.max(0, Math.ceil((instant - startedAt) / everyMs)) * everyMs;
  return {
    dueFrom,
    dueBetween(from, until, startedAt) {
      const first = dueFrom(from, startedAt);
      return Math.min(COUNTED_MAX, Math.max(0, Math.ceil((until - first) / everyMs)));
    },
  };
}

/** By the clock on the wall of a place: five fields, in a time zone. Throws an `Error` that says what is wrong with them. */
export function byCron(fields: string, timezone: string): Timetable {
  const cron = new Cron(fields, { mode: '5-part', timezone, paused: true });
  const dueAfter = (instant: number): number | null => cron.nextRun(new Date(instant))?.getTime() ?? null;
  // The library means what comes after, which is a whole second later at the least.
  const dueFrom = (instant: number): number | null => dueAfter(instant - 1);
  return {
    dueFrom,
    dueBetween(from, until) {
      let count = 0;
      for (let due = dueFrom(from); due !== null && due < until && count < COUNTED_MAX; due = dueAfter(due))
        count++;
      return count;
    },
  };
}

/** The timetable of a schedule; throws an `Error` for fields or a time zone that are none. */
export function timetableOf({ interval, cron, timezone }: Schedule): Timetable {
  if (cron !== undefined) return byCron(cron, timezone ?? 'UTC');
  return everyInterval((interval ?? 0) * 1_000);
}
