// What messages do to tasks: order, report, ask, control. The wires say what their messages mean; here it is done, so that every wire
// does the same. Each verb bears being asked twice.

import { hash } from 'node:crypto';
import { DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { TaskError } from '../../domain/failure.ts';
import type { AgentId, TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Fault, Message, TaskRequest } from '../../domain/message.ts';
import { RETRY_POLICIES, type RetryPolicy } from '../../domain/retry.ts';
import { TASK_TYPES, type Task, type TaskSpec, type TaskType } from '../../domain/task.ts';
import type { Store } from '../../store/store.ts';
import type { Admission, EngineApi } from '../api.ts';
import type { ProgressReport } from '../ports/executor.ts';
import type { Directory } from './directory.ts';
import type { Herald } from './herald.ts';
import type { Release } from './release.ts';
import type { TaskHandout } from './task-handout.ts';

/** What a wire decides of a task beside what the message says; absent parts take the engine's defaults. */
export interface OrderTerms
  extends Partial<
    Pick<
      TaskSpec,
      | 'timeoutMs'
      | 'attemptTimeoutMs'
      | 'queueTimeoutMs'
      | 'expectedMs'
      | 'logLevelMin'
      | 'sensitive'
      | 'deadlineAt'
      | 'fallback'
      | 'entrusted'
      | 'awaitsAgent'
      | 'notBefore'
      | 'resources'
      | 'dependsOn'
      | 'dependsOnEnds'
      | 'outputSchema'
      | 'labels'
      | 'context'
      | 'retry'
      | 'region'
      | 'depth'
      | 'concurrency'
      | 'notices'
    >
  > {
  /** What an agent must be able to do beside the task's type: its role, `army:writer`. */
  readonly capabilities?: readonly string[];
  /** Where agents do it, whether or not the server could. */
  readonly byAgents?: boolean;
  readonly userId?: string;
  readonly sessionId?: string;
}

/** What tasks are ordered and reported with. */
export interface TaskDeskParts {
  readonly engine: EngineApi;
  readonly directory: Directory;
  readonly handout: TaskHandout;
  readonly herald: Pick<Herald, 'follow'>;
  readonly release: Pick<Release, 'seen'>;
  readonly store: Pick<Store, 'list'>;
}

/** Tasks, as messages deal with them. */
export class TaskDesk {
  readonly #parts: TaskDeskParts;

  constructor(parts: TaskDeskParts) {
    this.#parts = parts;
  }

  /** Makes the task a message asks for, its wire telling of it from then on; throws why there is none. */
  async order(
    message: Message,
    task: TaskRequest,
    terms: OrderTerms = {},
  ): Promise<Admission & { kind: 'admitted' }> {
    const { tenant } = message;
    await this.#parts.herald.follow(tenant);
    const kind = await this.#kindOf(tenant, task, terms);
    // All or nothing, so that a message that is refused leaves no task behind, not even a rejected one.
    const [admission] = await this.#parts.engine.submit(
      [
        {
          ...{ tenant, id: task.taskId, actor: message.actor, steps: {} },
          fingerprint: fingerprintOf(message, task, terms),
          spec: this.#specOf(message, task, { ...terms, ...kind }),
        },
      ],
      { atomic: true },
    );
    if (admission === undefined) throw new Error('a submit of one task answered none');
    if (admission.kind !== 'admitted') throw admission.error;
    return admission;
  }

  /** Takes its holder's word on how far a task is, which keeps the lease; `pending` hands it back. Alerts are noted with it. */
  async progress(
    message: Message,
    said: Message['meaning'] & { readonly act: 'report_progress' },
    alerts: NonNullable<ProgressReport['alerts']> = [],
  ): Promise<void> {
    const { tenant } = message;
    const agentId = requireAgent(message);
    const { token, taskId } = await this.#parts.handout.requireHolder(tenant, agentId, said.taskId);
    if (said.status === 'pending')
      return this.#parts.handout.giveBack(tenant, agentId, { taskId, token }, said.note ?? 'handed back');
    const report = { ...reportOf(said), ...(alerts.length === 0 ? {} : { alerts }) };
    const told =
      Object.keys(report).length === 0
        ? { heartbeats: [{ taskId, token }] }
        : { progress: [{ taskId, token, report }] };
    await this.#parts.handout.tell(tenant, agentId, told);
  }

  /** Takes its holder's word on how a task ended. */
  async outcome(
    message: Message,
    said: Message['meaning'] & { readonly act: 'report_outcome' },
  ): Promise<void> {
    const { tenant } = message;
    const agentId = requireAgent(message);
    const { token, taskId } = await this.#parts.handout.requireHolder(tenant, agentId, said.taskId);
    const ref = { taskId, token };
    if (said.status === 'completed')
      return this.#parts.handout.tell(tenant, agentId, {
        results: [{ ...ref, status: 'completed', output: said.result }],
      });
    const error: TaskError =
      said.error === null
        ? { code: 'task_failed', message: `the agent reported the task ${said.status}`, recoverable: false }
        : taskErrorOf(said.error);
    // What there is all the same is kept with the failure.
    const output = said.result === null ? {} : { output: said.result };
    await this.#parts.handout.tell(tenant, agentId, {
      results: [{ ...ref, status: 'failed', error, ...output }],
    });
  }

  /** The task as its requester may see it, an output that is held or refused not shown; throws `not_found`. */
  async task(tenant: TenantId, id: TaskId): Promise<Task> {
    return this.#parts.release.seen(await this.#parts.engine.task(tenant, id));
  }

  /** How deep a task is that the message asks for: below the deepest of those its sender holds, and of the one it names (`ARMY-84`). */
  async depthOf({ tenant, agentId }: Message, parent: TaskId | null = null): Promise<number> {
    const named = parent === null ? [] : [await this.#parts.engine.task(tenant, parent)];
    const held =
      agentId === null
        ? []
        : (await this.#parts.store.list({ tenant, agentId, states: ['running'], limit: HELD_MAX, offset: 0 }))
            .items;
    const above = [...named, ...held.filter(({ lease }) => lease?.agentId === agentId)];
    return above.reduce((depth, { spec }) => Math.max(depth, spec.depth + 1), 0);
  }

  /** Obeys a command; answers the task and whether it was already so. Throws `invalid_transition`. */
  async control(
    message: Pick<Message, 'tenant' | 'actor'>,
    command: 'pause' | 'resume' | 'cancel',
    options: { readonly taskId: TaskId; readonly reason: string | null; readonly force?: boolean },
  ): Promise<{ readonly task: Task; readonly wasSo: boolean }> {
    const { tenant, actor } = message;
    const { taskId: id, reason, force } = options;
    const before = await this.#parts.engine.task(tenant, id);
    if (isSo(before, command)) return { task: before, wasSo: true };
    const call = { tenant, id, actor, ...(reason === null ? {} : { reason }) };
    const task =
      command === 'pause'
        ? await this.#parts.engine.pause({ ...call, ...(force === undefined ? {} : { force }) })
        : await this.#parts.engine[command](call);
    return { task, wasSo: false };
  }

  /** Work only agents do is theirs; what this server does too is its own where no agent of the tenant can. */
  async #kindOf(
    tenant: TenantId,
    { taskType }: TaskRequest,
    { byAgents, capabilities = [] }: OrderTerms,
  ): Promise<Pick<TaskSpec, 'type' | 'typeName' | 'requiredCapabilities'>> {
    const custom = { type: 'custom', typeName: taskType, requiredCapabilities: capabilities } as const;
    if (byAgents === true || !isBuiltIn(taskType)) return custom;
    const agents = await this.#parts.directory.agents(tenant);
    const isAgents = agents.some(({ agent }) => agent.types.includes(`custom:${taskType}`));
    return isAgents ? custom : { type: taskType };
  }

  #specOf(
    message: Message,
    task: TaskRequest,
    terms: OrderTerms & Pick<TaskSpec, 'type' | 'typeName'>,
  ): TaskSpec {
    const { tenant } = message;
    const {
      byAgents: _,
      capabilities: __,
      userId,
      sessionId,
      timeoutMs,
      retry,
      resources,
      depth,
      ...rest
    } = terms;
    const { engine } = this.#parts;
    return {
      ...rest,
      description: task.description,
      payload: isJsonObject(task.input) ? task.input : { input: task.input },
      priority: message.priority,
      requester: {
        agentId: (message.agentId ?? message.from) as AgentId,
        correlationId: message.correlationId,
        ...(userId === undefined ? {} : { userId }),
        ...(sessionId === undefined ? {} : { sessionId }),
      },
      timeoutMs: timeoutMs ?? engine.defaultTimeoutMs(tenant, terms),
      retry: retry ?? DEFAULT_RETRY,
      resources: { ...engine.defaultResources(terms), ...resources },
      variables: {},
      secretNames: [],
      dependencies: [],
      dependsOn: rest.dependsOn ?? [],
      traceId: message.traceId,
      depth: depth ?? 0,
      submittedBy: message.actor,
      origin: {
        dialect: message.dialect,
        messageId: message.id,
        from: message.from,
        agentId: message.agentId,
        taskType: task.taskType,
        input: task.input,
        terms: task.terms,
        ...(message.manner === undefined ? {} : { manner: message.manner }),
      },
    };
  }
}

/** What tells the same order from another; of a sensitive one it tells nothing else. */
function fingerprintOf({ dialect }: Message, task: TaskRequest, { sensitive }: OrderTerms): string {
  const said = JSON.stringify([task.taskType, task.description, task.input, task.terms]);
  return `${dialect}:${sensitive === true ? hash('sha256', said, 'hex') : said}`;
}

const HELD_MAX = 200;
const DEFAULT_RETRY: RetryPolicy = { ...RETRY_POLICIES.exponential, attemptsMax: 4 };

/** The agent whose credentials sent the message; throws `forbidden` where it was nobody's. */
export function requireAgent({ agentId }: Message): AgentId {
  if (agentId !== null) return agentId as AgentId;
  throw new DomainError(
    'forbidden',
    'only an agent can report on a task: these credentials are bound to none',
  );
}

/** A failure as a task keeps it. */
export function taskErrorOf({ code, message, recoverable, details, wireCode }: Fault): TaskError {
  const kept: JsonObject = wireCode === undefined ? details : { ...details, wire_code: wireCode };
  return { code, message, recoverable, details: kept };
}

/** A failure as a message tells it. */
export function faultOf(error: DomainError): Fault {
  const { code, message, details, retryAfterMs } = error;
  return {
    ...{ code, message, details },
    recoverable: ERROR_CODES[code].retry === 'yes',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

function isBuiltIn(type: string): type is Exclude<TaskType, 'custom'> {
  return type !== 'custom' && (TASK_TYPES as readonly string[]).includes(type);
}

function isSo({ state, outcome }: Task, command: 'pause' | 'resume' | 'cancel'): boolean {
  if (command === 'cancel') return outcome === 'cancelled';
  if (command === 'pause') return state === 'paused';
  return outcome === null && state !== 'paused';
}

function reportOf(said: Message['meaning'] & { readonly act: 'report_progress' }): ProgressReport {
  const { percentage, note, checkpoint, metrics } = said;
  const intermediate: Json | undefined = Object.keys(metrics).length === 0 ? undefined : { metrics };
  return {
    ...(percentage === null ? {} : { percentage }),
    ...(note === null ? {} : { currentStep: note }),
    ...(checkpoint === null ? {} : { checkpoint }),
    ...(intermediate === undefined ? {} : { intermediate }),
  };
}
