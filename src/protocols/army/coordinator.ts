// The built-in coordinator: sees a root task through specialist, validator, person and memory by messages (`ARMY-62` to `ARMY-69`), and
// answers how tasks, roles and the whole stand. Where a flow stands is a document; whatever it hears moves that on and says what follows.

import { DomainError } from '../../domain/errors.ts';
import type { TaskError } from '../../domain/failure.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import {
  type Draft,
  inboxOfDesk,
  inboxOfRole,
  type Message,
  type MessageId,
  type TaskRequest,
} from '../../domain/message.ts';
import { RETRY_POLICIES } from '../../domain/retry.ts';
import { MESSAGE_KIND, messageId } from '../../domain/workflow-documents.ts';
import { outputReviewId } from '../../engine/mailroom/held.ts';
import { taskErrorOf } from '../../engine/mailroom/task-desk.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { addressOf } from './address.ts';
import { after, FLOW_KIND, type Flow, type FlowFact, isOver, resultOf } from './flow.ts';
import { childOf, saidAs, sayings } from './flow-messages.ts';
import { flowFor } from './flow-request.ts';
import { type ModelParts, noPlan, plannedSteps } from './model.ts';
import { requireAtWork } from './settings.ts';
import { answerStatus, type StatusParts } from './status.ts';
import { depthOf, type TermsParts } from './task-terms.ts';
import { ARMY } from './words.ts';

/** What the coordinator works with. */
export interface CoordinatorParts
  extends TermsParts,
    StatusParts,
    ModelParts,
    Pick<DialectHands, 'workflows' | 'reviews'> {}

const KEPT_MS = 30 * 86_400_000;
/** So long a flow may take that says nothing of its time: a person may have to decide. */
const FLOW_MS = 7 * 86_400_000;
/** What the root task waits for: it is a workflow of this one step, ended by the coordinator. */
const SIGNAL = 'army_flow';
const ROOT_INPUT: JsonObject = {
  steps: [{ id: 'flow', kind: 'wait', message: SIGNAL }],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a template of the workflow’s own.
  output: '${{ steps.flow.output.payload }}',
};

/** The built-in `coordinator`. */
export function createCoordinator(parts: CoordinatorParts): Participant {
  return {
    name: 'army coordinator',
    inboxes: [inboxOfRole(ARMY, 'coordinator'), inboxOfDesk(`${ARMY}:coordinator`)],
    async handle(message) {
      switch (message.type) {
        case 'task_request':
          return beginFlow(message, parts);
        case 'status_query':
          return [await answerStatus(message, parts)];
        case 'coordination':
          return callOff(message, parts);
        default:
          return hear(message, parts);
      }
    },
  };
}

async function beginFlow(message: Message, parts: CoordinatorParts): Promise<readonly Draft[]> {
  const { tenant, meaning, actor } = message;
  if (meaning.act !== 'request_task' || actor === 'system') return [];
  await requireAtWork('coordinator', tenant, parts.settings);
  const known = await load(tenant, meaning.task.taskId, parts);
  const flow =
    known?.flow.requestId === message.id ? known.flow : await newFlow(message, meaning.task, parts);
  await orderRoot(message, parts);
  if (known !== null) return sayings(known.flow, tenant);
  await parts.store.putDocuments([
    { tenant, kind: FLOW_KIND, id: flow.root, body: flow as unknown as JsonObject, expected: 'absent' },
  ]);
  return sayings(flow, tenant);
}

/** As its steps were written, or, of a complex task without, as a model plans them; what it planned is checked like what was written. */
async function newFlow(message: Message, task: TaskRequest, parts: CoordinatorParts): Promise<Flow> {
  const settings = await parts.settings.of(message.tenant);
  const parameters = isJsonObject(task.input) ? task.input : {};
  const isOpen = task.taskType === 'complex' && parameters.steps === undefined;
  const steps = isOpen ? await plannedSteps(task, parts) : null;
  if (steps === null) return flowFor(message, task, settings);
  const depth = (await depthOf(message, task, parts)) + 1;
  if (depth > settings.maxDepth)
    throw new DomainError('policy_violation', `tasks made by tasks may go ${settings.maxDepth} levels deep`, {
      details: { rule: 'max_depth', limit: settings.maxDepth, depth, task_id: task.taskId },
    });
  try {
    return flowFor(message, { ...task, input: { ...parameters, steps } }, settings);
  } catch (error) {
    throw noPlan(error);
  }
}

/** The root is a task as any other: it has a state and a deadline, can be cancelled, and tells who asked for it how it ended. */
async function orderRoot(message: Message, parts: CoordinatorParts): Promise<void> {
  const { meaning, expiresAt } = message;
  if (meaning.act !== 'request_task') return;
  const { task } = meaning;
  const context = isJsonObject(task.terms.context) ? task.terms.context : {};
  const { user_id: userId, session_id: sessionId } = context;
  const terms = { ...task.terms, task_type: task.taskType, parameters: task.input };
  await parts.mailroom().desk.order(
    message,
    { ...task, taskType: 'workflow_orchestration', input: ROOT_INPUT, terms },
    {
      timeoutMs: FLOW_MS,
      retry: { ...RETRY_POLICIES.fixed, attemptsMax: 1 },
      depth: await depthOf(message, task, parts),
      ...(expiresAt === null ? {} : { deadlineAt: expiresAt }),
      ...(Object.keys(context).length === 0 ? {} : { context }),
      ...(typeof userId === 'string' ? { userId } : {}),
      ...(typeof sessionId === 'string' ? { sessionId } : {}),
    },
  );
}

/** An answer to something that was said in a flow moves it on; everything else is only heard. */
async function hear(message: Message, parts: CoordinatorParts): Promise<readonly Draft[]> {
  const { tenant, replyTo } = message;
  const said = replyTo === null ? null : await parts.mailroom().message(tenant, ARMY, replyTo as MessageId);
  const root = said === null || said.actor !== 'system' ? null : rootOf(said);
  if (said === null || root === null) return [];
  const { minQualityScore, retryDelaysMs } = await parts.settings.of(tenant);
  const limits = { minQualityScore, roundsMax: retryDelaysMs.length };
  for (;;) {
    const known = await load(tenant, root, parts);
    if (known === null) return decide(message, said, parts);
    const fact = factIn(message, said, known.flow);
    const flow = fact === null ? known.flow : after(known.flow, fact, limits);
    if (isOver(flow)) await conclude(tenant, flow, parts);
    if (flow !== known.flow && !(await save(tenant, flow, known.version, parts))) continue;
    if (isOver(flow)) await stopChildren(tenant, flow, parts);
    return sayings(flow, tenant);
  }
}

/** A supervisor's word on the result of a task that no flow sees through. */
async function decide(
  message: Message,
  asked: Message,
  { engine, reviews }: CoordinatorParts,
): Promise<readonly Draft[]> {
  const { tenant, meaning, actor, agentId, from } = message;
  const roles = [from, asked.to[0] ?? ''].map(one => addressOf(one)?.role);
  if (meaning.act !== 'tell_validation' || asked.taskId === null || !roles.every(one => one === 'supervisor'))
    return [];
  const id = outputReviewId(await engine.task(tenant, asked.taskId));
  const { valid, recommendations } = meaning.verdict;
  const state = valid === true ? 'approved' : 'rejected';
  const review = await reviews.look(tenant, id);
  if (review?.state === state && review.decided_by === actor) return [];
  const [comment] = Array.isArray(recommendations) ? recommendations : [];
  const reviewer = { tenant, id: actor, ...(agentId === null ? {} : { agentId: agentId as AgentId }) };
  await reviews.decide(reviewer, id, { state, ...(typeof comment === 'string' ? { comment } : {}) });
  return [];
}

/** The root task was ended by others: what is under way for it is called off. */
async function callOff(message: Message, parts: CoordinatorParts): Promise<readonly Draft[]> {
  const { tenant, actor, meaning, taskId } = message;
  const body = meaning.act === 'say' && isJsonObject(meaning.body) ? meaning.body : {};
  if (actor !== 'system' || body.action !== 'flow_ended' || taskId === null) return [];
  for (;;) {
    const known = await load(tenant, taskId, parts);
    if (known === null) return [];
    const { flow, version } = known;
    const error: TaskError = { code: 'task_failed', message: 'the task was ended', recoverable: false };
    const ended = isOver(flow) ? flow : { ...flow, phase: 'failed' as const, error };
    if (ended !== flow && !(await save(tenant, ended, version, parts))) continue;
    await stopChildren(tenant, ended, parts);
    return [];
  }
}

function factIn(message: Message, original: Message, flow: Flow): FlowFact | null {
  const said = saidAs(flow, original.id);
  if (said === null) return null;
  const { meaning, type, from } = message;
  if (meaning.act === 'refuse') return { fact: 'failure', error: taskErrorOf(meaning.fault) };
  if (said.about === 'step') {
    const { id, round } = said.step;
    if (meaning.act !== 'report_outcome' || type !== 'task_response' || message.actor !== 'system')
      return null;
    if (meaning.status === 'completed') return { fact: 'result', step: id, round, result: meaning.result };
    const error: TaskError = {
      code: 'task_failed',
      message: `step ${id} was ${meaning.status}`,
      recoverable: false,
    };
    return { fact: 'failure', error };
  }
  // Only who was asked may answer: a validator is no supervisor.
  const answerer = addressOf(from)?.role;
  if (answerer !== addressOf(original.to[0] ?? '')?.role) return null;
  if (said.about === 'store')
    return meaning.act === 'tell_memory' ? { fact: 'stored', round: flow.round } : null;
  if (meaning.act !== 'tell_validation') return null;
  const { valid, score, issues } = meaning.verdict;
  return {
    ...{ fact: 'verdict', round: flow.round, valid: valid === true, score: Number(score) },
    by: said.about === 'review' ? 'supervisor' : 'validator',
    issues: Array.isArray(issues) ? issues : [],
  };
}

function rootOf({ meaning, taskId }: Message): string | null {
  if (meaning.act !== 'request_task') return taskId;
  const { context } = meaning.task.terms;
  const root = isJsonObject(context) ? context.parent_task_id : null;
  return typeof root === 'string' ? root : null;
}

/** Ends the root task: with what was released, or with what went wrong. */
async function conclude(tenant: TenantId, flow: Flow, parts: CoordinatorParts): Promise<void> {
  const { store, clock, workflows } = parts;
  const { root, error } = flow;
  const body: JsonObject =
    flow.phase === 'completed'
      ? { payload: resultOf(flow) }
      : { payload: null, error: (error ?? null) as unknown as JsonObject };
  const expiresAt = clock.now() + KEPT_MS;
  await store.putDocuments([
    {
      ...{ tenant, kind: MESSAGE_KIND, id: messageId(root, SIGNAL), expiresAt },
      ...{ body: { ...body, sent_by: 'army coordinator' }, expected: 'absent' },
    },
  ]);
  workflows.mailCame();
}

async function stopChildren(tenant: TenantId, flow: Flow, { engine }: CoordinatorParts): Promise<void> {
  const asked = flow.steps.filter(({ state }) => state === 'asked');
  for (const step of asked)
    await engine
      .cancel({ tenant, id: childOf(flow, step), actor: `flow:${flow.root}`, reason: 'its flow is over' })
      .catch(error => {
        // It may have ended by itself, or never have been made.
        if (!(error instanceof DomainError) || error.code === 'internal') throw error;
      });
}

async function load(
  tenant: TenantId,
  root: string,
  { store }: CoordinatorParts,
): Promise<{ readonly flow: Flow; readonly version: number } | null> {
  const [document] = await store.documents({ kind: FLOW_KIND, tenant, ids: [root] });
  return document === undefined
    ? null
    : { flow: document.body as unknown as Flow, version: document.version };
}

async function save(
  tenant: TenantId,
  flow: Flow,
  version: number,
  { store, clock }: CoordinatorParts,
): Promise<boolean> {
  const expiry = isOver(flow) ? { expiresAt: clock.now() + KEPT_MS } : {};
  const body = flow as unknown as JsonObject;
  const [outcome] = await store.putDocuments([
    { tenant, kind: FLOW_KIND, id: flow.root, body, expected: version, ...expiry },
  ]);
  return outcome?.status === 'done';
}
