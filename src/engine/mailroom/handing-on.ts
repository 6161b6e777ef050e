// Tasks that pass from one agent's hands into another's, by message: the lease moves with all that was reported under it, and the new holder
// finds in its inbox what it now has to do. Who will not have it puts it back into the hands it came from.

import { fits } from '../../domain/agent.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import type { AgentId, TaskId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { inboxOfAgent, type MessageId } from '../../domain/message.ts';
import { type Task, workTypeOf } from '../../domain/task.ts';
import type { MailStore } from '../../store/mail.ts';
import type { Store } from '../../store/store.ts';
import type { AgentView, EngineApi } from '../api.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Conditions } from './conditions.ts';
import type { Directory } from './directory.ts';
import { messageOf, packed, taskSending } from './packing.ts';
import type { LeaseRef } from './task-handout.ts';
import type { Waiting } from './waiting.ts';

/** The wish that another agent goes on with a task. */
export interface Handing {
  readonly tenant: TenantId;
  readonly taskId: TaskId;
  /** Who holds it; null for whoever does. */
  readonly from: AgentId | null;
  readonly to: AgentId;
  /** What the new holder must be able to do beside the task's type. */
  readonly abilities: readonly string[];
  readonly actor: string;
  /** The message that asks for it; asked again, it is done once. */
  readonly request: MessageId;
  readonly reason: string | null;
  /** Where the task stands, for the new holder; absent leaves the checkpoint there is. */
  readonly state?: Json;
}

/** What is needed to hand tasks on. */
export interface HandingOnParts {
  readonly store: Pick<Store, 'events'>;
  readonly mail: MailStore;
  readonly engine: Pick<EngineApi, 'task' | 'passOn'>;
  readonly directory: Directory;
  readonly conditions: Pick<Conditions, 'mayWork'>;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly waiting: Waiting;
}

/** The event that a task passed into other hands. */
export const HANDOFF = 'handoff';
const EVENTS_LOOKED_AT = 100;

/** Passes tasks on. */
export class HandingOn {
  readonly #parts: HandingOnParts;

  constructor(parts: HandingOnParts) {
    this.#parts = parts;
  }

  /**
   * Makes another agent the task's holder in one step and answers the task; throws why the task stays where it is: `lease_lost` and
   * `invalid_transition` where it is not held so, `not_found`, `unprocessable` and `resource_exhausted` where the other cannot take it.
   */
  async passOn(handing: Handing): Promise<Task> {
    const { tenant, taskId, from, to, actor, request, reason, state } = handing;
    const task = await this.#parts.engine.task(tenant, taskId);
    const last = await this.#lastHandoff(task);
    if (last?.detail.request === request) return this.#ask(task, to);
    const { lease } = task;
    if (lease === null || (from !== null && lease.agentId !== from)) throw notHeld(task, from);
    await this.#requireFit(task, handing);
    const detail = { from: lease.agentId, to, actor, request, ...(reason === null ? {} : { reason }) };
    const isUnasked = from === null;
    const heir = { agentId: to, isUnasked, detail, ...(state === undefined ? {} : { checkpoint: state }) };
    return this.#ask(await this.#parts.engine.passOn({ tenant, taskId, token: lease.token }, heir), to);
  }

  /** Puts what its new holder refuses before it has said anything else back into the hands it came from; false where that cannot be. */
  async takeBack(
    tenant: TenantId,
    by: AgentId,
    { taskId, token }: LeaseRef,
    reason: string,
  ): Promise<boolean> {
    const task = await this.#parts.engine.task(tenant, taskId);
    if (task.lease?.token !== token || task.lease.agentId !== by) return false;
    const last = await this.#lastHandoff(task);
    if (last === null || last.sequence !== task.version || last.detail.to !== by) return false;
    const from = String(last.detail.from) as AgentId;
    if (last.detail.refused_by !== undefined || (await this.#parts.directory.agent(tenant, from)) === null)
      return false;
    const detail = { from: by, to: from, actor: `agent:${by}`, refused_by: by, reason };
    const heir = { agentId: from, isUnasked: false, detail };
    await this.#ask(await this.#parts.engine.passOn({ tenant, taskId, token }, heir), from);
    return true;
  }

  /** The message that asks the holder to go on, once. */
  async #ask(task: Task, agentId: AgentId): Promise<Task> {
    const { mail, wires, waiting } = this.#parts;
    const { lease, spec, tenant } = task;
    const wire = wires.get(spec.origin?.dialect ?? '');
    if (lease?.agentId !== agentId || wire === undefined) return task;
    const ids = spec.origin === undefined ? [] : [spec.origin.messageId as MessageId];
    const [original] = await mail.mail({ tenant, dialect: wire.name, ids, limit: 1 });
    const last = await this.#lastHandoff(task);
    const draft = wire.taskRequest(
      task,
      agentId,
      original === undefined ? null : messageOf(original),
      last?.detail,
    );
    const inbox = inboxOfAgent(agentId);
    await mail.post([
      packed(taskSending(draft, task), [{ inbox, lane: task.id, cause: `task:${lease.token}` }]),
    ]);
    waiting.wake(tenant, [inbox]);
    return task;
  }

  async #lastHandoff({ key, version }: Task): Promise<Handoff | null> {
    const afterSequence = Math.max(0, version - EVENTS_LOOKED_AT);
    const events = await this.#parts.store.events({
      ...{ of: 'task', key, afterSequence, limit: EVENTS_LOOKED_AT },
    });
    return events.findLast(isHandoff) ?? null;
  }

  async #requireFit(task: Task, { tenant, to, abilities }: Handing): Promise<void> {
    const { directory, conditions, wires } = this.#parts;
    directory.forget(tenant);
    const view = await directory.agent(tenant, to);
    if (view === null)
      throw new DomainError('not_found', `there is no agent ${to}`, { details: { agent: to } });
    const { agent } = view;
    const can = new Set([
      ...agent.capabilities,
      ...[...wires.values()].flatMap(wire => wire.abilitiesOf?.(agent) ?? []),
    ]);
    const missing = abilities.filter(one => !can.has(one));
    const type = workTypeOf(task.spec);
    if (task.lease?.agentId === to || !agent.types.includes(type) || missing.length > 0)
      throw new DomainError('unprocessable', `${to} cannot take over the task ${task.id}`, {
        details: { agent: to, task_id: task.id, needs: [type.replace(/^custom:/, ''), ...missing] },
      });
    if (!hasRoom(view, task) || !(await conditions.mayWork(tenant, to)))
      throw new DomainError('resource_exhausted', `${to} can take no further task now`, {
        details: { agent: to, task_id: task.id, health: view.health },
        retryAfterMs: RETRY_MS,
      });
  }
}

const RETRY_MS = 1_000;

type Handoff = TaskEvent & { readonly kind: 'note'; readonly detail: JsonObject };

function isHandoff(event: TaskEvent): event is Handoff {
  return event.kind === 'note' && event.name === HANDOFF;
}

function hasRoom({ agent, health, busy, free }: AgentView, { spec }: Task): boolean {
  return health !== 'offline' && health !== 'draining' && busy < agent.slots && fits(spec.resources, free);
}

function notHeld({ id, state, outcome, lease }: Task, from: AgentId | null): DomainError {
  const details = { task_id: id, state };
  if (outcome !== null || lease === null || from === null)
    return new DomainError('invalid_transition', `nobody holds the task ${id}`, { details });
  return new DomainError('lease_lost', `${from} does not hold task ${id}`, { details });
}
