// What a content_generation task is told: the shape of its `task_data`. Contradictions that a schema cannot name are in check.ts.

import Type, { type Static } from 'typebox';
import type { Json, JsonObject } from '../../domain/json.ts';

/** What is generated. */
export const KINDS = ['text', 'structured', 'image'] as const;

/** How a text is written. */
export const FORMATS = ['text', 'markdown', 'html'] as const;

/** A text's form, which names its artifact. */
export type TextFormat = (typeof FORMATS)[number];

const words = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, description });
const schema = (description: string) =>
  Type.Unsafe<JsonObject>({ type: 'object', description, maxProperties: 1_000 });
const template = Type.String({
  minLength: 1,
  maxLength: 1_000_000,
  description: 'May hold `{{name}}` or `{{name.path.0}}` of `variables` and `inputs`.',
});

const message = Type.Object({ role: Type.Enum(['system', 'user', 'assistant']), content: template });

const input = Type.Object(
  {
    task_id: Type.Optional(words(200, 'An earlier task whose output is the value.')),
    path: Type.Optional(words(500, 'With `task_id`: dotted path in its output.')),
    artifact_id: Type.Optional(words(200, 'A stored artifact whose text, at most 1 MiB, is the value.')),
  },
  { description: 'Exactly one of `task_id` and `artifact_id`.' },
);

const tool = Type.Object({
  name: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
  description: words(2_000, 'What it does and when to use it, for the model.'),
  parameters: schema('JSON Schema of its input.'),
  endpoint: Type.Optional(
    Type.String({
      pattern: '^https?://',
      maxLength: 4_000,
      description:
        'Called with `{tool, arguments}` as JSON by POST; absent, the call is handed to the requester.',
    }),
  ),
  secret: Type.Optional(words(200, 'A secret of the task, sent to the endpoint as bearer token.')),
});

/** `task_data` of a content_generation task. */
export const CONTENT_PAYLOAD = Type.Object(
  {
    kind: Type.Optional(Type.Enum([...KINDS], { description: '`text` when absent.' })),
    prompt: Type.Optional(template),
    messages: Type.Optional(Type.Array(message, { minItems: 1, maxItems: 200 })),
    system: Type.Optional(template),
    variables: Type.Optional(
      Type.Unsafe<Readonly<Record<string, Json>>>({
        type: 'object',
        maxProperties: 200,
        description: 'Values for templates; texts as they are, others as JSON.',
      }),
    ),
    inputs: Type.Optional(Type.Record(Type.String({ maxLength: 100 }), input, { maxProperties: 20 })),
    content_type: Type.Optional(words(100, 'What it is, as `blog_post` or `product description`.')),
    format: Type.Optional(Type.Enum([...FORMATS], { description: 'Of a text: `text` when absent.' })),
    tone: Type.Optional(words(100, 'As `friendly`.')),
    length: Type.Optional(words(100, 'As `short` or `about 300 words`.')),
    language: Type.Optional(words(100, 'As `Spanish`.')),
    audience: Type.Optional(words(200, 'Whom it is for.')),
    model: Type.Optional(words(200, 'One of those the operator offers; the first of them when absent.')),
    provider_secret: Type.Optional(
      words(
        200,
        "A secret of the task that sets up a provider of the tenant, asked in place of the operator's.",
      ),
    ),
    output_schema: Type.Optional(schema('JSON Schema of the object; for `structured`.')),
    max_tokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: 'Tokens written in all calls together (4,096).',
      }),
    ),
    max_cost: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1_000_000,
        description: 'By the price table of the operator.',
      }),
    ),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647 })),
    n: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10, description: 'Alternatives, or pictures (1).' }),
    ),
    stream: Type.Optional(Type.Boolean({ description: 'Whether the text shows as it is written (true).' })),
    tools: Type.Optional(Type.Array(tool, { minItems: 1, maxItems: 20 })),
    max_steps: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 20, description: 'Calls of the model with tools between (5).' }),
    ),
    size: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$',
        description: 'Of pictures, as `1024x1024`.',
      }),
    ),
    blocked_words: Type.Optional(
      Type.Array(words(200, 'A word or phrase that neither prompt nor result may hold.'), {
        maxItems: 1_000,
      }),
    ),
    artifact_name: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$',
        description: 'Name of the file that is left.',
      }),
    ),
  },
  { description: 'Generates text, an object by JSON Schema, or pictures with the configured model.' },
);

/** A checked payload. */
export type ContentPayload = Static<typeof CONTENT_PAYLOAD>;

/** A tool as the requester declares it. */
export type DeclaredTool = Static<typeof tool>;

/** Where a template's value comes from, when it is not written in the task itself. */
export type Input = Static<typeof input>;
