// The messages of the task wire as schemas, by type: what arrives is judged by them, and what is emitted again (`TASK-7`). A value that
// may be confidential may be encrypted instead.

import Type, { type TSchema } from 'typebox';
import type { JsonObject } from '../../domain/json.ts';
import { DEFAULT_TOPIC, STATUSES, VERSION_FORM } from './vocabulary.ts';

const id = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' });
const name = Type.String({ minLength: 1, maxLength: 400 });
const timestamp = Type.String({ format: 'date-time' });
const object = Type.Object({}, { additionalProperties: true });
const encrypted = Type.Object({ jwe: object }, { additionalProperties: false });
const text = Type.Union([Type.String({ maxLength: 2_000 }), encrypted]);
const amount = Type.Number({ minimum: 0, maximum: 1_000_000_000 });
const count = Type.Integer({ minimum: 0, maximum: 1_000_000 });

/** What every message has, or may have. */
const envelope = {
  message_id: Type.Optional(id),
  from: Type.Optional(name),
  to: Type.Optional(Type.Union([name, Type.Array(name, { minItems: 1, maxItems: 100 })])),
  correlation_id: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  reply_to: Type.Optional(id),
  timestamp: Type.Optional(timestamp),
  expires_at: Type.Optional(timestamp),
  protocol_version: Type.Optional(Type.String({ pattern: VERSION_FORM.source })),
  signature: Type.Optional(Type.String({ maxLength: 2_048 })),
  priority: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: '0 the most urgent; 5 when absent.',
    }),
  ),
  trace_id: Type.Optional(Type.String({ maxLength: 64 })),
};

const requirements = Type.Object(
  {
    cpu_cores: Type.Optional(count),
    memory_gb: Type.Optional(amount),
    storage_gb: Type.Optional(amount),
    gpu_units: Type.Optional(count),
  },
  { additionalProperties: true },
);

/** The kinds of resources, as requirements name them. */
export const RESOURCE_KINDS = ['cpu_cores', 'memory_gb', 'storage_gb', 'gpu_units'] as const;

const dependency = Type.Union([
  id,
  Type.Object({ task_id: id, condition: Type.Optional(Type.Enum(['completed', 'ended'])) }),
]);

const metrics = Type.Union([encrypted, Type.Record(Type.String(), Type.Number(), { maxProperties: 200 })]);

/** What a report may say went wrong, in characters. */
export const FAULT_MESSAGE_MAX = 10_000;

const fault = Type.Object({
  code: Type.String({ minLength: 1, maxLength: 200 }),
  message: Type.Optional(Type.String({ maxLength: FAULT_MESSAGE_MAX })),
  recoverable: Type.Optional(Type.Boolean()),
});

const checkpoint = Type.Object({ id, data: Type.Unknown() });
const taskType = Type.String({ minLength: 1, maxLength: 200 });

const submit = {
  task_id: id,
  task_type: taskType,
  input: Type.Optional(Type.Unknown()),
  deadline: Type.Optional(timestamp),
  requirements: Type.Optional(requirements),
  dependencies: Type.Optional(Type.Array(dependency, { maxItems: 1_000 })),
  metadata: Type.Optional(object),
  checkpoint: Type.Optional(Type.Union([encrypted, checkpoint, Type.Null()])),
  attempt: Type.Optional(Type.Integer({ minimum: 1 })),
};

const status = {
  task_id: id,
  status: Type.Optional(Type.Enum([...STATUSES])),
  progress: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  metrics: Type.Optional(metrics),
  checkpoint: Type.Optional(Type.Union([encrypted, checkpoint])),
  result: Type.Optional(Type.Unknown()),
  error: Type.Optional(fault),
  state: Type.Optional(Type.Unknown()),
  metadata: Type.Optional(object),
};

const resource = Type.Object({
  resource_id: Type.String({ minLength: 1, maxLength: 400 }),
  kind: Type.Enum([...RESOURCE_KINDS]),
  amount,
});

const command = { task_id: id, reason: Type.Optional(text) };

const event = {
  task_id: Type.Optional(id),
  event: Type.String({ minLength: 1 }),
  detail: Type.Optional(object),
};

const failure = {
  code: Type.Enum(['MSG001', 'MSG002', 'COM001', 'COM002', 'COM-AUTH']),
  error: Type.String(),
  severity: Type.Enum(['warning', 'error', 'critical']),
  recovery: Type.String(),
  message: Type.String(),
  details: object,
  documentation_url: Type.Optional(Type.String()),
  task_id: Type.Optional(id),
};

/** The fields of each type beside those every message has. */
const FIELDS = {
  'task.submit': submit,
  'task.status': status,
  'task.control.pause': command,
  'task.control.resume': {
    task_id: id,
    checkpoint: Type.Optional(Type.Union([id, encrypted, Type.Null()])),
  },
  'task.control.cancel': command,
  'task.control.ack': {
    command_id: id,
    status: Type.Enum(['applied', 'accepted']),
    task_id: Type.Optional(id),
  },
  'task.control.reject': {
    command_id: Type.Optional(Type.Union([id, Type.Null()])),
    reason: text,
    task_id: Type.Optional(id),
  },
  'resource.allocate': { task_id: id, requirements },
  'resource.release': {
    task_id: id,
    resource_ids: Type.Array(Type.String({ minLength: 1, maxLength: 400 }), { minItems: 1, maxItems: 1_000 }),
  },
  'resource.allocated': { task_id: id, resources: Type.Array(resource) },
  'resource.denied': { task_id: Type.Optional(id), reason: text },
  'state.changed': { task_id: id, version: Type.Integer({ minimum: 1 }) },
  'state.sync': {
    task_id: id,
    state: object,
    expected_version: Type.Integer({ minimum: 0 }),
  },
  'state.verify': {
    task_id: id,
    version: Type.Integer({ minimum: 0 }),
    hash: Type.Optional(Type.String({ maxLength: 200 })),
  },
  'state.verified': {
    task_id: id,
    match: Type.Boolean(),
    version: Type.Integer({ minimum: 0 }),
    state: object,
    hash: Type.String(),
  },
  'protocol.error': failure,
  [DEFAULT_TOPIC]: event,
} as const satisfies Record<string, Record<string, TSchema>>;

/** A type of message (`TASK-2`). */
export type TaskMessageType = keyof typeof FIELDS;

/** What a message of each type looks like when it arrives: the task type of a submission under its own name. */
export const SCHEMAS = Object.fromEntries(
  Object.entries(FIELDS).map(([type, fields]) => [
    type,
    Type.Object({ type: Type.Literal(type), ...envelope, ...fields }, { additionalProperties: true }),
  ]),
) as unknown as Readonly<Record<TaskMessageType, TSchema>>;

/** The fields of a submission that its schema does not know, which its agent is given as they came (`TASK-106`). */
export function unknownFields(fields: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter(([name]) => !OUR_FIELDS.has(name) && !Object.hasOwn(submit, name)),
  );
}

const OUR_FIELDS = new Set([...Object.keys(envelope), 'type', 'message_type', 'command']);

/** What is emitted beside that never lacks: `TASK-5`, and of reports `TASK-20`. */
const ALWAYS = ['type', 'message_id', 'timestamp', 'protocol_version'] as const;
const ALSO: Partial<Record<TaskMessageType, readonly string[]>> = {
  'task.submit': ['dependencies', 'metadata', 'requirements', 'input'],
  'task.status': ['status', 'progress', 'metrics'],
};

/** What a message of each type looks like when it is emitted. */
export const EMITTED = Object.fromEntries(
  Object.entries(SCHEMAS).map(([type, schema]) => {
    const { required = [] } = schema as TSchema & { readonly required?: readonly string[] };
    const also = ALSO[type as TaskMessageType] ?? [];
    return [type, { ...schema, required: [...new Set([...required, ...ALWAYS, ...also])] } as TSchema];
  }),
) as unknown as Readonly<Record<TaskMessageType, TSchema>>;

/** Whether a text is a type of message. */
export function isMessageType(name: unknown): name is TaskMessageType {
  return typeof name === 'string' && Object.hasOwn(FIELDS, name);
}
