// Whether a task may come in or start, by the quotas of its tenant, credential and user (`SAM-119`). A tenant that chose to queue
// is held back by the dispatcher, which asks `room`; everyone else over a quota is refused at the door. Without a plan nothing is
// counted. What other nodes admit and run counts too: what runs by the leases, what is admitted by what nodes tell each other.

import { DomainError } from '../domain/errors.ts';
import type { TaskKey, TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ResourceLimits, Task, TaskSpec } from '../domain/task.ts';
import type { QuotaRoom, Quotas } from '../engine/ports/quotas.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import type { LeaseRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { Admitted } from './quota-admitted.ts';
import type { QuotaLimits, QuotaName, QuotaPlan, QuotaPolicy, QuotasByName } from './quota-plan.ts';
import { QUOTAS } from './quota-plan.ts';
import { DailyUse, type Holder, Holdings, type Scope, scopeKeyOf } from './quota-usage.ts';

/** How a tenant, credential or user stands against its limits. */
export interface QuotaStanding extends Scope {
  readonly policy: QuotaPolicy;
  readonly limits: QuotaLimits;
  readonly used: Readonly<Record<QuotaName, number>>;
}

/** Who knows the plans. */
export interface QuotaPlans {
  quotaPlan(tenant: TenantId): QuotaPlan | undefined;
  /** The tenants that have one. */
  planned(): Iterable<TenantId>;
}

type Limited = Omit<QuotaStanding, 'used'>;
type TaskStore = Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'list'>;

const FLUSH_MS = 5_000;
const SHARE_MS = 1_000;
const RETRY_MS = 5_000;
const PAGE = 1_000;
const UNENDED = ['queued', 'paused', 'allocated', 'running', 'completing'] as const;
const AT_ONCE: ReadonlySet<QuotaName> = new Set(['concurrent_tasks', 'memory_mb']);
const FREELY = (): void => {};

/**
 * Counts what tasks hold and use. Under `refuse` a task holds from its admission to its end, under `queue` while it runs. A quota of
 * what is held at once is exceeded over nodes only by what several admit or start within 2 s, one of what is used up in a day by what
 * they admit within 10 s.
 */
export class TaskQuotas implements Quotas, Service {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: TaskStore;
  readonly #plans: QuotaPlans;
  readonly #admitted: Admitted;
  #running = new Holdings<TaskKey>();
  /** What began (and what it holds) or ended (null) here during the count under way. */
  #meanwhile: Map<TaskKey, Holder | null> | null = null;
  readonly #daily: DailyUse;
  /** Tenants whose tasks from before their plan, or before this process, are counted too. */
  readonly #adopted = new Set<TenantId>();
  #cancelFlush: Cancel = () => {};
  #cancelShare: Cancel = () => {};
  #open = false;

  constructor(log: Log, clock: Clock, random: Random, store: TaskStore, plans: QuotaPlans) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#plans = plans;
    this.#admitted = new Admitted(clock, random, store);
    this.#daily = new DailyUse(clock, store);
  }

  async start(): Promise<void> {
    this.#open = true;
    await this.#daily.load();
    await Promise.all([...this.#plans.planned()].map(tenant => this.#adopt(tenant)));
    this.#scheduleFlush();
    if (!this.#store.capabilities.shared) return;
    await this.#share();
    this.#scheduleShare();
  }

  async stop(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#cancelFlush();
    this.#cancelShare();
    await this.#daily.flush();
    await this.#admitted.leave();
  }

  admit({ tenant, id, spec }: Pick<Task, 'tenant' | 'id' | 'spec'>): () => void {
    const scopes = this.#scopesOf(tenant, spec);
    if (scopes.length === 0) return FREELY;
    const memoryMb = spec.resources.memoryMb ?? 0;
    for (const { of, limits } of scopes)
      if (memoryMb > (limits.memory_mb ?? memoryMb))
        throw new DomainError(
          'unprocessable',
          `the task asks for more memory than its ${of} may have in all`,
          {
            details: { quota: 'memory_mb', scope: of, limit: limits.memory_mb ?? 0, requested: memoryMb },
          },
        );
    const refusing = scopes.filter(({ policy }) => policy === 'refuse');
    const holder = holderOf(tenant, id);
    if (this.#admitted.has(holder)) return FREELY;
    for (const scope of refusing) this.#refuseSpent(scope, memoryMb);
    this.#hold(holder, refusing, { memoryMb, since: this.#clock.now() });
    return () => this.#admitted.undo(holder);
  }

  room(tenant: TenantId): QuotaRoom | null {
    const scope = this.#tenantScope(tenant);
    if (scope === null) return null;
    const held = this.#running.of(scope);
    const { concurrent_tasks: tasksMax = Number.POSITIVE_INFINITY, memory_mb: memoryMax } = scope.limits;
    const used = { ...this.#used(scope), concurrent_tasks: held.tasks, memory_mb: held.memoryMb };
    const spent = QUOTAS.find(quota => used[quota] >= (scope.limits[quota] ?? Number.POSITIVE_INFINITY));
    if (spent !== undefined) return { tasks: 0, spent: this.#told(scope, spent, used[spent]) };
    const memory = memoryMax === undefined ? {} : { memoryMb: memoryMax - held.memoryMb };
    return { tasks: tasksMax - held.tasks, ...memory };
  }

  began({ tenant, key, spec }: Task): void {
    const scope = this.#tenantScope(tenant);
    if (scope === null || reservesNothing(spec.resources)) return;
    const holder = holderIn([scope], spec.resources.memoryMb ?? 0, this.#clock.now());
    this.#running.add(key, holder);
    this.#meanwhile?.set(key, holder);
  }

  left(task: Task, { outcome, result }: Parameters<Quotas['left']>[1]): void {
    const { tenant, id, key, spec, lease } = task;
    const scopes = this.#scopesOf(tenant, spec);
    this.#running.remove(key);
    this.#meanwhile?.set(key, null);
    if (outcome !== undefined) {
      if (scopes.some(scope => scope.policy === 'refuse' && limitsAtOnce(scope)))
        this.#admitted.end(holderOf(tenant, id));
      else this.#admitted.undo(holderOf(tenant, id));
    }
    if (lease === null) return;
    // By our own clock, and for every attempt: a worker's word for it would be its own bill.
    const seconds = Math.max(0, this.#clock.now() - lease.claimedAt) / 1_000;
    const use = {
      cpuSeconds: seconds * (spec.resources.cpuCores ?? 1),
      cost: result?.metrics.cost ?? 0,
      tokens: result?.metrics.tokensUsed ?? 0,
    };
    for (const scope of scopes) this.#daily.add(scope, use);
  }

  get countsRunning(): boolean {
    for (const tenant of this.#plans.planned()) {
      const scope = this.#tenantScope(tenant);
      if (scope?.policy === 'queue' && limitsAtOnce(scope)) return true;
    }
    return false;
  }

  async recount(reading: Promise<readonly LeaseRow[]>): Promise<void> {
    const meanwhile = new Map<TaskKey, Holder | null>();
    this.#meanwhile = meanwhile;
    try {
      const running = new Holdings<TaskKey>();
      for (const { tenant, key, needs, claimedAt } of await reading) {
        const scope = meanwhile.has(key) ? null : this.#tenantScope(tenant);
        if (scope !== null && !reservesNothing(needs))
          running.add(key, holderIn([scope], needs.memoryMb ?? 0, claimedAt));
      }
      for (const [key, holder] of meanwhile) if (holder !== null) running.add(key, holder);
      this.#running = running;
    } finally {
      this.#meanwhile = null;
    }
  }

  /** How the tenant, one of its credentials and one of its users stand, where there are limits for them. */
  standing(
    tenant: TenantId,
    who: { readonly credential: string; readonly userId?: string },
  ): readonly QuotaStanding[] {
    const scopes = this.#limited(tenant, who.credential, who.userId);
    return scopes.map(scope => ({ ...scope, used: this.#used(scope) }));
  }

  /** When today's use is forgotten, epoch milliseconds: the next midnight, UTC. */
  get resetsAt(): number {
    return this.#daily.resetsAt;
  }

  #refuseSpent(scope: Limited, memoryMb: number): void {
    const used = this.#used(scope);
    const wanted = {
      ...used,
      concurrent_tasks: used.concurrent_tasks + 1,
      memory_mb: used.memory_mb + memoryMb,
    };
    for (const quota of QUOTAS) {
      const limit = scope.limits[quota];
      if (limit === undefined) continue;
      // What is used up cannot be known of a task beforehand: its quota lets through until it is spent.
      if (AT_ONCE.has(quota) ? wanted[quota] <= limit : used[quota] < limit) continue;
      const retryAfterMs = AT_ONCE.has(quota) ? RETRY_MS : this.#daily.resetsAt - this.#clock.now();
      throw new DomainError('rate_limited', `the ${scope.of} has used up its quota of ${quota}`, {
        retryAfterMs,
        details: { scope: scope.of, ...this.#told(scope, quota, used[quota]) },
      });
    }
  }

  #told({ limits }: Limited, quota: QuotaName, used: number): JsonObject {
    const resetsAt = AT_ONCE.has(quota) ? null : new Date(this.#daily.resetsAt).toISOString();
    return { quota, limit: limits[quota] ?? null, used, resets_at: resetsAt };
  }

  #used(scope: Limited): QuotaStanding['used'] {
    const held = (scope.policy === 'refuse' ? this.#admitted : this.#running).of(scope);
    const { cpuSeconds, cost, tokens } = this.#daily.of(scope);
    return {
      concurrent_tasks: held.tasks,
      memory_mb: held.memoryMb,
      cpu_seconds_per_day: cpuSeconds,
      cost_per_day: cost,
      tokens_per_day: tokens,
    };
  }

  #scopesOf(tenant: TenantId, { submittedBy, requester }: TaskSpec): readonly Limited[] {
    return this.#limited(tenant, submittedBy, requester.userId);
  }

  #limited(tenant: TenantId, credential: string | undefined, userId: string | undefined): readonly Limited[] {
    const plan = this.#planOf(tenant);
    if (plan === undefined) return [];
    const own = this.#tenantScope(tenant);
    return [
      ...(own === null ? [] : [own]),
      ...named(tenant, 'credential', credential, plan.credentials),
      ...named(tenant, 'user', userId, plan.users),
    ];
  }

  #tenantScope(tenant: TenantId): Limited | null {
    const own = this.#planOf(tenant)?.tenant;
    return own === undefined || own === null ? null : { tenant, of: 'tenant', name: tenant, ...own };
  }

  #planOf(tenant: TenantId): QuotaPlan | undefined {
    const plan = this.#plans.quotaPlan(tenant);
    if (plan !== undefined && !this.#adopted.has(tenant))
      this.#adopt(tenant).catch(error => {
        this.#adopted.delete(tenant);
        this.#log.warn('tasks under way could not be counted', { tenant, error: String(error) });
      });
    return plan;
  }

  /** Counts the tasks that are there already. */
  async #adopt(tenant: TenantId): Promise<void> {
    this.#adopted.add(tenant);
    for (let offset = 0; ; offset += PAGE) {
      const { items } = await this.#store.list({ tenant, states: UNENDED, limit: PAGE, offset });
      for (const task of items) {
        const { id, spec, lease, createdAt } = task;
        const refusing = this.#scopesOf(tenant, spec).filter(({ policy }) => policy === 'refuse');
        const memoryMb = spec.resources.memoryMb ?? 0;
        this.#hold(holderOf(tenant, id), refusing, { memoryMb, since: createdAt });
        if (lease !== null) this.began(task);
      }
      if (items.length < PAGE) return;
    }
  }

  #hold(name: string, scopes: readonly Limited[], held: Pick<Holder, 'memoryMb' | 'since'>): void {
    this.#admitted.add(name, holderIn(scopes, held.memoryMb, held.since), scopes.some(limitsAtOnce));
  }

  async #share(): Promise<void> {
    if (this.#plans.planned()[Symbol.iterator]().next().done === true) return;
    try {
      if (await this.#admitted.share()) return;
      this.#admitted.clear();
      await Promise.all([...this.#plans.planned()].map(tenant => this.#adopt(tenant)));
    } catch (error) {
      this.#log.warn('what tasks hold of quotas could not be shared', { error: String(error) });
    }
  }

  #scheduleShare(): void {
    this.#cancelShare = this.#clock.after(SHARE_MS, async () => {
      await this.#share();
      if (this.#open) this.#scheduleShare();
    });
  }

  #scheduleFlush(): void {
    this.#cancelFlush = this.#clock.after(FLUSH_MS, () => {
      this.#daily
        .flush()
        .then(() => (this.#store.capabilities.shared ? this.#daily.refresh() : undefined))
        .catch(error => this.#log.warn('the use of quotas could not be written', { error: String(error) }))
        .finally(() => {
          if (this.#open) this.#scheduleFlush();
        });
    });
  }
}

/** True for what only waits for others, as a workflow does: counted, it would stand in the way of its own steps. */
function reservesNothing({ memoryMb, cpuCores }: ResourceLimits): boolean {
  return memoryMb === 0 && cpuCores === 0;
}

function named(
  tenant: TenantId,
  of: 'credential' | 'user',
  name: string | undefined,
  quotas: QuotasByName | null | undefined,
): readonly Limited[] {
  if (name === undefined || quotas === null || quotas === undefined) return [];
  const limits = (Object.hasOwn(quotas, name) ? quotas[name] : undefined) ?? quotas['*'];
  return limits === undefined ? [] : [{ tenant, of, name, policy: 'refuse', limits }];
}

function limitsAtOnce({ limits }: Limited): boolean {
  return limits.concurrent_tasks !== undefined || limits.memory_mb !== undefined;
}

function holderIn(scopes: readonly Scope[], memoryMb: number, since: number): Holder {
  return { scopes: scopes.map(scopeKeyOf), memoryMb, since };
}

function holderOf(tenant: TenantId, id: Task['id']): string {
  return `${tenant}\n${id}`;
}
