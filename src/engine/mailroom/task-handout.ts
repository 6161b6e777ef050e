// Tasks given out as messages. The engine leases a task to an agent as to any worker; what the agent finds in its inbox is the message
// that asks for it. Delivery and lease live and end together: acknowledging keeps the lease, giving back hands the task back.

import { gpuAbilities } from '../../domain/agent.ts';
import { DomainError } from '../../domain/errors.ts';
import type { AgentId, FencingToken, TaskId, TenantId } from '../../domain/ids.ts';
import { inboxOfAgent, type Message, type MessageId } from '../../domain/message.ts';
import type { Task, WorkType } from '../../domain/task.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { EntryRef, MailStore, TakenMail } from '../../store/mail.ts';
import type { AgentView, EngineApi, WorkAnswer, WorkLease, WorkRequest } from '../api.ts';
import type { MessageSeals } from '../ports/message-seals.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Conditions } from './conditions.ts';
import type { Directory } from './directory.ts';
import type { Handout } from './handout.ts';
import { messageOf, type ownSending, packed, taskSending } from './packing.ts';

/** An agent that takes tasks. */
export interface Handed {
  readonly tenant: TenantId;
  readonly reader: string;
  readonly agentId: AgentId;
  readonly dialect: string;
  readonly slots: number;
  readonly waitMs: number;
  readonly signal?: AbortSignal;
}

/** What is needed to give tasks out. */
export interface TaskHandoutParts {
  readonly clock: Clock;
  readonly mail: MailStore;
  readonly engine: Pick<EngineApi, 'work' | 'task' | 'handBack'>;
  readonly directory: Directory;
  readonly conditions: Pick<Conditions, 'mayWork'>;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly seals: Pick<MessageSeals, 'isConfidential'>;
  /** Sends what the server says to agents: orders to stop. */
  readonly say: (drafts: Parameters<typeof ownSending>[0][]) => Promise<void>;
}

const GPU = 'gpu_units:';

/** A lease as a delivery names it. */
export interface LeaseRef {
  readonly taskId: TaskId;
  readonly token: FencingToken;
}

/** Gives tasks out to agents that read their inboxes. */
export class TaskHandout {
  readonly #parts: TaskHandoutParts;

  constructor(parts: TaskHandoutParts) {
    this.#parts = parts;
  }

  /** Tasks for the agent, if it is registered for any; none once the wait is over. */
  async take(handed: Handed): Promise<readonly Handout[]> {
    const { tenant, agentId } = handed;
    if (!(await this.#parts.conditions.mayWork(tenant, agentId))) return [];
    const { slots, waitMs, signal } = handed;
    const view = await this.#worker(handed);
    if (view === null) return [];
    // Who has GPUs takes one task at a time, so that what is free of them is known at each.
    const hasGpus = view.agent.capacity.gpuUnits !== undefined;
    const answer = await this.#work(view, {
      ...{ slots: hasGpus ? Math.min(1, slots) : slots, waitMs },
      ...(signal === undefined ? {} : { signal }),
    });
    await this.#passOn(handed, answer);
    // What it said of itself while it waited counts too.
    if (answer.leases.length > 0 && !(await this.#parts.conditions.mayWork(tenant, agentId))) {
      const held = answer.leases.map(({ task, token }) => ({ tenant, taskId: task.id, token }));
      await Promise.all(held.map(one => this.#parts.engine.handBack(one, 'the agent holds too much memory')));
      return [];
    }
    return Promise.all(answer.leases.map(lease => this.#handOut(handed, lease)));
  }

  /** A task's message that was not acknowledged in time, if the task is still the reader's; else it is withdrawn. */
  async again(taken: TakenMail, reader: string): Promise<Handout | null> {
    const { mail, entry, attempt, inbox, visibleUntil } = taken;
    const message = messageOf(mail);
    const token = Number(taken.cause?.slice('task:'.length)) as FencingToken;
    const { taskId } = message;
    const task = taskId === null ? null : await this.#parts.engine.task(mail.tenant, taskId).catch(nothing);
    if (task === null || task.lease?.token !== token) {
      await this.#parts.mail.settle([
        { tenant: mail.tenant, entry, attempt, reader, verdict: { outcome: 'ack' } },
      ]);
      return null;
    }
    return {
      id: idOf({ entry, attempt }, { taskId: task.id, token }),
      inbox,
      attempt,
      visibleUntil,
      message,
    };
  }

  /** Keeps a task's lease; throws `lease_lost`. */
  async keep(tenant: TenantId, agentId: AgentId, lease: LeaseRef): Promise<void> {
    await this.requireHolder(tenant, agentId, lease.taskId, lease.token);
    await this.tell(tenant, agentId, { heartbeats: [lease] });
  }

  /** Puts a task back into its queue without blame; throws `lease_lost`. */
  async giveBack(tenant: TenantId, agentId: AgentId, lease: LeaseRef, reason: string): Promise<void> {
    await this.requireHolder(tenant, agentId, lease.taskId, lease.token);
    await this.#parts.engine.handBack({ tenant, ...lease }, reason);
  }

  /** The task and lease an agent holds; throws `not_found`, `lease_lost`, and `invalid_transition` where the task has ended. */
  async requireHolder(
    tenant: TenantId,
    agentId: AgentId,
    taskId: TaskId,
    token?: FencingToken,
  ): Promise<LeaseRef & { readonly task: Task }> {
    const task = await this.#parts.engine.task(tenant, taskId);
    const { lease } = task;
    if (lease !== null && lease.agentId === agentId && (token === undefined || lease.token === token))
      return { task, taskId, token: lease.token };
    const details = { task_id: taskId, state: task.state };
    if (task.outcome !== null)
      throw new DomainError('invalid_transition', `task ${taskId} has ended: ${task.outcome}`, { details });
    throw new DomainError('lease_lost', `${agentId} does not hold task ${taskId}`, { details });
  }

  /** Says something of tasks the agent holds; throws what is wrong with it. */
  async tell(
    tenant: TenantId,
    agentId: AgentId,
    told: Partial<Pick<WorkRequest, 'results' | 'progress' | 'heartbeats' | 'logs'>>,
  ): Promise<void> {
    const view = await this.#agent(tenant, agentId);
    const { rejected } = await this.#work(view, told);
    for (const { error } of rejected) throw error;
  }

  /** The agent, if it takes work. Whoever is about to wait may have registered a moment ago, and would not be looked up again. */
  async #worker({ tenant, agentId, waitMs }: Handed): Promise<AgentView | null> {
    const { directory } = this.#parts;
    const known = await directory.now(tenant, agentId);
    if (known !== null && this.#typesOf(known).length > 0) return known;
    if (waitMs === 0) return null;
    directory.forget(tenant);
    const found = await directory.agent(tenant, agentId);
    return found === null || this.#typesOf(found).length === 0 ? null : found;
  }

  async #agent(tenant: TenantId, agentId: AgentId): Promise<AgentView> {
    const view = await this.#parts.directory.agent(tenant, agentId);
    if (view === null)
      throw new DomainError('lease_lost', `the agent ${agentId} is not registered, so it holds nothing`);
    return view;
  }

  #typesOf({ agent }: AgentView): readonly WorkType[] {
    const more = [...this.#parts.wires.values()].flatMap(wire => wire.typesOf?.(agent) ?? []);
    return more.length === 0 ? agent.types : [...new Set([...agent.types, ...more])];
  }

  #work(view: AgentView, asked: Partial<WorkRequest>): Promise<WorkAnswer> {
    const { agent, free } = view;
    const { tenant, id: agentId, capacity, region, version } = agent;
    const types = this.#typesOf(view);
    const abilities = [...this.#parts.wires.values()].flatMap(wire => wire.abilitiesOf?.(agent) ?? []);
    const others = agent.capabilities.filter(one => !one.startsWith(GPU));
    const capabilities = [...new Set([...others, ...abilities, ...gpuAbilities(free.gpuUnits ?? 0)])];
    return this.#parts.engine.work({
      ...{ tenant, agentId, types, capabilities, capacity, slots: 0, waitMs: 0 },
      ...(region === undefined ? {} : { region }),
      ...(version === undefined ? {} : { version }),
      ...{ results: [], progress: [], logs: [], heartbeats: [] },
      ...asked,
    });
  }

  /** What the engine orders an agent to stop is told it by message. */
  async #passOn({ tenant, agentId, dialect }: Handed, { cancellations }: WorkAnswer): Promise<void> {
    const orders = await Promise.all(
      cancellations.map(async ({ taskId, reason }) => {
        const task = await this.#parts.engine.task(tenant, taskId).catch(nothing);
        return task === null ? [] : [this.#wireOf(task, dialect).taskStop(task, agentId, reason)];
      }),
    );
    if (orders.length > 0) await this.#parts.say(orders.flat());
  }

  async #handOut(
    { tenant, agentId, reader, dialect }: Handed,
    { task, token, expiresAt }: WorkLease,
  ): Promise<Handout> {
    const { clock, mail, seals } = this.#parts;
    const inbox = inboxOfAgent(agentId);
    const held = { by: reader, ms: Math.max(1_000, expiresAt - clock.now()) };
    const entry = { inbox, lane: task.id, held, cause: `task:${token}` };
    const original = await this.#original(task);
    const lease = { taskId: task.id, token };
    if (original !== null && task.attempt === 1 && this.#reachesAsIs(original, seals)) {
      const { position } = original;
      const [ref] = await mail.fanOut([{ tenant, position, entry }]);
      if (ref !== null && ref !== undefined)
        return {
          id: idOf(ref, lease),
          inbox,
          attempt: ref.attempt,
          visibleUntil: expiresAt,
          message: original,
        };
    }
    const draft = this.#wireOf(task, dialect).taskRequest(task, agentId, original);
    const [posted] = await mail.post([packed(taskSending(draft, task), [entry])]);
    if (posted?.status !== 'stored') throw new DomainError('internal', `task ${task.id} was not given out`);
    const [ref] = posted.entries;
    if (ref === undefined) throw new Error('a message was posted without its entry');
    return {
      ...{ id: idOf(ref, lease), inbox, attempt: ref.attempt, visibleUntil: expiresAt },
      message: messageOf(posted.mail),
    };
  }

  /** What was encrypted to this server its agents could not read. */
  #reachesAsIs(original: Message, seals: TaskHandoutParts['seals']): boolean {
    if (seals.isConfidential(original)) return false;
    return this.#parts.wires.get(original.dialect)?.reachesAsIs?.(original) ?? true;
  }

  async #original({ tenant, spec }: Task): Promise<Message | null> {
    if (spec.origin === undefined) return null;
    const { dialect, messageId } = spec.origin;
    const [found] = await this.#parts.mail.mail({
      ...{ tenant, dialect, ids: [messageId as MessageId], limit: 1 },
    });
    return found === undefined ? null : messageOf(found);
  }

  #wireOf({ spec }: Task, dialect: string): MessageWire {
    const wire = this.#parts.wires.get(spec.origin?.dialect ?? dialect);
    if (wire === undefined) throw new Error(`there is no wire ${spec.origin?.dialect ?? dialect}`);
    return wire;
  }
}

/** The parts of a delivery's id: which entry, and of a task's message the lease; null where it is no such id. */
export function partsOf(id: string): (EntryRef & { readonly lease: LeaseRef | null }) | null {
  const match = /^(\d{1,15})\.(\d{1,9})(?:\.(\d{1,15})\.([A-Za-z0-9._:-]{1,200}))?$/.exec(id);
  if (match === null) return null;
  const [, entry, attempt, token, taskId] = match;
  const lease =
    token === undefined || taskId === undefined
      ? null
      : { taskId: taskId as TaskId, token: Number(token) as FencingToken };
  return { entry: Number(entry), attempt: Number(attempt), lease };
}

function idOf({ entry, attempt }: EntryRef, { taskId, token }: LeaseRef): string {
  return `${entry}.${attempt}.${token}.${taskId}`;
}

function nothing(error: unknown): null {
  if (error instanceof DomainError && error.code === 'not_found') return null;
  throw error;
}
