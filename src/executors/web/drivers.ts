// The drivers of this process: each serves one job at a time and then the next one of the same tenant, so that a page can neither meet
// another tenant's nor take its neighbours down with it (`SAM-109`, `SAM-120`). The idle ones are let go of after a while.

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Random } from '../../runtime/random.ts';
import type { Confinement } from './chromium.ts';
import { DIRECTORY_PREFIX, DriverThread } from './driver-thread.ts';
import { killAll, processesNaming } from './processes.ts';

/** User ids for browsers; none of a system's own users, nor of those other executors give their programs. */
const UIDS = { first: 60_600, count: 500 };
/** A browser that served so many jobs is replaced. */
const JOBS_MAX = 50;
/** The last idle driver waits for the demand of ten minutes; others give their memory back sooner. */
const IDLE_MS = { last: 600_000, other: 60_000 };

/** What the drivers of a process are started with. */
export interface DriversOptions {
  readonly executable: string | null;
  readonly setpriv: string | null;
  /** Where browsers keep their files. */
  readonly root: string;
  /** At once, idle ones included. */
  readonly max: number;
  readonly jobsMax?: number;
}

interface Idle {
  readonly driver: DriverThread;
  readonly tenant: string;
  readonly forget: Cancel;
}

/** Takes out drivers and takes them back. */
export class Drivers {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: DriversOptions;
  readonly #busy = new Set<DriverThread>();
  #idle: Idle[] = [];
  #turn: number;
  #warm = 0;
  #cold = 0;
  #open = true;

  constructor(log: Log, clock: Clock, random: Random, options: DriversOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#random = random;
    this.#options = options;
    // Somewhere in the range: two servers of a host must not begin alike.
    this.#turn = Math.floor(random.fraction() * UIDS.count);
  }

  /** Ends and removes what browsers of killed servers left behind. */
  async sweep(): Promise<void> {
    const orphans = processesNaming(DIRECTORY_PREFIX).filter(({ text }) => {
      const owner = new RegExp(`${DIRECTORY_PREFIX}(\\d+)-`).exec(text)?.[1];
      return owner !== undefined && !isAlive(Number(owner));
    });
    killAll(orphans.map(({ pid }) => pid));
    const { root } = this.#options;
    for (const name of await readdir(root).catch(() => [])) {
      const pid = new RegExp(`^${DIRECTORY_PREFIX}(\\d+)-`).exec(name)?.[1];
      if (pid !== undefined && !isAlive(Number(pid)))
        await rm(join(root, name), { recursive: true, force: true }).catch(() => {});
    }
  }

  /** Starts and hits so far. */
  get counts(): { readonly warm: number; readonly cold: number } {
    return { warm: this.#warm, cold: this.#cold };
  }

  /** A driver for one job of the tenant: an idle one of its own, else a fresh one. Null confinement is for static pages. */
  async take(tenant: string, confinement: Confinement | null): Promise<DriverThread> {
    // Any driver reads static pages; a browser is one's own or none.
    const at = this.#idle.findLastIndex(
      ({ driver, tenant: owner }) =>
        owner === tenant && driver.isUsable && (confinement === null || driver.confinement === confinement),
    );
    const [found] = at < 0 ? [] : this.#idle.splice(at, 1);
    if (found !== undefined) {
      found.forget();
      this.#warm++;
      this.#busy.add(found.driver);
      return found.driver;
    }
    this.#cold++;
    while (this.#idle.length > 0 && this.#busy.size + this.#idle.length >= this.#options.max) {
      const oldest = this.#idle.shift();
      oldest?.forget();
      await oldest?.driver.kill();
    }
    const { executable, setpriv, root } = this.#options;
    const driver = await DriverThread.start({
      clock: this.#clock,
      root,
      browser: executable === null || confinement === null ? null : { executable, setpriv, confinement },
      uid: UIDS.first + (this.#turn++ % UIDS.count),
      id: this.#random.uuid(),
    });
    this.#busy.add(driver);
    return driver;
  }

  /** Takes a driver back: for the tenant's next job if nothing went wrong, else to end it. */
  async give(driver: DriverThread, tenant: string): Promise<void> {
    if (!driver.isClean) await driver.renew();
    this.#busy.delete(driver);
    const jobsMax = this.#options.jobsMax ?? JOBS_MAX;
    if (!this.#open || !driver.isUsable || driver.jobs >= jobsMax) return await driver.kill();
    const idleMs = this.#idle.length === 0 ? IDLE_MS.last : IDLE_MS.other;
    const forget = this.#clock.after(idleMs, () => {
      this.#idle = this.#idle.filter(idle => idle.driver !== driver);
      driver.kill().catch(error => this.#log.warn('a browser did not end', { error: String(error) }));
    });
    this.#idle.push({ driver, tenant, forget });
  }

  /** Ends every driver, busy or not. */
  async stop(): Promise<void> {
    this.#open = false;
    const idle = this.#idle.splice(0);
    for (const { forget } of idle) forget();
    await Promise.all([...idle.map(({ driver }) => driver), ...this.#busy].map(driver => driver.kill()));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
