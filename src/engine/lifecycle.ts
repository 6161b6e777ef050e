// Commits changes and tells whom it concerns. The one door through which anything in the engine moves a task.

import type { DeliveryId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { Batcher } from '../runtime/batcher.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { CommitOutcome, Guard, TaskChange } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { ChangeTools, Draft } from './changes.ts';
import type { Sealer } from './ports/sealer.ts';
import { sealDraft, sealingKeyOf } from './sealing.ts';
import type { Signals } from './signals.ts';

/** The store gathers for itself, so a batch need not wait for the one before to come back. */
const UNDER_WAY_MAX = 4;

/** Who must hear of what a change did. */
export interface Wakers {
  /** A task entered its queue. */
  ready(task: Pick<Task, 'tenant' | 'spec'>): void;
  /** A timer was set, due in so many milliseconds. */
  timer(dueInMs: number): void;
  /** A delivery was queued. */
  delivery(): void;
  /** A task left its lease, or ended. */
  left(task: Task, draft: Draft): void;
}

/** Applies drafts to tasks under a guard, gathering concurrent ones into one commit. */
export class Lifecycle {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #signals: Signals;
  readonly #sealer: Sealer;
  readonly #archiveDelayMs: number;
  readonly #batcher: Batcher<TaskChange, CommitOutcome>;
  #wakers: Wakers = { ready: () => {}, timer: () => {}, delivery: () => {}, left: () => {} };

  constructor(
    clock: Clock,
    random: Random,
    store: Pick<Store, 'commit'>,
    signals: Signals,
    sealer: Sealer,
    options: { readonly archiveDelayMs: number },
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#signals = signals;
    this.#sealer = sealer;
    this.#archiveDelayMs = options.archiveDelayMs;
    this.#batcher = new Batcher(changes => store.commit(changes), { underWayMax: UNDER_WAY_MAX });
  }

  /** Set once by the engine when its parts exist. */
  set wakers(wakers: Wakers) {
    this.#wakers = wakers;
  }

  /** What the pure changes need from this moment. */
  tools(): ChangeTools {
    return {
      newDeliveryId: () => this.#random.uuid() as DeliveryId,
      now: this.#clock.now(),
      archiveDelayMs: this.#archiveDelayMs,
    };
  }

  /** How long a finished task rests before it is archived, in milliseconds. */
  get archiveDelayMs(): number {
    return this.#archiveDelayMs;
  }

  /** A timer was set by a change that went another way than through `apply`. */
  timerSet(dueInMs: number): void {
    this.#wakers.timer(dueInMs);
  }

  /** Applies the draft if the guard still holds; `fired` is the timer it answers. */
  async apply(
    task: Task,
    draft: Draft,
    guard: Guard = guardOf(task),
    fired?: number,
  ): Promise<CommitOutcome> {
    const sealingKey = sealingKeyOf(task.spec);
    const kept = sealingKey === undefined ? draft : await sealDraft(draft, sealingKey, this.#sealer);
    const outcome = await this.#batcher.add({
      key: task.key,
      guard,
      ...kept,
      ...(task.spec.sensitive === true ? { sensitiveOf: task.tenant } : {}),
      ...(fired === undefined ? {} : { fired }),
    });
    if (outcome.status === 'done') this.#tell(task, draft, outcome.dependentsWoken);
    return outcome;
  }

  #tell(task: Task, draft: Draft, dependentsWoken: number): void {
    const isEnd = draft.outcome !== undefined;
    if (draft.events.length > 0) this.#signals.publish(task.tenant, task.key, isEnd);
    if (draft.placement !== undefined || isEnd) this.#wakers.left(task, draft);
    if (draft.placement === 'ready') this.#wakers.ready(task);
    for (const timer of draft.timers ?? []) this.#wakers.timer(timer.dueInMs);
    if (dependentsWoken > 0) this.#wakers.timer(0);
    if ((draft.deliveries?.length ?? 0) > 0) this.#wakers.delivery();
  }
}

/** The guard that a change decided on this very snapshot needs: its lease where it has one, else its version. */
export function guardOf(task: Task): Guard {
  return task.lease === null
    ? { by: 'version', version: task.version }
    : { by: 'lease', token: task.lease.token };
}
