// The task wire, task messages 1.0.0: what its envelopes mean, where they go, and how this server answers in it.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfAgent, type Message } from '../../domain/message.ts';
import type { MailRoute } from '../../engine/ports/message-wire.ts';
import type { Caller, Dialect } from '../dialect/dialect.ts';
import type { DialectHands, DialectKit } from '../dialect/hands.ts';
import { checkFilter, isWanted, matchesType } from '../dialect/matching.ts';
import { Commands } from './commands.ts';
import { Control } from './control.ts';
import { createCoordinator } from './coordinator.ts';
import { decode, versionOf } from './decode.ts';
import { CODES, ERROR_PAGES, errorBody, errorSchema, failureFields } from './errors.ts';
import { fieldsOf } from './meaning.ts';
import { reachesAsIs, requestFor, stopFor, taskNews } from './news.ts';
import type { TaskParts } from './parts.ts';
import { createJudge, RULES } from './permissions.ts';
import { headersOf, tryNews, unrecoverableNews } from './published.ts';
import { Reports } from './reports.ts';
import { FIELD_REQUIREMENTS } from './requirements.ts';
import { createResourceManager } from './resource-manager.ts';
import { taskRoutes } from './routes.ts';
import { SCHEMAS } from './schemas.ts';
import { createService } from './service.ts';
import { SharedStates } from './shared-state.ts';
import { emitted, idFor, utterance } from './utterance.ts';
import {
  CONFIDENTIAL,
  COORDINATOR,
  COORDINATOR_DESK,
  instant,
  isSealed,
  RESOURCE_DESK,
  RESOURCE_MANAGER,
  TASK,
  VERSION,
  versionFor,
} from './vocabulary.ts';

const ERRORS: readonly string[] = ['protocol.error', 'task.control.reject', 'resource.denied'];

/** Makes the dialect. */
export function createTaskDialect(hands: DialectHands): DialectKit {
  const { clock, store } = hands;
  const parts: TaskParts = {
    ...hands,
    commands: new Commands(store, () => clock.now()),
    states: new SharedStates(store),
    reports: new Reports(store),
  };
  const control = new Control(parts);
  const resources = createResourceManager(parts);
  return {
    dialect: dialectOf(parts),
    participants: [createCoordinator(parts, control), resources.participant],
    service: createService(parts, { control, resources }),
  };
}

function dialectOf(parts: TaskParts): Dialect {
  const judge = createJudge(parts);
  return {
    name: TASK,
    title: 'Task messages',
    versions: VERSIONS,
    types: SCHEMAS,
    about: () => ABOUT,
    idOf: envelope =>
      isJsonObject(envelope) && typeof envelope.message_id === 'string' ? envelope.message_id : null,
    versionOf,
    decode: (envelope, scene) => decode(envelope, scene, judge),
    encode,
    inbox: async (name, caller) => inboxNamed(name, caller),
    mayWatch: () => false,
    checkSubscription,
    wants: (message, subscription) => isWanted(message, subscription, encode),
    requirements: FIELD_REQUIREMENTS,
    signatureAt: ['signature'],
    confidential: CONFIDENTIAL,
    codes: CODES,
    errorBody,
    errorSchema,
    errorPages: ERROR_PAGES,
    routes: taskRoutes(parts),
    route: async draft => routesOf(draft),
    refusal: (message, error) => refusalOf(message, error, parts),
    unrecoverable: (lost, error) => unrecoverableNews(lost, error, parts),
    callTried: (message, tried) => tryNews(message, tried, parts.clock.now()),
    headersOf,
    reachesAsIs,
    taskRequest: (task, agent) => requestFor(task, agent, parts.clock.now()),
    taskStop: (task, agent, reason) => stopFor(task, agent, reason, parts.clock.now()),
    taskNews: (task, event) => taskNews(task, event, parts),
  };
}

const VERSIONS: Dialect['versions'] = [
  {
    version: VERSION,
    changes:
      'Task protocols 1.0.0, the first: submission, status reports, control of tasks and of resources, events, shared state, protocol errors.',
  },
];

const ABOUT: JsonObject = {
  receivers: [COORDINATOR, RESOURCE_MANAGER],
  topics: Object.keys(SCHEMAS),
  permissions: Object.fromEntries(
    Object.entries(RULES).map(([type, { who, orSubmitter, to }]) => [
      type,
      { who, ...(orSubmitter === true ? { or: 'the submitter of the task' } : {}), to },
    ]),
  ),
};

/** As it came where that is signed or encrypted, else with what it lacked; what came by another wire in this one's words. */
function encode(message: Message): JsonObject {
  const { envelope, dialect, id, type, from, to, correlationId, replyTo, sentAt, acceptedAt, traceId } =
    message;
  if (envelope !== null && dialect === TASK) {
    if (message.actor === 'system' || isSealed(envelope)) return envelope;
    const { command: _, message_type: __, type: bare, ...rest } = envelope;
    const kind = type === 'task.submit' && bare !== type ? { task_type: envelope.task_type ?? bare } : {};
    const known = { message_id: id, from, timestamp: instant(sentAt), protocol_version: VERSION };
    return { ...known, ...rest, ...kind, type };
  }
  return emitted({
    ...{ message_id: id, from, to: [...to], correlation_id: correlationId, timestamp: instant(acceptedAt) },
    ...(replyTo === null ? {} : { reply_to: replyTo }),
    ...{ trace_id: traceId, protocol_version: VERSION, priority: message.priority },
    ...fieldsOf(message),
  });
}

function inboxNamed(
  name: string,
  { agentId, principal, isOperator }: Caller,
): Awaited<ReturnType<Dialect['inbox']>> {
  const isOwn = (agentId ?? principal.id) === name;
  const worker = agentId === name || (isOperator && principal.id !== name);
  return {
    inboxes: [inboxOfAgent(name)],
    isOwn,
    worker: worker ? (name as NonNullable<Caller['agentId']>) : null,
  };
}

/** Requests go to the desk that answers them; a holder's word on a command to whom it is for, and to the coordinator. */
function routesOf({ type, to, actor, from, taskId, correlationId, meaning }: Draft): readonly MailRoute[] {
  const agents = to.filter(name => actor === 'system' || name !== COORDINATOR);
  const named = agents.map(name => ({ inbox: inboxOfAgent(name), lane: from }));
  if (actor === 'system') return named;
  const lane = taskId ?? correlationId;
  if (type === 'resource.allocate' || type === 'resource.release') return [{ inbox: RESOURCE_DESK, lane }];
  const desk = to.includes(COORDINATOR) ? [{ inbox: COORDINATOR_DESK, lane }] : [];
  // That a command was obeyed is told by the coordinator, once it is so.
  const isTold = meaning.act === 'refuse' || (meaning.act === 'accept' && meaning.status === 'accepted');
  return isTold ? [...named, ...desk] : desk;
}

/** Errors are told about anything but errors (`TASK-103`). */
function refusalOf(message: Message, error: DomainError, { clock }: TaskParts): Draft | null {
  const { tenant, id, type, from, correlationId, traceId, taskId, actor } = message;
  const { code, message: why, details } = error;
  if (ERRORS.includes(type) || actor === 'system') return null;
  const about = { ...details, ...(taskId === null ? {} : { task_id: taskId }) };
  const fields = failureFields({ code, message: why, details: about }, { about: id, traceId });
  return utterance(
    {
      ...{ tenant, id: idFor('refusal', id), to: [from], now: clock.now(), correlationId, traceId },
      ...{ taskId, replyTo: id, version: versionFor(message.envelope?.protocol_version) },
    },
    { type: 'protocol.error', ...fields },
    { act: 'refuse', taskId, fault: { code, message: why, details: about, recoverable: false } },
  );
}

function checkSubscription(types: readonly string[], filter: JsonObject | string | null): void {
  checkFilter(filter);
  const topics = Object.keys(SCHEMAS);
  const unknown = types.filter(pattern => !topics.some(topic => matchesType(topic, [pattern])));
  if (unknown.length > 0)
    throw new DomainError('invalid_request', `there is no topic ${unknown.join(', ')}`, {
      details: { topics, errors: unknown.map(name => ({ field: 'types', message: `${name} is no topic` })) },
    });
}
