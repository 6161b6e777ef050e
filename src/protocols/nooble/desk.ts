// The desk of Nooble: what asks for something becomes a task, what speaks of one is done to it, what reports on one is entered (`NOOB-134`).

import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TaskId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfDesk, type Message } from '../../domain/message.ts';
import { RETRY_POLICIES } from '../../domain/retry.ts';
import type { Task } from '../../domain/task.ts';
import type { EngineApi } from '../../engine/api.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import { type OrderTerms, taskErrorOf } from '../../engine/mailroom/task-desk.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import { type Envelope, instantIn } from './envelope.ts';
import { noobleError } from './errors.ts';
import { hasSkipped } from './fallbacks.ts';
import { isSensitive, metadataNumber, metadataOf, metadataText } from './metadata.ts';
import { type NewsParts, statusReply } from './news.ts';
import type { Notices } from './notices.ts';
import { requestOf, uuidOf } from './replies.ts';
import { type ResultSchemas, resultIs } from './result-schemas.ts';
import { OWN_PREFIX, type Services } from './services.ts';
import {
  CLIENT_LABEL,
  clientLabel,
  type Delegate,
  delegateOf,
  requestOfTask,
  termsOf,
  timeoutOf,
} from './task-terms.ts';
import type { Template } from './template.ts';
import type { Templates } from './templates.ts';
import type { Tools } from './tools.ts';
import { type BuiltIn, isBuiltIn, roleOf, serviceOf } from './vocabulary.ts';
import { NOOBLE_WORK, type Worker } from './worker.ts';
import { failureOf, RETRIED, serviceOfStep } from './workflow-words.ts';

/** Where the desk's messages wait. */
export const DESK = inboxOfDesk('nooble');

/** What the desk works with. */
export interface DeskParts extends NewsParts {
  readonly mailroom: () => Mailroom;
  readonly engine: () => EngineApi;
  readonly services: Services;
  readonly templates: Templates;
  readonly notices: Notices;
  readonly results: ResultSchemas;
  readonly tools: Tools;
  readonly worker: Worker;
}

/** Makes the desk. */
export function createDesk(parts: DeskParts): Participant {
  return {
    ...{ name: 'nooble desk', inboxes: [DESK] },
    handle: message => handle(message, parts),
    async handsOn(message) {
      const service = serviceOf(requestOf(message).envelope.target_service);
      return (
        message.meaning.act === 'request_task' &&
        isBuiltIn(service) &&
        (await delegateFor(message, service, parts)) !== null
      );
    },
  };
}

async function handle(message: Message, parts: DeskParts): Promise<readonly Draft[]> {
  const { meaning } = message;
  switch (meaning.act) {
    case 'request_task':
      return order(message, parts);
    case 'control_task':
    case 'ask_status':
      return control(message, meaning.taskId, parts);
    case 'report_progress':
    case 'report_outcome':
      await report(message, parts);
      return [];
    case 'beat':
      await beat(message, parts);
      return [];
    case 'say':
      if (message.type === 'workflow.update') return fallBack(message, parts);
      throw noobleError('VAL_001', `${message.type} asks for nothing`);
    default:
      throw noobleError('VAL_001', `${message.type} asks for nothing`);
  }
}

async function order(message: Message, parts: DeskParts): Promise<readonly Draft[]> {
  const { meaning, tenant } = message;
  if (meaning.act !== 'request_task') return [];
  const envelope = requestOf(message).envelope;
  const service = serviceOf(envelope.target_service);
  if (!isBuiltIn(service)) throw noobleError('AUTH_003', `${service} is asked for nothing`);
  const delegate = await delegateFor(message, service, parts);
  if (message.type === 'workflow.start' && delegate === null) return startWorkflow(message, envelope, parts);
  await parts.worker.ensure(tenant, service);
  const task = { ...meaning.task, terms: termsOf(envelope, delegate) };
  const entrusted = NOOBLE_WORK.filter(one => one === task.taskType);
  const ofStep = message.type === 'workflow.step' ? await stepTerms(message, parts) : {};
  await parts
    .mailroom()
    .desk.order(message, task, { ...orderTerms(envelope), ...ofStep, byAgents: true, entrusted });
  return [];
}

/** What its result must be, and how often it is tried (`NOOB-57`, `NOOB-58`). */
async function stepTerms(message: Message, { results }: DeskParts): Promise<OrderTerms> {
  const { expected_output: output, on_failure: policy } = requestOf(message).envelope.payload;
  const { schema } = await results.expected(message.tenant, output);
  const { attempts: attemptsMax } = failureOf(typeof policy === 'string' ? policy : undefined);
  return {
    retry: { ...RETRY_POLICIES.exponential, attemptsMax, retryCodes: RETRIED },
    ...(schema === null ? {} : { outputSchema: resultIs(schema) }),
  };
}

/** Who elsewhere is to do it: the agent it names, the agent behind a tool, or whoever is that service (`NOOB-39`, `NOOB-136`). */
async function delegateFor(
  { tenant, meaning, type }: Message,
  service: BuiltIn,
  { services, tools }: DeskParts,
): Promise<Delegate | null> {
  const payload =
    meaning.act === 'request_task' && isJsonObject(meaning.task.input) ? meaning.task.input : {};
  const isAgents =
    type === 'agent.execute' || (type === 'workflow.step' && payload.step_type === 'agent_task');
  if (isAgents && isJsonObject(payload.agent_config)) {
    const id = payload.agent_config.agent_id;
    if (typeof id === 'string' && (await services.agent(tenant, id)) !== null) return { service, agent: id };
  }
  if (type.startsWith('system.')) return null;
  if (await services.isElsewhere(tenant, service)) return { service, agent: null };
  if (type !== 'tool.execute') return null;
  const tool = await tools.find(tenant, String(payload.tool_name));
  if (tool?.agent === undefined) return null;
  const agent = await services.agent(tenant, tool.agent);
  if (agent === null || agent.health === 'offline')
    throw noobleError('AEX_003', `the agent of ${tool.name} is offline`, { tool_name: tool.name });
  return { service, agent: tool.agent };
}

function orderTerms(envelope: Envelope): OrderTerms {
  const timeoutMs = timeoutOf(envelope);
  const notBefore = instantIn(envelope, 'scheduled_for');
  const waitMs =
    notBefore === null ? 0 : Math.max(0, notBefore - (instantIn(envelope, 'created_at') ?? notBefore));
  const { conversation_id: talk, session_id: session, type } = envelope;
  const user = metadataText(envelope, 'user_id');
  const client = metadataText(envelope, 'client_version');
  const expectedMs = metadataNumber(envelope, 'expected_duration_ms') ?? 0;
  const level = metadataText(envelope, 'log_level')?.toUpperCase() as OrderTerms['logLevelMin'];
  const { execution_context: context } = metadataOf(envelope);
  return {
    timeoutMs,
    ...(expectedMs === 0 ? {} : { expectedMs }),
    ...(level === undefined ? {} : { logLevelMin: level }),
    ...(isSensitive(envelope) ? { sensitive: true } : {}),
    ...(context === undefined ? {} : { context: { execution_context: context } }),
    queueTimeoutMs: timeoutMs + waitMs,
    ...(type.domain === 'workflow' ? { entrusted: STEP_WORK } : {}),
    ...(notBefore === null ? {} : { notBefore }),
    ...(user === null ? {} : { userId: user }),
    ...(session === undefined ? {} : { sessionId: session }),
    ...(client === null ? {} : { labels: { [CLIENT_LABEL]: clientLabel(client) } }),
    ...(type.domain === 'conversation' && talk !== undefined
      ? { concurrency: { key: `nooble.conversation.${talk}`.slice(0, 200), limit: 1 } }
      : {}),
  };
}

/** What steps of a workflow are of what nobody orders from outside. */
const STEP_WORK: NonNullable<OrderTerms['entrusted']> = ['agent_task', 'tool_task'];

async function startWorkflow(
  message: Message,
  envelope: Envelope,
  parts: DeskParts,
): Promise<readonly Draft[]> {
  const { tenant, meaning } = message;
  if (meaning.act !== 'request_task') return [];
  const { payload, metadata } = envelope;
  const template = await templateOf(message, payload, parts);
  const input = isJsonObject(payload.input_parameters) ? payload.input_parameters : {};
  const context = isJsonObject(payload.context) ? payload.context : {};
  const workflow = await parts.templates.begin(tenant, envelope.task_id, message.acceptedAt, {
    steps: template.steps.map(step => step.step_id),
    parameters: Object.keys(input),
  });
  const previous = context.previous_workflow_id;
  const isUnknown = typeof previous === 'string' && (await parts.templates.run(tenant, previous)) === null;
  const { notices, warnings: untold } = await parts.notices.of(tenant, payload);
  const warnings = [...(isUnknown ? [`there is no workflow ${previous}`] : []), ...untold];
  const known = { ...envelope, metadata: { ...metadata, ...(warnings.length > 0 ? { warnings } : {}) } };
  const steps = template.steps.map(({ step_id: id, name, step_type: type }) => ({
    ...{ step_id: id, name },
    service: serviceOfStep(type),
  }));
  const task = {
    ...meaning.task,
    taskType: 'workflow_orchestration',
    input: await parts.templates.payload(tenant, template, { input, context }),
    terms: termsOf(known, null, { workflow_id: workflow, steps, asked: payload }),
  };
  for (const service of ['agent_execution', 'tool_registry', 'knowledge_base'] as const)
    await parts.worker.ensure(tenant, service);
  const told = notices.length > 0 ? { notices } : {};
  await parts.mailroom().desk.order(message, task, { ...orderTerms(envelope), ...told });
  if (payload.execution_mode === 'sync') return [];
  const stored = await parts.engine().task(tenant, envelope.task_id as TaskId);
  const request = requestOfTask(stored);
  if (request === null) return [];
  return [await statusReply(stored, request, { as: 'started', at: message.acceptedAt }, parts)];
}

async function templateOf({ tenant }: Message, payload: JsonObject, parts: DeskParts): Promise<Template> {
  const { workflow_template_id: id, workflow_version: version } = payload;
  const found = await parts.templates.find(tenant, String(id), typeof version === 'string' ? version : null);
  if (found === null) throw noobleError('resource_not_found', `there is no workflow ${id}`);
  return found;
}

/** Obeys a command, and tells how the task stands then (`NOOB-48`). */
async function control(message: Message, asked: TaskId, parts: DeskParts): Promise<readonly Draft[]> {
  const { meaning, tenant } = message;
  const taskId = (await parts.templates.current(tenant, asked)) as TaskId;
  const { desk } = parts.mailroom();
  const known = await desk.task(tenant, taskId);
  const task =
    meaning.act === 'control_task'
      ? (await desk.control(message, meaning.command, { taskId, reason: meaning.reason, force: true })).task
      : known;
  if (meaning.act === 'control_task' && meaning.command !== 'resume') parts.worker.release(tenant, taskId);
  return [await standing(task, message, parts)];
}

/** How a task stands, in answer to who asked. */
function standing(task: Task, message: Message, parts: DeskParts): Promise<Draft> {
  const request = requestOf(message);
  const asked = requestOfTask(task);
  const workflow = asked === null ? null : metadataText(asked.envelope, 'workflow_id');
  const metadata = { ...request.envelope.metadata, ...(workflow === null ? {} : { workflow_id: workflow }) };
  const about = { ...request, envelope: { ...request.envelope, metadata } };
  return statusReply(task, about, { as: 'status', at: message.acceptedAt }, parts);
}

/** Has a workflow go on in a way it was offered: as a task of its own that takes up what the other left (`NOOB-93`). */
async function fallBack(message: Message, parts: DeskParts): Promise<readonly Draft[]> {
  const { tenant, acceptedAt } = message;
  const { payload, task_id: id } = requestOf(message).envelope;
  const current = (await parts.templates.current(tenant, id)) as TaskId;
  const task = await parts.engine().task(tenant, current);
  const isDone = task.spec.origin?.messageId === message.id;
  // A step that was passed over already is.
  const isSkipped = payload.fallback === 'skip_step' && hasSkipped(task);
  if (isDone || isSkipped) return [await standing(task, message, parts)];
  const request = requestOfTask(task);
  const cached = payload.fallback === 'use_cached_data' ? await parts.fallbacks.cached(task) : null;
  if (request === null || cached === null)
    throw noobleError('WF_005', `task ${id} was offered no ${payload.fallback}`, { state: task.state });
  const { spec } = task;
  const taskId = uuidOf(`${tenant}\n${task.executionId}\nfallback`) as TaskId;
  const rerun = { task_id: task.id, from_step: cached.step, result_of: cached.taskId };
  const input = { ...spec.payload, rerun };
  const terms = { ...spec.origin?.terms, asked: { ...request.envelope.payload, execution_mode: 'async' } };
  const order = { taskId, taskType: spec.type, description: spec.description, input, terms, retryCount: 0 };
  const told = spec.notices === undefined ? {} : { notices: spec.notices };
  await parts.mailroom().desk.order(message, order, { ...orderTerms(request.envelope), ...told });
  await parts.templates.takenUp(tenant, id, taskId, acceptedAt);
  return [await standing(await parts.engine().task(tenant, taskId), message, parts)];
}

/** Enters what a service elsewhere reports of a task it was passed; throws where the task is over or nobody holds it now. */
async function report(message: Message, parts: DeskParts): Promise<void> {
  const { tenant, meaning, from } = message;
  if (meaning.act !== 'report_progress' && meaning.act !== 'report_outcome') return;
  const task = await parts.engine().task(tenant, meaning.taskId);
  if (delegateOf(task) === null || task.spec.origin?.from === from) return;
  const { lease, outcome } = task;
  if (outcome !== null)
    throw noobleError('WF_005', `task ${task.id} has ended: ${outcome}`, {
      task_id: task.id,
      state: task.state,
    });
  if (lease === null || !lease.agentId.startsWith(OWN_PREFIX))
    throw new DomainError('unavailable', `task ${task.id} is about to be passed on again`, {
      retryAfterMs: 500,
    });
  const ref = { taskId: task.id, token: lease.token };
  const told = toldOf(meaning, ref, message);
  const { rejected } = await parts.engine().work({
    ...{ tenant, agentId: lease.agentId as AgentId, slots: 0, waitMs: 0 },
    types: await typesOf(lease.agentId, tenant, parts),
    ...{ capabilities: [], results: [], progress: [], logs: [], heartbeats: [] },
    ...told,
  });
  for (const { error } of rejected) throw error;
  if (meaning.act === 'report_outcome') parts.worker.release(tenant, task.id);
}

function toldOf(
  meaning: Message['meaning'] & { readonly act: 'report_progress' | 'report_outcome' },
  ref: Parameters<EngineApi['work']>[0]['heartbeats'][number],
  { from, agentId }: Message,
): Partial<Parameters<EngineApi['work']>[0]> {
  if (meaning.act === 'report_progress') {
    const { percentage, note } = meaning;
    if (percentage === null && note === null) return { heartbeats: [ref] };
    const report = {
      ...(percentage === null ? {} : { percentage }),
      ...(note === null ? {} : { currentStep: note }),
    };
    return { progress: [{ ...ref, report }], heartbeats: [ref] };
  }
  const { status, result, error } = meaning;
  if (status === 'completed') return { results: [{ ...ref, status, output: result }] };
  const fault = error ?? { code: 'task_failed', message: 'it failed', recoverable: false, details: {} };
  const failure = taskErrorOf(fault);
  const details = { ...failure.details, reported_by: agentId ?? from };
  return { results: [{ ...ref, status: 'failed', error: { ...failure, details } }] };
}

async function typesOf(id: string, tenant: Message['tenant'], parts: DeskParts): Promise<readonly string[]> {
  const agents = await parts.engine().agents(tenant);
  return agents.find(({ agent }) => agent.id === id)?.agent.types ?? [];
}

/** A service says that it lives: its agent is registered under the service's name, or signs off (`NOOB-109`). */
async function beat(message: Message, parts: DeskParts): Promise<void> {
  const { tenant, agentId, from } = message;
  if (agentId === null) throw noobleError('AUTH_003', 'only credentials of an agent can register a service');
  const envelope = requestOf(message).envelope;
  const mailroom = parts.mailroom();
  const known = await mailroom.directory.agent(tenant, agentId);
  if (envelope.payload.status === 'stopped') {
    if (known !== null) await parts.engine().removeAgent(tenant, agentId as AgentId);
    mailroom.directory.forget(tenant);
    return;
  }
  const { types = [], capabilities = [], roles = [], slots = 10, capacity = {} } = known?.agent ?? {};
  await parts.engine().registerAgent({
    ...{
      tenant,
      id: agentId as AgentId,
      kind: known?.agent.kind ?? 'worker',
      types,
      capabilities,
      slots,
      capacity,
    },
    roles: [...new Set([...roles, roleOf(from)])],
    ...(known?.agent.region === undefined ? {} : { region: known.agent.region }),
    ...versionOf(envelope, known?.agent.version),
  });
  mailroom.directory.forget(tenant);
}

function versionOf(envelope: Envelope, known: string | undefined): { readonly version?: string } {
  const version = metadataOf(envelope).client_version ?? known;
  return typeof version === 'string' ? { version } : {};
}

/** Whether anything is known here of the task a report speaks of: then the desk hears of it too. */
export function isOurs(task: Task | null): boolean {
  return task !== null && delegateOf(task) !== null && task.outcome === null;
}
