// Nooble messages v1.1 (`NOOB-1` to `NOOB-161`), and 1.0: puts the parts of the dialect together and answers the questions of the port.

import { DomainError } from '../../domain/errors.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { type Draft, type InboxName, inboxOfAgent, type Message } from '../../domain/message.ts';
import { allows } from '../../domain/principal.ts';
import type { Subscription } from '../../domain/subscription.ts';
import type { Task } from '../../domain/task.ts';
import type { MailRoute } from '../../engine/ports/message-wire.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import type { Caller, Dialect, NamedInbox } from '../dialect/dialect.ts';
import type { DialectHands, DialectKit } from '../dialect/hands.ts';
import { checkFilter, isWanted, matchesType } from '../dialect/matching.ts';
import { CATALOGUE } from './catalogue.ts';
import { Checks, keepable } from './checks.ts';
import { Conversations } from './conversations.ts';
import { decode } from './decode.ts';
import { Dependencies } from './dependencies.ts';
import { createDesk, DESK, isOurs } from './desk.ts';
import { doDuty } from './duties.ts';
import { instantIn, versionIn } from './envelope.ts';
import { CODES, ERROR_PAGES, ERROR_SCHEMA, errorObject } from './errors.ts';
import { Fallbacks } from './fallbacks.ts';
import { invalid } from './faults.ts';
import { Knowledge } from './knowledge-base.ts';
import { meaningOf, translated } from './meanings.ts';
import { newsOf } from './news.ts';
import { Notices } from './notices.ts';
import { OldVersions } from './old-versions.ts';
import { stopOf } from './passing-on.ts';
import { placeOf, placesOf, QUEUES, queueOf } from './queues.ts';
import { refusalOf, uuidOf } from './replies.ts';
import { FIELD_REQUIREMENTS } from './requirements.ts';
import { ResultSchemas } from './result-schemas.ts';
import { TYPES } from './schemas.ts';
import { isBound, Services } from './services.ts';
import { Sessions } from './sessions.ts';
import { Settings } from './settings.ts';
import { taskRoutes } from './task-routes.ts';
import { delegateOf, KINDS, requestOfTask } from './task-terms.ts';
import { templateRoutes } from './template-routes.ts';
import { Templates } from './templates.ts';
import { Tools } from './tools.ts';
import { ALL_PAIRS, halvesOf, PAIRS, ruleOf, SERVICES, serviceOf } from './vocabulary.ts';
import { Worker } from './worker.ts';

/** The dialect. */
export function createNoobleDialect(hands: DialectHands): DialectKit {
  const { store, clock, log, mailroom, outbound, inspector, models } = hands;
  const engine = () => hands.engine;
  const services = new Services(() => mailroom().directory);
  const settings = new Settings(store);
  const sessions = new Sessions(store, settings);
  const schemas = new SchemaGuard(clock, []);
  const results = new ResultSchemas(store, schemas);
  const templates = new Templates(store, results);
  const dependencies = new Dependencies(log, clock, store);
  const tools = new Tools({ store, outbound, schemas, dependencies });
  const conversations = new Conversations(store);
  const named =
    models.length === 0 || models.some(({ anyModel }) => anyModel) ? null : models.flatMap(one => one.models);
  const fallbacks = new Fallbacks(store);
  const notices = new Notices(settings, hands.channels);
  const checks = new Checks({ services, templates, notices, settings, sessions, inspector, models: named });
  const duties = {
    ...{ clock, store, mailroom, engine, models, services, settings, tools, conversations, dependencies },
    ...{ templates, results, knowledge: new Knowledge(hands.memory, clock), sessions, about },
  };
  const worker: Worker = new Worker({ log, clock, store, engine, run: errand => doDuty(errand, duties) });
  const oldVersions = new OldVersions(log);
  const scene: Scene = { hands, services, sessions, checks, fallbacks };
  return {
    dialect: {
      ...wireOf(scene),
      ...WORDS,
      decode: (envelope, at) =>
        decode(envelope, at, { mailroom, services, checks, oldVersions, task: taskIn(hands) }),
      inbox: (name, caller) => inboxOf(name, caller, scene),
      routes: [...templateRoutes(templates, results), ...taskRoutes(store)],
    },
    participants: [
      createDesk({
        ...{ clock, store, mailroom, engine, services, templates, notices },
        ...{ results, fallbacks, tools, worker },
      }),
    ],
    service: {
      async start() {
        await dependencies.start();
        await worker.start();
      },
      async stop() {
        await worker.stop();
        await dependencies.stop();
        await schemas.stop();
      },
    },
  };
}

interface Scene {
  readonly hands: DialectHands;
  readonly services: Services;
  readonly sessions: Sessions;
  readonly checks: Checks;
  readonly fallbacks: Fallbacks;
}

/** What the dialect says of itself whoever asks. */
const WORDS = {
  name: 'nooble',
  title: 'Nooble messages',
  versions: [
    { version: '1.1' },
    { version: '1.0', deprecatedAt: '2025-06-04T00:00:00.000Z', sunsetAt: '2027-06-04T00:00:00.000Z' },
  ],
  types: TYPES,
  about,
  idOf: envelope =>
    isJsonObject(envelope) && typeof envelope.message_id === 'string' ? envelope.message_id : null,
  versionOf: envelope => (isJsonObject(envelope) ? versionIn(envelope) : null),
  keepable,
  checkSubscription,
  nameOf: serviceOf,
  mayWatch: ({ principal }) => allows(principal, 'delivery:manage'),
  requirements: FIELD_REQUIREMENTS,
  signatureAt: ['metadata', 'signature'],
  timestampAt: ['created_at'],
  codes: CODES,
  errorBody: (error, { about: id, origin }) =>
    errorObject(id === null ? error : { ...toldOf(error), details: { ...error.details, message_id: id } }, {
      service: 'agent_orchestrator',
      origin,
    }),
  errorSchema: ERROR_SCHEMA,
  errorPages: ERROR_PAGES,
} satisfies Partial<Dialect>;

function toldOf({ code, message, details, retryAfterMs }: DomainError) {
  return { code, message, details, retryAfterMs };
}

function about(): JsonObject {
  return {
    pairs: ALL_PAIRS.map(pair => {
      const { from, to, needs, kind, answer } = PAIRS[pair] ?? { from: 'any', to: 'any', kind: 'notify' };
      const from_ = typeof from === 'string' ? from : [...from];
      return {
        pair,
        from: from_,
        to,
        kind,
        ...(needs === undefined ? {} : { needs }),
        ...(answer === undefined ? {} : { answer }),
      };
    }),
    services: [...SERVICES],
    queues: QUEUES as unknown as JsonObject,
    error_catalogue: Object.fromEntries(
      Object.entries(CATALOGUE).map(([code, { message, action, common, category, status }]) => [
        code,
        { message: { ...message }, recommended_action: { ...action }, common_code: common, category, status },
      ]),
    ),
    operations: Object.fromEntries(
      Object.entries(KINDS).map(([kind, { timeoutMs, priority }]) => [
        kind,
        { timeout_ms: timeoutMs, priority },
      ]),
    ),
  };
}

function checkSubscription(types: readonly string[], filter: JsonObject | string | null): void {
  const unknown = types.find(one => !ALL_PAIRS.some(pair => matchesType(pair, [one])));
  if (unknown !== undefined)
    throw invalid([{ field: 'types', code: 'VAL_001', message: `${unknown} is nothing that is said here` }]);
  checkFilter(filter);
}

function wireOf({
  hands,
  services,
  fallbacks,
}: Scene): Pick<
  Dialect,
  'route' | 'encode' | 'wants' | 'refusal' | 'taskRequest' | 'taskStop' | 'taskNews' | 'tellsOf'
> {
  const { clock, store } = hands;
  const task = taskIn(hands);
  return {
    route: draft => routed(draft, services, task),
    encode,
    wants,
    refusal: (message, error) => refusalOf(message, error, clock.now()),
    taskRequest: (given, agent, original) => taskDraft(given, agent, original, clock.now()),
    taskStop: (given, agent, reason) => {
      const request = requestOfTask(given);
      const stop = request === null ? null : stopOf(given, request, clock.now(), reason);
      return stop ?? controlDraft(given, agent, reason, clock.now());
    },
    taskNews: (given, event) => newsOf(given, event, { clock, store, fallbacks }),
    tellsOf: given => delegateOf(given) !== null,
  };
}

/** An agent is concerned by what is said to the service of its name. */
function wants(message: Message, subscription: Subscription): boolean {
  const { owner } = subscription;
  const isTo = message.to.includes(serviceOf(owner));
  return isWanted(isTo ? { ...message, to: [...message.to, owner] } : message, subscription, encode);
}

/** The message in this wire's words: as it came, or as it is translated. */
function encode(message: Message): JsonObject {
  if (message.dialect === 'nooble' && message.envelope !== null) return message.envelope;
  return translated(message);
}

async function routed(
  draft: Draft,
  services: Services,
  task: ReturnType<typeof taskIn>,
): Promise<readonly MailRoute[]> {
  const { tenant, type, to, correlationId: lane, envelope, actor, priority, taskId } = draft;
  const session = typeof envelope?.session_id === 'string' ? envelope.session_id : null;
  const [target = ''] = to;
  const place: InboxName = target.startsWith('agent:')
    ? inboxOfAgent(target.slice('agent:'.length))
    : placeOf(target, { pair: type, priority, session });
  if (actor === 'system') return [{ inbox: place, lane }];
  const { domain, action } = halvesOf(type);
  const kind = ruleOf(domain, action)?.kind ?? 'notify';
  if (kind === 'ask' || kind === 'control' || kind === 'beat') return [{ inbox: DESK, lane }];
  if (!(await services.isKnown(tenant, target)))
    throw new DomainError('not_found', `there is no service ${target}`, {
      details: { target_service: target },
    });
  const notBefore = envelope === null ? null : instantIn(envelope, 'scheduled_for');
  const later = notBefore === null ? {} : { notBefore };
  const reported = kind === 'tell' && taskId !== null ? await task(tenant, taskId) : null;
  if (!isOurs(reported)) return [{ inbox: place, lane, ...later }];
  // Of a step it is this server that asked, and the desk that listens.
  const isOfStep = reported?.spec.origin === undefined;
  return [...(isOfStep ? [] : [{ inbox: place, lane, ...later }]), { inbox: DESK, lane }];
}

async function inboxOf(name: string, caller: Caller, { services, sessions }: Scene): Promise<NamedInbox> {
  const queue = queueOf(name, caller.tenant);
  const { service, part } = queue;
  if (part === 'dead') return { inboxes: [], isOwn: false, worker: null, isDead: true };
  const isOwn = caller.agentId !== null && isBound(caller, service);
  if (!isOwn && !(await services.isKnown(caller.tenant, service)))
    throw new DomainError('not_found', `there is no service ${service}`, { details: { service } });
  const known = {
    services: await services.names(caller.tenant),
    sessions: await sessions.ids(caller.tenant),
  };
  const places = placesOf(queue, known);
  if (part !== 'all' && part !== 'tasks') return { inboxes: places, isOwn, worker: null };
  const named = isOwn ? caller.agentId : ((await services.agent(caller.tenant, name))?.agent.id ?? null);
  return { inboxes: named === null ? places : [...places, inboxOfAgent(named)], isOwn, worker: named };
}

/** A task of whatever wire as what this one asks of an agent. */
function taskDraft(task: Task, agent: string, original: Message | null, now: number): Draft {
  const request = requestOfTask(task);
  const id = uuidOf(`${task.tenant}\n${task.executionId}\ntask.${task.attempt}`) as Draft['id'];
  const { spec, tenant } = task;
  const payload = request?.envelope.payload ?? { query: spec.description, input: spec.payload };
  const envelope = {
    ...(request?.envelope ?? {
      ...{ task_id: task.id, tenant_id: tenant, correlation_id: spec.requester.correlationId ?? task.id },
      ...{ schema_version: '1.1', source_service: 'agent_orchestrator', target_service: 'agent_execution' },
      ...{ priority: spec.priority, type: { domain: 'agent', action: 'execute' } },
    }),
    ...{ message_id: id, created_at: new Date(now).toISOString(), status: 'pending' as const, payload },
    metadata: { ...request?.envelope.metadata, source: 'system', retry_count: task.attempt - 1 },
  };
  return {
    ...ofServer(task, agent, id, now),
    type: request === null ? 'agent.execute' : (original?.type ?? 'agent.execute'),
    meaning: meaningOf(envelope),
    envelope,
  };
}

function controlDraft(task: Task, agent: string, reason: string, now: number): Draft {
  const id = uuidOf(`${task.tenant}\n${task.executionId}\nstop.${task.attempt}`) as Draft['id'];
  return {
    ...ofServer(task, agent, id, now),
    type: 'agent.update',
    meaning: { act: 'control_task', taskId: task.id, command: 'cancel', reason, checkpoint: null },
    envelope: null,
  };
}

function ofServer(
  task: Task,
  agent: string,
  id: Draft['id'],
  now: number,
): Omit<Draft, 'type' | 'meaning' | 'envelope'> {
  const { tenant, spec } = task;
  return {
    ...{ tenant, id, dialect: 'nooble', from: 'agent_orchestrator', to: [`agent:${agent}`], replyTo: null },
    ...{ correlationId: spec.requester.correlationId ?? task.id, taskId: task.id, priority: spec.priority },
    ...{ sentAt: now, expiresAt: null, traceId: spec.traceId, actor: 'system', agentId: null },
  };
}

function taskIn({ store }: DialectHands): (tenant: TenantId, id: TaskId) => Promise<Task | null> {
  return async (tenant, id) => (await store.read([{ tenant, id }]))[0] ?? null;
}
