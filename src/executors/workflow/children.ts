// The child tasks of one run: handed in, watched, and looked at again when they may have ended. What became of them is the
// store's to say; a signal only says that it is worth looking.

import { asDomainError, DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { TaskId, TaskKey } from '../../domain/ids.ts';
import type { Task, TaskError } from '../../domain/task.ts';
import type { Admission, EngineApi, TaskOrder } from '../../engine/api.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Store } from '../../store/store.ts';
import { actorOf, isChildOf } from './child-order.ts';

/** What children are kept with. */
export interface ChildrenParts {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'submit' | 'onEnd' | 'cancel' | 'pause' | 'resume'>;
  readonly read: Store['read'];
}

const BATCH_MAX = 1_000;
const READ_MAX = 250;
const TRY_AGAIN_MS = 1_000;

/** A run's children. */
export class Children {
  readonly #parts: ChildrenParts;
  readonly #parent: Task;
  readonly #signal: AbortSignal;
  readonly #changed: () => void;
  /** By child, how to watch it no more. */
  readonly #watched = new Map<TaskId, () => void>();
  readonly #dirty = new Set<TaskId>();

  /** `changed` is called whenever `ended` may have something new. */
  constructor(parts: ChildrenParts, parent: Task, signal: AbortSignal, changed: () => void) {
    this.#parts = parts;
    this.#parent = parent;
    this.#signal = signal;
    this.#changed = changed;
  }

  /** Hands in orders, again and again where the house is full, and watches them; answers why some will never run. */
  async submit(orders: readonly TaskOrder[]): Promise<ReadonlyMap<TaskId, TaskError>> {
    const faults = new Map<TaskId, TaskError>();
    let left = orders;
    while (left.length > 0) {
      const later: TaskOrder[] = [];
      const taken: TaskId[] = [];
      for (let from = 0; from < left.length; from += BATCH_MAX) {
        const some = left.slice(from, from + BATCH_MAX);
        const admissions = await this.#admissions(some);
        for (const [index, order] of some.entries()) {
          const admission = admissions[index];
          const error = errorOf(admission);
          if (admission?.kind === 'admitted' && !admission.repeated) this.#follow(order.id, admission.key);
          else if (error === null) taken.push(order.id);
          else if (error.code === 'conflict') {
            if (await this.#isOurs(order.id)) taken.push(order.id);
            else faults.set(order.id, errorFrom(error));
          } else if (ERROR_CODES[error.code].retry === 'yes') later.push(order);
          else faults.set(order.id, errorFrom(error));
        }
      }
      await this.watch(taken);
      left = later;
      if (left.length > 0) await pause(this.#parts.clock, TRY_AGAIN_MS, this.#signal);
    }
    return faults;
  }

  /** Watches tasks that are there; answers those that are not, or are somebody else's. */
  async watch(ids: readonly TaskId[]): Promise<ReadonlySet<TaskId>> {
    const missing = new Set<TaskId>();
    const tasks = await this.read(ids);
    for (const [index, id] of ids.entries()) {
      const task = tasks[index] ?? null;
      if (task === null || !isChildOf(task, this.#parent)) missing.add(id);
      else this.#watch(task);
    }
    return missing;
  }

  /** Children that have ended since they were last looked at; forgotten from then on. */
  async ended(): Promise<readonly Task[]> {
    const ids = [...this.#dirty];
    this.#dirty.clear();
    const ended = (await this.read(ids))
      .filter(task => task !== null)
      .filter(({ outcome }) => outcome !== null);
    for (const { id } of ended) {
      this.#watched.get(id)?.();
      this.#watched.delete(id);
    }
    return ended;
  }

  /** Looks at all of them next time: signals may be lost. */
  doubt(): void {
    for (const id of this.#watched.keys()) this.#dirty.add(id);
    this.#changed();
  }

  /** Ends children; those that have ended already stay as they are. */
  async cancel(ids: readonly TaskId[], reason: string): Promise<void> {
    const { tenant } = this.#parent;
    const actor = actorOf(this.#parent);
    await Promise.all(
      ids.map(id => this.#parts.engine.cancel({ tenant, id, actor, reason, graceMs: 0 }).catch(unlessEnded)),
    );
  }

  /** Tasks of the run's tenant, in portions. */
  async read(ids: readonly TaskId[]): Promise<readonly (Task | null)[]> {
    const { tenant } = this.#parent;
    const found: (Task | null)[] = [];
    for (let from = 0; from < ids.length; from += READ_MAX)
      found.push(...(await this.#parts.read(ids.slice(from, from + READ_MAX).map(id => ({ tenant, id })))));
    return found;
  }

  /** Watches nothing any more. */
  stop(): void {
    for (const leave of this.#watched.values()) leave();
    this.#watched.clear();
  }

  #watch({ id, key, outcome }: Task): void {
    if (outcome === null && !this.#watched.has(id)) this.#follow(id, key);
    // It may have ended since it was read.
    this.#dirty.add(id);
    this.#changed();
  }

  #follow(id: TaskId, key: TaskKey): void {
    const leave = this.#parts.engine.onEnd(key, () => {
      this.#dirty.add(id);
      this.#changed();
    });
    this.#watched.set(id, leave);
  }

  /** A store that cannot be written now can be later; the run has nothing better to do than to wait. */
  async #admissions(orders: readonly TaskOrder[]): Promise<readonly Admission[]> {
    try {
      return await this.#parts.engine.submit(orders);
    } catch (thrown) {
      const error = asDomainError(thrown);
      if (error.code === 'internal') throw thrown;
      return orders.map(({ id }) => ({ kind: 'refused', task: id, error }));
    }
  }

  async #isOurs(id: TaskId): Promise<boolean> {
    const [task] = await this.read([id]);
    return task !== null && task !== undefined && isChildOf(task, this.#parent);
  }
}

function errorOf(admission: Admission | undefined): DomainError | null {
  if (admission === undefined) throw new Error('the engine answered fewer orders than it was given');
  return admission.kind === 'admitted' ? null : admission.error;
}

function errorFrom({ code, message, details }: DomainError): TaskError {
  return { code, message, recoverable: false, details };
}

function unlessEnded(error: unknown): void {
  if (!(error instanceof DomainError) || (error.code !== 'invalid_transition' && error.code !== 'not_found'))
    throw error;
}
