// What a task remembers of the message that asked for it, beside what it asked: its envelope, and who elsewhere is to do it.

import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { MessageId } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { Envelope } from './envelope.ts';
import type { Request } from './replies.ts';

/** Who does a task elsewhere: a registered service, or an agent of that name. */
export interface Delegate {
  readonly service: string;
  readonly agent: string | null;
}

/** The label under which a task bears the version of the client that asked for it (`NOOB-27`). */
export const CLIENT_LABEL = 'client_version';

/** That version as a label holds it. */
export function clientLabel(version: string): string {
  return version.slice(0, 200);
}

/** The terms a task keeps; the payload is its input already. */
export function termsOf(envelope: Envelope, delegate: Delegate | null, more: JsonObject = {}): JsonObject {
  const { payload: _, ...header } = envelope;
  return { ...more, envelope: header, ...(delegate === null ? {} : { delegate: { ...delegate } }) };
}

/** The service that asks for the steps of workflows. */
export const WORKFLOWS = 'workflow_engine';

/** The checkpoint of a step that an agent elsewhere was asked to do. */
export const DELEGATED: JsonObject = { delegated: true };

/** The agent a step of a workflow names, registered or not; null where it names none, or where the task is no step. */
export function stepAgentOf({ spec }: Pick<Task, 'spec'>): string | null {
  const { payload } = spec.payload;
  if (spec.origin !== undefined || spec.typeName !== 'agent_task' || !isJsonObject(payload)) return null;
  const { agent_id: agent } = isJsonObject(payload.agent_config) ? payload.agent_config : {};
  return spec.extra?.workflow !== undefined && typeof agent === 'string' ? agent : null;
}

/** Who asked for it on this wire: a service, of a step passed on the one that runs workflows; null where nobody did. */
export function askerOf(task: Pick<Task, 'spec' | 'checkpoint'>): string | null {
  const { origin } = task.spec;
  if (origin !== undefined) return origin.dialect === 'nooble' ? origin.from : null;
  return delegateOf(task) === null ? null : WORKFLOWS;
}

/** Who does it elsewhere, or null where this server does it itself. */
export function delegateOf({ spec, checkpoint }: Pick<Task, 'spec' | 'checkpoint'>): Delegate | null {
  const agent = stepAgentOf({ spec });
  if (agent !== null)
    return isJsonObject(checkpoint) && checkpoint.delegated === true
      ? { service: 'agent_execution', agent }
      : null;
  const delegate = spec.origin?.terms.delegate;
  if (!isJsonObject(delegate)) return null;
  return {
    service: String(delegate.service),
    agent: typeof delegate.agent === 'string' ? delegate.agent : null,
  };
}

/** The request a task is of, as it came; null where it did not come by this wire. */
export function requestOfTask({ tenant, spec }: Pick<Task, 'tenant' | 'spec'>): Request | null {
  const { origin, traceId } = spec;
  if (origin?.dialect !== 'nooble' || !isJsonObject(origin.terms.envelope)) return null;
  const workflow = origin.terms.workflow_id;
  const header = origin.terms.envelope as Envelope;
  const metadata = isJsonObject(header.metadata) ? header.metadata : {};
  const envelope = {
    ...header,
    ...(workflow === undefined ? {} : { metadata: { ...metadata, workflow_id: workflow } }),
    payload: isJsonObject(origin.terms.asked)
      ? origin.terms.asked
      : isJsonObject(origin.input)
        ? origin.input
        : {},
  } as Envelope;
  return { tenant, id: origin.messageId as MessageId, envelope, traceId };
}

/** How long what a message asks may take, by its own word or by its kind (`NOOB-21`, `NOOB-110`, `NOOB-111`). */
export function timeoutOf(envelope: Envelope): number {
  const { payload, metadata } = envelope;
  const seconds = payload.timeout_seconds;
  if (typeof seconds === 'number') return Math.ceil(seconds * 1_000);
  if (typeof metadata?.timeout_ms === 'number') return metadata.timeout_ms;
  return KINDS[kindOf(envelope)].timeoutMs;
}

/** The kinds of operation, with the priority and time recommended for each. */
export const KINDS = {
  chat: { timeoutMs: 30_000, priority: 1 },
  tool: { timeoutMs: 10_000, priority: 2 },
  interactive_workflow: { timeoutMs: 60_000, priority: 3 },
  query: { timeoutMs: 5_000, priority: 4 },
  batch: { timeoutMs: 300_000, priority: 5 },
  maintenance: { timeoutMs: 1_800_000, priority: 10 },
} as const;

/** The kind of operation a message asks for. */
export function kindOf({ type, priority, payload, conversation_id: talk }: Envelope): keyof typeof KINDS {
  const pair = `${type.domain}.${type.action}`;
  if (priority === 10 || pair === 'system.execute') return 'maintenance';
  if (pair === 'agent.execute' && talk !== undefined) return 'chat';
  if (pair === 'tool.execute') return 'tool';
  if (pair === 'workflow.start' && payload.execution_mode === 'sync') return 'interactive_workflow';
  return type.action === 'query' || pair === 'auth.validate' ? 'query' : 'batch';
}
