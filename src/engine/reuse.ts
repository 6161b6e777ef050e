// The last look at claimed tasks before a worker gets them: one whose result is known takes it, one that is being run for another
// identical task waits for that, and one that may not start after all goes back (`SAM-234`). Who waits keeps its lease, which is
// renewed here, but takes no slot.

import type { TaskKey } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { isHeld } from '../domain/transitions.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Store } from '../store/store.ts';
import type { Attempts, RunningAttempt } from './attempts.ts';
import type { ResultCache } from './result-cache.ts';
import type { Settlement } from './settlement.ts';
import type { Signals } from './signals.ts';

/** So many wait without taking a slot; further ones keep theirs, so that no more are claimed than can be looked after. */
const PARKED_MAX = 1_000;

/** Spares workers what was done already. */
export class Reuse {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'renew' | 'read'>;
  readonly #attempts: Attempts;
  readonly #settlement: Settlement;
  readonly #signals: Signals;
  readonly #cache: ResultCache;
  readonly #leaseMs: number;
  readonly #waiting = new Map<TaskKey, Set<RunningAttempt>>();
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #renewal: Cancel | null = null;

  constructor(
    log: Log,
    clock: Clock,
    store: Pick<Store, 'renew' | 'read'>,
    parts: {
      readonly attempts: Attempts;
      readonly settlement: Settlement;
      readonly signals: Signals;
      readonly cache: ResultCache;
    },
    options: { readonly leaseMs: number },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#attempts = parts.attempts;
    this.#settlement = parts.settlement;
    this.#signals = parts.signals;
    this.#cache = parts.cache;
    this.#leaseMs = options.leaseMs;
  }

  /** The attempts that a worker is to run; what becomes of the others is seen to. `unpermitted` are tasks that may not start. */
  async sieve(
    claimed: readonly RunningAttempt[],
    unpermitted: ReadonlySet<Task>,
  ): Promise<ReadonlySet<RunningAttempt>> {
    const toRun = new Set(claimed);
    const judging: Promise<void>[] = [];
    for (const attempt of claimed) {
      if (unpermitted.has(attempt.task)) {
        toRun.delete(attempt);
        this.#see(this.#giveBack(attempt, 'as many tasks of its concurrency key run as may'));
      } else if (attempt.task.spec.cache !== undefined) {
        judging.push(
          this.#spare(attempt).then(isSpared => {
            if (isSpared) toRun.delete(attempt);
          }),
        );
      }
    }
    await Promise.all(judging);
    return toRun;
  }

  /** Gives back whatever waits; resolves when nothing is under way any more. */
  async drain(): Promise<void> {
    this.#closing.abort();
    for (const attempt of this.#parked()) this.#see(this.#giveBack(attempt, 'the node is shutting down'));
    this.#waiting.clear();
    this.#renewal?.();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Whether the attempt need not be run; a cache that cannot be read spares nothing. */
  async #spare(attempt: RunningAttempt): Promise<boolean> {
    try {
      const verdict = await this.#cache.judge(attempt.task, true);
      if (verdict.what === 'run') return false;
      if (verdict.what === 'take') this.#see(this.#take(attempt, verdict.source));
      else this.#wait(attempt, verdict.leader);
      return true;
    } catch (error) {
      this.#log.warn('a task is run without a look for its result', {
        task: attempt.task.id,
        error: String(error),
      });
      return false;
    }
  }

  async #take(attempt: RunningAttempt, source: Task): Promise<void> {
    if (await this.#cache.copyArtifacts(attempt.task, source)) await this.#settlement.reuse(attempt, source);
    else await this.#giveBack(attempt, `files of the result of task ${source.id} are gone`);
  }

  #wait(attempt: RunningAttempt, leader: Task): void {
    if (this.#closing.signal.aborted) {
      this.#see(this.#giveBack(attempt, 'the node is shutting down'));
      return;
    }
    const waiting = this.#waiting.get(leader.key);
    if (waiting === undefined) this.#waiting.set(leader.key, new Set([attempt]));
    else waiting.add(attempt);
    attempt.stop = () => this.#waiting.get(leader.key)?.delete(attempt);
    if (this.#parked().length <= PARKED_MAX) this.#attempts.park(attempt);
    this.#renewal ??= this.#clock.after(this.#leaseMs / 3, () => void this.#renew());
    if (waiting === undefined) this.#see(this.#watch(leader));
  }

  /** Until the task that all wait for is run no more; then each looks again, and who still finds nothing goes back to be run. */
  async #watch(leader: Task): Promise<void> {
    for await (const _ of this.#signals.changes(leader.tenant, leader.key, this.#closing.signal)) {
      const [now] = await this.#store.read([leader]).catch(() => [leader]);
      if (now?.executionId === leader.executionId && now.outcome === null && isHeld(now.state)) continue;
      break;
    }
    if (this.#closing.signal.aborted) return;
    const waiting = this.#waiting.get(leader.key) ?? new Set();
    this.#waiting.delete(leader.key);
    for (const attempt of waiting) this.#see(this.#lookAgain(attempt));
  }

  async #lookAgain(attempt: RunningAttempt): Promise<void> {
    const verdict = await this.#cache.judge(attempt.task, false).catch(() => ({ what: 'run' }) as const);
    if (verdict.what === 'take') await this.#take(attempt, verdict.source);
    else if (verdict.what === 'wait') this.#wait(attempt, verdict.leader);
    else await this.#giveBack(attempt, 'the identical task it waited for left no result');
  }

  #giveBack(attempt: RunningAttempt, why: string): Promise<void> {
    return this.#settlement.handBack(attempt, why);
  }

  #parked(): readonly RunningAttempt[] {
    return [...this.#waiting.values()].flatMap(waiting => [...waiting]);
  }

  /** Another end may have won the race: it has been recorded, and what was under way here changes nothing. */
  #see(work: Promise<void>): void {
    const seen: Promise<void> = work
      .catch(error => this.#log.debug('a spared attempt ended without effect', { error: String(error) }))
      .finally(() => this.#underWay.delete(seen));
    this.#underWay.add(seen);
  }

  async #renew(): Promise<void> {
    this.#renewal = null;
    const parked = this.#parked();
    if (parked.length === 0) return;
    try {
      const outcomes = await this.#store.renew(
        parked.map(({ task, token }) => ({ key: task.key, token, leaseMs: this.#leaseMs })),
      );
      for (const [index, attempt] of parked.entries())
        if (outcomes[index]?.status === 'lost') this.#attempts.abort(attempt.token, 'lease_lost');
    } catch (error) {
      this.#log.warn('leases of waiting tasks could not be renewed; trying again', { error: String(error) });
    }
    if (!this.#closing.signal.aborted)
      this.#renewal ??= this.#clock.after(this.#leaseMs / 3, () => void this.#renew());
  }
}
