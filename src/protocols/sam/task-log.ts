// A task's log as readers see it: what was logged while it ran and, from the event log, what happened to it, in one line of time
// (`SAM-62`). Nothing is stored twice for it.

import type { TaskEvent } from '../../domain/event.ts';
import type { Task } from '../../domain/task.ts';
import { LOG_LEVELS, type LogLevel, type LogLine, type LogQuery } from '../../store/rows.ts';
import type { Store } from '../../store/store.ts';

/** How far a reader has come in both sources. */
export interface LogPlace {
  readonly lineId: number;
  readonly sequence: number;
}

/** The beginning of a log. */
export const LOG_START: LogPlace = { lineId: 0, sequence: 0 };

/** Lines in order of time, and where to go on; `more` tells whether there is more right now. */
export interface LogPage {
  readonly lines: readonly LogLine[];
  readonly next: LogPlace;
  readonly more: boolean;
}

interface Entry {
  readonly line: LogLine;
  readonly place: Partial<LogPlace>;
}

const EVENTS_A_LOOK = 1_000;

/** At most `query.limit` lines after a place; the query's filters hold for both sources. */
export async function readTaskLog(
  store: Pick<Store, 'logs' | 'events'>,
  task: Task,
  query: LogQuery,
  place: LogPlace,
): Promise<LogPage> {
  const [lines, events] = await Promise.all([
    store.logs({ ...query, afterId: place.lineId }),
    store.events({ of: 'task', key: task.key, afterSequence: place.sequence, limit: EVENTS_A_LOOK }),
  ]);
  // Beyond the last line of a full look there may be lines that belong before later events; the same the other way round.
  const linesEnd = lines.length === query.limit ? (lines.at(-1)?.at ?? 0) : Number.POSITIVE_INFINITY;
  const eventsEnd = events.length === EVENTS_A_LOOK ? (events.at(-1)?.at ?? 0) : Number.POSITIVE_INFINITY;
  const horizon = Math.min(linesEnd, eventsEnd);
  const fromEvents = events
    .map(event => ({ line: lineOf(event, task), place: { sequence: event.sequence } }))
    .filter(({ line }) => matches(line, query));
  const fromLines = lines.map(line => ({ line, place: { lineId: line.id } }));
  const merged: Entry[] = [...fromEvents, ...fromLines]
    .filter(({ line }) => line.at <= horizon)
    .sort((a, b) => a.line.at - b.line.at);
  const shown = merged.slice(0, query.limit);
  const next: LogPlace = Object.assign({ ...place }, ...shown.map(entry => entry.place));
  return {
    lines: shown.map(({ line }) => line),
    next,
    more: merged.length > query.limit || horizon < Number.POSITIVE_INFINITY,
  };
}

function matches(line: LogLine, query: LogQuery): boolean {
  const { levelMin, since, until, attempt, text } = query;
  if (levelMin !== undefined && LOG_LEVELS.indexOf(line.level) < LOG_LEVELS.indexOf(levelMin)) return false;
  if (since !== undefined && line.at < since) return false;
  if (until !== undefined && line.at >= until) return false;
  if (attempt !== undefined && line.attempt !== attempt) return false;
  return text === undefined || line.message.toLowerCase().includes(text.toLowerCase());
}

function lineOf(event: TaskEvent, task: Task): LogLine {
  const told = telling(event);
  return {
    tenant: task.tenant,
    key: task.key,
    at: event.at,
    component: 'engine',
    attempt: 'attempt' in event ? (event.attempt ?? 0) : 0,
    agentId: null,
    ...told,
  };
}

function telling(event: TaskEvent): Pick<LogLine, 'level' | 'message' | 'metadata'> {
  switch (event.kind) {
    case 'state': {
      const { from, to, actor, reason, error } = event;
      const why = error?.message ?? reason;
      const message = `${from ?? 'new'} -> ${to} by ${actor}${why === undefined ? '' : `: ${why}`}`;
      const level: LogLevel = error === undefined ? 'INFO' : 'ERROR';
      return error === undefined ? { level, message } : { level, message, metadata: { code: error.code } };
    }
    case 'progress': {
      const { percentage, currentStep } = event.progress;
      return {
        level: 'DEBUG',
        message: `${percentage} %${currentStep === undefined ? '' : `: ${currentStep}`}`,
      };
    }
    case 'agent_error':
      return {
        level: 'ERROR',
        message: `agent ${event.agentId}: ${event.error.message}`,
        metadata: { code: event.error.code },
      };
    case 'resource_warning':
      return { level: 'WARN', message: `${event.resource} at ${event.value} of ${event.limit}` };
    case 'note':
      return { level: 'DEBUG', message: event.name, metadata: event.detail };
  }
}
