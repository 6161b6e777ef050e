// The refusals SAM's routes share: faults of a request, and what a good credential still may not do.

import { refuseInsideId } from '../../domain/agent.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { allows, type Permission, type Principal } from '../../domain/principal.ts';
import type { Task, TaskType } from '../../domain/task.ts';
import type { EngineApi } from '../../engine/api.ts';
import type { Fault } from '../validation.ts';

/** An `invalid_request` that lists faults (`SAM-44`). */
export function invalidRequest(faults: readonly Fault[]): DomainError {
  const first = faults[0];
  const message = first === undefined ? 'the request is not valid' : `${first.field} ${first.message}`;
  return new DomainError('invalid_request', message, {
    details: { errors: faults.map(one => ({ field: one.field, message: one.message })) },
  });
}

/** Throws `forbidden` where the credential is narrowed to other task types (`SAM-12`, `SAM-107`). */
export function refuseForeignType(principal: Principal, type: TaskType): void {
  if (principal.taskTypes === undefined || principal.taskTypes.has(type)) return;
  throw new DomainError('forbidden', `this credential may not submit ${type} tasks`, {
    details: { rule: 'task_types', task_type: type },
  });
}

/**
 * Throws `forbidden` where a workflow would run steps of types the credential is not for; what a stored workflow runs is not known here, so
 * a narrowed credential may name none (`SAM-12`).
 */
export function refuseForeignSteps(principal: Principal, payload: unknown): void {
  if (principal.taskTypes === undefined || typeof payload !== 'object' || payload === null) return;
  for (const [name, value] of Object.entries(payload)) {
    if (name === 'workflow_id')
      throw new DomainError('forbidden', 'a credential for some task types may run no stored workflow', {
        details: { rule: 'task_types', workflow_id: String(value) },
      });
    if (name === 'task_type' && typeof value === 'string') refuseForeignType(principal, value as TaskType);
    refuseForeignSteps(principal, value);
  }
}

/** Throws `forbidden` where the credential is bound to another agent (`SAM-32`), or the agent is one inside this server. */
export function refuseForeignAgent(principal: Principal, agentId: string): void {
  refuseInsideId(agentId);
  if (principal.agentId === undefined || principal.agentId === agentId) return;
  throw new DomainError('forbidden', `this credential speaks for agent ${principal.agentId} only`, {
    details: { rule: 'agent_binding', agent_id: agentId },
  });
}

/** Throws `forbidden` where the credential is narrowed to an agent or to task types: the keys it made would be free of that. */
export function refuseNarrowed({ agentId, taskTypes }: Principal): void {
  if (agentId === undefined && taskTypes === undefined) return;
  throw new DomainError('forbidden', 'a credential bound to an agent or to task types makes no credentials', {
    details: { rule: 'narrowed_credential' },
  });
}

/** Throws `forbidden` unless the principal holds one of the permissions. */
export function requireAny(principal: Principal, permissions: readonly Permission[]): void {
  if (permissions.some(one => allows(principal, one))) return;
  throw new DomainError('forbidden', `this needs the permission ${permissions.join(' or ')}`, {
    details: { rule: `permission:${permissions.join('|')}` },
  });
}

/** The task of the tenant; throws `not_found` naming the id, which makes it `TASK_NOT_FOUND` on the wire. */
export async function findTask(engine: Pick<EngineApi, 'task'>, tenant: TenantId, id: string): Promise<Task> {
  try {
    return await engine.task(tenant, id as TaskId);
  } catch (error) {
    throw namingTask(error, id);
  }
}

/** The error, with the task's id added where it says that the task is missing. */
export function namingTask(error: unknown, id: string): unknown {
  if (!(error instanceof DomainError) || error.code !== 'not_found') return error;
  return new DomainError('not_found', `there is no task ${id}`, { details: { task_id: id }, cause: error });
}
