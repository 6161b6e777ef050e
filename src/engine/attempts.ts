// The attempts under way that this process knows of: what was claimed here, by whom, and how to stop it. A cache beside the
// store's leases, which alone decide who leads a task; what is missing here is read from there.

import type { NotificationPlan } from '../domain/delivery.ts';
import { DomainError } from '../domain/errors.ts';
import type { AgentId, FencingToken, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import type { LeaseRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { AttemptAbort } from './ports/executor.ts';
import type { Roster } from './roster.ts';

/** How an attempt was over, for the agent's record: `returned` blames nobody. */
export type AttemptEnd = 'completed' | 'failed' | 'agent_error' | 'returned';

/** An attempt under way. */
export interface RunningAttempt {
  /** As it was claimed, with the notification plan that holds now. */
  task: Task;
  readonly token: FencingToken;
  readonly agentId: AgentId;
  /** The tenant the agent belongs to; the pool's agents serve other tenants' tasks too. */
  readonly agentTenant: TenantId;
  /** Reached so far; never falls (`SAM-125`). */
  percentage: number;
  currentStep: string | undefined;
  /** When its requester was last told of progress, epoch milliseconds. */
  notifiedAt: number;
  /** Progress gathered for one sending: when that is, and how much there is (`SAM-84`). */
  gathered: { readonly dueAt: number; readonly count: number };
  hasCheckpoint: boolean;
  /** Resources already warned of (`SAM-118`). */
  readonly warned: Set<string>;
  /** It only waits here, and takes no slot of its agent. */
  parked: boolean;
  /** Stops the work: set by whoever runs it in this process. */
  stop: ((cause: AttemptAbort['cause']) => void) | null;
}

/** Marks in its event that an attempt was handed back. */
export const HANDED_BACK = 'handed_back';

const READ_UNASKED_MAX = 100;
const EVENTS_MAX = 1_000;

/** Attempts by fencing token. */
export class Attempts {
  readonly #byToken = new Map<FencingToken, RunningAttempt>();
  readonly #store: Pick<Store, 'leases' | 'read' | 'events'>;
  readonly #roster: Roster;
  /** Led no task at the last count; a result that is just being written down looks so for a moment. */
  #missed: ReadonlySet<FencingToken> = new Set();
  #onBegun: (attempt: RunningAttempt) => void = () => {};
  #onOver: (attempt: RunningAttempt, how: AttemptEnd) => void = () => {};

  constructor(store: Pick<Store, 'leases' | 'read' | 'events'>, roster: Roster) {
    this.#store = store;
    this.#roster = roster;
  }

  /** Set once by the engine: told of every attempt that came to be known here. */
  set onBegun(tell: (attempt: RunningAttempt) => void) {
    this.#onBegun = tell;
  }

  /** Set once by the engine: told of every attempt that ended here. */
  set onOver(tell: (attempt: RunningAttempt, how: AttemptEnd) => void) {
    this.#onOver = tell;
  }

  /** Notes a claim, counting it against its agent. */
  begin(task: Task, token: FencingToken, agentId: AgentId, agentTenant: TenantId): RunningAttempt {
    const attempt: RunningAttempt = {
      task,
      token,
      agentId,
      agentTenant,
      percentage: task.progress?.percentage ?? 0,
      currentStep: undefined,
      notifiedAt: task.lease?.claimedAt ?? task.updatedAt,
      gathered: { dueAt: 0, count: 0 },
      hasCheckpoint: task.checkpoint !== null,
      warned: new Set(),
      parked: false,
      stop: null,
    };
    this.#byToken.set(token, attempt);
    this.#roster.took(agentTenant, agentId, task.spec);
    this.#onBegun(attempt);
    return attempt;
  }

  /** Forgets an attempt that ended; answers it if it was known here. */
  finish(token: FencingToken, how: AttemptEnd): RunningAttempt | undefined {
    const attempt = this.#byToken.get(token);
    if (attempt === undefined) return undefined;
    this.#byToken.delete(token);
    this.#onOver(attempt, how);
    if (!attempt.parked)
      this.#roster.gaveBack(attempt.agentTenant, attempt.agentId, attempt.task.spec.resources, how);
    return attempt;
  }

  /** Gives the agent its slot back while the attempt waits for something else than its work. */
  park(attempt: RunningAttempt): void {
    if (attempt.parked || !this.#byToken.has(attempt.token)) return;
    attempt.parked = true;
    this.#roster.gaveBack(attempt.agentTenant, attempt.agentId, attempt.task.spec.resources, 'returned');
  }

  /** How many attempts of a task were handed back, which uses none of them up (`TASK-26`). */
  async handedBack({ key }: Pick<Task, 'key'>): Promise<number> {
    let count = 0;
    for (let afterSequence = 0; ; ) {
      const events = await this.#store.events({ of: 'task', key, afterSequence, limit: EVENTS_MAX });
      count += events.filter(
        one => one.kind === 'state' && one.error?.details?.[HANDED_BACK] === true,
      ).length;
      if (events.length < EVENTS_MAX) return count;
      afterSequence = events.at(-1)?.sequence ?? afterSequence;
    }
  }

  /** Forgets the attempt and, where it runs in this process, stops its work. */
  abort(token: FencingToken, cause: AttemptAbort['cause']): RunningAttempt | undefined {
    const attempt = this.finish(token, 'returned');
    attempt?.stop?.(cause);
    return attempt;
  }

  /** The attempt this token leads, from memory or the store; throws `lease_lost` if it leads none of that name. */
  async find(tenant: TenantId, id: TaskId, token: FencingToken): Promise<RunningAttempt> {
    const known = this.#byToken.get(token);
    if (known !== undefined && known.task.id === id && known.task.tenant === tenant) return known;
    const [lease] = known === undefined ? await this.#store.leases({ tokens: [token] }) : [];
    if (lease?.tenant === tenant && lease.taskId === id) {
      const [task] = await this.#store.read([{ tenant, id }]);
      if (task?.lease?.token === token) {
        return this.begin(task, token, lease.agentId, tenant);
      }
    }
    throw new DomainError('lease_lost', `the fencing token ${token} does not lead task ${id}`, {
      details: {
        task_id: id,
        fencing_token: token,
        hint: 'another attempt took over, or the task ended; drop this work',
      },
    });
  }

  /** The attempt's further notifications go by this plan. */
  replan(token: FencingToken, notification: NotificationPlan): void {
    const attempt = this.#byToken.get(token);
    if (attempt === undefined) return;
    attempt.task = { ...attempt.task, spec: { ...attempt.task.spec, notification } };
  }

  /** Learns how those are to be told of whose tasks others changed; null: of any, where they are few enough to be read (`SAM-88`). */
  async refresh(keys: readonly TaskKey[] | null): Promise<void> {
    const named = keys === null ? null : new Set(keys);
    const told = [...this.#byToken.values()].filter(
      ({ task }) => task.spec.notification !== undefined && named?.has(task.key) !== false,
    );
    if (told.length === 0 || (keys === null && told.length > READ_UNASKED_MAX)) return;
    const tasks = await this.#store.read(told.map(({ task }) => ({ tenant: task.tenant, id: task.id })));
    for (const [index, { token }] of told.entries()) {
      const plan = tasks[index]?.spec.notification;
      if (tasks[index]?.lease?.token === token && plan !== undefined) this.replan(token, plan);
    }
  }

  /** Stops what runs in this process of tasks that others changed, where it no longer leads them; null: of any. */
  async doubt(keys: readonly TaskKey[] | null): Promise<void> {
    const named = keys === null ? null : new Set(keys);
    const doubted = [...this.#byToken.values()].filter(
      ({ task, stop }) => stop !== null && named?.has(task.key) !== false,
    );
    if (doubted.length === 0) return;
    const tokens = doubted.map(({ token }) => token);
    const leading = new Set((await this.#store.leases({ tokens })).map(({ token }) => token));
    for (const token of tokens) if (!leading.has(token)) this.abort(token, 'lease_lost');
  }

  /**
   * Counts all leases, as of the call, against agents: what other nodes gave them too. Forgets the attempts of workers elsewhere that
   * another node ended, at the second count that misses them.
   */
  async recount(reading: Promise<readonly LeaseRow[]>): Promise<void> {
    const before = new Set(this.#byToken.keys());
    const leases = await reading;
    const leading = new Set(leases.map(({ token }) => token));
    const missing = [...before].filter(
      token => !leading.has(token) && this.#byToken.get(token)?.stop === null,
    );
    for (const token of missing) if (this.#missed.has(token)) this.finish(token, 'returned');
    this.#missed = new Set(missing);
    this.#roster.countElsewhere(
      leases.filter(({ token }) => !before.has(token) && !this.#byToken.has(token)),
    );
  }

  /** Whether this process knows an attempt by this token. */
  knows(token: FencingToken): boolean {
    return this.#byToken.has(token);
  }

  /** The task of an attempt known here. */
  taskOf(token: FencingToken): Task | undefined {
    return this.#byToken.get(token)?.task;
  }

  /** How many of a tenant's attempts known here are whose, by requester. */
  heldIn(tenant: TenantId): Readonly<Record<string, number>> {
    const held: Record<string, number> = {};
    for (const { task } of this.#byToken.values()) {
      if (task.tenant !== tenant) continue;
      const { agentId } = task.spec.requester;
      held[agentId] = (held[agentId] ?? 0) + 1;
    }
    return held;
  }

  /** All attempts known here. */
  all(): Iterable<RunningAttempt> {
    return this.#byToken.values();
  }
}
