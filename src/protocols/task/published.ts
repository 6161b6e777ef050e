// What is published beside the news of tasks: what stands beside every message (`TASK-43`), each try to call a subscriber (`TASK-57`), and
// what is past help, of which operators are told besides (`TASK-59`).

import type { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Draft, Message } from '../../domain/message.ts';
import type { CallTry, Lost } from '../../engine/ports/message-wire.ts';
import { CODES } from './errors.ts';
import type { TaskParts } from './parts.ts';
import { idFor, utterance } from './utterance.ts';
import { DEFAULT_TOPIC, instant, TASK } from './vocabulary.ts';

/** Events about what is published; nothing is published about them, or it would never end. */
const ABOUT_PUBLISHING: readonly unknown[] = ['delivery_try', 'unrecoverable'];

/** The headers of a message (`TASK-43`), but for the content type, which whoever writes it knows. */
export function headersOf(message: Message): Readonly<Record<string, string | null>> {
  const { id, type, taskId, correlationId, sentAt, traceId } = message;
  return {
    ...{ message_id: id, type, task_id: taskId, correlation_id: correlationId },
    ...{ timestamp: instant(sentAt), trace_id: traceId },
  };
}

/** A try to call a subscriber (`TASK-57`). */
export function tryNews(message: Message, tried: CallTry, now: number): Draft | null {
  if (isAboutPublishing(message)) return null;
  const { subscription, attempt, endpoint, outcome, status, retryInMs } = tried;
  const timedOut = outcome === 'delivered' ? {} : { code: status === null ? 'COM001' : 'COM002' };
  const detail = {
    ...{ message_id: message.id, subscription, attempt, endpoint, outcome, status, ...timedOut },
    retry_in_ms: retryInMs,
  };
  return said(message, `${subscription}.${message.id}.${attempt}`, { event: 'delivery_try', detail }, now);
}

/** What nobody will get: logged, in the audit as an alert, and published (`TASK-59`). */
export function unrecoverableNews(
  lost: Lost & { readonly envelope?: JsonObject | null },
  error: DomainError,
  { log, audit, clock }: Pick<TaskParts, 'log' | 'audit' | 'clock'>,
): Draft | null {
  const { tenant, id, type, taskId, traceId } = lost;
  const { code, message, details } = error;
  const { code: word, severity } = CODES[code];
  const wire = { code: word, ...(severity === undefined ? {} : { severity }) };
  const context = { message_id: id, type, task_id: taskId, ...details };
  log.error('a message is past help', {
    protocol: TASK,
    alert: 'unrecoverable',
    ...wire,
    context,
    traceId,
    why: message,
  });
  const detail = { ...context, ...wire, message, trace_id: traceId };
  audit.record({
    ...{ tenant, action: 'alert.unrecoverable', principal: 'system', object: id },
    detail: { dialect: TASK, ...detail },
  });
  if (isAboutPublishing(lost)) return null;
  return said(lost, id, { event: 'unrecoverable', detail }, clock.now());
}

function isAboutPublishing({
  type,
  envelope,
}: Pick<Lost, 'type'> & { readonly envelope?: JsonObject | null }): boolean {
  return type === DEFAULT_TOPIC && ABOUT_PUBLISHING.includes(envelope?.event);
}

/** To nobody but those who subscribed. */
function said(
  { tenant, taskId, correlationId, traceId }: Lost,
  cause: string,
  fields: { readonly event: string; readonly detail: JsonObject },
  now: number,
): Draft {
  const task = taskId === null ? {} : { task_id: taskId };
  return utterance(
    { tenant, id: idFor(fields.event, cause), to: [], now, correlationId, traceId, taskId },
    { type: DEFAULT_TOPIC, ...task, ...fields },
  );
}
