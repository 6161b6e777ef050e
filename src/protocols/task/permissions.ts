// Who may say what to whom by the task wire (`TASK-83`): the table, and the judgement by it. What only the task itself can tell, who holds
// it, is judged where the message has its effect.

import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TaskId } from '../../domain/ids.ts';
import { allows, type Permission } from '../../domain/principal.ts';
import type { Task } from '../../domain/task.ts';
import type { EngineApi } from '../../engine/api.ts';
import { requirePermission } from '../../guards/permissions.ts';
import type { Caller, EnvelopeScene } from '../dialect/dialect.ts';
import type { Commands, ForwardedCommand } from './commands.ts';
import type { Authorise } from './decode.ts';
import { meaningOf } from './meaning.ts';
import type { TaskMessageType } from './schemas.ts';
import { COORDINATOR, DEFAULT_TOPIC, RESOURCE_MANAGER } from './vocabulary.ts';

/** One row of the table. */
interface Rule {
  /** `server`: nobody else may; `commanded`: the agent a command was sent to. */
  readonly who: Permission | 'server' | 'commanded' | 'party';
  /** Who may besides: the submitter of the task, without that permission. */
  readonly orSubmitter?: boolean;
  readonly to: string | null;
}

/** The table. */
export const RULES: Readonly<Record<TaskMessageType, Rule>> = {
  'task.submit': { who: 'task:execute', to: COORDINATOR },
  'task.status': { who: 'task:write-result', to: COORDINATOR },
  'task.control.pause': { who: 'task:control', orSubmitter: true, to: COORDINATOR },
  'task.control.resume': { who: 'task:control', orSubmitter: true, to: COORDINATOR },
  'task.control.cancel': { who: 'task:control', orSubmitter: true, to: COORDINATOR },
  'task.control.ack': { who: 'commanded', to: null },
  'task.control.reject': { who: 'commanded', to: null },
  'resource.allocate': { who: 'task:execute', to: RESOURCE_MANAGER },
  'resource.release': { who: 'task:execute', to: RESOURCE_MANAGER },
  'resource.allocated': { who: 'server', to: null },
  'resource.denied': { who: 'server', to: null },
  'state.changed': { who: 'server', to: null },
  'state.sync': { who: 'party', to: COORDINATOR },
  'state.verify': { who: 'task:read', to: COORDINATOR },
  'state.verified': { who: 'server', to: null },
  'protocol.error': { who: 'server', to: null },
  [DEFAULT_TOPIC]: { who: 'server', to: null },
};

/** What the judgement needs to look up. */
export interface JudgementParts {
  readonly engine: Pick<EngineApi, 'task' | 'agents'>;
  readonly commands: Pick<Commands, 'find'>;
}

/** Judges senders and receivers; what was judged when it came is not judged again. */
export function createJudge({ engine, commands }: JudgementParts): Authorise {
  return async ({ type, fields }, scene) => {
    if (scene.again !== undefined) return scene.again.to;
    const { caller } = scene;
    const { who, orSubmitter = false, to } = RULES[type];
    if (who === 'server') throw refused(`only this server says ${type}`, type);
    if (who === 'commanded') {
      const command = await commandTo(String(fields.command_id), type, caller, commands);
      // Once it is known that the holder will obey, only that it did is news to the coordinator.
      const isKnown = fields.status === 'accepted' && command.dueAt === null;
      return isKnown ? [command.commander] : [command.commander, COORDINATOR];
    }
    if (orSubmitter && !allows(caller.principal, 'task:control'))
      await requireSubmitter(fields.task_id as TaskId, caller, engine);
    else if (who !== 'party' && !orSubmitter)
      requirePermission(caller.principal, isQuery(type, fields) ? 'task:read' : who);
    const receiver = to ?? COORDINATOR;
    await requireReceiver(receiversIn(fields), receiver, scene, engine);
    return [receiver];
  };
}

/** Whether the one who sent something is who asked for the task, or one of its credentials. */
export function isSubmitter(
  { spec }: Pick<Task, 'spec'>,
  { agentId, actor }: { readonly agentId: string | null; readonly actor: string },
): boolean {
  if (spec.submittedBy === actor) return true;
  return agentId !== null && (spec.origin?.agentId ?? spec.requester.agentId) === agentId;
}

/** Throws `forbidden` unless the sender holds the task or asked for it. */
export function requireParty(
  task: Pick<Task, 'id' | 'spec' | 'lease'>,
  sender: { readonly agentId: string | null; readonly actor: string },
): void {
  if (isSubmitter(task, sender)) return;
  if (sender.agentId !== null && task.lease?.agentId === (sender.agentId as AgentId)) return;
  throw new DomainError('forbidden', `only who holds task ${task.id} or asked for it may do this`, {
    details: { task_id: task.id },
  });
}

function isQuery(type: TaskMessageType, fields: Parameters<typeof meaningOf>[1]): boolean {
  return type === 'task.status' && meaningOf(type, fields).act === 'ask_status';
}

async function requireSubmitter(
  taskId: TaskId,
  { tenant, agentId, principal }: Caller,
  engine: JudgementParts['engine'],
): Promise<void> {
  if (isSubmitter(await engine.task(tenant, taskId), { agentId, actor: principal.id })) return;
  throw new DomainError('forbidden', `this needs task:control, or to have asked for task ${taskId}`, {
    details: { required: 'task:control', task_id: taskId },
  });
}

async function commandTo(
  commandId: string,
  type: TaskMessageType,
  { tenant, agentId }: Caller,
  commands: JudgementParts['commands'],
): Promise<ForwardedCommand> {
  const command = await commands.find(tenant, commandId);
  if (command !== null && command.holder === agentId) return command;
  throw refused(`the command ${commandId} was not sent to you`, type);
}

async function requireReceiver(
  given: readonly string[],
  receiver: string,
  { caller }: EnvelopeScene,
  engine: JudgementParts['engine'],
): Promise<void> {
  const wrong = given.find(name => name !== receiver);
  if (wrong === undefined) return;
  const known = [
    COORDINATOR,
    RESOURCE_MANAGER,
    ...(await engine.agents(caller.tenant)).map(({ agent }) => agent.id),
  ];
  if (!known.includes(wrong))
    throw new DomainError('not_found', `there is no receiver ${wrong.slice(0, 200)}`, {
      details: { to: wrong },
    });
  throw new DomainError('forbidden', `this goes to ${receiver} alone`, { details: { to: wrong } });
}

function receiversIn({ to }: Parameters<typeof meaningOf>[1]): readonly string[] {
  if (to === undefined) return [];
  return Array.isArray(to) ? to.map(String) : [String(to)];
}

function refused(message: string, type: string): DomainError {
  return new DomainError('forbidden', message, { details: { type } });
}
