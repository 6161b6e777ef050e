// Which of those who ask may have a queue's tasks now. A tenant's residency decides for good; a preferred region (`SAM-225`) and the
// canaries' share (`SAM-228`) only keep tasks for those they are for while these have room, and not for long; what has a fallback is for
// this server once nobody else is there.

import type { Agent } from '../domain/agent.ts';
import { isCanary, mayRunIn } from '../domain/agent.ts';
import type { QueueName } from '../domain/queue.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Ask, serves, servesFallback } from './ask.ts';
import type { Canaries } from './canaries.ts';
import type { KnownQueue } from './known-queues.ts';
import type { TenantWeights } from './ports/secrets.ts';
import type { Roster } from './roster.ts';

/** A queue whose first task stays so long though whom it is for have room is left to all. */
const PATIENCE_MS = 3_000;
/** And stays left to all for so long: whoever did not take one task will not take the next. */
const OPEN_MS = 10_000;
/** What is known of others' room may be so old: a busy dispatcher looks far more often. */
const SPARE_MS = 100;

type Judge = Pick<Roster, 'isCanary' | 'isLocal' | 'spareOf' | 'serves'>;

/** Keeps tasks for those they are for. */
export class Steering {
  readonly #clock: Clock;
  readonly #roster: Judge;
  readonly #canaries: Pick<Canaries, 'isStopped' | 'areMeant'>;
  readonly #weights: Pick<TenantWeights, 'regions'>;
  #spares = noSpares(Number.NEGATIVE_INFINITY);

  constructor(
    clock: Clock,
    roster: Judge,
    canaries: Pick<Canaries, 'isStopped' | 'areMeant'>,
    weights: Pick<TenantWeights, 'regions'>,
  ) {
    this.#clock = clock;
    this.#roster = roster;
    this.#canaries = canaries;
    this.#weights = weights;
  }

  /** Whether whoever asks may take tasks of the queue at all, be it later. */
  permits(ask: Ask, name: QueueName, needs?: readonly string[]): boolean {
    if (!serves(ask, name, needs) && !this.#fallsTo(ask, name, needs)) return false;
    return mayRunIn(ask.region, this.#weights.regions?.(name.tenant));
  }

  /** Whether an ask of this server is what is left, since nobody elsewhere is there for the queue's tasks. */
  #fallsTo(ask: Ask, name: QueueName, needs: readonly string[] | undefined): boolean {
    return (
      servesFallback(ask, name, needs) &&
      this.#roster.isLocal(ask.agentTenant, ask.agentId) &&
      !this.#roster.serves(name, ({ kind }) => kind !== 'local')
    );
  }

  /** Tells of queues whether whoever asks may take tasks of them now. */
  offersTo(ask: Ask): (queue: KnownQueue) => boolean {
    const asksCanary = this.#roster.isCanary(ask.agentTenant, ask.agentId);
    return queue =>
      this.permits(ask, queue.view.name, queue.needs) && this.#offers(ask.region, asksCanary, queue);
  }

  #offers(from: string | undefined, asksCanary: boolean, queue: KnownQueue): boolean {
    const { name } = queue.view;
    const { region, canary } = queue.prefers;
    const meansCanary = this.#canaries.areMeant(name.tenant, canary);
    if (asksCanary && !meansCanary) {
      // Beyond their share canaries get only what nobody else is there for.
      return !this.#canaries.isStopped && !this.#roster.serves(name, agent => !isCanary(agent));
    }
    if (asksCanary !== meansCanary) return !this.#isKept(queue, 'canary', isCanary);
    if (region === null || region === from) return true;
    const isMeant = (agent: Agent): boolean => agent.region === region && isCanary(agent) === meansCanary;
    return !this.#isKept(queue, 'region', isMeant);
  }

  /** Whether all that waits in the queue is left to those who are meant. */
  #isKept(queue: KnownQueue, why: Why, isMeant: (agent: Agent) => boolean): boolean {
    const now = this.#clock.now();
    if (now < queue.openUntil) return false;
    if (this.#spareOf(queue, why, isMeant, now) < queue.crowd.depth) return false;
    if (now - queue.headSince < PATIENCE_MS) return true;
    queue.openUntil = now + OPEN_MS;
    return false;
  }

  #spareOf(queue: KnownQueue, why: Why, isMeant: (agent: Agent) => boolean, now: number): number {
    if (now - this.#spares.at >= SPARE_MS) this.#spares = noSpares(now);
    const byKind = this.#spares[why];
    const known = byKind.get(queue.kind);
    if (known !== undefined) return known;
    const tasks = this.#roster.spareOf(queue.view.name, isMeant);
    byKind.set(queue.kind, tasks);
    return tasks;
  }
}

type Why = 'canary' | 'region';

/** The room of those who are meant, by kind of queue, as of one instant. */
interface Spares extends Readonly<Record<Why, Map<string, number>>> {
  readonly at: number;
}

function noSpares(at: number): Spares {
  return { at, canary: new Map(), region: new Map() };
}
