// What a web_automation task is told: the shape of its `task_data`. Contradictions that a schema cannot name are in check.ts.

import Type, { type Static, type TProperties, type TSchema } from 'typebox';

/** How a value is read from what a selector finds. */
export const VALUE_TYPES = ['string', 'number', 'integer', 'boolean', 'url', 'html'] as const;

/** How a value is read: `string` is text with its white space collapsed. */
export type ValueType = (typeof VALUE_TYPES)[number];

/** `auto` is the browser where there is one, else plain HTTP. */
export const ENGINES = ['auto', 'browser', 'http'] as const;

/** Pages of a pagination, unless it says otherwise (`SAM-148`). */
export const PAGES_DEFAULT = 100;

const selector = Type.String({ minLength: 1, maxLength: 2_000, description: 'A CSS selector.' });
const url = Type.String({ minLength: 1, maxLength: 4_000, description: 'An http or https URL.' });
const name = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,62}$' });
const fileName = Type.String({
  pattern: '^[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}$',
  description: 'The name of the artifact.',
});
const text = Type.String({ maxLength: 100_000 });
const seconds = Type.Number({ exclusiveMinimum: 0, maximum: 3_600 });

/** A rule in full. */
export interface FullRule {
  readonly selector: string;
  readonly attribute?: string;
  readonly multiple?: boolean;
  readonly type?: ValueType;
  readonly required?: boolean;
}

const rule = Type.Unsafe<string | FullRule>({
  type: ['string', 'object'],
  minLength: 1,
  maxLength: 2_000,
  required: ['selector'],
  properties: {
    selector,
    attribute: { type: 'string', pattern: '^[A-Za-z_:][A-Za-z0-9_:.-]{0,99}$' },
    multiple: { type: 'boolean' },
    type: { enum: [...VALUE_TYPES] },
    required: { type: 'boolean' },
  },
  description: 'A selector, or one with `attribute`, `multiple`, `type` (`string`) and `required`.',
});
const rules = Type.Record(name, rule, { minProperties: 1, maxProperties: 100 });

const pagination = Type.Object({
  page_selector: Type.String({
    minLength: 1,
    maxLength: 2_000,
    description: 'What leads to the next page.',
  }),
  max_pages: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, description: '100 when absent.' })),
});

const common = {
  timeout: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 3_600, description: 'In seconds.' })),
  optional: Type.Optional(Type.Boolean({ description: 'A failure is recorded, and the steps go on.' })),
  save_as: Type.Optional(name),
};

/** The fields of each step beside `type`; the keys are the steps there are (`SAM-144`). */
export const STEP_FIELDS = {
  goto: step({ url }),
  click: step({ selector }),
  fill: step({ selector, value: text }),
  select: step({
    selector,
    value: Type.Optional(text),
    values: Type.Optional(Type.Array(text, { minItems: 1, maxItems: 100 })),
  }),
  press: step({
    selector: Type.Optional(selector),
    key: Type.String({ pattern: '^[A-Za-z0-9+]{1,40}$', description: 'As `Enter` or `Control+A`.' }),
  }),
  wait: step({
    selector: Type.Optional(selector),
    state: Type.Optional(Type.Enum(['visible', 'hidden', 'attached', 'detached'])),
    seconds: Type.Optional(seconds),
  }),
  scroll: step({
    selector: Type.Optional(selector),
    times: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  }),
  evaluate: step({
    expression: Type.String({
      minLength: 1,
      maxLength: 50_000,
      description: 'JavaScript that runs in the page alone.',
    }),
  }),
  extract: step({
    rules: Type.Optional(rules),
    item_selector: Type.Optional(selector),
    pagination: Type.Optional(pagination),
  }),
  screenshot: step({
    name: Type.Optional(fileName),
    selector: Type.Optional(selector),
    full_page: Type.Optional(Type.Boolean()),
  }),
  pdf: step({
    name: Type.Optional(fileName),
    format: Type.Optional(Type.Enum(['A3', 'A4', 'A5', 'Letter', 'Legal'])),
    landscape: Type.Optional(Type.Boolean()),
  }),
  download: step({
    selector: Type.Optional(selector),
    url: Type.Optional(url),
    name: Type.Optional(fileName),
  }),
} as const satisfies Record<string, TSchema>;

/** The steps there are. */
export const STEP_TYPES = Object.keys(STEP_FIELDS) as readonly StepType[];

/** A step's name. */
export type StepType = keyof typeof STEP_FIELDS;

/** One step, its fields those of its type. */
export type Step = {
  [Name in StepType]: { readonly type: Name } & Static<(typeof STEP_FIELDS)[Name]>;
}[StepType];

/** Steps that need a browser; the others work on static pages too (`SAM-147`). */
export const BROWSER_STEPS: ReadonlySet<StepType> = new Set([
  'click',
  'fill',
  'select',
  'press',
  'scroll',
  'evaluate',
  'screenshot',
  'pdf',
]);

const cookie = Type.Object(
  {
    name: Type.String({ pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$" }),
    value: Type.String({ maxLength: 4_000, pattern: '^[\\x20-\\x7e]*$' }),
    domain: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    path: Type.Optional(Type.String({ pattern: '^/', maxLength: 1_000 })),
  },
  { description: 'Without `domain` it goes to the host of the first page.' },
);

const options = Type.Object(
  {
    page_timeout: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 3_600,
        description: 'Seconds a page may take; 60 when absent.',
      }),
    ),
    requests_per_second: Type.Optional(
      Type.Number({ minimum: 0.01, maximum: 100, description: 'Pages opened on a host; 2 when absent.' }),
    ),
    obey_robots: Type.Optional(Type.Boolean({ description: 'True when absent.' })),
    user_agent: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[\\x20-\\x7e]+$' })),
    viewport: Type.Optional(
      Type.Object({
        width: Type.Integer({ minimum: 100, maximum: 4_096 }),
        height: Type.Integer({ minimum: 100, maximum: 4_096 }),
      }),
    ),
    locale: Type.Optional(Type.String({ pattern: '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' })),
    timezone: Type.Optional(Type.String({ pattern: '^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$', maxLength: 60 })),
    javascript: Type.Optional(Type.Boolean({ description: 'Whether pages run scripts (true).' })),
    cookies: Type.Optional(Type.Array(cookie, { maxItems: 100 })),
    wait_for: Type.Optional(selector),
    scroll: Type.Optional(
      Type.Boolean({ description: 'Scrolls each page to its end until it grows no more.' }),
    ),
  },
  { description: 'How pages are opened.' },
);

/** The schema of `task_data` (`SAM-142` to `SAM-148`). */
export const WEB_PAYLOAD = Type.Object({
  target_url: Type.Optional(url),
  target_urls: Type.Optional(Type.Array(url, { minItems: 1, maxItems: 1_000 })),
  extraction_rules: Type.Optional(rules),
  item_selector: Type.Optional(selector),
  item_name: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9_]{0,30}$' })),
  pagination: Type.Optional(pagination),
  steps: Type.Optional(
    Type.Array(
      Type.Unsafe<Step>({
        type: 'object',
        required: ['type'],
        properties: { type: { enum: [...STEP_TYPES] } },
        allOf: STEP_TYPES.map(type => ({
          if: { required: ['type'], properties: { type: { const: type } } },
          // biome-ignore lint/suspicious/noThenProperty: `then` is the keyword of JSON Schema.
          then: STEP_FIELDS[type],
        })),
      }),
      { minItems: 1, maxItems: 1_000 },
    ),
  ),
  engine: Type.Optional(Type.Enum([...ENGINES], { description: '`auto` when absent.' })),
  options: Type.Optional(options),
});

/** A payload that fits its schema. */
export type WebPayload = Static<typeof WEB_PAYLOAD>;

/** Settings of a job beside what it does. */
export type WebOptions = Static<typeof options>;

/** How pages follow one another. */
export type Pagination = Static<typeof pagination>;

/** Rules by the name of the field they fill. */
export type Rules = Static<typeof rules>;

/** The rule in full, its defaults filled in. */
export function fullRule(
  given: string | FullRule,
): Required<Omit<FullRule, 'attribute'>> & Pick<FullRule, 'attribute'> {
  const {
    selector: css,
    attribute,
    multiple = false,
    type = 'string',
    required = false,
  } = typeof given === 'string' ? { selector: given } : given;
  return { selector: css, multiple, type, required, ...(attribute === undefined ? {} : { attribute }) };
}

function step<Fields extends TProperties>(fields: Fields) {
  return Type.Object({ ...common, ...fields });
}
