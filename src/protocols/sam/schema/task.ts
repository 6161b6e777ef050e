// The body of execute-task as a schema: what is known of each field. Unknown fields are welcome everywhere (`SAM-3`, `SAM-30` to
// `SAM-38`).

import Type, { type Static } from 'typebox';
import { NOTIFICATION_EVENTS } from '../../../domain/event.ts';
import { ISOLATION_LEVELS, TASK_TYPES } from '../../../domain/task.ts';
import { anyObject, callerId, instantSchema, PRIORITIES } from '../vocabulary.ts';

const seconds = { minimum: 1, maximum: 604_800 };
const name = Type.String({ minLength: 1, maxLength: 200 });
const strings = Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { maxItems: 1_000 });
const scalar = Type.Unsafe<string | number | boolean>({ type: ['string', 'number', 'boolean'] });

/** Who hands the task in; all but the timestamp are list filters (`SAM-32`). */
export const orchestratorInfo = Type.Object({
  agent_id: name,
  timestamp: instantSchema,
  session_id: Type.Optional(name),
  user_id: Type.Optional(name),
  correlation_id: Type.Optional(name),
});

/** What a task may use, or an agent has. */
export const resourceLimits = Type.Object({
  memory_mb: Type.Optional(Type.Integer({ minimum: 1 })),
  cpu_cores: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  disk_mb: Type.Optional(Type.Integer({ minimum: 1 })),
  network_bandwidth_mbps: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
});

/** What a task may use; with `burst` also processors that are idle (`SAM-117`). */
const taskLimits = Type.Object({
  ...resourceLimits.properties,
  burst: Type.Optional(Type.Boolean({ description: 'May use idle processors beyond its own.' })),
});

/** Variables, secret names and dependencies of a task. */
export const environment = Type.Object({
  variables: Type.Optional(Type.Record(Type.String(), scalar)),
  secrets: Type.Optional(strings),
  dependencies: Type.Optional(strings),
});

/** A retry policy of the caller's own, for `retry_strategy` `custom`. */
export const customRetry = Type.Object({
  delays_ms: Type.Optional(
    Type.Array(Type.Integer({ minimum: 0, maximum: 86_400_000 }), { minItems: 1, maxItems: 100 }),
  ),
  factor: Type.Optional(Type.Number({ minimum: 1, maximum: 100 })),
  max_delay: Type.Optional(Type.Number({ minimum: 0, maximum: 86_400, description: 'Seconds.' })),
  codes: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), { maxItems: 50, description: 'Error codes that retry.' }),
  ),
});

/** How a task is to be run (`SAM-33`, `SAM-35`). */
export const executionConfig = Type.Object({
  max_retries: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 100,
      description: 'Retries after the first attempt; 3 when absent.',
    }),
  ),
  retry_strategy: Type.Optional(Type.Enum(['exponential', 'linear', 'fixed', 'custom'])),
  retry_delay: Type.Optional(
    Type.Number({ minimum: 0, maximum: 86_400, description: 'The first delay in seconds.' }),
  ),
  retry_policy: Type.Optional(customRetry),
  resource_limits: Type.Optional(taskLimits),
  environment: Type.Optional(environment),
  depends_on: Type.Optional(Type.Array(callerId, { maxItems: 1_000 })),
  not_before: Type.Optional(instantSchema),
  attempt_timeout: Type.Optional(Type.Integer(seconds)),
  queue_timeout: Type.Optional(Type.Integer(seconds)),
  min_isolation: Type.Optional(Type.Enum([...ISOLATION_LEVELS])),
  region: Type.Optional(name),
  region_mode: Type.Optional(
    Type.Enum(['bind', 'prefer'], {
      description: 'Whether the task runs in `region` alone, or there while there is room; bind when absent.',
    }),
  ),
  output_schema: Type.Optional(anyObject),
  cache: Type.Optional(
    Type.Object(
      {
        ttl: Type.Number({ minimum: 1, maximum: 31_536_000, description: 'Seconds a result may be old.' }),
        key: Type.Optional(
          Type.String({ maxLength: 500, description: 'Tells apart what else is identical.' }),
        ),
      },
      { description: 'The result of an identical task of the tenant will do.' },
    ),
  ),
  concurrency: Type.Optional(
    Type.Object(
      {
        key: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000]+$' }),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: '1 when absent.' })),
      },
      { description: 'At most so many tasks of the tenant with this key run at once.' },
    ),
  ),
  labels: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 200 }))),
});

/** Whom to tell of what (`SAM-36`, `SAM-37`). */
export const notificationConfig = Type.Object({
  webhook_url: Type.String({ format: 'uri', maxLength: 2_000 }),
  webhook_secret: Type.Optional(Type.String({ minLength: 1, maxLength: 1_000 })),
  notification_events: Type.Optional(Type.Array(Type.Enum([...NOTIFICATION_EVENTS]), { maxItems: 100 })),
  retry_policy: Type.Optional(
    Type.Object({
      max_attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 20 })),
      backoff_strategy: Type.Optional(Type.Enum(['exponential', 'linear', 'fixed'])),
    }),
  ),
  progress_interval: Type.Optional(Type.Number({ minimum: 1, maximum: 86_400, description: 'Seconds.' })),
  encoding: Type.Optional(Type.Enum(['gzip'])),
  format: Type.Optional(Type.Enum(['msgpack'])),
  batch: Type.Optional(
    Type.Object({
      max_items: Type.Integer({ minimum: 1, maximum: 1_000 }),
      max_delay_ms: Type.Integer({ minimum: 0, maximum: 60_000 }),
    }),
  ),
  encrypt_to: Type.Optional(anyObject),
});

/** What the task comes from; all of it is open to its executor (`SAM-38`). */
export const taskContext = Type.Object({
  conversation_history: Type.Optional(Type.Array(anyObject)),
  previous_tasks: Type.Optional(Type.Array(Type.String())),
  shared_state: Type.Optional(anyObject),
  metadata: Type.Optional(anyObject),
});

/** The whole body. */
export const taskBody = Type.Object({
  task_id: callerId,
  task_type: Type.Enum([...TASK_TYPES]),
  description: Type.String({ minLength: 1, maxLength: 10_000 }),
  priority: Type.Optional(Type.Enum([...PRIORITIES])),
  timeout: Type.Optional(
    Type.Integer({ ...seconds, description: 'Seconds of running time over all attempts.' }),
  ),
  orchestrator_info: orchestratorInfo,
  task_data: anyObject,
  execution_config: Type.Optional(executionConfig),
  notification_config: Type.Optional(notificationConfig),
  context: Type.Optional(taskContext),
});

/** The body as a type. */
export type TaskBody = Static<typeof taskBody>;

/** Headers of execute-task; those that repeat a field fill it in where it is absent (`SAM-29`). */
export const taskHeaders = Type.Object({
  'x-manus-agent-id': Type.Optional(name),
  'x-task-priority': Type.Optional(Type.Enum([...PRIORITIES])),
  'x-timeout': Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,5}$' })),
  'idempotency-key': Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
});
