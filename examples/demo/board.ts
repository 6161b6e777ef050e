// Where every task stands, as the server's event stream tells it. Knows nothing of how it is shown.

import type { StreamEvent } from '../../src/sdk/index.ts';
import { type Order, STAGES, type Stage } from './orders.ts';

/** A task as the board knows it. */
export interface BoardTask {
  readonly id: string;
  readonly stage: Stage;
  readonly state: 'waiting' | 'running' | 'completed' | 'failed';
  readonly attempt: number;
  readonly percentage: number;
  readonly step: string;
  /** Who has it, or had it last. */
  readonly holder: string;
}

/** How a stage stands. */
export interface StageCount {
  readonly stage: Stage;
  readonly all: number;
  readonly done: number;
  readonly running: number;
}

/** All tasks ordered so far, and when something about them changed. */
export class Board {
  readonly #tasks = new Map<string, BoardTask>();
  readonly #watchers: (() => void)[] = [];
  readonly #onEnd: (task: BoardTask) => void;
  #planned = 0;

  /** `onEnd` hears of each task as it ends. */
  constructor(onEnd: (task: BoardTask) => void) {
    this.#onEnd = onEnd;
  }

  /** So many tasks are going to be ordered in all. */
  plan(count: number): void {
    this.#planned = count;
  }

  get planned(): number {
    return this.#planned;
  }

  /** A task was ordered; its events mean something from now on. */
  add({ id, stage }: Order): void {
    this.#tasks.set(id, { id, stage, state: 'waiting', attempt: 0, percentage: 0, step: '', holder: '' });
  }

  /** The order was refused. */
  remove(id: string): void {
    this.#tasks.delete(id);
  }

  /** Takes an event in; those of tasks that were not ordered here are passed over. */
  take({ event, data }: StreamEvent): void {
    const before = this.#tasks.get(String(data.task_id));
    if (before === undefined) return;
    const after =
      event === 'state_changed'
        ? moved(before, data)
        : event === 'task_progress'
          ? advanced(before, data)
          : before;
    this.#tasks.set(before.id, after);
    if (hasEnded(after) && !hasEnded(before)) this.#onEnd(after);
    for (const watcher of this.#watchers) watcher();
  }

  /** Calls back after every event, and once now. */
  watch(watcher: () => void): void {
    this.#watchers.push(watcher);
    watcher();
  }

  get tasks(): readonly BoardTask[] {
    return [...this.#tasks.values()];
  }

  get done(): number {
    return this.tasks.filter(hasEnded).length;
  }

  running(holder?: string): readonly BoardTask[] {
    return this.tasks.filter(
      task => task.state === 'running' && (holder === undefined || task.holder === holder),
    );
  }

  stages(): readonly StageCount[] {
    return STAGES.map(stage => {
      const mine = this.tasks.filter(task => task.stage === stage);
      return {
        stage,
        all: mine.length,
        done: mine.filter(hasEnded).length,
        running: mine.filter(({ state }) => state === 'running').length,
      };
    });
  }
}

function hasEnded({ state }: BoardTask): boolean {
  return state === 'completed' || state === 'failed';
}

type EventData = StreamEvent['data'];

function moved(task: BoardTask, data: EventData): BoardTask {
  const { to, actor, attempt } = data;
  switch (to) {
    case 'queued':
      return { ...task, state: 'waiting' };
    case 'running':
      return {
        ...task,
        state: 'running',
        attempt: typeof attempt === 'number' ? attempt : task.attempt + 1,
        holder: String(actor).replace(/^agent:/, ''),
      };
    case 'completed':
      return { ...task, state: 'completed', percentage: 100 };
    case 'failed':
    case 'timeout':
    case 'cancelled':
      return { ...task, state: 'failed' };
    default:
      return task;
  }
}

function advanced(task: BoardTask, { progress }: EventData): BoardTask {
  const { percentage, current_step: step } = (progress ?? {}) as {
    percentage?: number;
    current_step?: string;
  };
  return { ...task, percentage: percentage ?? task.percentage, step: step ?? task.step };
}
