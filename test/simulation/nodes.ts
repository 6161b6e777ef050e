// The processes of a simulated world: one alone on its store, or several that share it, hear of each other by hints that get lost, die,
// come back, and stop for a while in the middle of whatever they do.

import { join } from 'node:path';
import type { AgentId } from '../../src/domain/ids.ts';
import type { Random } from '../../src/runtime/random.ts';
import type { Store } from '../../src/store/store.ts';
import { type House, type HouseOptions, openHouse } from '../harness.ts';
import { type Handle, share } from '../shared.ts';
import type { VirtualClock } from './clock.ts';
import { type Connection, connect, type Faults } from './faults.ts';

/** What all processes of a world have in common. */
export interface Surroundings {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly store: Store;
  readonly faults: Faults;
  readonly dir: string;
  readonly send: NonNullable<HouseOptions['send']>;
  readonly options: NonNullable<HouseOptions['options']>;
}

interface Process {
  readonly id: string;
  house: House | null;
  connection: Connection | null;
  handle: Handle | null;
  frozen: boolean;
}

const FROZEN_MS_MAX = 25_000;

/** The processes on a store. */
export class Processes {
  readonly #world: Surroundings;
  readonly #processes: readonly Process[];
  readonly #open: (() => Handle) | null;

  /** Alone, a process has the store to itself. */
  constructor(world: Surroundings, count: number) {
    this.#world = world;
    this.#open = count > 1 ? share(world.store) : null;
    this.#processes = Array.from({ length: count }, (_, index) => ({
      id: `n${index + 1}`,
      house: null,
      connection: null,
      handle: null,
      frozen: false,
    }));
  }

  /** Starts those that do not run, frozen ones thawing. */
  async bootAll(): Promise<void> {
    for (const process of this.#processes) {
      if (process.frozen) this.#thaw(process);
      if (process.house === null) await this.#boot(process);
    }
  }

  /** Whoever is asked this time: any that runs, a frozen one too; null where none does. */
  any(): House | null {
    const running = this.#processes.filter(({ house }) => house !== null);
    return this.#pick(running)?.house ?? null;
  }

  /** One dies and comes back at once, or, where others live on, some time later. */
  async crash(): Promise<void> {
    const victim = this.#pick(this.#processes.filter(({ house }) => house !== null));
    if (victim === undefined) return this.bootAll();
    victim.connection?.cut();
    victim.handle?.cut();
    Object.assign(victim, { house: null, frozen: false });
    const others = this.#processes.some(({ house }) => house !== null);
    if (!others || this.#world.random.fraction() < 0.5) await this.#boot(victim);
  }

  /** One that is down comes back, or one that runs stops until it is thawed, past its leases perhaps; alone, nothing happens. */
  async disturb(): Promise<void> {
    const { clock, random } = this.#world;
    const down = this.#processes.find(({ house }) => house === null);
    if (down !== undefined) return this.#boot(down);
    const awake = this.#processes.filter(({ frozen }) => !frozen);
    const victim = awake.length > 1 ? this.#pick(awake) : undefined;
    if (victim === undefined) return;
    const { handle } = victim;
    victim.frozen = true;
    handle?.freeze();
    clock.after(Math.floor(random.fraction() * FROZEN_MS_MAX), () => {
      if (victim.handle === handle && victim.frozen) this.#thaw(victim);
    });
  }

  /** Stops all that run. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map(({ house }) => house?.stop()));
    if (this.#open !== null) await this.#world.store.stop();
  }

  /** A process that cannot read its database does not start, which is tested elsewhere: while it boots, nothing fails or takes time. */
  async #boot(process: Process): Promise<void> {
    const { clock, random, store, faults, dir, send, options } = this.#world;
    const { refused, lost, hintsLost, delayMsMax } = faults;
    Object.assign(faults, { refused: 0, lost: 0, hintsLost: 0, delayMsMax: 0 });
    process.handle = this.#open?.() ?? null;
    process.connection = connect(process.handle?.store ?? store, clock, random, faults);
    process.house = await openHouse({
      clock,
      random,
      store: process.connection.store,
      dir: join(dir, process.id),
      send,
      options: { ...options, ...(this.#open !== null && { serverId: process.id as AgentId }) },
    });
    Object.assign(faults, { refused, lost, hintsLost, delayMsMax });
  }

  #thaw(process: Process): void {
    process.frozen = false;
    process.handle?.thaw();
  }

  /** Where there is no choice, chance is not asked. */
  #pick<Item>(items: readonly Item[]): Item | undefined {
    return items.length < 2 ? items[0] : items[Math.floor(this.#world.random.fraction() * items.length)];
  }
}
