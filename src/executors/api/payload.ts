// What an api_integration task is told: the shape of its `task_data`. Contradictions that a schema cannot name are in check.ts.

import Type, { type Static, type TProperties, type TSchema } from 'typebox';
import type { Json, JsonObject } from '../../domain/json.ts';

/** The methods a request may have. */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** Ways to authenticate (`SAM-158`). */
export const AUTH_TYPES = ['none', 'bearer', 'basic', 'api_key', 'oauth2_client_credentials'] as const;

/** Ways through the pages of a list (`SAM-157`). */
export const PAGINATION_TYPES = ['page', 'offset', 'cursor', 'link'] as const;

const text = (maxLength: number, description: string, more: object = {}) =>
  Type.String({ maxLength, description, ...more });
const expression = (description: string) =>
  Type.String({ minLength: 1, maxLength: 2_000, description: `${description} (JMESPath).` });
const name = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,62}$' });
const secret = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'Name of a secret the task lists in `execution_config.environment.secrets`.',
});
const parameter = Type.String({ minLength: 1, maxLength: 200 });

/** The fields of each way to authenticate. */
const AUTH_FIELDS = {
  none: Type.Object({}),
  bearer: Type.Object({ secret }),
  basic: Type.Object({ username: text(1_000, 'A template.'), secret }),
  api_key: Type.Object({
    secret,
    name: parameter,
    in: Type.Optional(Type.Enum(['header', 'query'], { description: '`header` when absent.' })),
    prefix: Type.Optional(text(50, 'Put before the key.')),
  }),
  oauth2_client_credentials: Type.Object({
    token_url: Type.String({ pattern: '^https?://', maxLength: 4_000 }),
    client_id: text(1_000, 'A template.', { minLength: 1 }),
    secret,
    scope: Type.Optional(text(2_000, 'Scopes, separated by blanks.')),
    audience: Type.Optional(text(2_000, 'Sent as `audience`.')),
    client_in: Type.Optional(
      Type.Enum(['header', 'body'], {
        description: 'Where the client’s credentials go; `header` when absent.',
      }),
    ),
  }),
} as const satisfies Record<(typeof AUTH_TYPES)[number], TSchema>;

/** The fields of each way through pages. */
const PAGINATION_FIELDS = {
  page: Type.Object({
    parameter: Type.Optional(parameter),
    start: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
    size_parameter: Type.Optional(parameter),
    size: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
  }),
  offset: Type.Object({
    parameter: Type.Optional(parameter),
    start: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
    size_parameter: Type.Optional(parameter),
    size: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
  }),
  cursor: Type.Object({
    parameter: Type.Optional(parameter),
    cursor: expression('Where the next cursor stands'),
  }),
  link: Type.Object({}),
} as const satisfies Record<(typeof PAGINATION_TYPES)[number], TSchema>;

type Variant<Fields extends Record<string, TSchema>> = {
  [Name in keyof Fields]: { readonly type: Name } & Readonly<Static<Fields[Name]>>;
}[keyof Fields];

/** By condition on `type` and not as a union, so that a fault is reported for the variant meant, not for all. */
function variants<Fields extends Record<string, TSchema>, Common extends TProperties>(
  types: readonly string[],
  fields: Fields,
  { common, description }: { readonly common: Common; readonly description: string },
) {
  return Type.Unsafe<Variant<Fields> & Static<Type.TObject<Common>>>({
    type: 'object',
    description,
    required: ['type'],
    properties: { type: { type: 'string', enum: types }, ...common },
    allOf: types.map(type => ({
      if: { required: ['type'], properties: { type: { const: type } } },
      // biome-ignore lint/suspicious/noThenProperty: `then` is the keyword of JSON Schema.
      then: fields[type] ?? {},
    })),
  });
}

const auth = variants(AUTH_TYPES, AUTH_FIELDS, {
  common: {},
  description: 'How requests authenticate; credentials by secret name.',
});

const pagination = variants(PAGINATION_TYPES, PAGINATION_FIELDS, {
  common: {
    items: Type.Optional(
      expression('Where a page’s items stand in {status, headers, body}; `body` when absent'),
    ),
    max_pages: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, description: '100 when absent.' })),
    max_items: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
    max_bytes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 104_857_600,
        description: 'Of the items as JSON; 100 MiB when absent.',
      }),
    ),
  },
  description: 'How to go through the pages.',
});

const expect = Type.Object(
  {
    status: Type.Optional(
      Type.Array(
        Type.Unsafe<number | string>({
          type: ['integer', 'string'],
          minimum: 100,
          maximum: 599,
          pattern: '^[1-5]xx$',
        }),
        { minItems: 1, maxItems: 20, description: 'Statuses, or classes as `2xx`; `["2xx"]` when absent.' },
      ),
    ),
    schema: Type.Optional(
      Type.Unsafe<JsonObject>({ type: 'object', description: 'JSON Schema of the body.' }),
    ),
    condition: Type.Optional(expression('What must be true of {status, headers, body}')),
  },
  { description: 'What the answer must be; else the task fails.' },
);

const request = Type.Object({
  save_as: Type.Optional(name),
  method: Type.Optional(Type.Enum([...METHODS], { description: '`GET` when absent.' })),
  url: Type.String({ minLength: 1, maxLength: 4_000, description: 'A template.' }),
  headers: Type.Optional(Type.Record(parameter, text(8_192, 'A template.'), { maxProperties: 100 })),
  query: Type.Optional(
    Type.Record(
      parameter,
      Type.Unsafe<Json>({
        type: ['string', 'number', 'boolean', 'array'],
        description: 'A template, or several.',
      }),
      {
        maxProperties: 100,
      },
    ),
  ),
  body: Type.Optional(
    Type.Unsafe<Json>({
      description: 'A string is sent as it is, everything else as JSON; strings in it are templates.',
    }),
  ),
  form: Type.Optional(Type.Record(parameter, text(1_000_000, 'A template.'), { maxProperties: 1_000 })),
  body_artifact: Type.Optional(
    text(200, 'In place of `body`: the id of a stored artifact, or a template of one.', { minLength: 1 }),
  ),
  auth: Type.Optional(auth),
  expect: Type.Optional(expect),
  extract: Type.Optional(
    Type.Record(name, expression('What to take from {status, headers, body}'), { maxProperties: 100 }),
  ),
  pagination: Type.Optional(pagination),
  response: Type.Optional(
    Type.Object({
      as: Type.Optional(
        Type.Enum(['auto', 'json', 'text', 'artifact'], {
          description: '`auto` (by content type) when absent.',
        }),
      ),
      name: Type.Optional(text(200, 'Name of the artifact.', { minLength: 1 })),
      headers: Type.Optional(
        Type.Array(parameter, { maxItems: 50, description: 'Headers to keep beside the usual ones.' }),
      ),
      max_bytes: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 104_857_600, description: '100 MiB when absent.' }),
      ),
    }),
  ),
  timeout: Type.Optional(
    Type.Number({ minimum: 0.1, maximum: 600, description: 'Seconds; 30 when absent.' }),
  ),
  retry: Type.Optional(
    Type.Object({
      max_attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 10, description: '3 when absent.' })),
      delay: Type.Optional(
        Type.Number({
          minimum: 0,
          maximum: 60,
          description: 'Seconds before the second; doubles. 1 when absent.',
        }),
      ),
      statuses: Type.Optional(
        Type.Array(Type.Integer({ minimum: 400, maximum: 599 }), {
          maxItems: 50,
          description: 'Besides 429, 502, 503 and 504.',
        }),
      ),
    }),
  ),
  retry_unsafe: Type.Optional(
    Type.Boolean({
      description: 'Whether POST and PATCH may be sent again without an idempotency key (false).',
    }),
  ),
  idempotency_key: Type.Optional(
    Type.Unsafe<true | string>({
      type: ['boolean', 'string'],
      not: { const: false },
      minLength: 1,
      maxLength: 200,
      description: 'Sent as `Idempotency-Key`: a template, or true for one of this task’s own.',
    }),
  ),
  redirects: Type.Optional(Type.Integer({ minimum: 0, maximum: 10, description: '5 when absent.' })),
});

const properties = {
  request: Type.Optional(request),
  requests: Type.Optional(
    Type.Array(request, {
      minItems: 1,
      maxItems: 50,
      description: 'In place of `request`: several, in order.',
    }),
  ),
  auth: Type.Optional(auth),
  inputs: Type.Optional(
    Type.Unsafe<JsonObject>({ type: 'object', description: 'What templates see as `inputs`.' }),
  ),
  parallel: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 10,
      description: 'Requests under way at once (1); one waits for those whose responses it names.',
    }),
  ),
  rate_limit: Type.Optional(
    Type.Object({
      requests_per_second: Type.Number({
        minimum: 0.01,
        maximum: 1_000,
        description: 'A host and tenant; 10 when absent.',
      }),
    }),
  ),
  result: Type.Optional(expression('What the output’s `result` is made of: {inputs, responses}')),
} as const satisfies TProperties;

/** Whole payloads, for the documentation. */
export const API_EXAMPLES: readonly JsonObject[] = [
  { request: { url: 'https://api.example.com/v1/status' } },
  {
    auth: { type: 'bearer', secret: 'crm_token' },
    inputs: { since: '2026-01-01' },
    requests: [
      {
        save_as: 'customers',
        url: 'https://api.example.com/v1/customers',
        query: { updated_since: '{{ inputs.since }}' },
        pagination: {
          type: 'cursor',
          items: 'body.data',
          cursor: 'body.next_cursor',
          parameter: 'cursor',
        },
        extract: { ids: 'body[*].id' },
      },
      {
        save_as: 'report',
        method: 'POST',
        url: 'https://api.example.com/v1/reports',
        body: { customers: '{{ responses.customers.extracted.ids }}' },
        idempotency_key: true,
        expect: { status: [201] },
      },
    ],
    result: '{report: responses.report.body.id, customers: length(responses.customers.extracted.ids)}',
  },
];

/** The schema of `task_data` (`SAM-157`). */
export const API_PAYLOAD = Type.Object(properties, {
  description: 'Exactly one of `request` and `requests`.',
  examples: API_EXAMPLES,
});

/** A valid `task_data`. */
export type ApiPayload = Static<typeof API_PAYLOAD>;

/** One request of it. */
export type ApiRequest = Static<typeof request>;

/** How a request authenticates. */
export type Auth = Variant<typeof AUTH_FIELDS>;

/** How to go through pages. */
export type Pagination = Static<typeof pagination>;
