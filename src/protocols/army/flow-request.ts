// What a `task_request` to the built-in coordinator asks for: its steps as they were written, or the one that its type stands for.

import Type from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Message, TaskRequest } from '../../domain/message.ts';
import { bodyCheck } from '../validation.ts';
import { invalid } from './errors.ts';
import { begin, type Flow, type FlowStep, isCircular } from './flow.ts';
import { step as stepSchema } from './schemas.ts';
import type { ArmySettings } from './settings.ts';
import { constraintsIn } from './task-terms.ts';
import { PRIORITIES, type Role, SPECIALISTS } from './words.ts';

const STEPS_MAX = 100;
const checkSteps = bodyCheck(Type.Array(stepSchema, { minItems: 1, maxItems: STEPS_MAX }));

/** Who does work of a type (`ARMY-63`). */
const DOERS: Readonly<Record<string, Role>> = { research: 'researcher', write: 'writer', analyze: 'analyst' };

/** The flow it asks for; throws what is wrong with its steps. */
export function flowFor(message: Message, task: TaskRequest, settings: ArmySettings): Flow {
  const { taskId, taskType, terms } = task;
  const parameters = isJsonObject(task.input) ? task.input : {};
  const { correlationId, traceId, priority, expiresAt, id } = message;
  const isCritical = priority === PRIORITIES.critical && settings.reviewCritical;
  return begin({
    ...{ root: taskId, requestId: id, correlationId, traceId, priority, expiresAt, taskType, terms },
    needsReview: isCritical || constraintsIn(terms).humanReview,
    steps: parameters.steps === undefined ? [onlyStep(task, parameters)] : writtenSteps(parameters.steps),
  });
}

function onlyStep({ taskType, description }: TaskRequest, parameters: JsonObject): FlowStep {
  if (taskType === 'complex')
    throw invalid([{ field: 'payload.parameters.steps', message: 'is required for a complex task' }]);
  const { role: wanted, ...rest } = parameters;
  const role = wanted === undefined ? (DOERS[taskType] ?? 'specialist') : doerIn(wanted);
  return fresh({ id: 'work', role, taskType, description, parameters: rest, dependsOn: [] });
}

function doerIn(wanted: unknown): Role {
  const role = [...SPECIALISTS, 'tool' as const].find(one => one === wanted);
  if (role !== undefined) return role;
  throw invalid([
    { field: 'payload.parameters.role', message: `must be one of ${SPECIALISTS.join(', ')}, tool` },
  ]);
}

interface WrittenStep {
  readonly id?: string;
  readonly role: Role;
  readonly task_type: string;
  readonly description: string;
  readonly depends_on?: readonly (string | number)[];
  readonly parameters?: JsonObject;
}

function writtenSteps(said: unknown): readonly FlowStep[] {
  const faults = checkSteps(said) ?? [];
  if (faults.length > 0)
    throw invalid(
      faults.map(({ field, message }) => ({
        field: `payload.parameters.steps${field === '' ? '' : `.${field}`}`,
        message,
      })),
    );
  const written = said as readonly WrittenStep[];
  const ids = written.map(({ id }, at) => id ?? `step_${at + 1}`);
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined)
    throw invalid([{ field: 'payload.parameters.steps', message: `names ${twice} twice` }]);
  const steps = written.map((one, at) =>
    fresh({
      ...{ id: ids[at] ?? '', role: one.role, taskType: one.task_type, description: one.description },
      parameters: one.parameters ?? null,
      dependsOn: (one.depends_on ?? []).map((on, nth) => named(on, ids, `${at}.depends_on.${nth}`)),
    }),
  );
  if (isCircular(steps))
    throw new DomainError('unprocessable', 'the steps wait for one another in a circle', {
      details: { errors: [{ field: 'payload.parameters.steps', message: 'must not wait in a circle' }] },
    });
  return steps;
}

/** A step by its name, or by its place counted from 0. */
function named(on: string | number, ids: readonly string[], field: string): string {
  const id = typeof on === 'number' ? ids[on] : on;
  if (id !== undefined && ids.includes(id)) return id;
  throw invalid([{ field: `payload.parameters.steps.${field}`, message: `names no step: ${on}` }]);
}

function fresh(step: Omit<FlowStep, 'state' | 'round' | 'issues' | 'result'>): FlowStep {
  return { ...step, state: 'waiting', round: 0, issues: [], result: null };
}
