// The desks of the four built-in agents: each reads what is asked of it and has it done as a task (`BLOG-15`), by this server or by the
// remote agent that stands in. What becomes of the tasks is told by news.ts.

import { DomainError } from '../../domain/errors.ts';
import { isCallerId, type TaskId, type TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { inboxOfDesk, type Message } from '../../domain/message.ts';
import { isSkill, SKILLS } from '../../domain/skill.ts';
import { Contents } from '../../engine/contents.ts';
import type { OrderTerms } from '../../engine/mailroom/task-desk.ts';
import type { Planner } from '../../engine/planning.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import { Conditions } from '../../guards/conditions.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { taskOf, versionOf } from './decode.ts';
import { policyOf } from './errors.ts';
import { flowOf, type Judge, validationFlowOf } from './flows.ts';
import {
  defaultSteps,
  executorAsked,
  isBuiltInValidator,
  planAsked,
  type SkillOrder,
  skillAsked,
  validationAsked,
} from './orders.ts';
import { createAcksDesk, createReportsDesk } from './reports.ts';
import type { Settings } from './settings.ts';
import { enlist, fallbackOf, standInFor, validatorsOf } from './stand-in.ts';
import { BUILT_IN, type BuiltIn, uuidOf, VERSION } from './vocabulary.ts';

/** Where requests to one of the four are taken, unless a remote agent stands in that takes no tasks. */
export function deskOf(agent: string) {
  return inboxOfDesk(`blog:${agent}`);
}

/** What desks work with beside the hands of all dialects. */
export interface DeskParts extends DialectHands {
  readonly planner: Planner;
  readonly settings: Settings;
}

/** How a task is to be ordered. */
interface Errand {
  /** The work: a custom type, or a workflow. */
  readonly work: string;
  readonly input: Json;
  readonly terms?: JsonObject;
  readonly order?: OrderTerms;
}

/** The desks, as agents inside this server. */
export function createDesks(parts: DeskParts): readonly Participant[] {
  const contents = new Contents(parts);
  const conditions = new Conditions(parts.clock);
  const errands: Readonly<Record<BuiltIn, (message: Message, payload: Json) => Promise<Errand>>> = {
    planner: async (_message, payload) => {
      const { intent, context } = planAsked(payload, parts.planner.hasModel);
      return { work: 'plan_content', input: { intent, context } };
    },
    coder: (message, payload) => skillErrand(message, payload, parts, conditions),
    reviewer: ({ tenant }, payload) => reviewErrand(tenant, payload, parts),
    executor: (message, payload) => executorErrand(message, payload, parts, contents),
  };
  const desks = BUILT_IN.map(
    (agent): Participant => ({
      name: `blog ${agent}`,
      inboxes: [deskOf(agent)],
      async handle(message) {
        await take(message, agent, errands[agent], parts);
        return [];
      },
    }),
  );
  return [...desks, createReportsDesk(parts, conditions, contents), createAcksDesk(parts)];
}

async function reviewErrand(
  tenant: TenantId,
  payload: Json,
  { engine, settings }: DeskParts,
): Promise<Errand> {
  const registered = await validatorsOf(engine, tenant);
  const asked = validationAsked(payload, registered);
  const { finalApproval } = await settings.of(tenant);
  const judgeOf = (step: string): Judge | null => {
    if (finalApproval === 'person' && step === 'final-approval') return 'person';
    return isBuiltInValidator(step) ? null : 'agent';
  };
  const { contentId, content, metadata, steps = defaultSteps() } = asked;
  // Where a person is to have the last word, what no person saw is not approved for publication, however well it is.
  const isAdvisory = finalApproval === 'person' && steps.every(({ id }) => id !== 'final-approval');
  const validation = {
    ...{ contentId, content, steps },
    ...(metadata === undefined ? {} : { metadata }),
    ...(isAdvisory ? { advisory: true } : {}),
  };
  if (steps.every(({ id }) => judgeOf(id) === null))
    return { work: 'validate_content', input: validation as unknown as JsonObject, order: REVIEW };
  const order = { ...LONG, ...REVIEW };
  return { work: 'workflow_orchestration', input: validationFlowOf(validation, judgeOf), order };
}

/** A year: persons take their time. */
const LONG: OrderTerms = { timeoutMs: 31_536_000_000 };
/** What changes contents, or approves them: nobody orders it past these agents. */
export const BLOG_WORK = ['validate_content', 'change_content'] as const;

const REVIEW: OrderTerms = { entrusted: ['validate_content'] };
const CHANGE: OrderTerms = { entrusted: ['change_content'] };
const ENTRUSTED: Readonly<Record<BuiltIn, OrderTerms>> = {
  ...{ planner: {}, coder: {} },
  ...{ reviewer: REVIEW, executor: CHANGE },
};

async function take(
  message: Message,
  agent: BuiltIn,
  errandOf: (message: Message, payload: Json) => Promise<Errand>,
  { engine, mailroom }: DeskParts,
): Promise<void> {
  const payload = message.envelope?.payload ?? null;
  const id = taskFor(message, agent, payload);
  const { desk } = mailroom();
  // Asked before: whatever was made of it stands.
  if (await isOrdered(message, id, desk)) return;
  const remote = await standInFor(engine, message.tenant, agent);
  if (remote !== null) await enlist(engine, remote);
  const own = (): Promise<Errand> => errandOf(message, payload);
  const errand = remote === null ? await own() : await standInErrand(agent, payload, own);
  const isFlow = errand.work === 'workflow_orchestration';
  await desk.order(
    message,
    {
      ...{ taskId: id, taskType: errand.work, description: `a request to ${agent}`, input: errand.input },
      terms: { agent, version: versionOf(message.envelope) ?? VERSION, ...errand.terms },
      retryCount: message.meaning.act === 'request_task' ? message.meaning.task.retryCount : 0,
    },
    { byAgents: !isFlow, ...errand.order },
  );
}

/** What the remote agent is asked, as it was asked; once it is gone the built-in one does what it would have done (`BLOG-23`). */
async function standInErrand(agent: BuiltIn, input: Json, own: () => Promise<Errand>): Promise<Errand> {
  const fallback = await fallbackOf(own);
  return { work: agent, input, order: fallback === null ? {} : { fallback, ...ENTRUSTED[agent] } };
}

async function isOrdered(message: Message, id: TaskId, desk: { task: DeskTask }): Promise<boolean> {
  try {
    const task = await desk.task(message.tenant, id);
    return task.state !== 'rejected' && task.spec.origin?.messageId === message.id;
  } catch (error) {
    if (error instanceof DomainError && error.code === 'not_found') return false;
    throw error;
  }
}

type DeskTask = ReturnType<DialectHands['mailroom']>['desk']['task'];

/** Of a request to several each has a task of its own. */
function taskFor({ id, to }: Message, agent: BuiltIn, payload: Json): TaskId {
  if (to.length === 1) return taskOf(id, payload);
  const name = `${id}.${agent}`;
  return (isCallerId(name) ? name : uuidOf(name)) as TaskId;
}

async function skillErrand(
  message: Message,
  payload: Json,
  { engine }: DeskParts,
  conditions: Conditions,
): Promise<Errand> {
  const asked = skillAsked(payload, message.traceId);
  const order = orderTermsOf(asked);
  const { skill, ...execution } = asked;
  if (isSkill(skill)) return { work: skill, input: execution as unknown as JsonObject, order };
  const agents = await engine.agents(message.tenant);
  if (!agents.some(({ agent }) => agent.types.includes(`custom:${skill}`)))
    throw new DomainError('invalid_request', `nobody has the skill ${skill}`, {
      details: { errors: [{ field: 'payload.skill', message: `must be one of ${SKILLS.join(', ')}` }] },
    });
  // The agent only runs it; what must hold before and after is judged here.
  const { tenant } = message;
  conditions.require(asked.preconditions, 'before', {
    tenant,
    input: asked.input,
    context: asked.context,
  });
  return { work: skill, input: asked.input, terms: { execution: execution as unknown as JsonObject }, order };
}

function orderTermsOf({ config, context }: SkillOrder): OrderTerms {
  const { timeoutMs = 30_000, retryStrategy } = config;
  const { userId, sessionId } = context;
  return {
    ...(retryStrategy === undefined
      ? { timeoutMs }
      : {
          ...{ attemptTimeoutMs: timeoutMs, retry: policyOf(retryStrategy) },
          timeoutMs: Math.min(timeoutMs * (retryStrategy.maxRetries + 1), 31_536_000_000),
        }),
    ...(typeof userId === 'string' ? { userId } : {}),
    ...(typeof sessionId === 'string' ? { sessionId } : {}),
  };
}

async function executorErrand(
  message: Message,
  payload: Json,
  { engine, planner }: DeskParts,
  contents: Contents,
): Promise<Errand> {
  const asked = executorAsked(payload, planner.hasModel);
  const { tenant } = message;
  if (asked.kind === 'change') {
    // Whoever asks is told at once where it cannot be; the task looks again.
    await contents.require(tenant, asked.order);
    return { work: 'change_content', input: asked.order as unknown as JsonObject, order: CHANGE };
  }
  const steps = asked.kind === 'steps' ? asked.steps : await planner.plan(asked.intent, asked.context);
  const coder = await standInFor(engine, tenant, 'coder');
  if (coder !== null) await enlist(engine, coder);
  const context = contextIn(payload, message.traceId);
  return {
    work: 'workflow_orchestration',
    input: flowOf(steps, context, coder !== null),
  };
}

/** What of a request's context concerns whoever runs it, not what is run. */
function contextIn(payload: Json, traceId: string): JsonObject {
  const context = isJsonObject(payload) && isJsonObject(payload.context) ? payload.context : {};
  const { userId, sessionId } = context;
  return {
    ...{ traceId, environment: 'production' },
    ...(typeof userId === 'string' ? { userId } : {}),
    ...(typeof sessionId === 'string' ? { sessionId } : {}),
  };
}
