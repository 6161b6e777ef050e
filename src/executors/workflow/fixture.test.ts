// A house in which workflows run: the real engine, store and coordinator; what steps do is the test's word, by their `task_data`.

import type { TestContext } from 'node:test';
import { type House, type HouseOptions, openHouse, orderOf, until } from '../../../test/harness.ts';
import type { TaskId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Task, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import { silentLog } from '../../runtime/log.ts';
import { createWorkflowExecutor, type WorkflowExecutor } from './executor.ts';

/** What came of a workflow. */
export interface Ended {
  readonly task: Task;
  readonly output: Loose;
  /** States by step. */
  readonly states: Readonly<Record<string, string>>;
}

/** JSON of whatever shape. */
export type Loose = ReturnType<typeof JSON.parse>;

/** A house, and the names of the steps whose work was done, in order. */
export interface Works {
  readonly house: House;
  readonly executor: () => WorkflowExecutor;
  /** Runs of `code_execution` tasks begun, by task id. */
  readonly ran: string[];
  start(id: string, payload: object, spec?: Partial<TaskSpec>): Promise<void>;
  end(id: string): Promise<Ended>;
  run(id: string, payload: object, spec?: Partial<TaskSpec>): Promise<Ended>;
}

/** Does what `task_data` says: `{answer}`, `{fail: message}`, `{hang: true}`; whatever else is answered as it came. */
export function obey({ task, signal }: Pick<AttemptContext, 'task' | 'signal'>): Promise<AttemptResult> {
  const { answer, fail, hang } = task.spec.payload;
  if (hang === true)
    return new Promise((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
    );
  if (fail !== undefined)
    return Promise.resolve({
      status: 'failed',
      error: { code: 'task_failed', message: String(fail), recoverable: true },
    });
  return Promise.resolve({ status: 'completed', output: (answer ?? task.spec.payload) as Json });
}

/** A started house; its steps are of `code_execution`. */
export async function works(t: Pick<TestContext, 'after'>, choice: HouseOptions = {}): Promise<Works> {
  const ran: string[] = [];
  let executor: WorkflowExecutor | null = null;
  const house = await openHouse({
    ...choice,
    run: context => {
      ran.push(context.task.id);
      return (choice.run ?? obey)(context);
    },
    executors: parts => {
      executor = createWorkflowExecutor({ log: silentLog, ...parts });
      return [executor];
    },
  });
  t.after(() => house.stop());
  const start = async (id: string, payload: object, spec: Partial<TaskSpec> = {}): Promise<void> => {
    const order = orderOf(id, { type: 'workflow_orchestration', payload: payload as JsonObject, ...spec });
    const [admission] = await house.engine.submit([order]);
    if (admission?.kind !== 'admitted') throw admission?.error ?? new Error('no answer');
  };
  const end = async (id: string): Promise<Ended> => {
    await until(house, id, ({ outcome }) => outcome !== null);
    return endedOf(house, id);
  };
  return {
    house,
    executor: () => {
      if (executor === null) throw new Error('there is no executor yet');
      return executor;
    },
    ran,
    start,
    end,
    run: async (id, payload, spec) => {
      await start(id, payload, spec);
      return await end(id);
    },
  };
}

/** How a workflow's task stands. */
export async function endedOf(house: House, id: string): Promise<Ended> {
  const task = await house.engine.task(DEFAULT_TENANT, id as TaskId);
  const output = (task.result?.output ?? {}) as Loose;
  const states = Object.fromEntries(
    Object.entries<Loose>(output.steps ?? {}).map(([step, { state }]) => [step, state]),
  );
  return { task, output, states };
}

/** A step that does `data`. */
export function step(id: string, data: object = {}, more: object = {}): object {
  return { id, task_type: 'code_execution', task_data: data, ...more };
}

/** A template of one expression. */
export function $(expression: string): string {
  return `\${{ ${expression} }}`;
}
