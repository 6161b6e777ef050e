// What is wrong with a payload, said field by field: first an unknown kind, then what does not fit the schema, then what contradicts
// itself.

import { Compile } from 'typebox/compile';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { TaskSpec } from '../../domain/task.ts';
import { CONTENT_PAYLOAD, type ContentPayload, type DeclaredTool } from './payload.ts';
import { nameIn, placesIn, valueAt } from './template.ts';

interface Fault {
  readonly field: string;
  readonly message: string;
}

// Compiled with the first task: every start of a server would wait for it.
let compiled: ReturnType<typeof compile> | null = null;
const compile = () => Compile(CONTENT_PAYLOAD);
const validator = (): ReturnType<typeof compile> => {
  compiled ??= compile();
  return compiled;
};

/** The payload, typed; throws `invalid_request` with every fault as `{field, message}` in `details.errors`. */
export function checkPayload(spec: Pick<TaskSpec, 'payload' | 'variables' | 'secretNames'>): ContentPayload {
  const { payload } = spec;
  if (!validator().Check(payload)) {
    refuse(schemaFaults(payload));
    throw new DomainError('invalid_request', 'task_data does not match its schema');
  }
  refuse([...contradictions(payload), ...templateFaults(payload, spec), ...toolFaults(payload, spec)]);
  return payload;
}

/** Every text of the payload that is a template, with the field it stands in. */
export function templatesOf({
  prompt,
  system,
  messages = [],
}: ContentPayload): readonly (readonly [string, string])[] {
  return [
    ...(system === undefined ? [] : [['system', system] as const]),
    ...(prompt === undefined ? [] : [['prompt', prompt] as const]),
    ...messages.map(({ content }, index) => [`messages.${index}.content`, content] as const),
  ];
}

function refuse(faults: readonly Fault[]): void {
  const [first] = faults;
  if (first === undefined) return;
  const errors = faults.map(({ field, message }) => ({ field, message }));
  throw new DomainError('invalid_request', `${first.field} ${first.message}`, { details: { errors } });
}

function schemaFaults(payload: JsonObject): Fault[] {
  return validator()
    .Errors(payload)
    .flatMap(({ keyword, instancePath, params, message }) => {
      const path = ['task_data', ...instancePath.split('/').slice(1)].join('.');
      if (keyword !== 'required') return [{ field: path, message }];
      return params.requiredProperties.map(name => ({ field: `${path}.${name}`, message: 'is required' }));
    });
}

function* contradictions(payload: ContentPayload): Generator<Fault, void> {
  const { kind = 'text', prompt, messages, output_schema: schema } = payload;
  if ((prompt === undefined) === (messages === undefined))
    yield { field: 'task_data', message: 'must have exactly one of prompt and messages' };
  for (const [field, text] of templatesOf(payload)) {
    if (text.trim() === '') yield { field: `task_data.${field}`, message: 'must not be empty' };
  }
  if (messages !== undefined && messages.at(-1)?.role !== 'user')
    yield { field: 'task_data.messages', message: 'must end with a message of the user' };
  if ((kind === 'structured') !== (schema !== undefined))
    yield { field: 'task_data.output_schema', message: 'goes with kind structured, which needs it' };
  const misplaced = Object.keys(payload).filter(name => BELONGS[name]?.includes(kind) === false);
  for (const field of misplaced)
    yield { field: `task_data.${field}`, message: `does not go with kind ${kind}` };
}

/** The kinds a field goes with, where it does not go with all. */
const BELONGS: Readonly<Record<string, readonly string[]>> = {
  messages: ['text', 'structured'],
  system: ['text', 'structured'],
  format: ['text'],
  temperature: ['text', 'structured'],
  seed: ['text', 'structured'],
  stream: ['text', 'structured'],
  tools: ['text', 'structured'],
  max_tokens: ['text', 'structured'],
  n: ['text', 'image'],
  size: ['image'],
};

function* templateFaults(
  payload: ContentPayload,
  { variables: own }: Pick<TaskSpec, 'variables'>,
): Generator<Fault, void> {
  const { variables = {}, inputs = {} } = payload;
  const values = new Map([...Object.entries(own), ...Object.entries(variables)]);
  for (const [name, { task_id: task, artifact_id: artifact, path }] of Object.entries(inputs)) {
    const field = `task_data.inputs.${name}`;
    if ((task === undefined) === (artifact === undefined))
      yield { field, message: 'must have exactly one of task_id and artifact_id' };
    if (path !== undefined && task === undefined)
      yield { field: `${field}.path`, message: 'goes with task_id only' };
    if (Object.hasOwn(variables, name)) yield { field, message: 'is a variable too' };
  }
  for (const [field, text] of templatesOf(payload)) {
    for (const path of placesIn(text)) {
      // What an input holds is known when it is read.
      if (Object.hasOwn(inputs, nameIn(path)) || valueAt(values, path) !== undefined) continue;
      yield { field: `task_data.${field}`, message: `names {{${path}}}, which has no value` };
    }
  }
}

function* toolFaults(
  { tools = [], max_steps: steps, provider_secret: provider }: ContentPayload,
  { secretNames }: Pick<TaskSpec, 'secretNames'>,
): Generator<Fault, void> {
  if (steps !== undefined && tools.length === 0)
    yield { field: 'task_data.max_steps', message: 'goes with tools' };
  if (provider !== undefined && !secretNames.includes(provider))
    yield { field: 'task_data.provider_secret', message: 'is not among the secrets of the task' };
  const names = new Set<string>();
  for (const [index, tool] of tools.entries()) {
    const field = `task_data.tools.${index}`;
    if (names.has(tool.name)) yield { field: `${field}.name`, message: 'is used twice' };
    names.add(tool.name);
    yield* secretFaults(tool, field, secretNames);
  }
}

function* secretFaults(
  { secret, endpoint }: DeclaredTool,
  field: string,
  secretNames: readonly string[],
): Generator<Fault, void> {
  if (secret === undefined) return;
  if (endpoint === undefined) yield { field: `${field}.secret`, message: 'goes with an endpoint' };
  if (!secretNames.includes(secret))
    yield { field: `${field}.secret`, message: 'is not among the secrets of the task' };
}
