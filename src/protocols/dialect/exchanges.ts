// What was said under one correlation id, for who took part or watches over all: as JSON in the wire's words, or as a sequence diagram.

import Type from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Message } from '../../domain/message.ts';
import type { Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import { callerOf } from './callers.ts';
import { mayShow } from './clear-text.ts';
import { encoded } from './encoded.ts';
import type { DialectRouteParts } from './routes.ts';
import { maySee } from './streams.ts';

const SHOWN_MAX = 1_000;

const step = Type.Object({
  message_id: Type.String(),
  protocol: Type.String(),
  type: Type.String(),
  from: Type.String(),
  to: Type.Array(Type.String()),
  reply_to: Type.Union([Type.String(), Type.Null()]),
  task_id: Type.Union([Type.String(), Type.Null()]),
  accepted_at: Type.String({ format: 'date-time' }),
  message: Type.Object({}, { additionalProperties: true }),
});

/** The route that shows an exchange. */
export function exchangeRoutes({ dialect, mailroom }: DialectRouteParts): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `/protocols/${dialect.name}/exchanges/:correlation`,
      summary: 'Every message of a correlation id, in order, or a diagram of them',
      tag: dialect.name,
      access: 'message:receive',
      rate: 'standard',
      params: Type.Object({ correlation: Type.String({ minLength: 1, maxLength: 200 }) }),
      query: Type.Object({
        format: Type.Optional(
          Type.Enum(['json', 'mermaid'], { description: 'json when absent; mermaid: a sequence diagram.' }),
        ),
      }),
      answers: {
        200: Type.Object(
          {
            correlation_id: Type.String(),
            messages: Type.Array(step),
            truncated: Type.Boolean(),
          },
          { orText: 'text/plain' },
        ),
      },
      async handle({ principal, params: { correlation }, query, isPrivate }) {
        const caller = await callerOf(principal, mailroom.directory);
        const { tenant } = caller;
        const found = await mailroom.messages({ tenant, correlationId: correlation, limit: SHOWN_MAX + 1 });
        const messages = found
          .slice(0, SHOWN_MAX)
          .filter(one => maySee(one, caller, dialect) && mayShow(one, { isPrivate }));
        // Whether there is something that is none of the caller's business is none of its business either.
        if (messages.length === 0)
          throw new DomainError('not_found', `there is no exchange ${correlation}`, {
            details: { correlation_id: correlation },
          });
        const truncated = found.length > SHOWN_MAX;
        if (query.format === 'mermaid')
          return {
            ...{ kind: 'text', status: 200, contentType: 'text/plain; charset=utf-8' },
            body: diagramOf(messages, truncated),
          };
        const shown = messages.map(one => ({ ...headOf(one), message: encoded(one, dialect) }));
        return json(200, { correlation_id: correlation, messages: shown, truncated });
      },
    }),
  ];
}

function headOf(message: Message): JsonObject {
  const { id, dialect, type, from, to, replyTo, taskId, acceptedAt } = message;
  return {
    ...{ message_id: id, protocol: dialect, type, from, to: [...to], reply_to: replyTo, task_id: taskId },
    accepted_at: new Date(acceptedAt).toISOString(),
  };
}

/** Messages as a Mermaid sequence diagram: solid lines ask, dashed ones answer, crosses tell of failure, notes are for everyone. */
export function diagramOf(messages: readonly Message[], truncated = false): string {
  const names = [...new Set(messages.flatMap(({ from, to }) => [from, ...to]))];
  const idOf = new Map(names.map((name, index) => [name, `p${index}`]));
  const lines = messages.flatMap(message => {
    const { from, to, type } = message;
    const said = `${arrowless(type)}${hintOf(message)}`;
    if (to.length === 0) return [`  Note over ${idOf.get(from)}: ${said}`];
    return to.map(one => `  ${idOf.get(from)}${arrowOf(message)}${idOf.get(one)}: ${said}`);
  });
  return [
    'sequenceDiagram',
    ...names.map(name => `  participant ${idOf.get(name)} as ${arrowless(name)}`),
    ...lines,
    ...(truncated ? [`  Note over p0: only the first ${SHOWN_MAX} messages are shown`] : []),
    '',
  ].join('\n');
}

function arrowOf({ meaning, replyTo }: Message): string {
  const failed =
    meaning.act === 'refuse' || (meaning.act === 'report_outcome' && meaning.status !== 'completed');
  if (failed) return '--x';
  return replyTo === null ? '->>' : '-->>';
}

/** What a type alone does not tell. */
function hintOf({ meaning }: Message): string {
  switch (meaning.act) {
    case 'request_task':
      return ` (${arrowless(meaning.task.taskType)})`;
    case 'report_progress':
      return meaning.percentage === null ? '' : ` (${meaning.percentage} #37;)`;
    case 'report_outcome':
      return ` (${meaning.status})`;
    case 'control_task':
      return ` (${meaning.command})`;
    case 'refuse':
      return ` (${meaning.fault.code})`;
    case 'notify':
      return ` (${arrowless(meaning.topic)})`;
    case 'remember':
      return ` (${arrowless(meaning.key)})`;
    case 'accept':
    case 'ask_status':
    case 'recall':
    case 'tell_memory':
    case 'ask_validation':
    case 'tell_validation':
    case 'beat':
    case 'say':
      return '';
  }
}

/** Text that cannot be taken for a part of the diagram: whatever may mean something there is written as its number. */
function arrowless(text: string): string {
  const shown = text.length > 120 ? `${text.slice(0, 119)}…` : text;
  const safe = shown.replace(/[^\p{L}\p{N} _.,/@:-]/gu, character => `#${character.codePointAt(0)};`);
  return safe.trim() === '' ? '#32;' : safe;
}
