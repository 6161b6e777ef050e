// Guarded changes: gathered, and cut into rounds in which no task is changed twice.

import type { TaskKey } from '../../domain/ids.ts';
import type { RecordUsage } from '../../domain/record.ts';
import type { CommitOutcome, TaskChange } from '../rows.ts';
import { gathered } from './calls.ts';
import { type Context, type Place, writing } from './context.ts';
import { packWrite } from './memory.ts';
import type { Queues } from './queues.ts';
import { packChange } from './records.ts';

/** What a change that was not stale did. */
export interface CommittedRow {
  readonly pos: number;
  readonly version: number;
  readonly at: number;
  readonly woken: number;
  /** The queue it put its task into. */
  readonly queue: number | null;
  readonly rank: number;
  readonly key: TaskKey;
}

// A change whose answer was lost may have happened: asked again it would be called stale, so its caller is told that nobody knows.
const COMMIT = writing('commit', 'SELECT * FROM batuta.commit($1, $2, $3)');
const COMMIT_KEEPING = writing('commit keeping', 'SELECT * FROM batuta.commit_keeping($1, $2)');

/** A change that was not stale, which its record may have held up. */
interface KeepingRow extends CommittedRow, RecordUsage {
  readonly refused: 'conflict' | 'full' | null;
  readonly record_version: number;
  readonly full_of: 'agent' | 'tenant';
}

/** Applies changes to tasks. */
export class Changes {
  readonly #context: Context;
  readonly #queues: Queues;
  readonly #call: (changes: readonly TaskChange[]) => Promise<readonly CommitOutcome[]>;

  constructor(context: Context, queues: Queues) {
    this.#context = context;
    this.#queues = queues;
    this.#call = gathered(calls => this.#run(calls));
  }

  /** Applies changes one by one. */
  async commit(changes: readonly TaskChange[]): Promise<readonly CommitOutcome[]> {
    for (const change of changes) checkChange(change);
    if (changes.length === 0) return [];
    // Few changes have a record, and those many that have none need not wait for what is done one by one.
    const keeps = changes.some(({ record }) => record !== undefined);
    return this.#context.write(() => (keeps ? this.#runKeeping(changes) : this.#call(changes)));
  }

  /** Minds what changes did, and tells the other processes. */
  report(changes: readonly TaskChange[], rows: readonly CommittedRow[]): void {
    const ready = rows.flatMap(({ queue, rank, key }): readonly Place[] =>
      queue === null ? [] : [{ queue, rank, task: key }],
    );
    this.#queues.entered(ready);
    const due =
      rows.some(({ woken }) => woken > 0) ||
      changes.some(({ timers = [], deliveries = [] }) => timers.length + deliveries.length > 0);
    this.#context.tell({ tasks: [...new Set(rows.map(({ key }) => key))], ready, due });
  }

  async #runKeeping(changes: readonly TaskChange[]): Promise<readonly CommitOutcome[]> {
    const wanted = changes.map((change, at) => ({
      change: packChange(change, at + 1),
      ...(change.record === undefined ? {} : { write: packWrite(change.record, 1) }),
    }));
    const { rows } = await this.#context.hot<KeepingRow>(COMMIT_KEEPING, [
      JSON.stringify(wanted),
      this.#context.given,
    ]);
    this.report(
      changes,
      rows.filter(({ refused }) => refused === null),
    );
    const byPos = new Map(rows.map(row => [row.pos, row]));
    return changes.map((_, at) => keepingOutcomeOf(byPos.get(at + 1)));
  }

  async #run(calls: readonly (readonly TaskChange[])[]): Promise<readonly (readonly CommitOutcome[])[]> {
    const changes = calls.flat();
    const { packed, rounds } = inRounds(changes);
    const { rows } = await this.#context.hot<CommittedRow>(COMMIT, [
      JSON.stringify(packed),
      rounds,
      this.#context.given,
    ]);
    this.report(changes, rows);
    const byPos = new Map(rows.map(row => [row.pos, row]));
    let pos = 0;
    return calls.map(call =>
      call.map(() => {
        pos += 1;
        return outcomeOf(byPos.get(pos));
      }),
    );
  }
}

/** Refuses what no caller may ask, whatever the task's state. */
export function checkChange(change: TaskChange): void {
  if (change.placement !== undefined && change.state === undefined) {
    throw new Error('a change that places a task must name its state');
  }
  if (change.placement === 'ready' && change.outcome !== undefined) {
    throw new Error('a task that ends has no place in its queue');
  }
  if (change.heir !== undefined && (change.guard.by !== 'lease' || change.placement !== undefined)) {
    throw new Error('only a lease that goes on is passed on, by who holds it');
  }
}

/** The nth change of each task goes with the nth round. */
function inRounds(changes: readonly TaskChange[]): {
  readonly packed: readonly object[];
  readonly rounds: number;
} {
  const seen = new Map<TaskKey, number>();
  const packed = changes.map((change, index) => {
    const round = (seen.get(change.key) ?? 0) + 1;
    seen.set(change.key, round);
    return { ...packChange(change, index + 1), round };
  });
  return { packed, rounds: Math.max(...seen.values()) };
}

function outcomeOf(row: CommittedRow | undefined): CommitOutcome {
  if (row === undefined) return { status: 'stale' };
  return { status: 'done', version: row.version, at: row.at, dependentsWoken: row.woken };
}

function keepingOutcomeOf(row: KeepingRow | undefined): CommitOutcome {
  if (row === undefined || row.refused === null) return outcomeOf(row);
  const { refused: status, record_version: version, full_of: of, records, chunks, bytes } = row;
  if (status === 'conflict') return { status: 'refused', record: { status, version } };
  return { status: 'refused', record: { status, of, used: { records, chunks, bytes } } };
}
