// A notification in words for people, as mail and chats show it: what it is about, how it stands, how long it took, and why it failed.

import type { NotificationEvent } from '../domain/event.ts';
import type { Task } from '../domain/task.ts';
import type { Words } from './ports/channel.ts';

const VALUE_MAX = 1_000;

const STANDS: Readonly<Record<NotificationEvent, string>> = {
  task_started: 'started',
  task_progress: 'is under way',
  task_completed: 'completed',
  task_failed: 'failed',
  task_timeout: 'timed out',
  task_cancelled: 'was cancelled',
  agent_error: 'lost its agent',
  resource_warning: 'is near a limit',
};

/**
 * The words for an event of a task that its wire calls `about.title`, whose own facts come first; `error` is the failure in the wire's
 * words. Of a sensitive task's failure only the code is told.
 */
export function wordsOf(
  task: Task,
  event: NotificationEvent,
  about: Words,
  error: { readonly code: string; readonly message: string } | undefined = task.result?.error,
): Words {
  // Who asked for failures alone is told of a timeout as one.
  const stands = STANDS[task.outcome === 'timeout' && event === 'task_failed' ? 'task_timeout' : event];
  const { startedAt, endedAt, spec, outcome, id } = task;
  const facts: Words['facts'] = [
    ...about.facts,
    ['Status', outcome ?? task.state],
    ...(startedAt === null || endedAt === null ? [] : [['Duration', lasting(endedAt - startedAt)] as const]),
    ...(error === undefined || outcome === 'completed'
      ? []
      : ([
          ['Error', error.code],
          ...(spec.sensitive === true ? [] : [['Reason', error.message] as const]),
        ] as const)),
    ['Task', id],
  ];
  return {
    title: plain(`${about.title} ${stands}`),
    facts: facts.map(([name, value]) => [name, plain(value).slice(0, VALUE_MAX)]),
  };
}

/** One line that does nothing to a mail's header, a terminal or the direction of a text. */
function plain(text: string): string {
  return text
    .toWellFormed()
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd')
    .trim();
}

/** As `2 h 5 min 3 s`; below a minute in tenths of a second. */
function lasting(ms: number): string {
  if (ms < 60_000) return `${Math.max(0, Math.round(ms / 100)) / 10} s`;
  const seconds = Math.round(ms / 1_000);
  const parts = [
    [Math.floor(seconds / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'min'],
    [seconds % 60, 's'],
  ] as const;
  return parts.flatMap(([count, unit]) => (count === 0 ? [] : [`${count} ${unit}`])).join(' ');
}
