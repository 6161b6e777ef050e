// When a schedule is due. Pure: the instants of a timing between two others, in the time zone it names (decision 0013).

import { Cron } from 'croner';
import { DomainError } from '../domain/errors.ts';
import type { Schedule, Timing } from '../domain/schedule.ts';

/** Instants counted one by one at a time; of more only the latest half or so are looked at. */
const COUNTED_MAX = 1_000;

/** Throws `invalid_request`, with `details.errors`, for a timing that is none or never due. */
export function checkTiming(timing: Timing, now: number): void {
  if (timing.by === 'interval') return;
  try {
    if (cronOf(timing).nextRun(new Date(now)) !== null) return;
  } catch (error) {
    const { message } = error as Error;
    if (/time ?zone/i.test(message)) throw fault('timezone', 'is not the name of a time zone');
    throw fault('cron', `is not five fields of a cron schedule: ${message}`);
  }
  throw fault('cron', 'is never due');
}

/** The instants due after one and up to another, earliest first; of very many the latest, five hundred at least. */
export function dueBetween(
  { timing, startAt, createdAt }: Pick<Schedule, 'timing' | 'startAt' | 'createdAt'>,
  after: number,
  until: number,
): readonly number[] {
  const next = stepper(timing, startAt ?? createdAt);
  let from = after;
  for (let due = listed(next, from, until); ; due = listed(next, from, until)) {
    if (due.length < COUNTED_MAX) return due;
    from = until - Math.ceil((until - from) / 2);
  }
}

/** The next instants due after one, at most so many. */
export function nextDue(
  { timing, startAt, createdAt, endAt }: Pick<Schedule, 'timing' | 'startAt' | 'createdAt' | 'endAt'>,
  after: number,
  count: number,
): readonly number[] {
  const next = stepper(timing, startAt ?? createdAt);
  const due: number[] = [];
  for (let at = next(after); at !== null && due.length < count; at = next(at)) {
    if (endAt !== null && at > endAt) break;
    due.push(at);
  }
  return due;
}

function fault(field: string, message: string): DomainError {
  return new DomainError('invalid_request', `${field} ${message}`, {
    details: { errors: [{ field, message }] },
  });
}

function listed(next: (after: number) => number | null, after: number, until: number): number[] {
  const due: number[] = [];
  for (let at = next(after); at !== null && at <= until && due.length < COUNTED_MAX; at = next(at))
    due.push(at);
  return due;
}

/** From an instant to the next one that is due after it. */
function stepper(timing: Timing, startAt: number): (after: number) => number | null {
  if (timing.by === 'interval') {
    const { everyMs } = timing;
    return after => startAt + Math.max(0, Math.floor((after - startAt) / everyMs) + 1) * everyMs;
  }
  const cron = cronOf(timing);
  return after => cron.nextRun(new Date(after))?.getTime() ?? null;
}

function cronOf({ cron, timezone }: Timing & { readonly by: 'cron' }): Cron {
  return new Cron(cron, { mode: '5-part', timezone, paused: true });
}
