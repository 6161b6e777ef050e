// What a data_processing task is told: the shape of its `task_data`. Contradictions that a schema cannot name are in check.ts.

import Type, { type Static, type TProperties, type TSchema } from 'typebox';
import type { JsonObject } from '../../domain/json.ts';

/** The file formats read and written. */
export const DATA_FORMATS = ['csv', 'json', 'ndjson', 'parquet'] as const;

/** A file format: `json` is one array of objects, `ndjson` one object a line. */
export type DataFormat = (typeof DATA_FORMATS)[number];

/** Columns and sources match without regard to case, as in SQL. */
const column = Type.String({ minLength: 1, maxLength: 200 });
const columns = Type.Array(column, { minItems: 1, maxItems: 1_000 });
const expression = Type.String({
  minLength: 1,
  maxLength: 10_000,
  description: 'A SQL expression over the columns.',
});
const statement = Type.String({
  minLength: 1,
  maxLength: 100_000,
  description: 'One SELECT statement (also WITH, VALUES, FROM …, PIVOT … IN …, SUMMARIZE).',
});
const sourceName = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,62}$' });
/** Letters, digits and one pair of parentheses: nothing that could end the CAST it is put into. */
const columnType = Type.String({
  pattern: '^[A-Za-z][A-Za-z0-9_ ]{0,60}(\\([0-9]{1,3}(, ?[0-9]{1,3})?\\))?(\\[\\]){0,3}$',
  description: 'A SQL type.',
  examples: ['BIGINT', 'DECIMAL(18,2)', 'TIMESTAMP', 'VARCHAR[]'],
});

const readOptions = Type.Object(
  {
    compression: Type.Optional(Type.Enum(['gzip', 'zstd'], { description: 'How the bytes are packed.' })),
    columns: Type.Optional(
      Type.Record(column, columnType, {
        maxProperties: 1_000,
        description: 'Types of columns, in place of those guessed from the first 20,480 rows.',
      }),
    ),
    delimiter: Type.Optional(
      Type.String({ minLength: 1, maxLength: 4, description: 'csv; `,` when absent.' }),
    ),
    quote: Type.Optional(Type.String({ maxLength: 1, description: 'csv; `"` when absent, empty for none.' })),
    escape: Type.Optional(Type.String({ maxLength: 1, description: 'csv; the quote when absent.' })),
    header: Type.Optional(
      Type.Boolean({ description: 'csv; whether the first row names the columns (true).' }),
    ),
    null_values: Type.Optional(
      Type.Array(Type.String({ maxLength: 100 }), {
        minItems: 1,
        maxItems: 20,
        description: 'csv; what means NULL.',
      }),
    ),
    date_format: Type.Optional(Type.String({ minLength: 1, maxLength: 100, examples: ['%d/%m/%Y'] })),
    timestamp_format: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    decimal_separator: Type.Optional(Type.Enum(['.', ','], { description: 'csv.' })),
  },
  { description: 'How to read the source.' },
);

const source = Type.Object(
  {
    format: Type.Optional(
      Type.Enum([...DATA_FORMATS], {
        description: 'Needed unless the rows come as JSON (`inline` array, `task_id`).',
      }),
    ),
    inline: Type.Optional(
      Type.Unsafe<string | readonly Record<string, unknown>[]>({
        type: ['array', 'string'],
        items: { type: 'object' },
        description: 'The rows themselves: an array of objects, or csv, json or ndjson text.',
      }),
    ),
    artifact_id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'A stored artifact.' }),
    ),
    url: Type.Optional(
      Type.String({
        pattern: '^https?://',
        maxLength: 4_000,
        description: 'Fetched through the outbound guard.',
      }),
    ),
    task_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description: 'An earlier task whose output holds the rows.',
      }),
    ),
    path: Type.Optional(
      Type.String({
        maxLength: 500,
        description:
          'With `task_id`: dotted path to the array in its output. When absent, the output itself or its `rows`.',
        examples: ['rows', 'responses.0.body.items'],
      }),
    ),
    options: Type.Optional(readOptions),
  },
  { description: 'Exactly one of `inline`, `artifact_id`, `url`, `task_id`.' },
);

const sortKey = Type.Unsafe<string | SortKey>({
  type: ['string', 'object'],
  minLength: 1,
  required: ['column'],
  properties: { column, direction: { enum: ['asc', 'desc'] }, nulls: { enum: ['first', 'last'] } },
  description: 'A column, or one with `direction` (`asc`) and `nulls` (`last`).',
});
const sortKeys = Type.Array(sortKey, { minItems: 1, maxItems: 100 });

const fill = Type.Unsafe<string | number | boolean | { readonly method: FillMethod }>({
  type: ['string', 'number', 'boolean', 'object'],
  required: ['method'],
  properties: { method: { enum: ['mean', 'median', 'mode', 'min', 'max'] } },
  description: 'A value, or {`method`} computed over the column.',
});

/** A column to order by. */
export interface SortKey {
  readonly column: string;
  readonly direction?: 'asc' | 'desc';
  readonly nulls?: 'first' | 'last';
}

/** What a missing value is taken from: the other values of its column. */
export type FillMethod = 'mean' | 'median' | 'mode' | 'min' | 'max';

/** The fields of each step type. */
export const STEP_FIELDS = {
  select: Type.Object({ columns }),
  filter: Type.Object({ where: expression }),
  derive: Type.Object({
    columns: Type.Record(column, expression, { minProperties: 1, maxProperties: 1_000 }),
  }),
  cast: Type.Object({
    columns: Type.Record(column, columnType, { minProperties: 1, maxProperties: 1_000 }),
    on_error: Type.Optional(Type.Enum(['fail', 'null'], { description: '`fail` when absent.' })),
  }),
  rename: Type.Object({
    columns: Type.Record(column, column, {
      minProperties: 1,
      maxProperties: 1_000,
      description: 'From old to new.',
    }),
  }),
  join: Type.Object({
    with: sourceName,
    on: Type.Unsafe<readonly string[] | Readonly<Record<string, string>>>({
      type: ['array', 'object'],
      items: column,
      minItems: 1,
      minProperties: 1,
      additionalProperties: column,
      description: 'Columns of the same name on both sides, or {left: right}.',
    }),
    kind: Type.Optional(
      Type.Enum(['inner', 'left', 'right', 'full', 'semi', 'anti'], { description: '`inner` when absent.' }),
    ),
    suffix: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 50,
        description: 'Put to right columns whose name is taken; `_right`.',
      }),
    ),
  }),
  aggregate: Type.Object({
    group_by: Type.Optional(columns),
    columns: Type.Record(column, expression, { minProperties: 1, maxProperties: 1_000 }),
  }),
  sort: Type.Object({ by: sortKeys }),
  limit: Type.Object({
    count: Type.Integer({ minimum: 0 }),
    offset: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  deduplicate: Type.Object({
    columns: Type.Optional(columns),
    order_by: Type.Optional(sortKeys),
  }),
  fill_missing: Type.Object({
    columns: Type.Record(column, fill, { minProperties: 1, maxProperties: 1_000 }),
  }),
  sample: Type.Object({
    count: Type.Optional(Type.Integer({ minimum: 1 })),
    percent: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100 })),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647 })),
  }),
  validate: Type.Object({
    rules: Type.Array(
      Type.Object({ name: Type.String({ minLength: 1, maxLength: 200 }), check: expression }),
      { minItems: 1, maxItems: 200, description: 'A row passes a rule whose `check` is true for it.' },
    ),
    on_failure: Type.Optional(
      Type.Enum(['reject', 'fail'], { description: '`reject` (put the row aside) when absent.' }),
    ),
  }),
  sql: Type.Object({ sql: statement }),
} as const satisfies Record<string, TSchema>;

/** A step's type. */
export type StepType = keyof typeof STEP_FIELDS;

/** Every step type, in the order of the documentation. */
export const STEP_TYPES = Object.keys(STEP_FIELDS) as readonly StepType[];

/** One step of a pipeline. */
export type Step = {
  [Name in StepType]: { readonly type: Name } & Static<(typeof STEP_FIELDS)[Name]>;
}[StepType];

/** A step of one type. */
export type StepOf<Name extends StepType> = Extract<Step, { readonly type: Name }>;

/** By condition on `type` and not as a union, so that a fault is reported for the step meant, not for all fourteen. */
const step = Type.Unsafe<Step>({
  type: 'object',
  required: ['type'],
  properties: { type: { type: 'string', enum: STEP_TYPES } },
  allOf: STEP_TYPES.map(type => ({
    if: { required: ['type'], properties: { type: { const: type } } },
    // biome-ignore lint/suspicious/noThenProperty: `then` is the keyword of JSON Schema.
    then: STEP_FIELDS[type],
  })),
});

const output = Type.Object({
  name: Type.String({
    minLength: 1,
    maxLength: 200,
    description: 'The artifact’s name.',
    examples: ['totals.parquet'],
  }),
  format: Type.Enum([...DATA_FORMATS]),
});

const properties = {
  sources: Type.Record(sourceName, source, {
    minProperties: 1,
    maxProperties: 50,
    additionalProperties: false,
    description: 'The tables SQL and steps may read, by name.',
  }),
  sql: Type.Optional(statement),
  steps: Type.Optional(
    Type.Array(step, { maxItems: 100, description: 'In place of `sql`: what is done to `from`, in order.' }),
  ),
  from: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 63,
      description: 'The source the steps begin with; the only one when absent.',
    }),
  ),
  outputs: Type.Optional(
    Type.Array(output, { maxItems: 20, description: 'Files to write of the result, each an artifact.' }),
  ),
} as const satisfies TProperties;

/** Whole payloads, for the documentation. */
export const DATA_EXAMPLES: readonly JsonObject[] = [
  {
    sources: { orders: { format: 'csv', artifact_id: '0198c2f4-3a51-7cc2-9d7b-1f0c6f9f3c11' } },
    sql: 'SELECT region, sum(amount) AS total FROM orders GROUP BY region ORDER BY total DESC',
    outputs: [{ name: 'totals.parquet', format: 'parquet' }],
  },
  {
    sources: {
      orders: { format: 'ndjson', url: 'https://files.example.com/orders.ndjson' },
      customers: { inline: [{ id: 1, name: 'Ana' }] },
    },
    from: 'orders',
    steps: [
      { type: 'validate', rules: [{ name: 'positive', check: 'amount > 0' }] },
      { type: 'join', with: 'customers', on: { customer_id: 'id' }, kind: 'left' },
      { type: 'aggregate', group_by: ['name'], columns: { total: 'sum(amount)' } },
      { type: 'sort', by: [{ column: 'total', direction: 'desc' }] },
    ],
    outputs: [{ name: 'totals.csv', format: 'csv' }],
  },
];

/** The schema of `task_data` (`SAM-149`). */
export const DATA_PAYLOAD = Type.Object(properties, {
  description: 'Exactly one of `sql` and `steps`. Run by DuckDB.',
  examples: DATA_EXAMPLES,
});

/** A valid `task_data`. */
export type DataPayload = Static<typeof DATA_PAYLOAD>;

/** One source of it. */
export type Source = Static<typeof source>;

/** How a source is read. */
export type ReadOptions = Static<typeof readOptions>;
