// Which ready tasks a pick gets: the heads of its queues merged by rank, no requester taking more than half while another waits,
// what fits first, nothing overtaken for ever.

import type { AgentId } from '../../domain/ids.ts';
import type { ResourceLimits } from '../../domain/task.ts';
import type { ClaimPick } from '../rows.ts';
import type { NeedColumns } from '../task-row.ts';
import type { Queues, ReadyRow } from './queues.ts';

/** How long a task that does not fit may be overtaken, in milliseconds (`SAM-112`). */
export const OVERTAKEN_MAX_MS = 60_000;

/** How many ready tasks are looked at beyond those that fit. */
export const LOOK_MAX = 1_000;

/** A ready task and the queue it stands in. */
export interface Chosen {
  readonly queue: number;
  readonly row: ReadyRow;
  /** How many stand before it in its queue. */
  readonly ahead: number;
}

/** Busy slots of one tenant by requester. */
export type Shares = Map<AgentId, number>;

/**
 * The ready tasks a pick is to get, in order; nothing is taken out of line yet. `shares`, where the pick minds them, grow by
 * what is chosen.
 */
export function choose(
  pick: ClaimPick,
  queues: Queues,
  context: { readonly now: number; readonly shares: Shares | null },
): readonly Chosen[] {
  const { now, shares } = context;
  const line = new Line(pick, queues, shares);
  const free = pick.free === undefined ? null : new Free(pick.free);
  const chosen: Chosen[] = [];
  let passed = 0;
  while (chosen.length < pick.limit) {
    const next = line.next();
    if (next === null) break;
    if (free === null || free.take(next.row)) {
      chosen.push(next);
      line.serve(next.queue);
      continue;
    }
    passed += 1;
    if (passed >= LOOK_MAX || now - next.row.since > OVERTAKEN_MAX_MS) break;
  }
  return chosen;
}

/** The pick's queues as one line, read in pages. */
class Line {
  readonly #heads: readonly Head[];
  readonly #queues: Queues;
  readonly #shares: Shares | null;
  #busy: number;

  constructor(pick: ClaimPick, queues: Queues, shares: Shares | null) {
    this.#queues = queues;
    this.#shares = shares;
    this.#busy = shares === null ? 0 : [...shares.values()].reduce((sum, slots) => sum + slots, 0);
    const held = [...new Set(pick.queues)].filter(queue => queues.depth(queue) > 0);
    const pageSize = Math.ceil(Math.min(pick.limit, LOOK_MAX) / Math.max(1, held.length)) + 1;
    this.#heads = held.map(queue => new Head(queue, queues, pageSize));
  }

  /** The next in line; of a requester with over half of the busy slots only when no other waits (`SAM-111`). */
  next(): Chosen | null {
    const modest = this.#heads.filter(head => !this.#holdsOverHalf(head.queue));
    return first(modest) ?? first(this.#heads);
  }

  /** Counts a slot as busy for the requester of a queue. */
  serve(queue: number): void {
    if (this.#shares === null) return;
    const { requester } = this.#queues.nameOf(queue);
    this.#shares.set(requester, (this.#shares.get(requester) ?? 0) + 1);
    this.#busy += 1;
  }

  #holdsOverHalf(queue: number): boolean {
    if (this.#shares === null) return false;
    const slots = this.#shares.get(this.#queues.nameOf(queue).requester) ?? 0;
    return slots * 2 > this.#busy;
  }
}

/** One queue, from its first task on. */
class Head {
  readonly queue: number;
  readonly #queues: Queues;
  #pageSize: number;
  #rows: readonly ReadyRow[];
  #index = 0;
  #passed = 0;

  constructor(queue: number, queues: Queues, pageSize: number) {
    this.queue = queue;
    this.#queues = queues;
    this.#pageSize = pageSize;
    this.#rows = queues.page(queue, { rank: -1, task: 0 }, pageSize);
  }

  peek(): ReadyRow | null {
    const last = this.#rows[this.#rows.length - 1];
    if (this.#index === this.#rows.length && last !== undefined && this.#rows.length === this.#pageSize) {
      this.#pageSize *= 2;
      this.#rows = this.#queues.page(this.queue, last, this.#pageSize);
      this.#index = 0;
    }
    return this.#rows[this.#index] ?? null;
  }

  /** Goes on to the next; answers how many stood before the one left behind. */
  advance(): number {
    this.#index += 1;
    this.#passed += 1;
    return this.#passed - 1;
  }
}

/** What a worker still has free while its pick is made up. */
class Free {
  #memoryMb: number;
  #cpuCores: number;
  #diskMb: number;
  #networkMbps: number;

  constructor(free: ResourceLimits) {
    this.#memoryMb = free.memoryMb ?? Number.POSITIVE_INFINITY;
    this.#cpuCores = free.cpuCores ?? Number.POSITIVE_INFINITY;
    this.#diskMb = free.diskMb ?? Number.POSITIVE_INFINITY;
    this.#networkMbps = free.networkMbps ?? Number.POSITIVE_INFINITY;
  }

  /** Sets aside what a task needs, if there is that much. */
  take(needs: NeedColumns): boolean {
    const memoryMb = needs.memory_mb ?? 0;
    const cpuCores = needs.cpu_cores ?? 0;
    const diskMb = needs.disk_mb ?? 0;
    const networkMbps = needs.network_mbps ?? 0;
    const fits =
      memoryMb <= this.#memoryMb &&
      cpuCores <= this.#cpuCores &&
      diskMb <= this.#diskMb &&
      networkMbps <= this.#networkMbps;
    if (!fits) return false;
    this.#memoryMb -= memoryMb;
    this.#cpuCores -= cpuCores;
    this.#diskMb -= diskMb;
    this.#networkMbps -= networkMbps;
    return true;
  }
}

function first(heads: readonly Head[]): Chosen | null {
  let foremost: Head | null = null;
  let least: ReadyRow | null = null;
  for (const head of heads) {
    const row = head.peek();
    if (row === null || (least !== null && !precedes(row, least))) continue;
    foremost = head;
    least = row;
  }
  if (foremost === null || least === null) return null;
  return { queue: foremost.queue, row: least, ahead: foremost.advance() };
}

function precedes(one: ReadyRow, other: ReadyRow): boolean {
  return one.rank < other.rank || (one.rank === other.rank && one.task < other.task);
}
