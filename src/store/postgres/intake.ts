// Accepting tasks: which of them go into one statement, and which must be taken one after the other.

import type { TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import { rankOf } from '../../domain/priority.ts';
import type { Task } from '../../domain/task.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { NewTask, SubmitOutcome } from '../rows.ts';
import { TASK_COLUMNS, type TaskRow, taskOf } from '../task-row.ts';
import { byCall, gathered } from './calls.ts';
import { type Context, type Place, reading, repeatable } from './context.ts';
import type { Answer } from './database.ts';
import type { Queues } from './queues.ts';
import { packTask, TASK_TABLES } from './records.ts';

interface Call {
  readonly tasks: readonly NewTask[];
  readonly atomic: boolean;
}

interface Group {
  readonly kind: 'plain' | 'each' | 'atomic';
  readonly tasks: object[];
}

interface AnswerRow {
  readonly pos: number;
  readonly status: SubmitOutcome['status'];
  readonly key: TaskKey | null;
  readonly at: number;
  readonly unknown: readonly TaskId[] | null;
}

/** How old a count of waiting tasks may be. */
const COUNT_MS_MAX = 1_000;
/** Nearer to its limit than this, a tenant is counted exactly: other processes submit too. */
const MARGIN = 10_000;

// A task that is there already, from a try whose answer was lost, is answered as the same task: nothing is done twice.
const SUBMIT = repeatable('submit', 'SELECT * FROM batuta.submit($1, $2, $3)');
const SUBMIT_GROUPS = repeatable('submit groups', 'SELECT * FROM batuta.submit_groups($1, $2)');
const WAITING = reading(
  'waiting',
  'SELECT t AS tenant, batuta.waiting_of(t) AS tasks FROM unnest($1::text[]) t',
);
const BY_KEY = reading(
  'tasks by key',
  `SELECT ${TASK_COLUMNS} FROM ${TASK_TABLES} WHERE t.key = ANY ($1::bigint[])`,
);

/** Writes new tasks. */
export class Intake {
  readonly #context: Context;
  readonly #queues: Queues;
  readonly #clock: Clock;
  readonly #counts = new Map<TenantId, { tasks: number; readonly countedAt: number }>();
  readonly #call: (call: Call) => Promise<readonly SubmitOutcome[]>;

  constructor(context: Context, queues: Queues, clock: Clock) {
    this.#context = context;
    this.#queues = queues;
    this.#clock = clock;
    this.#call = gathered(calls => this.#run(calls), { underWayMax: 2 });
  }

  /** Accepts tasks in order; `atomic` accepts all or none. */
  submit(tasks: readonly NewTask[], atomic: boolean): Promise<readonly SubmitOutcome[]> {
    return this.#context.write(() => this.#call({ tasks, atomic }));
  }

  async #run(calls: readonly Call[]): Promise<readonly (readonly SubmitOutcome[])[]> {
    const all = calls.flatMap(({ tasks }) => tasks);
    const accepted = all.filter(({ state }) => state !== 'rejected');
    await Promise.all([
      this.#queues.intern(accepted.map(({ queue }) => queue)),
      this.#count(new Set(accepted.map(({ tenant }) => tenant))),
    ]);
    const { rows, repeated } = await this.#send(this.#group(calls));
    const byPos = new Map(rows.map(row => [row.pos, row]));
    const outcomes = await this.#outcomes(all, byPos, repeated);
    this.#report(all, byPos);
    return byCall(
      calls.map(({ tasks }) => tasks),
      outcomes,
    );
  }

  #send(groups: readonly Group[]): Promise<Answer<AnswerRow>> {
    const { given } = this.#context;
    const [only, ...more] = groups;
    if (only === undefined || more.length > 0)
      return this.#context.hot(SUBMIT_GROUPS, [JSON.stringify(groups), given]);
    return this.#context.hot(SUBMIT, [only.kind, JSON.stringify(only.tasks), given]);
  }

  /** Runs of tasks that do not touch each other go at once; whoever may depend on its neighbours goes alone. */
  #group(calls: readonly Call[]): readonly Group[] {
    const groups: Group[] = [];
    let names = new Set<string>();
    let pos = 0;
    const add = (kind: Group['kind'], task: object): void => {
      const last = groups[groups.length - 1];
      if (last?.kind === kind) last.tasks.push(task);
      else groups.push({ kind, tasks: [task] });
    };
    for (const { tasks, atomic } of calls) {
      const packed = tasks.map(task => {
        pos += 1;
        return packTask(task, pos, this.#queues.idOf(task.queue));
      });
      if (atomic) {
        groups.push({ kind: 'atomic', tasks: packed });
        names = new Set();
        continue;
      }
      tasks.forEach((task, index) => {
        const mine = namesOf(task);
        const isPlain =
          task.spec.dependsOn.length === 0 && this.#hasRoom(task) && !mine.some(name => names.has(name));
        if (groups[groups.length - 1]?.kind !== 'plain') names = new Set();
        for (const name of mine) names.add(name);
        add(isPlain ? 'plain' : 'each', packed[index] ?? {});
      });
    }
    return groups;
  }

  #hasRoom({ state, tenant, waitingMax }: NewTask): boolean {
    if (state === 'rejected') return true;
    return (this.#counts.get(tenant)?.tasks ?? Number.POSITIVE_INFINITY) + MARGIN < waitingMax;
  }

  async #count(tenants: ReadonlySet<TenantId>): Promise<void> {
    const now = this.#clock.monotonic();
    const stale = [...tenants].filter(tenant => {
      const count = this.#counts.get(tenant);
      return count === undefined || now - count.countedAt > COUNT_MS_MAX;
    });
    if (stale.length === 0) return;
    const rows = await this.#context.glance<{ tenant: TenantId; tasks: number }>(WAITING, [stale]);
    for (const { tenant, tasks } of rows) this.#counts.set(tenant, { tasks, countedAt: now });
  }

  async #outcomes(
    tasks: readonly NewTask[],
    byPos: ReadonlyMap<number, AnswerRow>,
    repeated: boolean,
  ): Promise<readonly SubmitOutcome[]> {
    const keys = [...byPos.values()].flatMap(({ status, key }) =>
      status === 'same' && key !== null ? [key] : [],
    );
    const rows = keys.length === 0 ? [] : await this.#context.glance<TaskRow>(BY_KEY, [keys]);
    const known = new Map(rows.map(row => [row.key, taskOf(row)]));
    return tasks.map((task, index) => {
      const row = byPos.get(index + 1);
      if (row === undefined) throw new Error(`task ${task.id} was not answered`);
      const same = row.status === 'same' && row.key !== null ? known.get(row.key) : undefined;
      // Accepted by the very same request, at a try whose answer was lost.
      if (repeated && same?.executionId === task.executionId) return createdAs(same.key, same.createdAt);
      return outcomeOf(row, same);
    });
  }

  /** Minds what was accepted, and tells the other processes. */
  #report(tasks: readonly NewTask[], byPos: ReadonlyMap<number, AnswerRow>): void {
    const ready: Place[] = [];
    const keys: TaskKey[] = [];
    let due = false;
    tasks.forEach((task, index) => {
      const row = byPos.get(index + 1);
      if (row?.status !== 'created' || row.key === null) return;
      keys.push(row.key);
      due ||= task.timers.length > 0 || task.spec.dependsOn.length > 0;
      const queue = task.state === 'rejected' ? null : this.#queues.idOf(task.queue);
      if (queue === null) return;
      const count = this.#counts.get(task.tenant);
      if (count !== undefined) count.tasks += 1;
      ready.push({ queue, rank: rankOf(row.at, task.spec.priority), task: row.key });
    });
    this.#queues.entered(ready);
    this.#context.tell({ tasks: keys, ready, due });
  }
}

function outcomeOf(row: AnswerRow, same: Task | undefined): SubmitOutcome {
  switch (row.status) {
    case 'created':
      return createdAs(row.key, row.at);
    case 'same':
      if (same === undefined) throw new Error(`task ${row.key} is gone`);
      return { status: 'same', task: same };
    case 'unknown_dependency':
      return { status: row.status, ids: row.unknown ?? [] };
    case 'different':
    case 'full':
    case 'aborted':
      return { status: row.status };
  }
}

function createdAs(key: TaskKey | null, at: number): SubmitOutcome {
  if (key === null) throw new Error('a created task has a key');
  return { status: 'created', key, at };
}

/** What two tasks of one group must not have in common. */
function namesOf({ tenant, id, idempotencyKey }: NewTask): readonly string[] {
  const ofId = JSON.stringify([tenant, id]);
  return idempotencyKey === undefined ? [ofId] : [ofId, JSON.stringify([tenant, null, idempotencyKey])];
}
