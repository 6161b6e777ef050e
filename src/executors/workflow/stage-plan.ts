// What a stage was told to do, ready to be done: its templates parsed, its window complete.

import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { TaskType } from '../../domain/task.ts';
import { ParseBudget } from '../../engine/expressions.ts';
import type { WorkflowPayload, WrittenStep } from './payload.ts';
import { parseTemplate, type Template } from './templates.ts';

/** What a stage emits that does not say what. */
export const EMIT_DEFAULT = `\${{ result }}`;

/** When a batch is full: whatever comes first. */
export interface Window {
  readonly count: number;
  /** Of its records as JSON; a record that is larger makes a batch of its own. */
  readonly bytes: number;
  /** Since its first record was there. */
  readonly ms: number;
}

/** A stage. */
export interface Stage {
  readonly step: WrittenStep;
  readonly type: TaskType;
  /** What the task of a batch is given. */
  readonly payload: Template;
  /** The records it makes. */
  readonly emit: Template;
  /** What templates see beside `batch` and `result`. */
  readonly scope: JsonObject;
  readonly window: Window;
  readonly input: string | null;
  readonly output: string | null;
  /** The records of a stage without input. */
  readonly items: readonly Json[];
}

const DEFAULT_WINDOW = { count: 1_000, bytes: 1_024 ** 2, seconds: 5 };

/** The stage of `task_data.stage`, which the coordinator has written; throws `invalid_request` for what nobody has written so. */
export function stageOf({ step, scope, items = [] }: NonNullable<WorkflowPayload['stage']>): Stage {
  const { task_type: type } = step;
  if (type === undefined)
    throw new DomainError('invalid_request', 'task_data.stage is for the server itself');
  const budget = new ParseBudget();
  const { count, bytes, seconds } = { ...DEFAULT_WINDOW, ...step.window };
  return {
    step,
    type,
    payload: parsed(() => parseTemplate(step.task_data ?? {}, budget)),
    emit: parsed(() => parseTemplate(step.emit ?? EMIT_DEFAULT, budget)),
    scope,
    window: { count, bytes, ms: seconds * 1_000 },
    input: Object.keys(step.inputs ?? {})[0] ?? null,
    output: Object.keys(step.outputs ?? {})[0] ?? null,
    items,
  };
}

function parsed(parse: () => Template): Template {
  try {
    return parse();
  } catch (cause) {
    throw new DomainError('invalid_request', `task_data.stage: ${(cause as Error).message}`, { cause });
  }
}
