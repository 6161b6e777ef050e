// Judges orders and lets them in. A task that can never run here is stored as rejected; one that is wrong is refused and leaves no
// trace; the rest is queued. The answer leaves only after the commit is on disk.

import { DomainError } from '../domain/errors.ts';
import type { EventBody } from '../domain/event.ts';
import { DEFAULT_GUARDRAILS, violation } from '../domain/guardrails.ts';
import type { ExecutionId } from '../domain/ids.ts';
import { queueOf } from '../domain/queue.ts';
import { asRunHere, ISOLATION_LEVELS, type TaskSpec, type TaskType, workTypeOf } from '../domain/task.ts';
import { Batcher } from '../runtime/batcher.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { NewTask, NewTimer, SubmitOutcome } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Addressing } from './addressing.ts';
import type { Admission, TaskOrder } from './api.ts';
import { dependedFirst } from './batch-order.ts';
import { waitsFor } from './changes.ts';
import { findCycle } from './cycles.ts';
import type { Forecaster, Outlook } from './forecast.ts';
import type { Wakers } from './lifecycle.ts';
import type { Channel } from './ports/channel.ts';
import { type Executor, executorOf } from './ports/executor.ts';
import type { Quotas } from './ports/quotas.ts';
import type { PayloadCheck } from './ports/schemas.ts';
import type { Sealer } from './ports/sealer.ts';
import type { SecretKeeper, TenantWeights } from './ports/secrets.ts';
import { type ReservedWork, refuseUnentrusted } from './reserved-work.ts';
import type { Roster } from './roster.ts';
import { sealingKeyOf } from './sealing.ts';
import type { Signals } from './signals.ts';

/** The store gathers for itself, so a batch need not wait for the one before to come back. */
const UNDER_WAY_MAX = 4;

/** Everything intake consults. */
export interface IntakeParts {
  readonly executors: ReadonlyMap<TaskType, Executor>;
  readonly roster: Roster;
  readonly secrets: SecretKeeper;
  readonly channels: ReadonlyMap<string, Pick<Channel, 'check'>>;
  readonly schemas: PayloadCheck;
  readonly forecaster: Forecaster;
  readonly quotas: Quotas;
  readonly weights: Pick<TenantWeights, 'depthMax'>;
  readonly sealer: Sealer;
  readonly addressing: Addressing;
  readonly reserved: ReservedWork;
  readonly wakers: Wakers;
  readonly signals: Pick<Signals, 'publish'>;
}

/** The way in. */
export class Intake {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Pick<Store, 'capabilities' | 'submit' | 'read'>;
  readonly #parts: IntakeParts;
  readonly #waitingMax: number;
  readonly #batcher: Batcher<NewTask, Posted>;

  constructor(
    clock: Clock,
    random: Random,
    store: Pick<Store, 'capabilities' | 'submit' | 'read'>,
    parts: IntakeParts,
    options: { readonly waitingMax: number },
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#parts = parts;
    this.#waitingMax = options.waitingMax;
    this.#batcher = new Batcher(tasks => this.#post(tasks, false), { underWayMax: UNDER_WAY_MAX });
  }

  /** Throws why such an order would be refused or rejected now; stores and counts nothing. */
  check(order: TaskOrder): Promise<void> {
    return this.#check(order);
  }

  /** Judges and stores orders, answering each in order; `atomic` admits all or none. */
  async submit(given: readonly TaskOrder[], atomic: boolean): Promise<readonly Admission[]> {
    const orders = given.map(order => this.#parts.addressing.complete(order));
    const cyclic =
      orders.length > 1 ? findCycle(orders.map(({ id, spec }) => ({ id, dependsOn: spec.dependsOn }))) : null;
    const judged = await Promise.all(orders.map(order => this.#judge(order, cyclic)));
    const wrong = judged.some(one => one.verdict !== 'fine');
    if (atomic && wrong) {
      for (const one of judged) one.withdraw?.();
      return judged.map(one => withheld(one));
    }
    const tasks = judged.map(one => (one.verdict === 'refused' ? null : this.#taskOf(one)));
    const stored = tasks.filter(task => task !== null);
    const outcomes = await this.#save(stored, atomic).catch(error => {
      for (const one of judged) one.withdraw?.();
      throw error;
    });
    let next = 0;
    return Promise.all(
      judged.map(async (one, index) => {
        const task = tasks[index];
        if (one.verdict === 'refused' || task === null || task === undefined) return withheld(one);
        const posted = outcomes[next++];
        if (posted === undefined) throw new Error('the store answered fewer tasks than it was given');
        return this.#answer(one, task, posted);
      }),
    );
  }

  async #save(tasks: readonly NewTask[], atomic: boolean): Promise<readonly (Posted | undefined)[]> {
    const ordered = tasks.length > 1 ? dependedFirst(tasks) : tasks;
    const outcomes = atomic
      ? await this.#post(ordered, atomic)
      : await Promise.all(ordered.map(task => this.#batcher.add(task)));
    if (ordered === tasks) return outcomes;
    const byTask = new Map(ordered.map((task, index) => [task, outcomes[index]]));
    return tasks.map(task => byTask.get(task));
  }

  /**
   * Stores tasks. Where the store does one thing after the other they are in line at once: a claim asked for now sees them, and one
   * transaction and one wait for the disk take a task in and give it out.
   */
  async #post(tasks: readonly NewTask[], atomic: boolean): Promise<readonly Posted[]> {
    const submitting = this.#store.submit(tasks, { atomic });
    const inTurn = !this.#store.capabilities.shared;
    const outlooks = tasks.map(task => (inTurn && task.state === 'queued' ? this.#lineUp(task) : null));
    const outcomes = await submitting;
    return outcomes.map((outcome, index) => ({ outcome, outlook: outlooks[index] ?? null }));
  }

  /** Where a task stands in line; if it waits for nothing else, whoever may take it looks. */
  #lineUp(task: NewTask): Outlook {
    const waits = task.timers.some(({ kind }) => kind === 'ready' || kind === 'dependency');
    const outlook = this.#parts.forecaster.outlook(task, waits);
    if (!waits) this.#parts.wakers.ready(task);
    return outlook;
  }

  async #judge(order: TaskOrder, cyclic: readonly string[] | null): Promise<Judged> {
    try {
      if (cyclic?.includes(order.id) === true || order.spec.dependsOn.includes(order.id)) {
        const cycle = cyclic ?? [order.id];
        throw new DomainError('unprocessable', `tasks wait for one another: ${cycle.join(' -> ')}`, {
          details: { cycle },
        });
      }
      await this.#check(order);
      return { order, verdict: 'fine', withdraw: await this.#count(order) };
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return { order, verdict: REJECTS.has(error.code) ? 'rejected' : 'refused', error };
    }
  }

  /** Counts the order against its quotas; a repeat of one that was let in spends nothing, and the store will recognise it. */
  async #count(order: TaskOrder): Promise<() => void> {
    try {
      return this.#parts.quotas.admit(order);
    } catch (error) {
      const [known] = await this.#store.read([order]);
      if (known === null || known === undefined || known.state === 'rejected') throw error;
      return () => {};
    }
  }

  /** Throws why the task can never run here, or is wrong. */
  async #check(order: TaskOrder): Promise<void> {
    const { tenant, spec } = order;
    this.#parts.addressing.check(order);
    refuseUnentrusted(spec, this.#parts.reserved);
    const limit = this.#parts.weights.depthMax?.(tenant) ?? DEFAULT_GUARDRAILS.depthMax;
    if (spec.depth > limit)
      throw violation('recursion_depth', `tasks made by tasks may go ${limit} levels deep`, {
        ...{ depth: spec.depth, limit },
      });
    if (spec.type === 'custom') await this.#checkCustom(tenant, spec);
    else await this.#checkBuiltIn(tenant, spec);
    if (spec.secretNames.length > 0) {
      const missing = await this.#parts.secrets.missing(tenant, spec.secretNames);
      if (missing.length > 0) {
        throw new DomainError('unprocessable', `unknown secrets: ${missing.join(', ')}`, {
          details: { unknown_secrets: missing },
        });
      }
    }
    const { notification, notices = [] } = spec;
    const told = [...(notification === undefined ? [] : [notification]), ...notices];
    await Promise.all(told.map(({ channel, url }) => this.#parts.channels.get(channel)?.check(url)));
    const sealingKey = sealingKeyOf(spec);
    if (sealingKey !== undefined)
      await this.#parts.sealer.check(sealingKey, 'notification_config.encrypt_to');
  }

  async #checkCustom(tenant: TaskOrder['tenant'], spec: TaskSpec): Promise<void> {
    if (spec.awaitsAgent !== true && !(await this.#someoneCan(tenant, spec)))
      throw this.#nobody(tenant, spec);
    const schema = this.#parts.roster.schemasOf(tenant, spec.typeName ?? '')?.input;
    if (schema !== undefined) await this.#parts.schemas.check(schema, spec.payload, 'task_data');
  }

  async #checkBuiltIn(tenant: TaskOrder['tenant'], spec: TaskSpec): Promise<void> {
    const executor = executorOf(this.#parts.executors, spec);
    const status = executor?.status();
    if (executor === undefined || status?.available !== true) {
      // A remote agent may offer a built-in type this node lacks.
      if (await this.#someoneCan(tenant, spec)) return;
      throw new DomainError('unprocessable', `task type ${spec.type} is not available here`, {
        details: {
          task_type: spec.type,
          missing: status?.missing ?? 'no executor for this task type is installed',
        },
      });
    }
    await this.#parts.schemas.check(executor.payloadSchema, spec.payload, 'task_data');
    requireIsolation(spec, executor);
    await executor.check(spec, tenant);
    if (!(await this.#someoneCan(tenant, spec))) throw this.#nobody(tenant, spec);
  }

  /** Whether an agent can ever run it: one may have registered with another node a moment ago. */
  async #someoneCan(tenant: TaskOrder['tenant'], spec: TaskSpec): Promise<boolean> {
    const { roster } = this.#parts;
    const kinds = spec.fallback === undefined ? [spec] : [spec, asRunHere(spec)];
    const canSome = (): boolean => kinds.some(one => roster.canEverRun(tenant, one));
    if (canSome()) return true;
    if (!this.#store.capabilities.shared) return false;
    await roster.load();
    return canSome();
  }

  #nobody(tenant: TaskOrder['tenant'], spec: TaskSpec): DomainError {
    const workType = workTypeOf(spec);
    const tooSmall = this.#parts.roster.capable(tenant, { ...spec, resources: {} }).length > 0;
    if (tooSmall) {
      return new DomainError('unprocessable', 'the task asks for more than any agent has in all', {
        details: { resource_limits: { ...spec.resources } },
      });
    }
    const { regions, where } = this.#parts.addressing.explain({ tenant });
    return new DomainError('unprocessable', `no registered agent can run ${workType}${where}`, {
      details: {
        missing: `an agent for ${workType}`,
        required_capabilities: spec.requiredCapabilities ?? [],
        ...(spec.region === undefined ? {} : { region: spec.region }),
        ...(regions === undefined ? {} : { allowed_regions: regions }),
        hint: 'start a worker for it: it registers by its first call of POST /api/v2/work',
      },
    });
  }

  #taskOf({ order, error }: Judged): NewTask {
    const { tenant, id, spec, fingerprint, idempotencyKey, actor } = order;
    const now = this.#clock.now();
    const timers: NewTimer[] = error === undefined ? [...waitsFor(spec, now)] : [];
    if (error === undefined && spec.queueTimeoutMs !== undefined) {
      timers.push({ kind: 'queue_timeout', dueInMs: spec.queueTimeoutMs });
    }
    if (error === undefined && spec.deadlineAt !== undefined)
      timers.push({ kind: 'deadline', dueInMs: Math.max(0, spec.deadlineAt - now) });
    const failure = error && {
      code: error.code,
      message: error.message,
      recoverable: false,
      details: error.details,
    };
    return {
      tenant,
      id,
      executionId: this.#random.uuid() as ExecutionId,
      spec,
      fingerprint,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      queue: queueOf(tenant, spec),
      state: failure === undefined ? 'queued' : 'rejected',
      events: [...initEvents(actor, order.steps, failure), ...this.#doubts(order)],
      timers,
      ...(failure === undefined ? {} : { result: { metrics: {}, error: failure } }),
      waitingMax: this.#waitingMax,
    };
  }

  /** That nobody can run it yet, where it is let in all the same. */
  #doubts({ tenant, spec }: TaskOrder): readonly EventBody[] {
    if (spec.awaitsAgent !== true || this.#parts.roster.canEverRun(tenant, spec)) return [];
    const detail = { work_type: workTypeOf(spec), resources: { ...spec.resources } };
    return [{ kind: 'note', name: 'unschedulable', detail }];
  }

  async #answer(judged: Judged, task: NewTask, { outcome, outlook }: Posted): Promise<Admission> {
    const { order, error } = judged;
    if (outcome.status !== 'created') judged.withdraw?.();
    switch (outcome.status) {
      case 'created': {
        this.#parts.signals.publish(order.tenant, outcome.key);
        if (error !== undefined)
          return { kind: 'rejected', task: order.id, executionId: task.executionId, error };
        for (const timer of task.timers) this.#parts.wakers.timer(timer.dueInMs);
        const made = { ...outcome, executionId: task.executionId };
        return this.#parts.forecaster.admission(order, made, outlook ?? this.#lineUp(task));
      }
      case 'same':
        return this.#parts.forecaster.repeated(outcome.task);
      case 'different':
        return refuse(order, 'conflict', `task ${order.id} exists with a different body`, {
          task_id: order.id,
          hint: 'choose another task_id, or send the same body again',
        });
      case 'full':
        return {
          kind: 'refused',
          task: order.id,
          error: new DomainError('resource_exhausted', 'the queue of this tenant is full', {
            retryAfterMs: 60_000,
            details: { limit: this.#waitingMax },
          }),
        };
      case 'unknown_dependency':
        return refuse(order, 'unprocessable', `unknown tasks in depends_on: ${outcome.ids.join(', ')}`, {
          unknown_tasks: outcome.ids,
        });
      case 'aborted':
        return refuse(order, 'conflict', 'another task of the atomic batch was not accepted', {});
    }
  }
}

/** What the store made of a task, and where it stands if it lined up already. */
interface Posted {
  readonly outcome: SubmitOutcome;
  readonly outlook: Outlook | null;
}

interface Judged {
  readonly order: TaskOrder;
  readonly verdict: 'fine' | 'rejected' | 'refused';
  readonly error?: DomainError;
  /** Takes back what was counted of it. */
  readonly withdraw?: () => void;
}

/** Codes that mean "valid, but can never run here": the task is stored as rejected (`SAM-45`). */
const REJECTS: ReadonlySet<string> = new Set(['unprocessable', 'policy_violation']);

function withheld({ order, error }: Judged): Admission {
  if (error !== undefined) return { kind: 'refused', task: order.id, error };
  return refuse(order, 'conflict', 'another task of the atomic batch was not accepted', {});
}

function refuse(
  order: TaskOrder,
  code: 'conflict' | 'unprocessable',
  message: string,
  details: DomainError['details'],
): Admission {
  return { kind: 'refused', task: order.id, error: new DomainError(code, message, { details }) };
}

function initEvents(
  actor: string,
  steps: TaskOrder['steps'],
  error:
    | { readonly code: DomainError['code']; readonly message: string; readonly recoverable: boolean }
    | undefined,
): readonly EventBody[] {
  const submitted: EventBody = { kind: 'state', from: null, to: 'submitted', actor, phase: 'init' };
  if (error !== undefined) {
    return [
      submitted,
      { kind: 'state', from: 'submitted', to: 'rejected', actor: 'system', phase: 'init', error },
    ];
  }
  return [
    submitted,
    { kind: 'note', name: 'init', detail: steps },
    { kind: 'state', from: 'submitted', to: 'validated', actor: 'system', phase: 'init' },
    { kind: 'state', from: 'validated', to: 'queued', actor: 'system', phase: 'init' },
  ];
}

function requireIsolation(spec: TaskSpec, executor: Executor): void {
  const least = spec.minIsolation;
  if (least === undefined) return;
  const offered = executor.status().isolation;
  if (offered.some(level => ISOLATION_LEVELS.indexOf(level) >= ISOLATION_LEVELS.indexOf(least))) return;
  throw new DomainError('unprocessable', `isolation ${least} cannot be reached here`, {
    details: { min_isolation: least, offered },
  });
}
