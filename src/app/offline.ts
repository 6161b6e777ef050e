// The wires without a server: reads messages with the real dialects, for whoever checks or translates a file. What only a server can know
// (that an agent is registered, that a message or task is there) is taken for granted, and said so.

import { DomainError } from '../domain/errors.ts';
import type { AgentId, TenantId } from '../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import type { Draft, Message } from '../domain/message.ts';
import { PERMISSIONS, type Principal } from '../domain/principal.ts';
import type { Task } from '../domain/task.ts';
import type { AgentView, EngineApi } from '../engine/api.ts';
import type { Mailroom } from '../engine/mailroom/mailroom.ts';
import type { Caller, Dialect } from '../protocols/dialect/dialect.ts';
import type { DialectHands } from '../protocols/dialect/hands.ts';
import { requirementOf } from '../protocols/dialect/requirements.ts';
import { bodyCheck } from '../protocols/validation.ts';
import { systemClock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import { createDialects } from './registry.ts';

/** What is wrong with a message, and where. */
export interface MessageFault {
  /** Path in the message; empty for the whole. */
  readonly field: string;
  readonly message: string;
  /** The id of what is broken, such as `ARMY-2`; null where the wire names none. */
  readonly requirement: string | null;
}

type FieldFault = Omit<MessageFault, 'requirement'>;

/** A message, judged. */
export interface Verdict {
  readonly valid: boolean;
  /** The type it was read as; null where it could not be read. */
  readonly type: string | null;
  readonly faults: readonly MessageFault[];
  /** What a server would look up. */
  readonly assumed: readonly string[];
}

/** The names of the wires there are. */
export function dialectNames(): readonly string[] {
  return bench({}, []).map(({ name }) => name);
}

/** The wires, as they say what they are. */
export function dialectsAtRest(): readonly Dialect[] {
  return bench({}, []);
}

/** Whether a server would take the message, and if not why. Throws `invalid_request` for a wire there is not. */
export async function judgeMessage(envelope: Json, protocol: string): Promise<Verdict> {
  const assumed: string[] = [];
  const dialect = dialectOf(protocol, envelope, assumed);
  const named = (faults: readonly FieldFault[]): readonly MessageFault[] =>
    faults.map(fault => ({
      ...fault,
      requirement: requirementOf(dialect.requirements, envelope, fault.field),
    }));
  try {
    const draft = await decoded(dialect, envelope);
    const faults = named(faultsAsSent(dialect, draft));
    return { valid: faults.length === 0, type: draft.type, faults, assumed: distinct(assumed) };
  } catch (error) {
    if (!(error instanceof DomainError) || error.code === 'internal') throw error;
    if (error.code === 'unavailable')
      return { valid: true, type: null, faults: [], assumed: distinct([...assumed, error.message]) };
    return { valid: false, type: null, faults: named(faultsOf(error)), assumed: distinct(assumed) };
  }
}

/** The message in another wire's words; throws what is wrong with it, or `unprocessable` where that wire has no words for it. */
export async function translateMessage(
  envelope: Json,
  way: { readonly from: string; readonly to: string },
): Promise<JsonObject> {
  const draft = await decoded(dialectOf(way.from, envelope, []), envelope);
  return dialectOf(way.to, envelope, []).encode(keptAs(draft));
}

function dialectOf(protocol: string, envelope: Json, assumed: string[]): Dialect {
  const dialects = bench(isJsonObject(envelope) ? envelope : {}, assumed, protocol);
  const found = dialects.find(({ name }) => name === protocol);
  if (found !== undefined) return found;
  const names = dialects.map(({ name }) => name).join(', ');
  throw new DomainError('invalid_request', `there is no protocol ${protocol}`, {
    details: { hint: `one of ${names}` },
  });
}

async function decoded(dialect: Dialect, envelope: Json): Promise<Draft> {
  if (!isJsonObject(envelope)) throw new DomainError('invalid_request', 'a message is an object');
  const tenant = (typeof envelope.tenant_id === 'string' ? envelope.tenant_id : 'default') as TenantId;
  const { draft } = await dialect.decode(envelope, {
    caller: speakerOf(envelope, tenant, dialect),
    now: systemClock.now(),
    traceId: '0'.repeat(32),
    headers: {},
    isPrivate: true,
    newId: () => systemRandom.uuid(),
  });
  return draft;
}

/** Whoever the message says it is from, in every role there is; a role that names no agent is spoken for by an operator. */
function speakerOf(envelope: JsonObject, tenant: TenantId, dialect: Dialect): Caller {
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  const named = metadata.from_agent ?? envelope.from ?? envelope.source_service ?? envelope.source;
  const name = typeof named === 'string' ? named.slice(named.indexOf(':') + 1) : 'somebody';
  const permissions = new Set(PERMISSIONS);
  const principal: Principal = { tenant, id: `key:${name}`, method: 'system', permissions };
  const { roles } = dialect.about();
  if (Array.isArray(roles) && roles.includes(name))
    return { principal, tenant, agentId: null, agent: null, isOperator: true };
  const agentId = name as AgentId;
  const agent = agentView(tenant, name, dialect);
  return { principal: { ...principal, agentId }, tenant, agentId, agent, isOperator: false };
}

function agentView(tenant: TenantId, name: string, dialect: Dialect): AgentView {
  const { roles } = dialect.about();
  const known = Array.isArray(roles) ? roles.map(role => `${dialect.name}:${String(role)}`) : [];
  const at = systemClock.now();
  return {
    agent: {
      ...{ id: name as AgentId, tenant, kind: 'worker', types: [], capabilities: [], roles: known },
      ...{ slots: 1, capacity: { memoryMb: 0, cpuCores: 0 }, draining: false, registeredAt: at, seenAt: at },
    },
    ...{ health: 'healthy', busy: 0, free: { memoryMb: 0, cpuCores: 0 }, errorRate: 0 },
  } as unknown as AgentView;
}

/** Dialects to whom everyone a message names is there; what was asked for is noted. */
function bench(envelope: JsonObject, assumed: string[], protocol = ''): readonly Dialect[] {
  const kits = createDialects({
    ...{ log: silentLog, clock: systemClock, random: systemRandom, models: [] },
    ...{ store: emptyStore(), engine: assumingEngine(envelope, assumed, protocol), mailroom: () => mailroom },
    ...{ memory: absent(), audit: absent(), outbound: absent(), workflows: absent() },
  } as unknown as DialectHands);
  const dialects = kits.map(({ dialect }) => dialect);
  const mailroom = assumingMailroom(envelope, assumed, dialects);
  return dialects;
}

function assumingMailroom(envelope: JsonObject, assumed: string[], dialects: readonly Dialect[]): Mailroom {
  const agentOf = (tenant: TenantId, name: string): AgentView | null => {
    assumed.push(`the agent ${name} is registered`);
    const views = dialects.map(dialect => agentView(tenant, name, dialect));
    const [first] = views;
    if (first === undefined) return null;
    return { ...first, agent: { ...first.agent, roles: views.flatMap(({ agent }) => agent.roles ?? []) } };
  };
  const messageOf = (tenant: TenantId, dialect: string, id: string): Message => {
    assumed.push(`the message ${id} was sent, by whoever is answered`);
    return keptAs({
      ...{ tenant, id, dialect, type: '', correlationId: id, replyTo: null, taskId: null, priority: 5 },
      ...{ from: receiverIn(envelope), to: [senderIn(envelope)], sentAt: 0, expiresAt: null, traceId: '' },
      ...{ actor: 'system', agentId: null, meaning: { act: 'say', body: null }, envelope: null },
    } as unknown as Draft);
  };
  return absent({
    directory: absent({
      agent: async (tenant: TenantId, name: string) => agentOf(tenant, name),
      agents: async () => [],
      readersOf: async () => [],
      forget: () => undefined,
    }),
    message: async (tenant: TenantId, dialect: string, id: string) => messageOf(tenant, dialect, id),
    messages: async ({ tenant, dialect, ids = [] }: Parameters<Mailroom['messages']>[0]) =>
      ids.map(id => messageOf(tenant, dialect ?? '', id)),
  });
}

function assumingEngine(envelope: JsonObject, assumed: string[], protocol: string): EngineApi {
  return absent({
    async task(tenant: TenantId, id: string): Promise<Task> {
      assumed.push(`the task ${id} is there, asked for by whoever is told`);
      const origin = { from: receiverIn(envelope), agentId: null, messageId: id, taskType: '' };
      const spec = { type: 'custom', payload: {}, origin: { ...origin, dialect: protocol } };
      const task = { tenant, id, spec, state: 'running', outcome: null, lease: null, attempt: 1 };
      return task as unknown as Task;
    },
    agents: async () => [],
  });
}

/** A store in which nothing is found. */
function emptyStore(): DialectHands['store'] {
  return new Proxy({}, { get: () => async () => [] }) as DialectHands['store'];
}

/** Something of which only these verbs are there; any other tells that it takes a server. */
function absent<Port extends object>(verbs: Readonly<Record<string, unknown>> = {}): Port {
  return new Proxy(verbs, {
    get(known, verb) {
      if (typeof verb === 'symbol' || verb === 'then') return undefined;
      if (Object.hasOwn(known, verb)) return known[verb];
      return () => {
        throw new DomainError('unavailable', `only a server can tell (${verb})`);
      };
    },
  }) as Port;
}

function senderIn({ from, source_service: service, source }: JsonObject): string {
  return String(from ?? service ?? source ?? '');
}

function receiverIn({ to, target_service: service }: JsonObject): string {
  return String([to ?? service ?? ''].flat()[0]);
}

function keptAs(draft: Draft): Message {
  return { ...draft, position: '0', acceptedAt: systemClock.now() };
}

/** The message as it would be sent on must meet the schema of its type. */
function faultsAsSent(dialect: Dialect, draft: Draft): readonly FieldFault[] {
  const schema = dialect.types[draft.type];
  if (schema === undefined) return [];
  return (bodyCheck(schema)(dialect.encode(keptAs(draft))) ?? []).map(({ field, message }) => ({
    field,
    message,
  }));
}

function faultsOf({ message, details, code }: DomainError): readonly FieldFault[] {
  const { errors, field } = details;
  const listed = Array.isArray(errors) ? errors.filter(isJsonObject) : [];
  if (listed.length > 0)
    return listed.map(one => ({ field: String(one.field ?? ''), message: String(one.message ?? code) }));
  return [{ field: typeof field === 'string' ? field : '', message }];
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)];
}
