// Tasks in other hands: `handoff` by who holds one, `delegate` by who leads. The lease and where the task stands move in one step; where that
// is refused the task stays where it is (`ARMY-45`, `ARMY-46`).

import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Message } from '../../domain/message.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { addressOf, SELF } from './address.ts';
import { invalid } from './errors.ts';
import { ARMY } from './words.ts';

/** Does what a `handoff` or `delegate` asks for and answers who has the task now; throws why nothing changed. */
export async function handOn(
  message: Message,
  body: JsonObject,
  { engine, mailroom }: Pick<DialectHands, 'engine' | 'mailroom'>,
): Promise<JsonObject> {
  const { tenant, agentId, actor, id: request } = message;
  const taskId = taskIn(body);
  const to = receiverOf(message, body);
  const isOwn = body.action === 'handoff';
  const leads = ['coordinator', 'supervisor'].includes(addressOf(message.from)?.role ?? '');
  if (isOwn ? agentId === null : !leads)
    throw new DomainError('forbidden', `${message.from} cannot ${String(body.action)} the task ${taskId}`, {
      details: { action: body.action ?? null, task_id: taskId },
    });
  const { spec } = await engine.task(tenant, taskId);
  if (spec.origin?.dialect !== ARMY)
    throw new DomainError('unprocessable', `the task ${taskId} was not asked for by this wire`, {
      details: { task_id: taskId },
    });
  // Whom it was meant for by name is what changes; the role it is for does not.
  const abilities = (spec.requiredCapabilities ?? []).filter(one => !one.startsWith(`${ARMY}@`));
  const task = await mailroom().handing.passOn({
    ...{ tenant, taskId, to, abilities, actor, request },
    from: isOwn ? (agentId as AgentId) : null,
    reason: typeof body.reason === 'string' ? body.reason : null,
    ...(body.state === undefined ? {} : { state: body.state }),
  });
  return { task_id: taskId, agent: to, attempt: task.attempt };
}

function taskIn({ task_id: taskId }: JsonObject): TaskId {
  if (typeof taskId === 'string' && taskId !== '') return taskId as TaskId;
  throw invalid([{ field: 'payload.task_id', message: 'must be the id of a task' }]);
}

/** The agent it names, or the one it is addressed to. */
function receiverOf({ to }: Message, { agent }: JsonObject): AgentId {
  const addressed = to.map(one => addressOf(one)?.agent).find(one => one !== null && one !== SELF);
  const named = agent ?? addressed;
  if (typeof named === 'string' && named !== SELF) return named as AgentId;
  throw invalid([{ field: 'payload.agent', message: 'must be the name of an agent' }]);
}
