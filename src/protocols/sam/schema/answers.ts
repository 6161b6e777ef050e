// Answers as schemas, for the OpenAPI document and the tests that hold real answers against it. Answers may grow: none forbids
// further fields.

import Type from 'typebox';
import { TASK_STATES } from '../../../domain/transitions.ts';
import { LOG_LEVELS } from '../../../store/rows.ts';
import { errorSchema } from '../errors.ts';
import { anyObject, instantSchema, SAM_STATES } from '../vocabulary.ts';

const text = Type.String();
const nullable = (type: 'string' | 'integer' | 'number') => Type.Unsafe({ type: [type, 'null'] });

/** The answer to a task that was taken (`SAM-41`). */
export const admitted = Type.Object(
  {
    status: Type.Enum(['accepted', 'queued']),
    task_id: text,
    execution_id: text,
    agent_id: text,
    estimated_duration: Type.Integer({ description: 'Seconds.' }),
    queue_position: Type.Integer({ description: '1 is next, 0 started.' }),
    resource_allocation: Type.Object({
      memory_mb: Type.Optional(Type.Integer()),
      cpu_cores: Type.Optional(Type.Number()),
      estimated_cost: Type.Number(),
    }),
    monitoring: Type.Object({ status_url: text, logs_url: text, metrics_url: text }),
    timestamps: Type.Object({
      received: instantSchema,
      queued: instantSchema,
      estimated_start: instantSchema,
      estimated_completion: instantSchema,
    }),
  },
  { description: 'The task is stored and will run.' },
);

const rejection = Type.Object({
  status: Type.Enum(['rejected']),
  task_id: text,
  execution_id: text,
  error: anyObject,
  request_id: text,
  timestamp: instantSchema,
  trace_id: text,
});

/** The answer to a task that can never run (`SAM-45`), or to one that names tasks nobody knows, which leaves no trace. */
export const rejected = Type.Union([rejection, errorSchema], {
  description: 'The task can never run here, and was recorded as rejected; without a status it was not.',
});

/** The answer to many tasks (`SAM-39`). */
export const batchAnswer = Type.Object(
  {
    results: Type.Array(
      Type.Object({ task_id: nullable('string'), http_status: Type.Integer(), body: anyObject }),
    ),
  },
  { description: 'One answer for each task, in order.' },
);

/** An artifact (`SAM-71`). */
export const artifactSchema = Type.Object(
  {
    artifact_id: text,
    type: text,
    name: text,
    media_type: text,
    size_bytes: Type.Integer(),
    url: text,
    checksum: text,
    created_at: instantSchema,
  },
  { description: 'An artifact.' },
);

/** A log record (`SAM-61`). */
export const logRecordSchema = Type.Object({
  timestamp: instantSchema,
  level: Type.Enum([...LOG_LEVELS]),
  component: text,
  task_id: text,
  execution_id: text,
  agent_id: Type.Optional(text),
  message: text,
  trace_id: text,
});

const currentStatus = Type.Object({
  state: Type.Enum([...SAM_STATES]),
  paused: Type.Boolean(),
  requires_human_intervention: Type.Boolean(),
  lifecycle_state: Type.Enum([...TASK_STATES]),
  phase: Type.Enum(['init', 'run', 'notify', 'archive']),
  outcome: nullable('string'),
  attempt: Type.Integer(),
  queue_position: Type.Integer(),
  waiting: Type.Optional(anyObject),
  progress: Type.Object({
    percentage: Type.Number({ minimum: 0, maximum: 100 }),
    current_step: Type.Optional(text),
    total_steps: Type.Optional(Type.Integer()),
    estimated_remaining: Type.Optional(Type.Integer()),
    estimated: Type.Optional(Type.Boolean()),
  }),
  timestamps: Type.Object({
    created: instantSchema,
    queued: Type.Optional(instantSchema),
    started: Type.Optional(instantSchema),
    last_update: instantSchema,
    completed: Type.Optional(instantSchema),
    estimated_start: Type.Optional(instantSchema),
    estimated_completion: Type.Optional(instantSchema),
  }),
});

const heldLimit = Type.Object({
  limit: Type.Number(),
  mode: Type.Enum(['enforced', 'advisory']),
  burst: Type.Optional(Type.Boolean()),
});

/** The status of a task (`SAM-55`). */
export const taskStatus = Type.Object(
  {
    task_id: text,
    execution_id: text,
    agent_id: text,
    current_status: currentStatus,
    resource_usage: Type.Object({
      memory: Type.Object({
        current_mb: Type.Integer(),
        peak_mb: Type.Integer(),
        limit_mb: Type.Optional(Type.Integer()),
      }),
      cpu: Type.Object({ current_percentage: Type.Number(), average_percentage: Type.Number() }),
      network: Type.Object({ bytes_sent: Type.Integer(), bytes_received: Type.Integer() }),
      limits: Type.Object({
        memory_mb: Type.Optional(heldLimit),
        cpu_cores: Type.Optional(heldLimit),
        disk_mb: Type.Optional(heldLimit),
        network_bandwidth_mbps: Type.Optional(heldLimit),
      }),
    }),
    execution_details: Type.Object({
      output: Type.Optional(Type.Unknown()),
      artifacts: Type.Array(artifactSchema),
      intermediate_results: Type.Array(anyObject),
      error_details: Type.Optional(anyObject),
    }),
    logs: Type.Optional(Type.Array(logRecordSchema)),
    metrics: Type.Optional(anyObject),
    context: Type.Optional(anyObject),
  },
  { description: 'The task as it is now.' },
);

/** The status of many tasks (`SAM-60`). */
export const statusPage = Type.Object(
  {
    tasks: Type.Array(taskStatus),
    not_found: Type.Array(text),
    total: Type.Integer(),
    limit: Type.Integer(),
    offset: Type.Integer(),
  },
  { description: 'The tasks that match.' },
);

/** A task after it was steered. */
export const controlled = Type.Object(
  {
    task_id: text,
    execution_id: text,
    state: Type.Enum([...SAM_STATES]),
    lifecycle_state: Type.Enum([...TASK_STATES]),
    paused: Type.Boolean(),
    outcome: nullable('string'),
  },
  { description: 'The task after the order.' },
);

/** A page of things of one kind. */
export function pageOf<Name extends string>(name: Name) {
  return Type.Object(
    {
      [name]: Type.Array(anyObject),
      total: Type.Integer(),
      limit: Type.Integer(),
      offset: Type.Integer(),
    },
    { description: 'One page.' },
  );
}

/** An answer without a body. */
export const nothing = Type.Null({ description: 'Done; there is no body.' });
