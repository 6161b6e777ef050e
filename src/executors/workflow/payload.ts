// What a workflow_orchestration task is told: the shape of its `task_data` (`SAM-162`, `SAM-164`). What a schema cannot say of it (which kind
// of step has which fields, the graph, the expressions) is plan.ts's.

import Type, { type Static, type TSchema } from 'typebox';
import type { Json, JsonObject } from '../../domain/json.ts';
import { PIPE_MODES } from '../../domain/pipe.ts';
import { ISOLATION_LEVELS, TASK_TYPES } from '../../domain/task.ts';
import { MAP_ITEMS_MAX, STEP_KINDS } from '../../domain/workflow.ts';
import { EXPRESSION_LENGTH_MAX } from '../../engine/expressions.ts';

/** Bytes of JSON in one batch of a stage at most: they go into the order of a task. */
export const WINDOW_BYTES_MAX = 2 * 1_024 ** 2;

/** How an input names what it reads. */
const OUTPUT_REFERENCE = '^[A-Za-z_][A-Za-z0-9_-]{0,62}[.][A-Za-z_][A-Za-z0-9_-]{0,62}$';

const stepId = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_-]{0,62}$' });
const stepIds = Type.Array(stepId, { maxItems: 1_000 });
const seconds = (description: string) => Type.Number({ minimum: 0, maximum: 31_536_000, description });
const expression = (description: string) =>
  Type.String({ minLength: 1, maxLength: EXPRESSION_LENGTH_MAX, description: `${description} (JMESPath).` });
const anything = (description: string) => Type.Unsafe<Json>({ description: `${description} (a template).` });
const object = (description: string) => Type.Unsafe<JsonObject>({ type: 'object', description });
const list = Type.Unsafe<readonly Json[]>({ type: 'array', description: 'Records.' });
const strings = Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { maxItems: 1_000 });

const retry = Type.Object(
  {
    max_attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: '1 when absent.' })),
    strategy: Type.Optional(Type.Enum(['exponential', 'linear', 'fixed'])),
    delay: Type.Optional(seconds('Before the second attempt; as its strategy says when absent.')),
    max_delay: Type.Optional(seconds('Between attempts at most.')),
    codes: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { maxItems: 50 })),
  },
  { description: 'How a step is tried again.' },
);

const executionConfig = Type.Object(
  {
    environment: Type.Optional(
      Type.Object({
        variables: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 65_536 }))),
        secrets: Type.Optional(strings),
        dependencies: Type.Optional(strings),
      }),
    ),
    resource_limits: Type.Optional(
      Type.Object({
        memory_mb: Type.Optional(Type.Integer({ minimum: 1 })),
        cpu_cores: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
        disk_mb: Type.Optional(Type.Integer({ minimum: 1 })),
        network_bandwidth_mbps: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
      }),
    ),
    min_isolation: Type.Optional(Type.Enum([...ISOLATION_LEVELS])),
    region: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    region_mode: Type.Optional(Type.Enum(['bind', 'prefer'])),
    output_schema: Type.Optional(object('JSON Schema of the step’s output.')),
  },
  { description: 'As `execution_config` of a task.' },
);

const work = {
  task_type: Type.Optional(Type.Enum([...TASK_TYPES])),
  task_data: Type.Optional(object('The task’s own `task_data` (a template).')),
  description: Type.Optional(Type.String({ minLength: 1, maxLength: 10_000 })),
  retry: Type.Optional(retry),
  timeout: Type.Optional(seconds('At most.')),
  execution_config: Type.Optional(executionConfig),
};

const pipeName = '^[A-Za-z_][A-Za-z0-9_-]{0,62}$';
const PIPES_MAX = 16;

const window = Type.Object(
  {
    count: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: '1,000 when absent.' })),
    bytes: Type.Optional(
      Type.Integer({ minimum: 1, maximum: WINDOW_BYTES_MAX, description: '1 MiB of JSON when absent.' }),
    ),
    seconds: Type.Optional(seconds('Since its first record came; 5 when absent.')),
  },
  { description: 'When a batch of a `stage` is full: whatever comes first.' },
);

const compensation = Type.Object(
  { ...work, task_type: Type.Enum([...TASK_TYPES]) },
  { description: 'The task that undoes the step.' },
);

const fields = {
  id: stepId,
  kind: Type.Optional(Type.Enum([...STEP_KINDS], { description: '`task` when absent.' })),
  ...work,
  depends_on: Type.Optional(stepIds),
  condition: Type.Optional(expression('The step is skipped unless it holds')),
  on_failure: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z_][A-Za-z0-9_-]{0,62}$',
      description: '`fail` (when absent), `continue`, `compensate`, or the id of the step to go to.',
    }),
  ),
  compensation: Type.Optional(compensation),
  set: Type.Optional(object('Shared state to set once the step has completed (templates by name).')),
  // map
  items: Type.Optional(anything('The list of a `map` step, or what a `stage` without inputs begins with')),
  max_items: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAP_ITEMS_MAX, description: '1,000 when absent.' }),
  ),
  concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: '10 when absent.' })),
  on_item_failure: Type.Optional(Type.Enum(['fail', 'continue'])),
  // pipelines
  inputs: Type.Optional(
    Type.Record(Type.String({ pattern: pipeName }), Type.String({ pattern: OUTPUT_REFERENCE }), {
      maxProperties: PIPES_MAX,
      description: 'What it reads while it is written, by name: `step.output`.',
    }),
  ),
  outputs: Type.Optional(
    Type.Record(
      Type.String({ pattern: pipeName }),
      Type.Object({
        mode: Type.Optional(Type.Enum([...PIPE_MODES], { description: '`stream` when absent.' })),
      }),
      { maxProperties: PIPES_MAX, description: 'What it writes for other steps, by name.' },
    ),
  ),
  window: Type.Optional(window),
  emit: Type.Optional(
    anything('The list of records a `stage` makes of a batch, by its `result`; that itself when absent'),
  ),
  // condition
  expression: Type.Optional(expression('What a `condition` step decides')),

  if_true: Type.Optional(stepIds),
  if_false: Type.Optional(stepIds),
  // parallel
  max_parallel: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  // join
  mode: Type.Optional(
    Type.Unsafe<'all' | 'any' | number>({
      anyOf: [{ enum: ['all', 'any'] }, { type: 'integer', minimum: 1, maximum: 1_000 }],
      description: 'What a `join` waits for; `all` when absent.',
    }),
  ),
  cancel_rest: Type.Optional(Type.Boolean({ description: 'A `join` that is through stops the others.' })),
  // wait
  seconds: Type.Optional(anything('How long a `wait` step waits, in seconds')),
  until: Type.Optional(anything('The instant a `wait` step waits for')),
  message: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 10_000,
      description: 'The message a `wait` step waits for, or what an `approval` asks.',
    }),
  ),
  // approval
  title: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'What is to be approved.' })),
  expires_in: Type.Optional(seconds('When an `approval` counts as rejected; a day when absent.')),
  // workflow
  workflow_id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._:-]{1,100}$' })),
  version: Type.Optional(Type.Integer({ minimum: 1 })),
  input: Type.Optional(anything('What the `workflow` step’s workflow is given')),
};

const DESCRIBED = { description: 'A step.' };
const innermost = Type.Object(fields, DESCRIBED);
const middle = Type.Object(
  { ...fields, steps: Type.Optional(Type.Array(innermost, { minItems: 1, maxItems: 1_000 })) },
  DESCRIBED,
);
const step = Type.Object(
  { ...fields, steps: Type.Optional(Type.Array(middle, { minItems: 1, maxItems: 1_000 })) },
  DESCRIBED,
);

/** JSON Schema of `task_data`; `parallel` steps stand in one another at most twice. */
export const WORKFLOW_PAYLOAD = Type.Object({
  steps: Type.Optional(Type.Array(step as TSchema, { minItems: 1, maxItems: 1_000 })),
  workflow_id: Type.Optional(
    Type.String({ pattern: '^[A-Za-z0-9._:-]{1,100}$', description: 'A stored workflow.' }),
  ),
  version: Type.Optional(Type.Integer({ minimum: 1, description: 'Its newest when absent.' })),
  input: Type.Optional(object('What steps see as `input`.')),
  max_parallel: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: '10 when absent.' })),
  output: Type.Optional(anything('What the workflow answers as `result`')),
  rerun: Type.Optional(
    Type.Object(
      {
        task_id: Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' }),
        from_step: stepId,
        result_of: Type.Optional(
          Type.String({
            pattern: '^[A-Za-z0-9._:-]{1,200}$',
            description: 'A task whose result the step has, in place of running again.',
          }),
        ),
      },
      { description: 'An earlier run to take up at a step.' },
    ),
  ),
  tells_steps: Type.Optional(
    Type.Boolean({ description: 'Notes every change of its steps among its events.' }),
  ),
  stage: Type.Optional(
    Type.Object(
      { step: innermost, scope: object('What its templates see.'), items: Type.Optional(list) },
      { description: 'Only for the server itself.' },
    ),
  ),
  closes: Type.Optional(Type.String({ description: 'Only for the server itself.' })),
});

/** A step as it was written. */
export type WrittenStep = Static<typeof innermost> & { readonly steps?: readonly WrittenStep[] };

/** `task_data` as it was written. */
export type WorkflowPayload = Omit<Static<typeof WORKFLOW_PAYLOAD>, 'steps'> & {
  readonly steps?: readonly WrittenStep[];
};

/** The work of a step or of its compensation. */
export type WrittenWork = Static<typeof compensation> | Static<typeof innermost>;
