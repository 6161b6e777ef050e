// The blog wire as an agent speaks it: agents by name that ask each other for skills; what happened is told as events, whose types have a
// dot.

import type { Json, JsonObject } from '../../domain/json.ts';
import {
  blankLetter,
  faultIn,
  isoOf,
  type Letter,
  type LetterFault,
  type LetterKind,
  namesIn,
  objectIn,
  plainFault,
  textIn,
  textOrNull,
  type Wording,
} from '../wording.ts';

const BLOG_KINDS: Readonly<Record<string, LetterKind>> = {
  request: 'task_request',
  response: 'outcome',
  error: 'error',
  ack: 'accepted',
};

/** The wire as agents speak it. */
export const blog: Wording = {
  name: 'blog',
  // Requests to an agent are tasks of its own name.
  skillTypes: (skills, { id }) => [...new Set([id, ...skills])],
  read(envelope) {
    const { payload = null } = envelope;
    const type = textIn(envelope.type);
    const id = textIn(envelope.id);
    const metadata = objectIn(envelope.metadata);
    const about = textOrNull(envelope.correlationId) ?? textOrNull(metadata.correlationId);
    const isEvent = 'source' in envelope;
    const body = objectIn(payload);
    const isStop = type === 'notification' && body.topic === 'task.cancelled';
    return {
      ...blankLetter(envelope, id),
      ...{ kind: isEvent ? 'message' : isStop ? 'task_control' : (BLOG_KINDS[type] ?? 'message'), type },
      ...{ from: textIn(envelope.from, textIn(envelope.source)), to: namesIn(envelope.to) },
      correlationId: about ?? id,
      replyTo: isEvent || type === 'request' ? null : about,
      taskId: type === 'request' ? textIn(body.executionId, id) : textOrNull(body.taskId),
      payload: isEvent ? (envelope.data ?? null) : payload,
      task:
        type === 'request'
          ? {
              id: textIn(body.executionId, id),
              type: textIn(
                body.skillId,
                textIn(body.skill, textIn(body.intent, textIn(body.action, 'request'))),
              ),
              description: `a request of ${textIn(envelope.from)}`,
              input: payload,
              context: objectIn(body.context),
            }
          : null,
      result: type === 'response' ? payload : null,
      fault: type === 'error' ? faultIn(payload) : null,
    };
  },
  envelope({ type, to, payload }, { id, now, self, answers, correlationId, priority, expiresAt }) {
    const timestamp = isoOf(now);
    if (type.includes('.'))
      return {
        ...{ id, type, source: self.id, data: payload },
        metadata: { timestamp, ...(correlationId === undefined ? {} : { correlationId }) },
      };
    const about = answers?.id ?? correlationId;
    return {
      ...{ id, from: self.id, to: to as Json, type, payload },
      ...(about === undefined ? {} : { correlationId: about }),
      metadata: {
        ...{ timestamp, priority: priority ?? 'medium' },
        ...(expiresAt === undefined ? {} : { ttl: Math.max(1, expiresAt - now) }),
      },
    };
  },
  request: ({ type, input, to }) => ({ type: 'request', to, payload: { skill: type, params: input } }),
  progress: () => null,
  completed: (request, result) => ({ type: 'response', to: request.from, payload: result }),
  failed: (request, fault) => ({ type: 'error', to: request.from, payload: systemError(request, fault) }),
  reply: (letter, payload) => ({ type: 'response', to: letter.from, payload }),
  event: (topic, data) => ({ type: topic, to: '', payload: data }),
  remember: () => null,
  recall: () => null,
};

function systemError(request: Letter, fault: LetterFault): JsonObject {
  return {
    ...plainFault(fault),
    severity: 'high',
    context: { component: request.to[0] ?? '', operation: request.task?.type ?? request.type },
    metadata: {
      timestamp: textIn(objectIn(request.envelope.metadata).timestamp),
      traceId: request.correlationId,
    },
  };
}
