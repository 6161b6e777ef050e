// What a monitoring_task task is told: the shape of its `task_data`. Contradictions that a schema cannot name are in plan.ts.

import Type, { type Static, type TProperties, type TSchema } from 'typebox';
import type { Json, JsonObject } from '../../domain/json.ts';

/** What can be looked at elsewhere (`SAM-170`). */
export const NETWORK_CHECKS = ['http', 'tcp', 'reachable', 'tls_expiry', 'dns'] as const;

/** What can be looked at on this node (`SAM-170`). */
export const HOST_CHECKS = ['process', 'disk', 'memory', 'cpu'] as const;

/** The records a `dns` check may ask for. */
export const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'SRV', 'TXT'] as const;

const text = (maxLength: number, description: string, more: object = {}) =>
  Type.String({ maxLength, description, ...more });
const host = text(253, 'A name or an address.', { minLength: 1 });
const port = Type.Integer({ minimum: 1, maximum: 65_535 });
const level = (description: string) => Type.Enum(['warning', 'critical'], { description });
const inARow = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description }));

const jsonExpectation = Type.Object({
  path: text(500, 'Names and indexes joined by dots, as `checks.0.state`; empty for the whole body.'),
  equals: Type.Optional(Type.Unsafe<Json>({ description: 'Exactly this value.' })),
  minimum: Type.Optional(Type.Number()),
  maximum: Type.Optional(Type.Number()),
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
    contains: Type.Optional(text(1_000, 'Must stand in the body.', { minLength: 1 })),
    excludes: Type.Optional(text(1_000, 'Must not stand in the body.', { minLength: 1 })),
    matches: Type.Optional(
      text(200, 'A regular expression (RE2) that must match somewhere in the first 64 KiB of the body.', {
        minLength: 1,
      }),
    ),
    json: Type.Optional(
      Type.Array(jsonExpectation, {
        maxItems: 20,
        description: 'What must be true of the body as JSON; without a bound, that there is a value.',
      }),
    ),
    headers: Type.Optional(
      Type.Record(Type.String({ minLength: 1, maxLength: 200 }), text(1_000, 'Must stand in the header.'), {
        maxProperties: 20,
      }),
    ),
  },
  { description: 'What the answer must be; else the check is critical.' },
);

/** The fields of each check. */
const CHECK_FIELDS = {
  http: Type.Object({
    url: Type.String({ minLength: 1, maxLength: 4_000 }),
    method: Type.Optional(Type.Enum(['GET', 'HEAD', 'POST'], { description: '`GET` when absent.' })),
    headers: Type.Optional(
      Type.Record(
        Type.String({ minLength: 1, maxLength: 200 }),
        text(8_192, '`{{ secrets.NAME }}` in it is replaced by that secret of the task.'),
        { maxProperties: 50 },
      ),
    ),
    body: Type.Optional(text(65_536, 'Sent as it is.')),
    expect: Type.Optional(expect),
    redirects: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 5, description: 'How many are followed; 0 when absent.' }),
    ),
  }),
  tcp: Type.Object({
    host,
    port,
    banner: Type.Optional(
      text(200, 'Must stand in what the other side says first, within 1 KiB.', { minLength: 1 }),
    ),
  }),
  reachable: Type.Object({
    host,
    ports: Type.Optional(
      Type.Array(port, {
        minItems: 1,
        maxItems: 5,
        description: 'Tried at once; a refusal proves the host as well. `[443, 80]` when absent.',
      }),
    ),
  }),
  tls_expiry: Type.Object({
    host,
    port: Type.Optional(port),
    validate: Type.Optional(
      Type.Boolean({ description: 'Whether chain and name must be valid too (true).' }),
    ),
  }),
  dns: Type.Object({
    host,
    record: Type.Optional(Type.Enum([...RECORD_TYPES], { description: '`A` when absent.' })),
    expected: Type.Optional(
      Type.Array(text(1_000, 'A value as the output shows it.'), {
        minItems: 1,
        maxItems: 20,
        description: 'Values that must be among the answer’s.',
      }),
    ),
  }),
  process: Type.Object({
    process: text(200, 'Name of the program, or a part of its command line.', { minLength: 1 }),
    minimum: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000, description: '1 when absent.' })),
    maximum: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
  }),
  disk: Type.Object({
    path: Type.Optional(text(1_000, 'A path on the file system meant; `/` when absent.', { pattern: '^/' })),
  }),
  memory: Type.Object({}),
  cpu: Type.Object({}),
} as const satisfies Record<CheckType, TSchema>;

/** The kinds of check. */
export type CheckType = (typeof NETWORK_CHECKS)[number] | (typeof HOST_CHECKS)[number];

const thresholds = Type.Object(
  {
    warning: Type.Optional(Type.Number({ minimum: 0, maximum: 1_000_000 })),
    critical: Type.Optional(Type.Number({ minimum: 0, maximum: 1_000_000 })),
  },
  { description: 'In the unit of the check: ms, days or %.' },
);

const COMMON = {
  name: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9](?:[A-Za-z0-9 ._:/-]{0,98}[A-Za-z0-9])?$',
      description: 'Its type and place when absent, as `http_1`.',
    }),
  ),
  timeout: Type.Optional(Type.Number({ minimum: 0.1, maximum: 60, description: 'Seconds; 10 when absent.' })),
  thresholds: Type.Optional(thresholds),
  failures_before_alert: inARow('The task’s when absent.'),
  recoveries_before_resolve: inARow('The task’s when absent.'),
} as const satisfies TProperties;

type Variant = {
  [Name in CheckType]: { readonly type: Name } & Readonly<Static<(typeof CHECK_FIELDS)[Name]>>;
}[CheckType];

/** By condition on `type` and not as a union, so that a fault is reported for the check meant, not for all. */
const check = Type.Unsafe<Variant & Static<Type.TObject<typeof COMMON>>>({
  type: 'object',
  required: ['type'],
  properties: { type: { type: 'string', enum: [...NETWORK_CHECKS, ...HOST_CHECKS] }, ...COMMON },
  allOf: Object.entries(CHECK_FIELDS).map(([type, fields]) => ({
    if: { required: ['type'], properties: { type: { const: type } } },
    // biome-ignore lint/suspicious/noThenProperty: `then` is the keyword of JSON Schema.
    then: fields,
  })),
});

const schedule = Type.Object(
  {
    interval: Type.Optional(
      Type.Number({ minimum: 10, maximum: 604_800, description: 'Seconds from one run to the next.' }),
    ),
    cron: Type.Optional(text(100, 'In place of `interval`: five fields, or `@hourly`.', { minLength: 1 })),
    timezone: Type.Optional(text(64, 'IANA name, for `cron`; UTC when absent.', { minLength: 1 })),
    duration: Type.Optional(
      Type.Number({ minimum: 10, maximum: 604_800, description: 'Seconds from the first attempt on.' }),
    ),
    count: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: 'Runs in all.' })),
    jitter: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 3_600,
        description: 'Each run is late by up to so many seconds (0).',
      }),
    ),
    overlap: Type.Optional(
      Type.Enum(['skip', 'wait', 'restart'], {
        description: 'What becomes of a run that is due while another is under way; `skip` when absent.',
      }),
    ),
    catch_up: Type.Optional(
      Type.Enum(['once', 'skip'], {
        description:
          'What becomes of runs missed in a pause or a restart: one at once (`once`, when absent), or none.',
      }),
    ),
  },
  { description: 'Exactly one of `interval` and `cron`; one run without a schedule.' },
);

const properties = {
  checks: Type.Array(check, { minItems: 1, maxItems: 50 }),
  schedule: Type.Optional(schedule),
  failures_before_alert: inARow('Bad results in a row before an alert; 2, without a schedule 1.'),
  recoveries_before_resolve: inARow('Good results in a row before it is resolved; 2.'),
  flapping: Type.Optional(
    Type.Object(
      {
        changes: Type.Optional(Type.Integer({ minimum: 2, maximum: 100, description: '4 when absent.' })),
        window: Type.Optional(
          Type.Number({ minimum: 10, maximum: 86_400, description: 'Seconds; 600 when absent.' }),
        ),
      },
      { description: 'So many changes of state in that time are told once, until there are fewer.' },
    ),
  ),
  fail_on: Type.Optional(level('The task fails as soon as a check is in this state, or a worse one.')),
  history: Type.Optional(
    Type.Object({
      format: Type.Optional(Type.Enum(['json', 'csv', 'none'], { description: '`json` when absent.' })),
    }),
  ),
} as const satisfies TProperties;

/** Whole payloads, for the documentation. */
export const MONITOR_EXAMPLES: readonly JsonObject[] = [
  {
    checks: [
      {
        type: 'http',
        name: 'shop',
        url: 'https://shop.example.com/health',
        expect: { status: [200], json: [{ path: 'status', equals: 'healthy' }] },
        thresholds: { warning: 800, critical: 3_000 },
      },
      { type: 'tls_expiry', name: 'certificate', host: 'shop.example.com' },
    ],
    schedule: { interval: 60, duration: 86_400 },
  },
  {
    checks: [{ type: 'tcp', host: 'db.example.com', port: 5432 }],
    fail_on: 'critical',
  },
];

/** The schema of `task_data` (`SAM-170`, `SAM-171`). */
export const MONITOR_PAYLOAD = Type.Object(properties, {
  description: 'Checks, once or on a schedule.',
  examples: MONITOR_EXAMPLES,
});

/** A valid `task_data`. */
export type MonitorPayload = Static<typeof MONITOR_PAYLOAD>;

/** One check of it. */
export type Check = MonitorPayload['checks'][number];

/** The check of one type. */
export type CheckOf<Name extends CheckType> = Extract<Check, { readonly type: Name }>;

/** When to check. */
export type Schedule = NonNullable<MonitorPayload['schedule']>;

/** What an HTTP answer must be. */
export type Expectation = Static<typeof expect>;
