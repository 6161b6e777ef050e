// What messages look like: the envelope, and the payload of each pair. One definition serves the check at the door, the published schema
// and the test that no field changes its type.

import Type, { type TSchema } from 'typebox';
import type { JsonObject } from '../../domain/json.ts';
import { bodyCheck, type Check } from '../validation.ts';
import type { EnvelopeFault } from './faults.ts';
import { RECIPIENTS_MAX } from './recipients.ts';
import { ALL_PAIRS, halvesOf, type Pair } from './vocabulary.ts';

const id = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' });
const name = Type.String({ minLength: 1, maxLength: 200 });
const words = Type.String({ minLength: 1 });
const object = Type.Unsafe<JsonObject>({ type: 'object' });
const instant = Type.String({ format: 'date-time' });
const count = Type.Integer({ minimum: 0 });
const open = { additionalProperties: true };
const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema);

const agentConfig = Type.Object(
  {
    agent_id: optional(name),
    version: optional(Type.String()),
    parameters: optional(
      Type.Object(
        {
          temperature: optional(Type.Number()),
          model: optional(Type.String()),
          response_format: optional(Type.String()),
        },
        open,
      ),
    ),
  },
  open,
);

const tool = Type.Object({ name, description: optional(Type.String()), parameters: optional(object) }, open);

const agentExecute = Type.Object(
  {
    query: words,
    agent_config: optional(agentConfig),
    context: optional(
      Type.Array(Type.Object({ type: name, content: Type.Unknown() }, open), { maxItems: 1_000 }),
    ),
    stream: optional(Type.Boolean()),
    tools: optional(Type.Array(tool, { maxItems: 100 })),
    max_tokens: optional(Type.Integer({ minimum: 1 })),
  },
  open,
);

const progress = Type.Object(
  {
    progress: optional(Type.Number({ minimum: 0, maximum: 100 })),
    status_detail: optional(Type.String()),
    estimated_completion_seconds: optional(Type.Number({ minimum: 0 })),
    stream_content: optional(
      Type.Object({ type: Type.Enum(['thinking', 'text', 'tool_call']), content: Type.Unknown() }, open),
    ),
  },
  open,
);

const agentResponse = Type.Object(
  {
    response: Type.String(),
    completion_tokens: optional(count),
    total_tokens: optional(count),
    tool_calls: optional(Type.Array(Type.Object({ tool_name: name }, open))),
    sources: optional(Type.Array(Type.Object({ document_id: name }, open))),
    thinking_process: optional(Type.String()),
  },
  open,
);

const command = Type.Object(
  { command: Type.Enum(['pause', 'resume', 'cancel']), reason: optional(Type.String({ maxLength: 2_000 })) },
  open,
);

const channels = (description: string) =>
  Type.Array(Type.String({ maxLength: 100 }), { maxItems: 20, description });

const workflowStart = Type.Object(
  {
    workflow_template_id: name,
    workflow_version: optional(Type.String()),
    input_parameters: optional(object),
    execution_mode: optional(Type.Enum(['async', 'sync'])),
    timeout_seconds: optional(Type.Number({ exclusiveMinimum: 0, maximum: 2_592_000 })),
    notification_config: optional(
      Type.Object(
        {
          on_complete: optional(channels('who is told of success by: email, webhook, slack')),
          on_error: optional(channels('who is told of failure by, running out of time being one')),
          recipients: optional(
            Type.Array(Type.String({ maxLength: 2_048 }), {
              maxItems: RECIPIENTS_MAX,
              description:
                'mail addresses, URLs (webhook), URLs of hooks.slack.com or after slack: (slack); each is told by its channel, where that is named',
            }),
          ),
        },
        open,
      ),
    ),
    context: optional(object),
  },
  open,
);

const workflowStep = Type.Object(
  {
    step_type: name,
    agent_config: optional(agentConfig),
    input_data: optional(object),
    expected_output: optional(
      Type.Object({ format: optional(Type.String()), schema: optional(object) }, open),
    ),
    on_failure: optional(
      Type.String({ pattern: '^(?:fail|continue|retry_(?:once|[1-9][0-9]?)_then_(?:fail|continue))$' }),
    ),
  },
  open,
);

const conversationUpdate = Type.Object(
  {
    operation: optional(Type.Enum(['create', 'update', 'delete'])),
    message: Type.Object(
      {
        id: name,
        content: optional(Type.String()),
        role: optional(Type.Enum(['user', 'assistant', 'system', 'tool'])),
        created_at: optional(instant),
        format: optional(Type.String()),
      },
      open,
    ),
    attachments: optional(
      Type.Array(
        Type.Object(
          {
            type: name,
            name,
            url: Type.String({ pattern: '^https://' }),
            size_bytes: count,
          },
          open,
        ),
        { maxItems: 100 },
      ),
    ),
    metadata: optional(object),
  },
  open,
);

const conversationQuery = Type.Object(
  { limit: optional(Type.Integer({ minimum: 1, maximum: 1_000 })), before: optional(name) },
  open,
);

const knowledgeSearch = Type.Object(
  {
    query: Type.String({ minLength: 1, maxLength: 2_000 }),
    search_config: optional(
      Type.Object(
        {
          search_type: optional(Type.Enum(['hybrid', 'semantic', 'keyword'])),
          semantic_weight: optional(Type.Number()),
          keyword_weight: optional(Type.Number()),
          reranking: optional(Type.Boolean()),
        },
        open,
      ),
    ),
    filter: optional(
      Type.Object(
        {
          kb_ids: optional(Type.Array(name, { maxItems: 100 })),
          document_types: optional(Type.Array(name, { maxItems: 100 })),
          metadata: optional(object),
        },
        open,
      ),
    ),
    request_options: optional(
      Type.Object(
        {
          limit: optional(Type.Integer({ minimum: 1, maximum: 100 })),
          return_metadata: optional(Type.Boolean()),
          include_raw_content: optional(Type.Boolean()),
        },
        open,
      ),
    ),
  },
  open,
);

const knowledgeUpdate = Type.Object(
  {
    operation: Type.Enum(['upsert', 'delete']),
    kb_id: Type.String({ minLength: 1, maxLength: 100 }),
    document: Type.Object(
      {
        id: name,
        type: optional(Type.String()),
        content: optional(Type.String()),
        metadata: optional(object),
      },
      open,
    ),
  },
  open,
);

const authValidate = Type.Object(
  {
    token: words,
    token_type: optional(Type.Enum(['access', 'refresh', 'api_key'])),
    validate_scope: optional(Type.Boolean()),
    required_scopes: optional(Type.Array(Type.String({ maxLength: 200 }), { maxItems: 200 })),
  },
  open,
);

const toolExecute = Type.Object(
  { tool_name: name, parameters: optional(object), tool_call_id: optional(id) },
  open,
);

const toolUpdate = Type.Object(
  {
    operation: optional(Type.Enum(['register', 'remove'])),
    name,
    description: optional(Type.String({ maxLength: 10_000 })),
    parameters: optional(object),
    endpoint: optional(Type.String({ pattern: '^https?://', maxLength: 4_000 })),
    agent: optional(name),
  },
  open,
);

const anything = Type.Object({}, open);

/** The payload of each pair, as it is accepted and emitted; of a pair that is not here, any object. */
export const PAYLOADS: Readonly<Partial<Record<Pair, TSchema>>> = {
  'agent.execute': agentExecute,
  'agent.status': progress,
  'agent.response': agentResponse,
  'agent.update': command,
  'workflow.start': workflowStart,
  'workflow.step': workflowStep,
  'conversation.update': conversationUpdate,
  'conversation.query': conversationQuery,
  'knowledge.search': knowledgeSearch,
  'knowledge.update': knowledgeUpdate,
  'auth.validate': authValidate,
  'tool.execute': toolExecute,
  'tool.update': toolUpdate,
};

const checks: ReadonlyMap<string, Check> = new Map(
  Object.entries(PAYLOADS).map(([pair, schema]) => [pair, bodyCheck(schema as TSchema)]),
);

/** What is wrong with the payload of a pair. */
export function payloadFaults(pair: string, payload: JsonObject): readonly EnvelopeFault[] {
  const faults = checks.get(pair)?.(payload) ?? [];
  return faults.map(({ field, message }) => ({ field: `payload.${field}`, message, code: codeOf(message) }));
}

function codeOf(message: string): EnvelopeFault['code'] {
  if (message === 'is required') return 'VAL_002';
  if (/^must (?:be [<>]=?|NOT have (?:more|fewer))/.test(message)) return 'VAL_004';
  return message.startsWith('must be one of') ? 'VAL_001' : 'VAL_003';
}

/** The schema of a whole message, by pair. */
export const TYPES: Readonly<Record<string, TSchema>> = Object.fromEntries(
  ALL_PAIRS.map(pair => [pair, messageOf(pair)]),
);

function messageOf(pair: Pair): TSchema {
  const { domain, action } = halvesOf(pair);
  const error = Type.Object(
    {
      code: Type.String(),
      message: Type.String(),
      details: object,
      retry_suggested: Type.Boolean(),
      service: Type.String(),
    },
    open,
  );
  return Type.Object(
    {
      message_id: id,
      task_id: id,
      tenant_id: id,
      session_id: optional(id),
      conversation_id: optional(id),
      correlation_id: id,
      created_at: instant,
      expires_at: optional(instant),
      schema_version: Type.String({ description: '1.1' }),
      status: Type.Enum(['pending', 'processing', 'completed', 'failed']),
      type: Type.Object({ domain: Type.Enum([domain]), action: Type.Enum([action]) }),
      priority: Type.Integer({ minimum: 0, maximum: 10 }),
      source_service: name,
      target_service: name,
      delegated_services: optional(
        Type.Array(
          Type.Object(
            { service: name, task_id: id, status: Type.Enum(['pending', 'completed', 'failed']) },
            open,
          ),
        ),
      ),
      metadata: optional(object),
      payload: PAYLOADS[pair] ?? anything,
      error: optional(error),
    },
    open,
  );
}
