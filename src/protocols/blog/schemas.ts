// The shapes of the blog wire as JSON Schema: what is accepted, which is more than what is emitted. What a schema cannot say (who may send
// what to whom, which ids exist) is decode.ts's.

import Type, { type Static } from 'typebox';
import type { Json, JsonObject } from '../../domain/json.ts';
import { ENVIRONMENTS, EVENT_TYPES, MESSAGE_TYPES, PRIORITIES } from './vocabulary.ts';

const OPEN = { additionalProperties: true } as const;
const id = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' });
const agent = Type.String({ minLength: 1, maxLength: 200 });
const text = (lengthMax: number) => Type.String({ minLength: 1, maxLength: lengthMax });
const object = Type.Unsafe<JsonObject>({ type: 'object' });
const anything = Type.Unsafe<Json>({});

/** An ISO 8601 instant, or milliseconds since 1970 (`BLOG-4`). */
const instant = Type.Unsafe<string | number>({
  anyOf: [
    { type: 'string', format: 'date-time', maxLength: 64 },
    { type: 'integer', minimum: 0, maximum: 8_640_000_000_000_000 },
  ],
});

/** The envelope of every message (`BLOG-1`, `BLOG-2`). */
export const agentMessage = Type.Object(
  {
    id,
    correlationId: Type.Optional(id),
    from: agent,
    to: Type.Unsafe<string | readonly string[]>({
      anyOf: [agent, { type: 'array', items: agent, minItems: 1, maxItems: 1_000 }],
    }),
    type: Type.Enum([...MESSAGE_TYPES]),
    payload: anything,
    metadata: Type.Object(
      {
        timestamp: Type.Optional(instant),
        priority: Type.Optional(Type.Enum(Object.keys(PRIORITIES) as (keyof typeof PRIORITIES)[])),
        ttl: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
        retryCount: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
        requiresAck: Type.Optional(Type.Boolean()),
        signature: Type.Optional(Type.String({ maxLength: 10_000 })),
        encryption: Type.Optional(Type.Enum(['none', 'tls', 'end-to-end'])),
        protocolVersion: Type.Optional(Type.String({ maxLength: 50 })),
      },
      OPEN,
    ),
  },
  OPEN,
);

/** The envelope as it is read. */
export type AgentMessage = Static<typeof agentMessage>;

/** An event (`BLOG-60`). */
export const systemEvent = Type.Object(
  {
    id,
    type: Type.Enum([...EVENT_TYPES]),
    source: text(200),
    data: anything,
    metadata: Type.Object(
      {
        timestamp: Type.Optional(instant),
        correlationId: Type.Optional(id),
        userId: Type.Optional(text(200)),
        traceId: Type.Optional(text(200)),
        protocolVersion: Type.Optional(Type.String({ maxLength: 50 })),
      },
      OPEN,
    ),
  },
  OPEN,
);

/** The event as it is read. */
export type SystemEvent = Static<typeof systemEvent>;

const retryStrategy = Type.Object(
  {
    maxRetries: Type.Integer({ minimum: 0, maximum: 100 }),
    backoffMs: Type.Array(Type.Integer({ minimum: 0, maximum: 86_400_000 }), { maxItems: 100 }),
    retryableErrors: Type.Array(text(100), { maxItems: 100 }),
  },
  OPEN,
);

/** When and how often to try again (`BLOG-70`). */
export type RetryStrategy = Static<typeof retryStrategy>;

/** A SystemError (`BLOG-67`). */
export const systemError = Type.Object(
  {
    code: text(100),
    message: Type.String({ maxLength: 10_000 }),
    severity: Type.Enum(['low', 'medium', 'high', 'critical']),
    context: Type.Object(
      {
        component: Type.String(),
        operation: Type.String(),
        input: Type.Optional(anything),
        stackTrace: Type.Optional(Type.String()),
      },
      OPEN,
    ),
    recoverable: Type.Boolean(),
    retryStrategy: Type.Optional(retryStrategy),
    metadata: Type.Object(
      { timestamp: instant, traceId: Type.String(), userId: Type.Optional(Type.String()) },
      OPEN,
    ),
  },
  OPEN,
);

const condition = Type.Object(
  {
    id: text(200),
    description: Type.String({ maxLength: 2_000 }),
    check: Type.Optional(Type.String({ minLength: 1, maxLength: 2_000 })),
  },
  OPEN,
);
const conditions = Type.Optional(Type.Array(condition, { maxItems: 50 }));

/** A SkillExecution (`BLOG-31`); what a client may leave out is optional (`BLOG-32`). */
export const skillExecution = Type.Object(
  {
    executionId: Type.Optional(id),
    skillId: text(200),
    input: object,
    context: Type.Optional(
      Type.Object(
        {
          userId: Type.Optional(text(200)),
          sessionId: Type.Optional(text(200)),
          traceId: Type.Optional(text(200)),
          environment: Type.Optional(Type.Enum([...ENVIRONMENTS])),
        },
        OPEN,
      ),
    ),
    preconditions: conditions,
    postconditions: conditions,
    config: Type.Optional(
      Type.Object(
        {
          timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400_000 })),
          retryStrategy: Type.Optional(retryStrategy),
          model: Type.Optional(text(200)),
          temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
        },
        OPEN,
      ),
    ),
    status: Type.Optional(
      Type.Enum(['pending', 'validating', 'executing', 'completed', 'failed', 'cancelled']),
    ),
    result: Type.Optional(anything),
    error: Type.Optional(object),
    metadata: Type.Optional(
      Type.Object(
        {
          startTime: Type.Optional(instant),
          endTime: Type.Optional(instant),
          duration: Type.Optional(Type.Number({ minimum: 0 })),
          retries: Type.Optional(Type.Integer({ minimum: 0 })),
          agentId: Type.Optional(agent),
        },
        OPEN,
      ),
    ),
  },
  OPEN,
);

/** The execution as it is asked for. */
export type SkillExecution = Static<typeof skillExecution>;

const issue = Type.Object(
  {
    severity: Type.Enum(['error', 'warning', 'info']),
    code: text(100),
    message: Type.String({ maxLength: 10_000 }),
    field: Type.Optional(Type.String({ maxLength: 500 })),
    suggestion: Type.Optional(Type.String({ maxLength: 2_000 })),
  },
  OPEN,
);

const step = Type.Object(
  {
    id: text(200),
    name: text(200),
    order: Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 }),
    required: Type.Boolean(),
    status: Type.Optional(Type.Enum(['pending', 'running', 'passed', 'failed', 'skipped'])),
    result: Type.Optional(
      Type.Object(
        {
          passed: Type.Boolean(),
          score: Type.Number({ minimum: 0, maximum: 100 }),
          issues: Type.Array(issue, { maxItems: 1_000 }),
          suggestions: Type.Optional(Type.Array(Type.String({ maxLength: 2_000 }), { maxItems: 1_000 })),
        },
        OPEN,
      ),
    ),
  },
  OPEN,
);

/** A ContentValidation (`BLOG-45` to `BLOG-47`); what the pipeline fills is optional. */
export const contentValidation = Type.Object(
  {
    contentId: id,
    content: anything,
    steps: Type.Optional(Type.Array(step, { minItems: 1, maxItems: 50 })),
    result: Type.Optional(
      Type.Object(
        {
          approved: Type.Boolean(),
          score: Type.Number({ minimum: 0, maximum: 100 }),
          issues: Type.Array(issue, { maxItems: 10_000 }),
          recommendations: Type.Array(Type.String({ maxLength: 2_000 }), { maxItems: 1_000 }),
        },
        OPEN,
      ),
    ),
    metadata: Type.Optional(
      Type.Object(
        {
          startTime: Type.Optional(instant),
          endTime: Type.Optional(instant),
          validator: Type.Optional(text(200)),
        },
        OPEN,
      ),
    ),
  },
  OPEN,
);

/** The validation as it is asked for. */
export type ContentValidation = Static<typeof contentValidation>;
