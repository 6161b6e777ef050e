// What people and orchestrators do to a task from outside: cancel, pause, resume. Each reads, decides and commits under a guard,
// and decides again where something else happened in between, so that exactly one end is recorded (`SAM-104`).

import type { NotificationPlan } from '../domain/delivery.ts';
import { DomainError } from '../domain/errors.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { hasEnded, isHeld } from '../domain/transitions.ts';
import type { Store } from '../store/store.ts';
import type { ControlCall } from './api.ts';
import type { Attempts } from './attempts.ts';
import { changePlan, type Draft, end, pauseTask, resumeTask } from './changes.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { AttemptAbort } from './ports/executor.ts';

const TRIES_MAX = 20;

/** Told of attempts that must stop, wherever they run. */
export interface StopOrders {
  stop(task: Task, cause: AttemptAbort['cause'], reason: string): void;
}

/** Moves tasks by order. */
export class Control {
  readonly #store: Pick<Store, 'read'>;
  readonly #lifecycle: Lifecycle;
  readonly #attempts: Attempts;
  readonly #orders: StopOrders;

  constructor(store: Pick<Store, 'read'>, lifecycle: Lifecycle, attempts: Attempts, orders: StopOrders) {
    this.#store = store;
    this.#lifecycle = lifecycle;
    this.#attempts = attempts;
    this.#orders = orders;
  }

  /** The task; throws `not_found`. */
  async task(tenant: TenantId, id: TaskId): Promise<Task> {
    const [task] = await this.#store.read([{ tenant, id }]);
    if (task === null || task === undefined) {
      throw new DomainError('not_found', `there is no task ${id}`, { details: { task_id: id } });
    }
    return task;
  }

  /** Ends the task as cancelled; its attempt, if any, loses its lease at once and is told to stop (`SAM-66`, `SAM-67`). */
  cancel(call: ControlCall): Promise<Task> {
    const reason = call.reason ?? 'cancelled on request';
    return this.#move(call, 'cancelled', reason, task => {
      if (task.outcome === 'cancelled') return null;
      if (hasEnded(task.state)) throw invalid(task, 'cancel', 'it has ended');
      const left = { metrics: {} };
      return end(task, 'cancelled', left, { actor: call.actor, reason }, this.#lifecycle.tools());
    });
  }

  /** Holds the task; a running one continues later from its last checkpoint, or with `force` from the start (`SAM-69`). */
  pause(call: ControlCall & { readonly force?: boolean }): Promise<Task> {
    const reason = call.reason ?? 'paused on request';
    return this.#move(call, 'paused', reason, task => {
      if (task.state === 'paused') return null;
      if (hasEnded(task.state)) throw invalid(task, 'pause', 'it has ended');
      if (isHeld(task.state) && task.checkpoint === null && call.force !== true) {
        throw invalid(
          task,
          'pause',
          'its attempt has saved no checkpoint; `force: true` pauses it and later starts it over',
        );
      }
      return pauseTask(task, { actor: call.actor, reason });
    });
  }

  /** Returns a paused task to its queue. */
  resume(call: ControlCall): Promise<Task> {
    return this.#move(call, 'paused', '', task => {
      if (task.state !== 'paused') {
        if (hasEnded(task.state)) throw invalid(task, 'resume', 'it has ended');
        return null;
      }
      return resumeTask(task, { actor: call.actor, ...withReason(call.reason) }, this.#lifecycle.tools().now);
    });
  }

  /**
   * Tells whoever is told of the task by another plan from now on, recording what changed; a task that has ended has nothing more to
   * tell and is left as it is (`SAM-88`).
   */
  async replan({ tenant, id, actor, reason }: ControlCall, wish: Partial<NotificationPlan>): Promise<void> {
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      const task = await this.task(tenant, id);
      const draft = task.outcome === null ? changePlan(task, wish, { actor, ...withReason(reason) }) : null;
      if (draft === null) return;
      const outcome = await this.#lifecycle.apply(task, draft);
      if (outcome.status !== 'done') continue;
      if (task.lease !== null) this.#attempts.replan(task.lease.token, draft.notification);
      return;
    }
    throw tooFast(id);
  }

  async #move(
    call: ControlCall,
    cause: AttemptAbort['cause'],
    reason: string,
    decide: (task: Task) => Draft | null,
  ): Promise<Task> {
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      const task = await this.task(call.tenant, call.id);
      const draft = decide(task);
      if (draft === null) return task;
      const outcome = await this.#lifecycle.apply(task, draft);
      if (outcome.status !== 'done') continue;
      if (task.lease !== null) {
        this.#attempts.abort(task.lease.token, cause);
        this.#orders.stop(task, cause, reason);
      }
      return this.task(call.tenant, call.id);
    }
    throw tooFast(call.id);
  }
}

function tooFast(id: TaskId): DomainError {
  return new DomainError('unavailable', `task ${id} changes too fast to be ordered about; try again`, {
    retryAfterMs: 1_000,
  });
}

function withReason(reason: string | undefined): { readonly reason?: string } {
  return reason === undefined ? {} : { reason };
}

function invalid(task: Task, verb: string, why: string): DomainError {
  return new DomainError('invalid_transition', `cannot ${verb} task ${task.id}: ${why}`, {
    details: { task_id: task.id, lifecycle_state: task.state, outcome: task.outcome },
  });
}
