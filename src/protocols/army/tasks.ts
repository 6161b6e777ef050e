// The desk of tasks: orders what `task_request` asks for, takes the holder's word on it, and buries requests that nobody took.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import {
  inboxOfRole,
  type Meaning,
  type Message,
  type MessageId,
  type TaskRequest,
} from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { addressOf } from './address.ts';
import { type ModelParts, modelOrder } from './model.ts';
import { TASKS, UNCLAIMED } from './routing.ts';
import { constraintsIn, type TermsParts, termsOf } from './task-terms.ts';
import type { Tools } from './tools.ts';
import { ARMY } from './words.ts';

/** What the desk works with. */
export interface TaskParts extends TermsParts, ModelParts {
  readonly tools: Pick<Tools, 'requireWell'>;
}

type Outcome = Meaning & { readonly act: 'report_outcome' };

/** The desk of tasks. */
export function createTaskDesk(parts: TaskParts): Participant {
  return {
    name: 'army tasks',
    inboxes: [TASKS],
    async handle(message) {
      const { meaning } = message;
      // Requests of others were let through as they came; the coordinator's own wait here while a tool is left alone.
      if (message.actor === 'system') await parts.tools.requireWell(message);
      if (meaning.act === 'request_task') await order(message, meaning.task, parts);
      if (meaning.act === 'report_progress') await parts.mailroom().desk.progress(message, meaning);
      if (meaning.act === 'report_outcome') await report(message, meaning, parts);
      return [];
    },
  };
}

/** By agents of the role, or by a model where there are none; what was ordered before the server stopped stays as it was ordered. */
async function order(message: Message, task: TaskRequest, parts: TaskParts): Promise<void> {
  const { tenant, id } = message;
  const [known] = await parts.store.read([{ tenant, id: task.taskId }]);
  if (known?.spec.origin?.messageId === id) return;
  const terms = await termsOf(message, task, parts);
  const byModel = await modelOrder(message, task, terms, parts);
  await parts.mailroom().desk.order(message, byModel?.task ?? task, byModel?.terms ?? terms);
}

/** Lays requests that nobody took among the dead letters (`ARMY-19`). */
export function createUnclaimedDesk({
  store,
  mailroom,
}: Pick<DialectHands, 'store' | 'mailroom'>): Participant {
  return {
    name: 'army unclaimed',
    inboxes: [UNCLAIMED],
    async handle(news) {
      const { tenant, replyTo } = news;
      const request = replyTo === null ? null : await mailroom().message(tenant, ARMY, replyTo as MessageId);
      if (request === null) return [];
      const { role = 'specialist' } = addressOf(request.to[0] ?? '') ?? {};
      const held = { by: UNCLAIMED, ms: 30_000 };
      const entry = { inbox: inboxOfRole(ARMY, role), lane: request.correlationId, held, cause: 'unclaimed' };
      const [ref] = await store.mail.fanOut([{ tenant, position: request.position, entry }]);
      if (ref === null || ref === undefined) return [];
      const verdict = {
        outcome: 'bury',
        reason: 'no_receiver',
        error: 'nobody took the task in time',
      } as const;
      await store.mail.settle([{ tenant, ...ref, reader: UNCLAIMED, verdict }]);
      return [];
    },
  };
}

/** Whether a dead letter is a request whose sender was told by the end of its task. */
export function isToldByTask(error: DomainError): boolean {
  return error.details.reason === 'no_receiver';
}

async function report(message: Message, said: Outcome, parts: TaskParts): Promise<void> {
  const task = await parts.engine.task(message.tenant, said.taskId);
  if (wasTaken(task, message, said)) return;
  const { deadlineAt } = task.spec;
  if (deadlineAt !== undefined && deadlineAt <= message.acceptedAt)
    throw new DomainError('invalid_transition', `the deadline of task ${task.id} has passed`, {
      details: { task_id: task.id, deadline: new Date(deadlineAt).toISOString() },
    });
  await parts.mailroom().desk.outcome(message, await judged(task, said, parts));
}

/** More tokens than were allowed fail what was done with them (`ARMY-27`). */
async function judged(task: Task, said: Outcome, { settings }: TaskParts): Promise<Outcome> {
  const { maxTokens } = await settings.of(task.tenant);
  const limit = constraintsIn(task.spec.origin?.terms ?? {}).maxTokens ?? maxTokens;
  const used = tokensIn(said.result);
  if (said.status !== 'completed' || used <= limit) return said;
  return {
    ...said,
    status: 'failed',
    error: {
      code: 'policy_violation',
      message: `the agent used ${used} tokens where ${limit} are allowed`,
      recoverable: false,
      details: { rule: 'max_tokens', limit, used },
    },
  };
}

function tokensIn(result: Json): number {
  const metadata = isJsonObject(result) ? result.metadata : null;
  const used = isJsonObject(metadata) ? metadata.tokens_used : null;
  return typeof used === 'number' ? used : 0;
}

/** Whether this very message ended the task before a crash kept that from being noted. */
function wasTaken(task: Task, { acceptedAt, agentId }: Message, said: Outcome): boolean {
  return (
    said.status === 'completed' &&
    task.outcome === 'completed' &&
    task.agentId === agentId &&
    acceptedAt <= (task.endedAt ?? 0) &&
    JSON.stringify(task.result?.output ?? null) === JSON.stringify(said.result)
  );
}
