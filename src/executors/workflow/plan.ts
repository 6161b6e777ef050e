// From `task_data` to something that can be run: the graph checked, every expression parsed, every reference known to be settled before it
// is looked at. What is malformed is 400 with its field, what cannot be a graph 422 with the steps named (`SAM-169`).

import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import { hasChildren, type StepKind, type WorkflowPlan } from '../../domain/workflow.ts';
import {
  ancestorsOf,
  type WrittenStep as GraphStep,
  planOf as graphOf,
} from '../../domain/workflow-graph.ts';
import { type Expression, ParseBudget, parseExpression } from '../../engine/expressions.ts';
import type { WorkflowPayload, WrittenStep, WrittenWork } from './payload.ts';
import { pipeMisuses, pipesIn, readsOf, type StepPipes } from './pipes.ts';
import { EMIT_DEFAULT } from './stage-plan.ts';
import { expressionsIn, parseTemplate, type Template } from './templates.ts';

/** A step with its expressions parsed. */
export interface PlannedStep {
  readonly written: WrittenStep;
  readonly kind: StepKind;
  /** Its own condition and those of the steps around it; all must hold. */
  readonly conditions: readonly Expression[];
  /** What its child task, or each of its items, is given. */
  readonly payload: Template;
  readonly items: Template;
  /** What a `condition` decides. */
  readonly decides: Expression | null;
  /** The title and message of an approval, the time of a wait. */
  readonly said: Template;
  readonly set: Template;
  readonly undo: Template | null;
  /** What a stage makes of what became of a batch. */
  readonly emit: Template;
}

/** A workflow ready to run. */
export interface Plan {
  readonly graph: WorkflowPlan;
  readonly steps: ReadonlyMap<string, PlannedStep>;
  readonly output: Template | null;
  /** By which steps are joined, by their ids. */
  readonly pipes: StepPipes;
}

const PARALLEL_DEFAULT = 10;
const CONCURRENCY_DEFAULT = 10;
const SCOPE = new Set(['input', 'item', 'index', 'shared', 'steps', 'workflow', 'batch', 'result']);
const NOTHING: Template = { kind: 'value', value: null };

/** The plan of written steps; throws `invalid_request` and `unprocessable`. */
export function planOf(payload: WorkflowPayload): Plan {
  const written = payload.steps ?? [];
  const faults: Fault[] = [];
  const steps = new Map<string, PlannedStep>();
  const budget = new ParseBudget();
  const walk = (list: readonly WrittenStep[], field: string, around: readonly Expression[]): void => {
    for (const [index, step] of list.entries()) {
      const planned = plannedOf(step, { field: `${field}.${index}`, around, budget, faults });
      steps.set(step.id, planned);
      walk(step.steps ?? [], `${field}.${index}.steps`, planned.conditions);
    }
  };
  walk(written, 'task_data.steps', []);
  const output = parsedAt('task_data.output', faults, () =>
    payload.output === undefined ? null : parseTemplate(payload.output, budget),
  );
  if (faults.length > 0) refuse(faults);
  const pipes = pipesIn([...steps.values()].map(one => one.written));
  const graph = graphOf(
    written.map(step => graphStep(step, pipes)),
    payload.max_parallel ?? PARALLEL_DEFAULT,
  );
  if ('fault' in graph) {
    const { kind, steps: named, message } = graph.fault;
    throw new DomainError('unprocessable', message, { details: { fault: kind, steps: named } });
  }
  const plan = { graph: graph.plan, steps, output: output ?? null, pipes };
  requireKnown(plan);
  return plan;
}

/** Throws `invalid_request` with these faults. */
export function refuse(faults: readonly Fault[]): never {
  const said = faults.map(({ field, message }) => `${field} ${message}`).join('; ');
  throw new DomainError('invalid_request', said, { details: { errors: faults.map(one => ({ ...one })) } });
}

/** One fault of a payload and where it stands. */
export interface Fault {
  readonly field: string;
  readonly message: string;
}

/** Every expression of a step by where it stands, undoing apart: that sees the step's own output. */
function expressionsOf(step: PlannedStep): {
  readonly before: readonly Expression[];
  readonly after: readonly Expression[];
} {
  const { conditions, payload, items, decides, said, set, undo, emit } = step;
  return {
    before: [
      ...conditions,
      ...[payload, items, said, emit].flatMap(expressionsIn),
      ...(decides === null ? [] : [decides]),
    ],
    after: [...expressionsIn(set), ...(undo === null ? [] : expressionsIn(undo))],
  };
}

interface Place {
  readonly field: string;
  readonly around: readonly Expression[];
  readonly budget: ParseBudget;
  readonly faults: Fault[];
}

function plannedOf(step: WrittenStep, { field, around, budget, faults }: Place): PlannedStep {
  const kind = kindOf(step);
  // Its own steps are checked here, not first when they are to run.
  if (kind === 'workflow' && step.steps !== undefined) planOf({ steps: step.steps });
  for (const message of misuses(step, kind)) faults.push({ field, message });
  const template = (name: string, value: Json | undefined): Template =>
    parsedAt(`${field}.${name}`, faults, () =>
      value === undefined ? NOTHING : parseTemplate(value, budget),
    ) ?? NOTHING;
  const expression = (name: string, text: string | undefined): readonly Expression[] => {
    const parsed =
      text === undefined
        ? undefined
        : parsedAt(`${field}.${name}`, faults, () => parseExpression(text, budget));
    return parsed === undefined ? [] : [parsed];
  };
  return {
    written: step,
    kind,
    conditions: [...around, ...expression('condition', step.condition)],
    payload: template('task_data', givenTo(step, kind)),
    items: template('items', step.items),
    decides: expression('expression', step.expression)[0] ?? null,
    said: template('message', saidBy(step, kind)),
    emit: template('emit', kind === 'stage' ? (step.emit ?? EMIT_DEFAULT) : undefined),
    set: template('set', step.set),
    undo:
      step.compensation === undefined
        ? null
        : template('compensation.task_data', step.compensation.task_data ?? {}),
  };
}

function parsedAt<Value>(field: string, faults: Fault[], parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    faults.push({ field, message: (error as Error).message });
    return undefined;
  }
}

/** What kind of step it is; a workflow as a task is a `workflow` step. */
export function kindOf({ kind, task_type: type }: WrittenStep): StepKind {
  if ((kind ?? 'task') === 'task' && type === 'workflow_orchestration') return 'workflow';
  return kind ?? 'task';
}

/** A workflow's own templates are its own: only its input is filled in here. */
function givenTo(step: WrittenStep, kind: StepKind): Json {
  if (kind !== 'workflow') return step.task_data ?? {};
  const { input } = step.task_data ?? {};
  return step.input ?? input ?? {};
}

function saidBy(step: WrittenStep, kind: StepKind): Json {
  if (kind === 'approval')
    return { title: step.title ?? `approve step ${step.id}`, message: step.message ?? '' };
  if (kind !== 'wait') return null;
  return step.seconds ?? step.until ?? null;
}

/** Fields that a kind needs, and those it has no use for. */
function misuses(step: WrittenStep, kind: StepKind): readonly string[] {
  const found: string[] = [];
  for (const name of NEEDED[kind] ?? [])
    if (step[name] === undefined) found.push(`needs ${name} as a ${kind} step`);
  for (const [name, kinds] of Object.entries(ONLY_FOR))
    if (step[name as keyof WrittenStep] !== undefined && !kinds.includes(kind))
      found.push(`has ${name}, which is for ${kinds.join(' and ')} steps`);
  if (
    kind === 'wait' &&
    ['seconds', 'until', 'message'].filter(name => step[name as 'until'] !== undefined).length !== 1
  )
    found.push('waits for exactly one of seconds, until and message');
  if (
    kind === 'workflow' &&
    (workflowOf(step).workflow_id === undefined) === (workflowOf(step).steps === undefined)
  )
    found.push('needs workflow_id, or task_data with steps');
  found.push(...pipeMisuses(step, kind));
  if (step.compensation !== undefined && !hasChildren(kind)) found.push('has nothing to compensate');
  return found;
}

const NEEDED: Partial<Record<StepKind, readonly (keyof WrittenStep)[]>> = {
  task: ['task_type'],
  stage: ['task_type'],
  map: ['task_type', 'items'],
  condition: ['expression'],
  parallel: ['steps'],
  join: ['depends_on'],
};

const ONLY_FOR: Readonly<Record<string, readonly StepKind[]>> = {
  task_type: ['task', 'map', 'stage', 'workflow'],
  task_data: ['task', 'map', 'stage', 'workflow'],
  retry: ['task', 'map', 'stage', 'workflow'],
  items: ['map', 'stage'],
  inputs: ['task', 'stage'],
  outputs: ['task', 'stage'],
  window: ['stage'],
  emit: ['stage'],
  max_items: ['map'],
  concurrency: ['map'],
  on_item_failure: ['map'],

  if_true: ['condition'],
  if_false: ['condition'],
  expression: ['condition'],
  steps: ['parallel', 'workflow'],
  max_parallel: ['parallel'],
  mode: ['join'],
  cancel_rest: ['join'],
  seconds: ['wait'],
  until: ['wait'],
  message: ['wait', 'approval'],
  title: ['approval'],
  expires_in: ['approval'],
  workflow_id: ['workflow'],
  version: ['workflow'],
  input: ['workflow'],
};

/** What a `workflow` step starts, but its input. */
export function workflowOf(step: WrittenStep): WorkflowPayload {
  const given = (step.task_data ?? {}) as WorkflowPayload;
  return {
    ...given,
    ...(step.steps === undefined ? {} : { steps: step.steps }),
    ...(step.workflow_id === undefined ? {} : { workflow_id: step.workflow_id }),
    ...(step.version === undefined ? {} : { version: step.version }),
  };
}

function graphStep(step: WrittenStep, pipes: StepPipes): GraphStep {
  const kind = kindOf(step);
  return {
    id: step.id,
    kind,
    dependsOn: step.depends_on ?? [],
    reads: readsOf(step.id, pipes),
    onFailure: step.on_failure,
    thenSteps: step.if_true ?? [],
    elseSteps: step.if_false ?? [],
    steps: kind === 'parallel' ? (step.steps ?? []).map(one => graphStep(one, pipes)) : [],
    mode: step.mode ?? 'all',
    cancelsRest: step.cancel_rest ?? false,
    concurrency:
      kind === 'parallel' ? (step.max_parallel ?? 1_000) : (step.concurrency ?? CONCURRENCY_DEFAULT),
    itemsMayFail: step.on_item_failure === 'continue',
    compensated: step.compensation !== undefined,
  };
}

/** Every expression speaks of what is there by then. */
function requireKnown({ graph, steps, output }: Plan): void {
  for (const [id, step] of steps) {
    const ancestors = ancestorsOf(graph, id);
    const { before, after } = expressionsOf(step);
    for (const expression of before) requireSettled(id, expression, graph, ancestors);
    for (const expression of after) requireSettled(id, expression, graph, new Set([...ancestors, id]));
    for (const expression of expressionsIn(step.items))
      if (expression.roots.has('shared') || expression.roots.has('item'))
        throw unknown(id, expression, 'the items of a map are of input and earlier steps alone');
  }
  if (output !== null)
    for (const expression of expressionsIn(output)) requireSettled('output', expression, graph, null);
}

function requireSettled(
  id: string,
  expression: Expression,
  graph: WorkflowPlan,
  settled: ReadonlySet<string> | null,
): void {
  for (const root of expression.roots)
    if (!SCOPE.has(root))
      throw unknown(id, expression, `there is no ${root}; there are ${[...SCOPE].join(', ')}`);
  for (const step of expression.steps.keys()) {
    if (!graph.steps.has(step)) throw unknown(id, expression, `there is no step ${step}`);
    if (settled?.has(step) === false) throw unknown(id, expression, `it does not depend on ${step}`);
  }
}

function unknown(id: string, { text, steps }: Expression, why: string): DomainError {
  const message = `step ${id} looks at \${{ ${text} }}, but ${why}`;
  return new DomainError('unprocessable', message, {
    details: { fault: 'unknown_reference', steps: [id, ...steps.keys()], expression: text },
  });
}

/** The task types it would start, those of stored workflows apart. */
export function typesIn(steps: readonly (WrittenStep | WrittenWork)[]): ReadonlySet<string> {
  const types = new Set<string>();
  for (const step of steps) {
    if (step.task_type !== undefined) types.add(step.task_type);
    if ('steps' in step) for (const type of typesIn(step.steps ?? [])) types.add(type);
  }
  return types;
}
