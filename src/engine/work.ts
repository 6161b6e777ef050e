// The exchange with remote workers: everything they tell and ask in one call. Results, progress, logs and heartbeats are taken
// first, each on its own; then the ask waits for work, or for an order to stop (`SAM-131` – `SAM-134`).

import { asDomainError, DomainError } from '../domain/errors.ts';
import type { AgentId, FencingToken, TaskId, TenantId } from '../domain/ids.ts';
import { type PipePositions, positionsIn, readsPipes, withPositions } from '../domain/pipe.ts';
import type { Task } from '../domain/task.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Renewal } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { WorkAnswer, WorkLease, WorkRef, WorkRequest, WorkResult } from './api.ts';
import type { Attempts, RunningAttempt } from './attempts.ts';
import type { Dispatcher } from './dispatch.ts';
import { type Journal, keepsLines } from './journal.ts';
import { taskErrorOf } from './local.ts';
import { Mask } from './masking.ts';
import type { Pipes } from './pipes.ts';
import type { ProgressReport } from './ports/executor.ts';
import type { SecretKeeper } from './ports/secrets.ts';
import type { Roster } from './roster.ts';
import type { Settlement } from './settlement.ts';

type Cancellation = WorkAnswer['cancellations'][number];
type Rejection = WorkAnswer['rejected'][number];

/** Serves remote workers. */
export class WorkExchange {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'renew' | 'read' | 'events'>;
  readonly #dispatcher: Dispatcher;
  readonly #attempts: Attempts;
  readonly #settlement: Settlement;
  readonly #roster: Roster;
  readonly #journal: Journal;
  readonly #secrets: SecretKeeper;
  readonly #pipes: Pick<Pipes, 'checkpoint'>;
  readonly #leaseMs: number;
  /** The secrets each attempt was given: they are masked even if they were changed or deleted since. */
  readonly #given = new WeakMap<RunningAttempt, readonly string[]>();
  /** Orders not yet picked up, by agent. */
  readonly #orders = new Map<string, Cancellation[]>();
  /** Long-polls under way, by agent, to be ended when an order comes in. */
  readonly #polls = new Map<string, Set<() => void>>();

  constructor(
    clock: Clock,
    store: Pick<Store, 'renew' | 'read' | 'events'>,
    parts: {
      readonly dispatcher: Dispatcher;
      readonly attempts: Attempts;
      readonly settlement: Settlement;
      readonly roster: Roster;
      readonly journal: Journal;
      readonly secrets: SecretKeeper;
      readonly pipes: Pick<Pipes, 'checkpoint'>;
    },
    options: { readonly leaseMs: number },
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#dispatcher = parts.dispatcher;
    this.#attempts = parts.attempts;
    this.#settlement = parts.settlement;
    this.#roster = parts.roster;
    this.#journal = parts.journal;
    this.#secrets = parts.secrets;
    this.#pipes = parts.pipes;
    this.#leaseMs = options.leaseMs;
  }

  /** Leaves an order for the agent that held the task, waking its long-poll. */
  stop(task: Task, reason: string): void {
    if (task.lease === null) return;
    const key = keyOf(task.tenant, task.lease.agentId);
    const orders = this.#orders.get(key) ?? [];
    orders.push({ taskId: task.id, token: task.lease.token, reason });
    this.#orders.set(key, orders);
    for (const wake of this.#polls.get(key) ?? []) wake();
  }

  /** Answers all who wait for work with what there is, so that they ask another node. */
  endPolls(): void {
    for (const polls of [...this.#polls.values()]) for (const wake of [...polls]) wake();
  }

  /** One exchange; waits up to `waitMs` for work unless it already has something to answer. */
  async exchange(request: WorkRequest): Promise<WorkAnswer> {
    const { tenant, agentId } = request;
    const { region, labels, version, capacity = {} } = request;
    await this.#roster.hear(
      {
        tenant,
        id: agentId,
        kind: 'worker',
        types: request.types,
        capabilities: request.capabilities,
        capacity,
        ...(region === undefined ? {} : { region }),
        ...(labels === undefined ? {} : { labels }),
        ...(version === undefined ? {} : { version }),
      },
      request.slots,
    );
    const rejected: Rejection[] = [];
    // Results come last: whatever else is said of an attempt is said while it still leads its task.
    await this.#takeProgress(request, rejected);
    await this.#takeLogs(request, rejected);
    const { extensions, lost } = await this.#renew(request, rejected);
    await this.#takeResults(request, rejected);
    const attempts = await this.#wait(request, rejected.length > 0 || lost.length > 0);
    const leases = (await Promise.all(attempts.map(attempt => this.#leaseOf(attempt)))).filter(
      lease => lease !== null,
    );
    const orders = this.#ordersFor(tenant, agentId);
    const ordered = new Set(orders.map(({ token }) => token));
    const cancellations = [...orders, ...lost.filter(({ token }) => !ordered.has(token))];
    return { leases, cancellations, extensions, rejected };
  }

  async #takeResults(request: WorkRequest, rejected: Rejection[]): Promise<void> {
    await Promise.all(
      request.results.map(result =>
        this.#each(result, 'result', rejected, async () => {
          if (await this.#recorded(request.tenant, result)) return;
          const attempt = await this.#attempts.find(request.tenant, result.taskId, result.token);
          const mask = await this.#maskOf(attempt);
          await this.#settlement.settle(attempt, mask.result(attemptResultOf(result)));
        }),
      ),
    );
    // Slots fell free: another poll of the agent may now be given more.
    if (request.results.length > 0) this.#dispatcher.wake();
  }

  /** A repeated result is confirmed, so that a worker whose answer was lost need not wonder (`SAM-133`). */
  async #recorded(tenant: TenantId, result: WorkResult): Promise<boolean> {
    if (this.#attempts.knows(result.token)) return false;
    const [task] = await this.#store.read([{ tenant, id: result.taskId }]);
    if (task?.lastToken !== result.token) return false;
    // The attempt is over; it was its own result that ended it if the agent, not the system, moved the task on.
    const attempt = task.lease === null ? task.attempt : task.attempt - 1;
    const events = await this.#store.events({ of: 'task', key: task.key, afterSequence: 0, limit: 1_000 });
    return events.some(
      event =>
        event.kind === 'state' &&
        event.from === 'running' &&
        event.attempt === attempt &&
        event.actor.startsWith('agent:'),
    );
  }

  async #takeProgress(request: WorkRequest, rejected: Rejection[]): Promise<void> {
    const byAttempt = Map.groupBy(request.progress, ({ token }) => token);
    await Promise.all(
      [...byAttempt.values()].map(async items => {
        // A checkpoint must not overtake the one before.
        for (const item of items)
          await this.#each(item, 'progress', rejected, async () => {
            const attempt = await this.#attempts.find(request.tenant, item.taskId, item.token);
            const mask = await this.#maskOf(attempt);
            await this.#report(attempt, mask.report(item.report), item.positions);
          });
      }),
    );
  }

  /** What is kept of a step that reads is its state with how far that goes in its inputs, in one. */
  async #report(attempt: RunningAttempt, report: ProgressReport, positions?: PipePositions): Promise<void> {
    const { task, token } = attempt;
    const { checkpoint } = report;
    if (checkpoint === undefined) {
      if (positions === undefined) return this.#settlement.report(attempt, report);
      throw new DomainError('invalid_request', 'how far inputs were read is said with a checkpoint');
    }
    const kept = readsPipes(task.spec) ? withPositions(checkpoint, positions) : checkpoint;
    await this.#pipes.checkpoint({ tenant: task.tenant, taskId: task.id, token }, positions ?? {}, () =>
      this.#settlement.report(attempt, { ...report, checkpoint: kept }),
    );
  }

  async #takeLogs(request: WorkRequest, rejected: Rejection[]): Promise<void> {
    for (const line of request.logs) {
      await this.#each(line, 'log', rejected, async () => {
        const attempt = await this.#attempts.find(request.tenant, line.taskId, line.token);
        const { task, agentId } = attempt;
        if (!keepsLines(task.spec, line.level)) return;
        const { message, component, metadata } = line;
        const mask = await this.#maskOf(attempt);
        this.#journal.line({
          tenant: task.tenant,
          key: task.key,
          at: line.at,
          level: line.level,
          component: component === undefined ? 'worker' : mask.text(component),
          attempt: task.attempt,
          agentId,
          message: mask.text(message),
          ...(metadata === undefined ? {} : { metadata: mask.json(metadata) }),
        });
      });
    }
  }

  /** Progress renews a lease as a heartbeat does. */
  async #renew(
    request: WorkRequest,
    rejected: Rejection[],
  ): Promise<{ extensions: WorkAnswer['extensions']; lost: readonly Cancellation[] }> {
    const told: readonly WorkRef[] = [...request.heartbeats, ...request.progress];
    const over = new Set(request.results.map(({ token }) => token));
    const refs = [...new Map(told.map(ref => [ref.token, ref])).values()].filter(
      ({ token }) => !over.has(token),
    );
    const renewals: Renewal[] = [];
    const held: RunningAttempt[] = [];
    for (const ref of refs) {
      await this.#each(ref, 'heartbeat', rejected, async () => {
        const attempt = await this.#attempts.find(request.tenant, ref.taskId, ref.token);
        held.push(attempt);
        renewals.push({ key: attempt.task.key, token: ref.token, leaseMs: this.#leaseMs });
      });
    }
    const outcomes = renewals.length === 0 ? [] : await this.#store.renew(renewals);
    const extensions: { taskId: TaskId; token: FencingToken; expiresAt: number }[] = [];
    outcomes.forEach((outcome, index) => {
      const attempt = held[index];
      if (attempt === undefined) return;
      const ref = { taskId: attempt.task.id, token: attempt.token };
      if (outcome.status === 'kept') extensions.push({ ...ref, expiresAt: outcome.expiresAt });
      else {
        this.#attempts.abort(attempt.token, 'lease_lost');
        rejected.push({
          ...ref,
          item: 'heartbeat',
          error: new DomainError('lease_lost', 'the lease is gone'),
        });
      }
    });
    // Whoever reports on a task it no longer leads must also be told to stop working on it.
    const lost = rejected
      .filter(({ error, item }) => error.code === 'lease_lost' && item !== 'result')
      .map(({ taskId, token }) => ({ taskId, token, reason: 'the lease is gone' }));
    return { extensions, lost };
  }

  async #each(ref: WorkRef, item: string, rejected: Rejection[], take: () => Promise<void>): Promise<void> {
    try {
      await take();
    } catch (error) {
      rejected.push({ taskId: ref.taskId, token: ref.token, item, error: asDomainError(error) });
    }
  }

  #wait(request: WorkRequest, answerNow: boolean): Promise<readonly RunningAttempt[]> {
    const { tenant, agentId, slots, waitMs, signal } = request;
    const key = keyOf(tenant, agentId);
    const hurried = answerNow || waitMs <= 0 || (this.#orders.get(key)?.length ?? 0) > 0;
    if (hurried && slots <= 0) return Promise.resolve([]);
    return new Promise(resolve => {
      const polls = this.#polls.get(key) ?? new Set();
      let answered = false;
      const finish = (attempts: readonly RunningAttempt[]): void => {
        if (answered) {
          this.#returnAll(attempts);
          return;
        }
        answered = true;
        cancelTimer();
        polls.delete(giveUp);
        if (polls.size === 0 && this.#polls.get(key) === polls) this.#polls.delete(key);
        signal?.removeEventListener('abort', giveUp);
        resolve(attempts);
      };
      const withdraw = slots > 0 ? this.#ask(request, finish) : async () => {};
      const giveUp = (): void => void withdraw().then(() => finish([]));
      const cancelTimer = hurried ? () => {} : this.#clock.after(waitMs, giveUp);
      polls.add(giveUp);
      this.#polls.set(key, polls);
      signal?.addEventListener('abort', giveUp, { once: true });
      // Even an answer that is due at once first looks whether there is work.
      if (hurried || signal?.aborted === true) giveUp();
    });
  }

  #ask(request: WorkRequest, take: (attempts: readonly RunningAttempt[]) => void): () => Promise<void> {
    return this.#dispatcher.ask({
      agentId: request.agentId,
      agentTenant: request.tenant,
      tenant: request.tenant,
      types: new Set(request.types),
      capabilities: new Set(request.capabilities),
      region: request.region,
      slots: () => request.slots,
      take: attempts => {
        if (request.signal?.aborted === true) this.#returnAll(attempts);
        else take(attempts);
      },
    });
  }

  /** The caller went away while its claim was under way: nobody will run these, so they need not wait for their leases to expire. */
  #returnAll(attempts: readonly RunningAttempt[]): void {
    for (const attempt of attempts) {
      void this.#settlement.handBack(attempt, 'the worker went away before it got the task').catch(() => {});
    }
  }

  /** Of what the attempt was given; where another process gave it, of what there is now. */
  async #maskOf(attempt: RunningAttempt): Promise<Mask> {
    const { tenant, spec } = attempt.task;
    const names = spec.secretNames;
    const given = this.#given.get(attempt);
    if (given !== undefined || names.length === 0) return new Mask(this.#secrets, given ?? []);
    const missing = await this.#secrets.missing(tenant, names);
    const left = names.filter(name => !missing.includes(name));
    return new Mask(this.#secrets, Object.values(await this.#secrets.values(tenant, left)));
  }

  /** What the worker gets; null where the task cannot be given out after all, which ends its attempt. */
  async #leaseOf(attempt: RunningAttempt): Promise<WorkLease | null> {
    const { task, token } = attempt;
    const names = task.spec.secretNames;
    try {
      const secrets = names.length === 0 ? {} : await this.#secrets.values(task.tenant, names);
      this.#given.set(attempt, Object.values(secrets));
      const expiresAt = task.lease?.expiresAt ?? 0;
      if (!readsPipes(task.spec)) return { task, token, expiresAt, secrets, positions: {} };
      const { state, positions } = positionsIn(task.checkpoint);
      return { task: { ...task, checkpoint: state }, token, expiresAt, secrets, positions };
    } catch (error) {
      await this.#settlement.settle(attempt, { status: 'failed', error: taskErrorOf(error) });
      return null;
    }
  }

  #ordersFor(tenant: TenantId, agentId: AgentId): readonly Cancellation[] {
    const key = keyOf(tenant, agentId);
    const orders = this.#orders.get(key) ?? [];
    this.#orders.delete(key);
    return orders;
  }
}

function attemptResultOf(result: WorkResult): Parameters<Settlement['settle']>[1] {
  const metrics = result.metrics === undefined ? {} : { metrics: result.metrics };
  if (result.status === 'completed') {
    return { status: 'completed', output: result.output ?? null, isolation: 'remote', ...metrics };
  }
  const error = result.error ?? taskErrorOf(new DomainError('task_failed', 'the worker gave no reason'));
  const output = result.output === undefined ? {} : { output: result.output };
  return { status: 'failed', error, isolation: 'remote', ...output, ...metrics };
}

function keyOf(tenant: TenantId, agentId: AgentId): string {
  return `${tenant}\n${agentId}`;
}
