// The blog wire (blog agents v1.0.0): ACP envelopes between agents, skill executions, content validation, events, errors. This file puts
// its parts together and says where messages go; what each part does stands beside it.

import { DomainError } from '../../domain/errors.ts';
import type { AgentId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfAgent } from '../../domain/message.ts';
import { CHORES, INTENTS, SKILLS, VALIDATORS } from '../../domain/skill.ts';
import { Planner } from '../../engine/planning.ts';
import type { MailRoute } from '../../engine/ports/message-wire.ts';
import { REGISTERED_CONDITIONS } from '../../guards/conditions.ts';
import type { Caller, Dialect, NamedInbox } from '../dialect/dialect.ts';
import type { DialectHands, DialectKit } from '../dialect/hands.ts';
import { checkFilter, isWanted, matchesType } from '../dialect/matching.ts';
import { decode, versionOf } from './decode.ts';
import { createDesks, deskOf } from './desks.ts';
import { encode } from './encode.ts';
import { CODES, ERROR_PAGES, errorBody, errorPayload } from './errors.ts';
import { newsOf, receiptOf, requestOf, stopOf } from './news.ts';
import { PAIRS } from './permissions.ts';
import { ACKS, REPORTS } from './reports.ts';
import { FIELD_REQUIREMENTS } from './requirements.ts';
import { blogRoutes } from './routes.ts';
import { agentMessage, contentValidation, skillExecution, systemError, systemEvent } from './schemas.ts';
import { Settings } from './settings.ts';
import { messageDraft } from './speaking.ts';
import { standInFor, typesOf } from './stand-in.ts';
import {
  BUILT_IN,
  EVENT_TYPES,
  isBuiltIn,
  isEventType,
  MESSAGE_TYPES,
  uuidOf,
  VERSION,
} from './vocabulary.ts';

const TYPES: Dialect['types'] = {
  ...Object.fromEntries(MESSAGE_TYPES.map(type => [type, agentMessage])),
  ...Object.fromEntries(EVENT_TYPES.map(type => [type, systemEvent])),
};

/** Makes the dialect. */
export function createBlogDialect(hands: DialectHands): DialectKit {
  const settings = new Settings(hands.store);
  const planner = new Planner(hands.clock, hands.models);
  const dialect: Dialect = {
    name: 'blog',
    title: 'Blog agents',
    versions: [{ version: VERSION }],
    types: TYPES,
    about,
    idOf: envelope => (isJsonObject(envelope) && typeof envelope.id === 'string' ? envelope.id : null),
    versionOf,
    decode: (envelope, scene) =>
      decode(envelope, scene, {
        directory: hands.mailroom().directory,
        messages: query => hands.mailroom().messages(query),
      }),
    encode,
    inbox: (name, caller) => inboxNamed(hands, name, caller),
    mayWatch: () => false,
    checkSubscription(types, filter) {
      refuseUnknownTypes(types);
      checkFilter(filter);
    },
    wants: (message, subscription) => isWanted(message, subscription, encode),
    requirements: FIELD_REQUIREMENTS,
    signatureAt: ['metadata', 'signature'],
    codes: CODES,
    errorBody,
    errorSchema: systemError,
    errorPages: ERROR_PAGES,
    route: draft => routesOf(hands, draft),
    refusal: (message, error) => {
      if (message.type === 'error' || message.actor === 'system' || isEventType(message.type)) return null;
      const fault = {
        code: error.code,
        message: error.message,
        details: { refused: message.id, ...error.details },
      };
      return messageDraft({
        ...{ tenant: message.tenant, id: uuidOf(`refusal.${message.id}`), type: 'error' },
        ...{ from: message.to[0] ?? 'executor', to: message.from, payload: errorPayload(fault) },
        ...{ correlationId: message.id, taskId: message.taskId, priority: message.priority },
        ...{
          traceId: message.traceId,
          at: hands.clock.now(),
          version: versionOf(message.envelope) ?? VERSION,
        },
        meaning: { act: 'refuse', taskId: message.taskId, fault: { ...fault, recoverable: false } },
      });
    },
    receipt: receiptOf,
    taskRequest: requestOf,
    taskStop: stopOf,
    typesOf,
    taskNews: newsOf,
    tellsOf: ({ spec }) => (SKILLS as readonly string[]).includes(spec.typeName ?? ''),
    routes: blogRoutes(hands, settings),
  };
  return { dialect, participants: createDesks({ ...hands, settings, planner }) };
}

function about() {
  return {
    agents: [...BUILT_IN],
    pairs: PAIRS.map(pair => ({ ...pair, to: [...pair.to] })),
    skills: [...SKILLS],
    chores: [...CHORES],
    intents: Object.keys(INTENTS),
    conditions: [...REGISTERED_CONDITIONS],
    validators: VALIDATORS.map(one => ({ ...one })),
    shapes: {
      SkillExecution: skillExecution,
      ContentValidation: contentValidation,
      SystemEvent: systemEvent,
      SystemError: systemError,
    } as never,
  };
}

async function routesOf(hands: DialectHands, draft: Draft): Promise<readonly MailRoute[]> {
  const { tenant, type, to, from, actor } = draft;
  if (isEventType(type)) return [];
  if (actor !== 'system' && (await isReport(hands, draft))) return [{ inbox: REPORTS, lane: from }];
  const routes = await Promise.all(
    to.map(async (name): Promise<readonly MailRoute[]> => {
      const own = { inbox: inboxOfAgent(name), lane: from };
      // A receiver's own word of receipt is also the acknowledgement of what it was given.
      if (type === 'ack' && actor !== 'system') return [own, { inbox: ACKS, lane: from }];
      if (!isBuiltIn(name) || (type !== 'request' && type !== 'notification')) return [own];
      const remote = await standInFor(hands.engine, tenant, name);
      // What nobody reads is in the log all the same.
      if (type === 'notification') return remote === null ? [] : [own];
      // What was encrypted to the agent elsewhere nobody here can read (`BLOG-103`).
      if (actor === 'system' || (remote !== null && isSealed(draft))) return [own];
      return [{ inbox: deskOf(name), lane: draft.correlationId }];
    }),
  );
  return routes.flat();
}

function isSealed({ envelope }: Draft): boolean {
  const metadata = envelope?.metadata;
  return isJsonObject(metadata) && metadata.encryption === 'end-to-end';
}

/** Whether it is the word of who holds a task on how it ended. */
async function isReport({ engine }: DialectHands, { tenant, meaning, agentId }: Draft): Promise<boolean> {
  if (meaning.act !== 'report_outcome' || agentId === null) return false;
  try {
    const { lease } = await engine.task(tenant, meaning.taskId);
    return lease?.agentId === agentId;
  } catch (error) {
    if (error instanceof DomainError && error.code === 'not_found') return false;
    throw error;
  }
}

async function inboxNamed(hands: DialectHands, name: string, caller: Caller): Promise<NamedInbox> {
  const { directory } = hands.mailroom();
  const isOwn = caller.agentId === name;
  if (!isOwn && !isBuiltIn(name) && (await directory.agent(caller.tenant, name)) === null) {
    throw new DomainError('not_found', `there is no agent ${name}`);
  }
  return {
    inboxes: [inboxOfAgent(name)],
    isOwn,
    worker: isOwn || caller.isOperator ? (name as AgentId) : null,
  };
}

function refuseUnknownTypes(types: readonly string[]): void {
  const unknown = types.filter(pattern => !Object.keys(TYPES).some(type => matchesType(type, [pattern])));
  if (unknown.length === 0) return;
  throw new DomainError('invalid_request', `there are no messages or events of type ${unknown.join(', ')}`, {
    details: { errors: unknown.map(type => ({ field: 'types', message: `names nothing: ${type}` })) },
  });
}
