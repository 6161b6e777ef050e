// Steps of workflows that an agent elsewhere does: whoever a step names is asked by one message as if by another service, and its answer is
// the step's (`NOOB-39`, `NOOB-54`). No message asked for such a step: what there would be in one is put together here.

import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { MessageId } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { Store } from '../../store/store.ts';
import type { Envelope } from './envelope.ts';
import { noobleError } from './errors.ts';
import { attemptId } from './passing-on.ts';
import type { Request } from './replies.ts';
import type { Services } from './services.ts';
import type { Settings } from './settings.ts';
import { DELEGATED, stepAgentOf, WORKFLOWS } from './task-terms.ts';
import type { Errand } from './worker.ts';

/** What finding out who does a step needs. */
export interface StepParts {
  readonly services: Pick<Services, 'agent'>;
  readonly settings: Pick<Settings, 'of'>;
  readonly store: Pick<Store, 'read'>;
}

/** A step as it is passed on. */
export interface StepElsewhere {
  readonly task: Task;
  readonly request: Request;
}

/**
 * The step as the registered agent it names is asked for it, once that is on disk; null where this server does it itself. Throws AEX_001 where
 * nobody registered that agent and the tenant has no built-in one.
 */
export async function stepElsewhere(errand: Errand, parts: StepParts): Promise<StepElsewhere | null> {
  const { task, tenant } = errand;
  const agent = stepAgentOf(task);
  if (agent === null) return null;
  if ((await parts.services.agent(tenant, agent)) === null) {
    if (!(await parts.settings.of(tenant)).builtInAgent)
      throw noobleError('AEX_001', `no agent ${agent} is registered`, { agent_id: agent, final: true });
    if (task.checkpoint !== null) await errand.report({ checkpoint: null });
    return null;
  }
  // Its answer may come before anything else is written of the step.
  await errand.report({ checkpoint: DELEGATED });
  return {
    task: { ...task, checkpoint: DELEGATED },
    request: await requestOfStep(task, parts.store),
  };
}

/** The request a step that is passed on comes to; ids, context and user are those of its workflow. */
export async function requestOfStep(task: Task, store: Pick<Store, 'read'>): Promise<Request> {
  const { tenant, spec, id, createdAt } = task;
  const { payload, step } = spec.payload;
  const { step_id: stepId, name } = isJsonObject(step) ? step : {};
  const { requester, traceId, context, sensitive, timeoutMs } = spec;
  const execution = isJsonObject(context) ? context.execution_context : undefined;
  const workflow = await workflowOf(task, store);
  const { userId, sessionId, correlationId } = requester;
  const firstId = attemptId(task, 1);
  const envelope = {
    ...{ message_id: firstId, task_id: id, tenant_id: tenant, correlation_id: correlationId ?? id },
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
    ...{ created_at: new Date(createdAt).toISOString(), schema_version: '1.1', status: 'pending' },
    ...{ type: { domain: 'agent', action: 'execute' }, priority: spec.priority },
    ...{ source_service: WORKFLOWS, target_service: 'agent_execution' },
    metadata: {
      ...{ source: 'system', trace_id: traceId, timeout_ms: timeoutMs },
      ...(userId === undefined ? {} : { user_id: userId }),
      ...(workflow === null ? {} : { workflow_id: workflow }),
      ...(stepId === undefined ? {} : { workflow_step_id: stepId, step_name: name ?? stepId }),
      ...(execution === undefined ? {} : { execution_context: execution }),
      ...(sensitive === true ? { sensitive_data: true } : {}),
    },
    payload: isJsonObject(payload) ? payload : {},
  } as Envelope;
  return { tenant, id: firstId as MessageId, envelope, traceId };
}

/** The name of the run the step belongs to; null where it has none on this wire. */
async function workflowOf({ tenant, spec }: Task, store: Pick<Store, 'read'>): Promise<string | null> {
  const mark = spec.extra?.workflow;
  const parent = isJsonObject(mark) ? String(mark.task_id) : null;
  const [run = null] = parent === null ? [] : await store.read([{ tenant, id: parent as TaskId }]);
  const { workflow_id: name } = (run?.spec.origin?.terms ?? {}) as JsonObject;
  return typeof name === 'string' ? name : null;
}
