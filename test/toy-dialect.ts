// A fifth wire, which nobody speaks: notes from one agent to another. It shows what a dialect is made of and proves that nothing else must be
// touched to add one.

import Type from 'typebox';
import { DomainError, ERROR_CODES, type ErrorCode } from '../src/domain/errors.ts';
import type { TaskId } from '../src/domain/ids.ts';
import { isJsonObject, type JsonObject } from '../src/domain/json.ts';
import {
  type Draft,
  inboxOfAgent,
  inboxOfDesk,
  type Meaning,
  type Message,
  type MessageId,
} from '../src/domain/message.ts';
import { DEFAULT_PRIORITY, isPriority } from '../src/domain/priority.ts';
import type { Participant } from '../src/engine/ports/participant.ts';
import type { Caller, Decoded, Dialect, EnvelopeScene, WireCode } from '../src/protocols/dialect/dialect.ts';
import type { DialectHands, DialectKit } from '../src/protocols/dialect/hands.ts';
import { checkFilter, isWanted } from '../src/protocols/dialect/matching.ts';
import { bodyCheck } from '../src/protocols/validation.ts';

const note = Type.Object({
  id: Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' }),
  type: Type.Enum(['note', 'work', 'done', 'error']),
  from: Type.String({ minLength: 1 }),
  to: Type.String({ minLength: 1 }),
  about: Type.Optional(Type.String()),
  answers: Type.Optional(Type.String()),
  urgency: Type.Optional(Type.Integer({ minimum: 0, maximum: 9 })),
  at: Type.Optional(Type.String()),
  lives_ms: Type.Optional(Type.Integer({ minimum: 1 })),
  text: Type.Optional(Type.Unknown()),
  signature: Type.Optional(Type.String()),
});
const checkNote = bodyCheck(note);

const CODES = Object.fromEntries(
  Object.keys(ERROR_CODES).map(code => [code, { code: `TOY_${code}`, status: statusOf(code as ErrorCode) }]),
) as unknown as Readonly<Record<ErrorCode, WireCode>>;

/** The desk that hands out work. */
const WORK = inboxOfDesk('toy:work');

/** Makes the dialect. */
export function createToyDialect(hands: DialectHands): DialectKit {
  const dialect: Dialect = {
    name: 'toy',
    title: 'Toy notes',
    versions: [{ version: '1.0.0' }],
    types: { note, work: note, done: note, error: note },
    about: () => ({ roles: [] }),
    idOf: envelope => (isJsonObject(envelope) && typeof envelope.id === 'string' ? envelope.id : null),
    versionOf: () => null,
    decode: async (envelope, scene) => decode(envelope, scene),
    encode,
    inbox: async (name, caller) => ({
      inboxes: [inboxOfAgent(name)],
      isOwn: caller.agentId === name,
      worker: caller.agentId === name || caller.isOperator ? (name as Caller['agentId']) : null,
    }),
    mayWatch: () => false,
    checkSubscription: (_types, filter) => checkFilter(filter),
    wants: (message, subscription) => isWanted(message, subscription, encode),
    requirements: {},
    signatureAt: ['signature'],
    timestampAt: ['at'],
    confidential: ['text'],
    codes: CODES,
    errorBody: (error, { about }) => ({
      code: CODES[error.code].code,
      message: error.message,
      about,
      details: error.details,
    }),
    errorSchema: Type.Object({ code: Type.String() }, { additionalProperties: true }),
    errorPages: {},
    async route({ to, from, meaning, actor }) {
      // What the server itself says of tasks goes to whom it says it.
      if (actor === 'system') return to.map(name => ({ inbox: inboxOfAgent(name), lane: from }));
      if (meaning.act === 'request_task' || meaning.act === 'report_outcome')
        return [{ inbox: WORK, lane: from }];
      return to.map(name => ({ inbox: inboxOfAgent(name), lane: from }));
    },
    refusal: (message, error) =>
      message.type === 'error'
        ? null
        : said(message, `refusal.${message.id}`, {
            act: 'refuse',
            taskId: message.taskId,
            fault: faultOf(error),
          }),
    ...TASK_WORDS,
  };
  return {
    dialect,
    participants: [workDesk(hands)],
  };
}

/** What the toy says of tasks. */
const TASK_WORDS: Pick<Dialect, 'taskRequest' | 'taskStop' | 'taskNews'> = {
  taskRequest: (task, agent) => ({
    ...blank(task.tenant, `task.${task.executionId}.${task.attempt}`, 'work', agent),
    taskId: task.id,
    meaning: {
      act: 'request_task',
      task: {
        taskId: task.id,
        taskType: task.spec.typeName ?? task.spec.type,
        description: task.spec.description,
        input: task.spec.payload,
        terms: {},
        retryCount: task.attempt - 1,
      },
    },
  }),
  taskStop: (task, agent, reason) => ({
    ...blank(task.tenant, `stop.${task.executionId}.${task.attempt}`, 'note', agent),
    meaning: { act: 'control_task', taskId: task.id, command: 'cancel', reason, checkpoint: null },
  }),
  taskNews: (task, event) => {
    const { origin } = task.spec;
    if (event.kind !== 'state' || task.outcome !== event.to || origin === undefined) return [];
    const status = task.outcome === 'completed' ? 'completed' : 'failed';
    return [
      {
        ...blank(task.tenant, `news.${task.executionId}.${event.sequence}`, 'done', origin.from),
        replyTo: origin.messageId as MessageId,
        taskId: task.id,
        meaning: {
          act: 'report_outcome',
          taskId: task.id,
          status,
          result: task.result?.output ?? null,
          error: null,
        },
      },
    ];
  },
};

function workDesk(hands: DialectHands): Participant {
  return {
    name: 'toy work desk',
    inboxes: [WORK],
    async handle(message) {
      const { desk } = hands.mailroom();
      const { meaning } = message;
      if (meaning.act === 'report_outcome') await desk.outcome(message, meaning);
      if (meaning.act === 'request_task') await desk.order(message, meaning.task, { byAgents: true });
      return [
        said(message, `accept.${message.id}`, {
          act: 'accept',
          status: 'accepted',
          taskId: message.taskId,
          detail: {},
        }),
      ];
    },
  };
}

function decode(envelope: JsonObject, scene: EnvelopeScene): Decoded {
  const faults = checkNote(envelope) ?? [];
  if (faults.length > 0)
    throw new DomainError('invalid_request', 'the note is not valid', {
      details: { errors: faults.map(one => ({ ...one })) },
    });
  const {
    id,
    type,
    from,
    to,
    about,
    answers,
    urgency,
    lives_ms: livesMs,
    text,
  } = envelope as unknown as {
    readonly id: string;
    readonly type: string;
    readonly from: string;
    readonly to: string;
    readonly about?: string;
    readonly answers?: string;
    readonly urgency?: number;
    readonly lives_ms?: number;
    readonly text?: never;
  };
  const { caller, now, traceId } = scene;
  if (caller.agentId !== from && !caller.isOperator)
    throw new DomainError('forbidden', `you are not ${from}`);
  const taskId = type === 'work' || type === 'done' ? ((about ?? id) as TaskId) : null;
  return {
    senderInbox: inboxOfAgent(from),
    draft: {
      ...{
        tenant: caller.tenant,
        id: id as MessageId,
        dialect: 'toy',
        type,
        from,
        to: [to],
        taskId,
        traceId,
      },
      ...{ correlationId: about ?? id, replyTo: (answers ?? null) as MessageId | null, sentAt: now },
      priority: urgency !== undefined && isPriority(urgency) ? urgency : DEFAULT_PRIORITY,
      expiresAt: livesMs === undefined ? null : now + livesMs,
      ...{ actor: caller.principal.id, agentId: caller.agentId, envelope },
      meaning: meaningOf(type, taskId, text ?? null),
    },
  };
}

function meaningOf(
  type: string,
  taskId: TaskId | null,
  text: Meaning extends infer _ ? JsonObject[string] : never,
): Meaning {
  if (type === 'work' && taskId !== null)
    return {
      act: 'request_task',
      task: { taskId, taskType: 'toy', description: 'a note', input: text ?? null, terms: {}, retryCount: 0 },
    };
  if (type === 'done' && taskId !== null)
    return { act: 'report_outcome', taskId, status: 'completed', result: text ?? null, error: null };
  return { act: 'say', body: text ?? null };
}

function encode(message: Message): JsonObject {
  if (message.envelope !== null && message.dialect === 'toy') return message.envelope;
  const { id, type, from, to, correlationId, replyTo, taskId, meaning } = message;
  return {
    ...{
      id,
      type: Object.hasOwn({ note, work: note, done: note, error: note }, type) ? type : 'note',
      from,
      to: to[0] ?? '',
    },
    about: taskId ?? correlationId,
    ...(replyTo === null ? {} : { answers: replyTo }),
    text: meaning as unknown as JsonObject,
  };
}

function said(message: Message, id: string, meaning: Meaning): Draft {
  return {
    ...blank(message.tenant, id, meaning.act === 'refuse' ? 'error' : 'note', message.from),
    ...{ correlationId: message.correlationId, replyTo: message.id, taskId: message.taskId, meaning },
  };
}

function blank(tenant: Message['tenant'], id: string, type: string, to: string): Omit<Draft, 'meaning'> {
  return {
    ...{
      tenant,
      id: id as MessageId,
      dialect: 'toy',
      type,
      from: 'batuta',
      to: [to],
      correlationId: id,
      replyTo: null,
      taskId: null,
    },
    ...{
      priority: DEFAULT_PRIORITY,
      sentAt: 0,
      expiresAt: null,
      traceId: '0'.repeat(32),
      actor: 'system',
      agentId: null,
      envelope: null,
    },
  };
}

function faultOf({ code, message, details }: DomainError) {
  return { code, message, details, recoverable: false };
}

function statusOf(code: ErrorCode): number {
  const known: Partial<Record<ErrorCode, number>> = {
    ...{
      unauthenticated: 401,
      forbidden: 403,
      not_found: 404,
      conflict: 409,
      lease_lost: 409,
      invalid_transition: 409,
    },
    ...{
      payload_too_large: 413,
      unprocessable: 422,
      policy_violation: 422,
      rate_limited: 429,
      unavailable: 503,
      internal: 500,
    },
  };
  return known[code] ?? 400;
}
