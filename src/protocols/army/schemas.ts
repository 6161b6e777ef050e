// The shapes of messages: the payload of each type, and the envelope around it, as it is taken in and as it is sent out. Unknown members
// are welcome everywhere but among settings.

import Type, { type TSchema } from 'typebox';
import { DURATION_PATTERN } from './durations.ts';
import { PRIORITIES, QUERY_TYPES, ROLES, RULES, TYPES, type Type as TypeName } from './words.ts';

const TEXT_MAX = 100_000;

const identifier = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' });
const instant = Type.String({ format: 'date-time' });
const duration = Type.String({ pattern: DURATION_PATTERN, description: 'ISO 8601 duration, such as PT5M.' });
const text = Type.String({ maxLength: TEXT_MAX });
const name = Type.String({ minLength: 1, maxLength: 200 });
const names = Type.Array(name, { maxItems: 1_000 });
const object = Type.Object({}, { additionalProperties: true });
const share = Type.Number({ minimum: 0, maximum: 1 });
const count = Type.Integer({ minimum: 0, maximum: 1_000_000_000 });
const optional = Type.Optional;
const role = Type.Enum([...ROLES]);

const constraints = Type.Object({
  max_tokens: optional(count),
  max_time: optional(duration),
  required_validation: optional(Type.Boolean()),
  human_review: optional(Type.Boolean()),
});

const expectedOutput = Type.Object({
  format: optional(
    Type.String({ minLength: 1, maxLength: 100, description: 'markdown, html, text, json, csv.' }),
  ),
  sections: optional(names),
});

/** A step of a task that several agents do together (`ARMY-66`). */
export const step = Type.Object({
  id: optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,60}$' })),
  role: Type.Enum(['specialist', 'researcher', 'writer', 'analyst', 'tool']),
  task_type: name,
  description: text,
  depends_on: optional(
    Type.Array(Type.Union([name, Type.Integer({ minimum: 0, maximum: 1_000 })]), { maxItems: 100 }),
  ),
  parameters: optional(object),
});

/** What `config_update` may set (`ARMY-49`). */
export const settings = Type.Object(
  {
    default_timeout: optional(duration),
    retry_delays: optional(Type.Array(duration, { maxItems: 20 })),
    max_time: optional(duration),
    max_tokens: optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000 })),
    max_memory_mb: optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    min_quality_score: optional(share),
    rate_limit: optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    max_depth: optional(Type.Integer({ minimum: 1, maximum: 8 })),
    review_critical: optional(Type.Boolean()),
  },
  { additionalProperties: false, minProperties: 1 },
);

const metadataOfResult = Type.Object({ tokens_used: optional(count), time_taken: optional(duration) });
const verdict = {
  valid: Type.Boolean(),
  score: share,
  issues: Type.Array(Type.Union([text, object]), { maxItems: 10_000 }),
  recommendations: Type.Array(text, { maxItems: 10_000 }),
};

/** The payload of each type as it is taken in. */
export const PAYLOADS = {
  task_request: Type.Object({
    task_id: identifier,
    task_type: Type.String({ pattern: '^[A-Za-z0-9._-]{1,150}$' }),
    description: text,
    parameters: optional(object),
    context: optional(object),
    expected_output: optional(expectedOutput),
    constraints: optional(constraints),
  }),
  task_response: Type.Object({
    task_id: identifier,
    status: Type.Enum(['completed', 'failed', 'cancelled']),
    result: optional(
      Type.Union([
        Type.Object({
          content: optional(Type.Unknown()),
          sources: optional(Type.Array(Type.Unknown(), { maxItems: 10_000 })),
          metadata: optional(metadataOfResult),
        }),
        Type.Null(),
      ]),
    ),
    error: optional(object),
  }),
  task_update: Type.Object({
    task_id: identifier,
    status: Type.Enum(['pending', 'running', 'paused']),
    progress: optional(Type.Number({ minimum: 0, maximum: 100 })),
    message: optional(text),
  }),
  error: Type.Object({
    error_type: optional(name),
    error_code: name,
    message: text,
    context: optional(
      Type.Object({ task_id: optional(identifier), attempt: optional(count), max_retries: optional(count) }),
    ),
    recoverable: optional(Type.Boolean()),
    suggested_action: optional(name),
  }),
  status_query: Type.Object(
    { task_id: optional(identifier), role: optional(role), scope: optional(Type.Enum(['system'])) },
    { minProperties: 1 },
  ),
  status_response: Type.Object({}, { minProperties: 1, additionalProperties: true }),
  coordination: Type.Object({ action: name }),
  validation_request: Type.Object({
    content: Type.Unknown(),
    validation_rules: optional(Type.Array(Type.Enum([...RULES]), { minItems: 1, maxItems: 3 })),
    context: optional(object),
  }),
  validation_response: Type.Object(verdict),
  memory_store: Type.Object({
    key: Type.String({ minLength: 1, maxLength: 512 }),
    value: Type.Unknown(),
    ttl: optional(duration),
    tags: optional(names),
  }),
  memory_query: Type.Object({
    query: Type.Object({ type: Type.Enum([...QUERY_TYPES]), text: optional(text) }),
    limit: optional(Type.Integer({ minimum: 1, maximum: 100 })),
    filters: optional(
      Type.Object({
        tags: optional(names),
        date_range: optional(Type.Object({ from: optional(instant), to: optional(instant) })),
      }),
    ),
  }),
  memory_response: Type.Object({}, { minProperties: 1, additionalProperties: true }),
  heartbeat: Type.Object({
    load: optional(Type.Number({ minimum: 0 })),
    capacity: optional(Type.Integer({ minimum: 0, maximum: 1_000 })),
    memory_mb: optional(Type.Number({ minimum: 0 })),
  }),
  shutdown: Type.Object({ reason: text, grace: optional(duration) }),
  config_update: Type.Object({ settings }),
} as const satisfies Record<TypeName, TSchema>;

/** An error's payload as it is sent: all six members (`ARMY-51`). */
export const errorPayload = Type.Object({
  error_type: Type.Enum([
    'execution_error',
    'validation_error',
    'timeout_error',
    'permission_error',
    'resource_error',
    'dependency_error',
    'policy_error',
    'internal_error',
  ]),
  error_code: Type.String({ minLength: 1 }),
  message: Type.String(),
  context: object,
  recoverable: Type.Boolean(),
  suggested_action: Type.Enum([
    'retry_with_backoff',
    'fix_request',
    'reauthenticate',
    'escalate_to_supervisor',
    'none',
  ]),
});

const ADDRESS = `^(?:${ROLES.join('|')})(?::[A-Za-z0-9._:-]{1,200})?$`;
const address = Type.String({
  pattern: ADDRESS,
  description: `${ROLES.join(', ')}; role:agent for one agent.`,
});
const metadata = {
  retry_count: optional(count),
  deadline: optional(instant),
  tags: optional(Type.Array(Type.String({ maxLength: 200 }), { maxItems: 1_000 })),
  to_agent: optional(identifier),
  from_agent: optional(identifier),
};
const priority = Type.Enum(Object.keys(PRIORITIES) as (keyof typeof PRIORITIES)[]);
const encryption = optional(Type.Enum(['none', 'tls', 'end-to-end']));

/** Every member of an envelope but the payload, as it is taken in; its type is looked at before. */
export const envelope = Type.Object({
  id: identifier,
  timestamp: instant,
  from: address,
  to: Type.Union([address, Type.Array(address, { minItems: 1, maxItems: ROLES.length * 100 })]),
  type: Type.String(),
  correlation_id: optional(identifier),
  reply_to: optional(identifier),
  metadata: optional(Type.Object({ priority: optional(priority), ...metadata })),
  signature: optional(Type.String({ minLength: 1, maxLength: 10_000 })),
  encryption,
  protocol_version: optional(
    Type.String({ pattern: '^\\d{1,6}\\.\\d{1,6}\\.\\d{1,6}(?:[-+][0-9A-Za-z.+-]{1,100})?$' }),
  ),
});

/** The whole of each type's message as it is sent (`ARMY-80`). */
export const MESSAGES: Readonly<Record<TypeName, TSchema>> = Object.fromEntries(
  TYPES.map(type => [type, messageOf(type)]),
) as Record<TypeName, TSchema>;

function messageOf(type: TypeName): TSchema {
  return Type.Object({
    id: identifier,
    timestamp: instant,
    from: address,
    to: Type.Union([address, Type.Array(address, { minItems: 1 })]),
    type: Type.Enum([type]),
    correlation_id: identifier,
    reply_to: optional(identifier),
    payload: type === 'heartbeat' ? optional(PAYLOADS.heartbeat) : PAYLOADS[type],
    metadata: Type.Object({ priority, ...metadata }),
    signature: optional(Type.String()),
    encryption,
    protocol_version: Type.String(),
  });
}
