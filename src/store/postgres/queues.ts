// Queues: their ids and names, how many tasks wait in each, and where in each the first may stand. This process remembers below
// which place it found nothing, so that the remains of tasks long claimed are not walked again each time; every second, and when
// told of a task that entered further ahead, it looks from there.

import type { QueueName } from '../../domain/queue.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { QueueView } from '../rows.ts';
import { queueNameOf } from '../task-row.ts';
import { type Context, type Place, reading, repeatable } from './context.ts';
import { Recent } from './recent.ts';
import { queueText } from './records.ts';

interface Mark {
  readonly rank: number;
  readonly task: number;
}

interface Bound {
  /** Nothing was found before it. */
  at: Mark;
  /** When the queue was last looked at from its very beginning. */
  scannedAt: number;
  /** Scans under way, and the first place that a task entered since they began: they may not have seen it. */
  scans: number;
  entered: Mark | null;
}

/** A queue and from where on to read it. */
export interface Start extends Mark {
  readonly queue: number;
}

const BEGINNING: Mark = { rank: -1, task: 0 };
const RESCAN_MS = 1_000;

const INTERN = repeatable('intern', 'SELECT batuta.intern($1) AS id');
const NAMES = reading('queue names', 'SELECT id, name FROM batuta.queue WHERE id = ANY ($1::bigint[])');
const HEADS = reading(
  'queue heads',
  `SELECT q.id AS queue, q.name, h.rank, h.task FROM batuta.queue q
   LEFT JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) b(queue, rank, task) ON b.queue = q.id
   CROSS JOIN LATERAL (SELECT r.rank, r.task FROM batuta.ready r
     WHERE r.queue = q.id AND (r.rank, r.task) >= (coalesce(b.rank, -1), coalesce(b.task, 0))
     ORDER BY r.rank, r.task LIMIT 1) h ORDER BY q.id`,
);
const DEPTHS = reading('queue depths', 'SELECT queue, count(*) AS depth FROM batuta.ready GROUP BY queue');

interface HeadRow extends Start {
  readonly name: string;
}

/** All queues. */
export class Queues {
  readonly #context: Context;
  readonly #clock: Clock;
  readonly #names = new Map<number, QueueName>();
  readonly #ids = new Map<string, number>();
  readonly #bounds = new Map<number, Bound>();
  readonly #depths: Recent<ReadonlyMap<number, number>>;

  constructor(context: Context, clock: Clock) {
    this.#context = context;
    this.#clock = clock;
    this.#depths = new Recent(clock, async () => {
      const rows = await context.glance<{ queue: number; depth: number }>(DEPTHS, []);
      return new Map(rows.map(({ queue, depth }) => [queue, depth]));
    });
  }

  /** Makes sure that these queues have ids. */
  async intern(names: readonly QueueName[]): Promise<void> {
    const missing = new Map<string, QueueName>();
    for (const name of names) {
      const text = queueText(name);
      if (!this.#ids.has(text)) missing.set(text, name);
    }
    if (missing.size === 0) return;
    const asked = [...missing].map(([name, { tenant, workType }]) => ({ name, tenant, work_type: workType }));
    const rows = await this.#context.glance<{ id: number }>(INTERN, [JSON.stringify(asked)]);
    asked.forEach(({ name }, index) => {
      const row = rows[index];
      if (row !== undefined) this.#remember(row.id, name);
    });
  }

  /** The id of an interned queue. */
  idOf(name: QueueName): number | null {
    return this.#ids.get(queueText(name)) ?? null;
  }

  /** The names of those of these ids that the store gave. */
  async namesOf(ids: readonly number[]): Promise<ReadonlyMap<number, QueueName>> {
    const missing = ids.filter(id => !this.#names.has(id));
    if (missing.length > 0) {
      const rows = await this.#context.glance<{ id: number; name: string }>(NAMES, [missing]);
      for (const { id, name } of rows) this.#remember(id, name);
    }
    return this.#names;
  }

  /** Every queue that holds a ready task. */
  async views(): Promise<readonly QueueView[]> {
    const scanning = this.scan([...this.#names.keys()], starts =>
      this.#context.glance<HeadRow>(HEADS, [
        starts.map(({ queue }) => queue),
        starts.map(({ rank }) => rank),
        starts.map(({ task }) => task),
      ]),
    );
    const [heads, depths] = await Promise.all([scanning, this.#depths.get()]);
    return heads.map(({ queue, name, rank }) => ({
      id: queue,
      name: this.#remember(queue, name),
      depth: Math.max(1, depths.get(queue) ?? 0),
      headRank: rank,
    }));
  }

  /** Reads queues from where their first tasks may stand; of each, the last place in the answer is where nothing is left before. */
  async scan<Row extends Start>(
    queues: readonly number[],
    read: (starts: readonly Start[]) => Promise<readonly Row[]>,
  ): Promise<readonly Row[]> {
    const starts = queues.map(queue => ({ queue, ...this.#begin(queue) }));
    let rows: readonly Row[] = [];
    try {
      rows = await read(starts);
    } finally {
      const found = new Map(rows.map(row => [row.queue, row]));
      for (const queue of queues) this.#end(queue, found.get(queue));
    }
    return rows;
  }

  /** Minds tasks that entered, or may have, wherever they stand. */
  entered(places: readonly Place[]): void {
    for (const { queue, rank, task } of places) {
      const bound = this.#bounds.get(queue);
      if (bound === undefined) continue;
      const mark = { rank, task };
      bound.at = first(bound.at, mark);
      if (bound.scans > 0) bound.entered = first(bound.entered ?? mark, mark);
    }
  }

  #begin(queue: number): Mark {
    const now = this.#clock.monotonic();
    const bound = this.#bounds.get(queue) ?? { at: BEGINNING, scannedAt: now, scans: 0, entered: null };
    this.#bounds.set(queue, bound);
    bound.scans += 1;
    if (now - bound.scannedAt < RESCAN_MS) return bound.at;
    bound.scannedAt = now;
    return BEGINNING;
  }

  #end(queue: number, found: Mark | undefined): void {
    const bound = this.#bounds.get(queue);
    if (bound === undefined) return;
    const mark = found === undefined ? bound.at : { rank: found.rank, task: found.task };
    bound.at = bound.entered === null ? mark : first(mark, bound.entered);
    bound.scans -= 1;
    if (bound.scans === 0) bound.entered = null;
  }

  /** Forgets where the first may stand, after news that were too many to tell. */
  forgetBounds(): void {
    for (const bound of this.#bounds.values()) {
      bound.at = BEGINNING;
      if (bound.scans > 0) bound.entered = BEGINNING;
    }
  }

  /** Ready tasks in all queues, at most a second old. */
  async ready(): Promise<number> {
    let sum = 0;
    for (const depth of (await this.#depths.get()).values()) sum += depth;
    return sum;
  }

  #remember(id: number, text: string): QueueName {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = queueNameOf(text);
    this.#names.set(id, name);
    this.#ids.set(text, id);
    return name;
  }
}

function first(one: Mark, other: Mark): Mark {
  return other.rank < one.rank || (other.rank === one.rank && other.task < one.task) ? other : one;
}
