// What a `task_request` asks for beside the work itself, as the engine's terms: its time, its tries, who may take it, how deep it stands; and
// which of that is more than is allowed.

import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Draft, MessageId, TaskRequest } from '../../domain/message.ts';
import { RETRY_POLICIES, type RetryPolicy } from '../../domain/retry.ts';
import type { Task } from '../../domain/task.ts';
import type { OrderTerms } from '../../engine/mailroom/task-desk.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { addressOf, SELF } from './address.ts';
import { durationMs } from './durations.ts';
import type { ArmySettings, Settings } from './settings.ts';
import { ARMY } from './words.ts';

/** What is looked up for it. */
export interface TermsParts extends Pick<DialectHands, 'engine' | 'store' | 'mailroom'> {
  readonly settings: Settings;
}

/** What a request limits its task to; milliseconds, null where it does not say. */
export interface Constraints {
  readonly maxTimeMs: number | null;
  readonly maxTokens: number | null;
  readonly requiredValidation: boolean;
  readonly humanReview: boolean;
}

/** Tasks an agent holds at most are looked through for the one it makes another for. */
const HELD_MAX = 100;

/** The constraints among a task's terms. */
export function constraintsIn(terms: JsonObject): Constraints {
  const said = isJsonObject(terms.constraints) ? terms.constraints : {};
  return {
    maxTimeMs: typeof said.max_time === 'string' ? durationMs(said.max_time) : null,
    maxTokens: typeof said.max_tokens === 'number' ? said.max_tokens : null,
    requiredValidation: said.required_validation === true,
    humanReview: said.human_review === true,
  };
}

/** Throws `policy_violation` for what is over a maximum (`ARMY-70`, `ARMY-71`, `ARMY-84`), `unprocessable` for a deadline that is past. */
export async function requireWithinLimits(
  draft: Draft,
  task: TaskRequest,
  now: number,
  parts: TermsParts,
): Promise<void> {
  const settings = await parts.settings.of(draft.tenant);
  const { maxTimeMs, maxTokens } = constraintsIn(task.terms);
  const over = (rule: string, limit: number, asked: number, unit: string): DomainError =>
    new DomainError('policy_violation', `${rule} is at most ${limit} ${unit}`, {
      details: { rule, limit, asked, task_id: task.taskId },
    });
  if (maxTimeMs !== null && maxTimeMs > settings.maxTimeMs)
    throw over('max_time', settings.maxTimeMs, maxTimeMs, 'ms');
  if (maxTokens !== null && maxTokens > settings.maxTokens)
    throw over('max_tokens', settings.maxTokens, maxTokens, 'tokens');
  if (maxTimeMs === 0)
    throw new DomainError('unprocessable', 'a task needs some time', {
      details: { errors: [{ field: 'payload.constraints.max_time', message: 'must be more than nothing' }] },
    });
  if (draft.expiresAt !== null && draft.expiresAt <= now && !(await isKnown(draft, parts)))
    throw new DomainError('unprocessable', 'the deadline has passed', {
      details: { errors: [{ field: 'metadata.deadline', message: 'must be in the future' }] },
    });
  const depth = await depthOf(draft, task, parts);
  if (depth > settings.maxDepth)
    throw new DomainError('policy_violation', `tasks made by tasks may go ${settings.maxDepth} levels deep`, {
      details: { rule: 'max_depth', limit: settings.maxDepth, depth, task_id: task.taskId },
    });
}

/** How many tasks made one another to get to this one: one more than the task its sender works on (`ARMY-84`). */
export async function depthOf(draft: Draft, task: TaskRequest, parts: TermsParts): Promise<number> {
  const parent = await parentOf(draft, task, parts);
  return parent === null ? 0 : parent.spec.depth + 1;
}

/** The engine's terms for the task. */
export async function termsOf(draft: Draft, task: TaskRequest, parts: TermsParts): Promise<OrderTerms> {
  const settings = await parts.settings.of(draft.tenant);
  const { maxTimeMs } = constraintsIn(task.terms);
  const attemptMs = Math.min(maxTimeMs ?? settings.defaultTimeoutMs, settings.maxTimeMs);
  const retry = retryPolicy(settings);
  const context = isJsonObject(task.terms.context) ? task.terms.context : {};
  const { user_id: userId, session_id: sessionId } = context;
  return {
    byAgents: true,
    awaitsAgent: true,
    capabilities: capabilitiesFor(draft.to[0] ?? ''),
    attemptTimeoutMs: attemptMs,
    timeoutMs: attemptMs * retry.attemptsMax,
    retry,
    depth: await depthOf(draft, task, parts),
    ...(draft.expiresAt === null ? { queueTimeoutMs: settings.maxTimeMs } : { deadlineAt: draft.expiresAt }),
    ...(Object.keys(context).length === 0 ? {} : { context }),
    ...(typeof userId === 'string' ? { userId } : {}),
    ...(typeof sessionId === 'string' ? { sessionId } : {}),
  };
}

/** As many further attempts as there are delays (`ARMY-60`). */
export function retryPolicy({ retryDelaysMs }: ArmySettings): RetryPolicy {
  return { ...RETRY_POLICIES.custom, attemptsMax: retryDelaysMs.length + 1, delaysMs: retryDelaysMs };
}

/** What an agent must be to take a task for this address; `abilitiesOf` says who is. */
function capabilitiesFor(to: string): readonly string[] {
  const { role = 'specialist', agent = null } = addressOf(to) ?? {};
  return agent === null || agent === SELF ? [`${ARMY}:${role}`] : [`${ARMY}:${role}`, `${ARMY}@${agent}`];
}

/** The task its sender works on: the one the context names, the one it answers or that its exchange is about, else the deepest it holds. */
async function parentOf(
  draft: Draft,
  { terms, taskId }: TaskRequest,
  parts: TermsParts,
): Promise<Task | null> {
  const { tenant, replyTo, agentId, correlationId } = draft;
  const context = isJsonObject(terms.context) ? terms.context : {};
  if (typeof context.parent_task_id === 'string')
    return taskOf(tenant, context.parent_task_id as TaskId, parts);
  const { mailroom, store } = parts;
  if (replyTo !== null) {
    const answered = await mailroom().message(tenant, ARMY, replyTo as MessageId);
    if (answered !== null && answered.taskId !== null && answered.type === 'task_request')
      return taskOf(tenant, answered.taskId, parts);
  }
  if (agentId === null) return null;
  const held = (await store.leases({ agentId: agentId as AgentId }))
    .filter(lease => lease.tenant === tenant && lease.taskId !== taskId)
    .slice(0, HELD_MAX);
  const tasks = (await store.read(held.map(lease => ({ tenant, id: lease.taskId })))).filter(
    one => one !== null,
  );
  const exchange = tasks.filter(({ spec }) => spec.requester.correlationId === correlationId);
  return (exchange.length > 0 ? exchange : tasks).reduce<Task | null>(
    (deepest, one) => (deepest === null || one.spec.depth > deepest.spec.depth ? one : deepest),
    null,
  );
}

async function taskOf(tenant: TenantId, id: TaskId, { store }: TermsParts): Promise<Task | null> {
  const [task] = await store.read([{ tenant, id }]);
  return task ?? null;
}

/** Whether it came before: a repeat is answered as one, whatever has changed since. */
export async function isKnown(
  { tenant, id }: Pick<Draft, 'tenant' | 'id'>,
  { mailroom }: Pick<TermsParts, 'mailroom'>,
): Promise<boolean> {
  return (await mailroom().message(tenant, ARMY, id)) !== null;
}
