// In which order the tasks of one batch are stored. Tasks of one instant and priority start in the order they were stored, so this
// decides who goes first among equals (`SAM-112`).

import type { TaskId } from '../domain/ids.ts';
import type { NewTask } from '../store/rows.ts';

/**
 * The tasks that others of the batch depend on first, each after those it depends on itself, then the rest; otherwise in the order
 * given. So a batch may name its tasks in any order, too.
 */
export function dependedFirst(tasks: readonly NewTask[]): readonly NewTask[] {
  if (!tasks.some(({ spec }) => spec.dependsOn.length > 0)) return tasks;
  const needed = new Set(tasks.flatMap(({ spec }) => spec.dependsOn));
  const byId = new Map(tasks.map(task => [task.id, task]));
  const placed = new Set<NewTask>();
  for (const { id } of tasks) if (needed.has(id)) place(id, byId, placed);
  for (const task of tasks) placed.add(task);
  return [...placed];
}

/** Depth first without recursion, so that a long chain cannot exhaust the stack; a circle is cut where it closes. */
function place(start: TaskId, byId: ReadonlyMap<TaskId, NewTask>, placed: Set<NewTask>): void {
  const path: { readonly task: NewTask; next: number }[] = [];
  const entered = new Set<NewTask>();
  const enter = (id: TaskId): void => {
    const task = byId.get(id);
    if (task === undefined || placed.has(task) || entered.has(task)) return;
    entered.add(task);
    path.push({ task, next: 0 });
  };
  enter(start);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const needed = top.task.spec.dependsOn[top.next++];
    if (needed !== undefined) enter(needed);
    else {
      placed.add(top.task);
      path.pop();
    }
  }
}
