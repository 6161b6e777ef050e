// The army wire as an agent speaks it: roles that write to roles, the agent in its first role and under its own name.

import type { Json, JsonObject } from '../../domain/json.ts';
import {
  blankLetter,
  faultIn,
  faultOr,
  isoOf,
  type LetterKind,
  namesIn,
  objectIn,
  objectOr,
  plainFault,
  taskOf,
  textIn,
  textOrNull,
  type Wording,
} from '../wording.ts';

const ARMY_KINDS: Readonly<Record<string, LetterKind>> = {
  task_request: 'task_request',
  task_update: 'progress',
  task_response: 'outcome',
  error: 'error',
  shutdown: 'task_control',
};

const ARMY_ANSWERS: Readonly<Record<string, string>> = {
  status_query: 'status_response',
  validation_request: 'validation_response',
  memory_query: 'memory_response',
  memory_store: 'memory_response',
};

/** The wire as agents speak it. */
export const army: Wording = {
  name: 'army',
  read(envelope) {
    const { type: wireType, payload: said, metadata: rawMetadata } = envelope;
    const [type, payload, metadata] = [textIn(wireType), objectIn(said), objectIn(rawMetadata)];
    const id = textIn(envelope.id);
    const status = textIn(payload.status);
    const isOutcome = type === 'task_response';
    return {
      ...blankLetter(envelope, id),
      ...{ kind: kindOf(type, payload), type, payload: said ?? null },
      from: addressed(textIn(envelope.from), textOrNull(metadata.from_agent)),
      to: namesIn(envelope.to),
      correlationId: textIn(envelope.correlation_id, id),
      replyTo: textOrNull(envelope.reply_to),
      taskId: textOrNull(payload.task_id) ?? textOrNull(objectIn(payload.context).task_id),
      task:
        type === 'task_request'
          ? taskOf(payload, { type: 'task_type', input: 'parameters' }, objectIn(payload.context))
          : null,
      result: isOutcome ? contentOf(payload.result) : null,
      fault:
        type === 'error'
          ? faultIn(payload)
          : isOutcome && status !== 'completed'
            ? faultOr(payload.error, status)
            : null,
    };
  },
  envelope({ type, to, payload }, { id, now, self, answers, correlationId, priority, expiresAt }) {
    const [role = self.id] = self.roles;
    return {
      ...{ id, timestamp: isoOf(now), from: role, to: to as Json, type, payload },
      ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
      ...(answers === undefined ? {} : { reply_to: answers.id }),
      metadata: {
        priority: priority ?? 'normal',
        from_agent: self.id,
        ...(expiresAt === undefined ? {} : { deadline: isoOf(expiresAt) }),
      },
      protocol_version: '1.0.0',
    };
  },
  request: ({ id, type, description, input, to }) => ({
    ...{ type: 'task_request', to, taskId: id },
    payload: { task_id: id, task_type: type, description, parameters: input },
  }),
  progress: (request, { percentage, note }) => ({
    ...{ type: 'task_update', to: request.from },
    payload: { task_id: request.taskId, status: 'running', progress: percentage, message: note },
  }),
  completed: (request, result) => ({
    ...{ type: 'task_response', to: request.from },
    payload: { task_id: request.taskId, status: 'completed', result: asContent(result) },
  }),
  failed: (request, fault) => ({
    ...{ type: 'task_response', to: request.from },
    payload: {
      ...{ task_id: request.taskId, status: 'failed', result: null },
      error: { ...plainFault(fault), error_code: fault.code },
    },
  }),
  reply: (letter, payload) => ({
    ...{ type: ARMY_ANSWERS[letter.type] ?? 'coordination', to: letter.from },
    payload: letter.type in ARMY_ANSWERS ? payload : { action: 'reply', ...objectOr('content', payload) },
  }),
  event: (topic, data) => ({
    ...{ type: 'coordination', to: 'coordinator' },
    payload: { action: topic, ...objectOr('data', data) },
  }),
  remember: ({ key, value, ttlMs, tags }) => ({
    ...{ type: 'memory_store', to: 'memory' },
    payload: {
      ...{ key, value },
      ...(ttlMs === undefined ? {} : { ttl: `PT${ttlMs / 1_000}S` }),
      ...(tags === undefined ? {} : { tags: [...tags] }),
    },
  }),
  recall: ({ text, limit, tags }) => ({
    ...{ type: 'memory_query', to: 'memory' },
    payload: {
      query: { type: 'semantic_search', text },
      ...(limit === undefined ? {} : { limit }),
      ...(tags === undefined ? {} : { filters: { tags: [...tags] } }),
    },
  }),
};

function addressed(role: string, agent: string | null): string {
  return agent === null || role.includes(':') ? role : `${role}:${agent}`;
}

/** What a task gave: its content, where that is all it has. */
function contentOf(result: Json | undefined): Json {
  const body = objectIn(result);
  return 'content' in body && Object.keys(body).every(key => key === 'content' || key === 'metadata')
    ? (body.content ?? null)
    : (result ?? null);
}

function asContent(result: Json): JsonObject {
  const body = objectIn(result);
  return 'content' in body ? body : { content: result };
}

/** Orders to whoever works on a task come as coordination. */
function kindOf(type: string, { action, task_id: taskId }: JsonObject): LetterKind {
  const isOrder = type === 'coordination' && ['pause', 'resume', 'cancel'].includes(textIn(action));
  return isOrder && typeof taskId === 'string' ? 'task_control' : (ARMY_KINDS[type] ?? 'message');
}
