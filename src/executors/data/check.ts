// What is wrong with a payload, said field by field: first what has no meaning at all (an unknown step or format), then what does not
// fit the schema, then what contradicts itself.

import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import Value from 'typebox/value';
import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import {
  DATA_FORMATS,
  DATA_PAYLOAD,
  type DataPayload,
  type Source,
  STEP_FIELDS,
  STEP_TYPES,
  type Step,
} from './payload.ts';

interface Fault {
  readonly field: string;
  readonly message: string;
}

const validator = Compile(DATA_PAYLOAD);

/** The payload, typed; throws `invalid_request` with every fault as `{field, message}` in `details.errors`. */
export function checkPayload(payload: JsonObject): DataPayload {
  const unknown = [...unknownFormats(payload), ...unknownSteps(payload)];
  refuse(unknown);
  if (!validator.Check(payload)) {
    refuse(schemaFaults(payload));
    throw new DomainError('invalid_request', 'task_data does not match its schema');
  }
  refuse([...contradictions(payload)]);
  return payload;
}

function refuse(faults: readonly Fault[]): void {
  const [first] = faults;
  if (first === undefined) return;
  const errors = faults.map(({ field, message }) => ({ field, message }));
  throw new DomainError('invalid_request', `${first.field} ${first.message}`, { details: { errors } });
}

function* unknownFormats({ sources, outputs }: JsonObject): Generator<Fault, void> {
  const message = `is not a known format (${DATA_FORMATS.join(', ')})`;
  const isUnknown = (part: Json | undefined): boolean =>
    isJsonObject(part) &&
    typeof part.format === 'string' &&
    !DATA_FORMATS.some(known => known === part.format);
  for (const [name, source] of Object.entries(isJsonObject(sources) ? sources : {})) {
    if (isUnknown(source)) yield { field: `task_data.sources.${name}.format`, message };
  }
  for (const [index, output] of (Array.isArray(outputs) ? outputs : []).entries()) {
    if (isUnknown(output)) yield { field: `task_data.outputs.${index}.format`, message };
  }
}

function* unknownSteps({ steps }: JsonObject): Generator<Fault, void> {
  for (const [index, step] of (Array.isArray(steps) ? steps : []).entries()) {
    const type = isJsonObject(step) ? step.type : undefined;
    if (typeof type !== 'string' || STEP_TYPES.some(known => known === type)) continue;
    yield {
      field: `task_data.steps.${index}.type`,
      message: `is not a known step (${STEP_TYPES.join(', ')})`,
    };
  }
}

function schemaFaults(payload: JsonObject): Fault[] {
  return faultsIn(DATA_PAYLOAD, payload, 'task_data');
}

function faultsIn(schema: TSchema, value: unknown, root: string): Fault[] {
  return Compile(schema)
    .Errors(value)
    .flatMap(({ keyword, instancePath, params, message }) => {
      const path = [root, ...instancePath.split('/').slice(1).map(unescaped)].join('.');
      if (keyword === 'required') {
        return params.requiredProperties.map(name => ({ field: `${path}.${name}`, message: 'is required' }));
      }
      if (keyword !== 'if') return [{ field: path, message }];
      // Says only that the step does not fit its type; the schema of that type says why.
      const step = Value.Pointer.Get(value, instancePath) as Step;
      return faultsIn(STEP_FIELDS[step.type], step, path);
    });
}

function unescaped(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

function* contradictions(payload: DataPayload): Generator<Fault, void> {
  const names = new Map<string, string>();
  for (const [name, source] of Object.entries(payload.sources)) {
    const field = `task_data.sources.${name}`;
    const twin = names.get(name.toLowerCase());
    if (twin !== undefined) yield { field, message: `differs from ${twin} only in case` };
    names.set(name.toLowerCase(), name);
    yield* sourceFaults(source, field);
  }
  if ((payload.sql === undefined) === (payload.steps === undefined)) {
    yield { field: 'task_data', message: 'must have exactly one of sql and steps' };
  }
  if (payload.steps !== undefined) yield* pipelineFaults(payload, names);
  else if (payload.from !== undefined)
    yield { field: 'task_data.from', message: 'goes with steps, not with sql' };
  yield* outputFaults(payload);
}

function* sourceFaults(source: Source, field: string): Generator<Fault, void> {
  const ways = [source.inline, source.artifact_id, source.url, source.task_id];
  if (ways.filter(way => way !== undefined).length !== 1) {
    yield { field, message: 'must have exactly one of inline, artifact_id, url and task_id' };
  }
  const isJson = Array.isArray(source.inline) || source.task_id !== undefined;
  const { format = isJson ? 'json' : undefined, options = {} } = source;
  if (format === undefined) yield { field: `${field}.format`, message: 'is required' };
  if (isJson && format !== 'json') {
    yield { field: `${field}.format`, message: 'must be json, or absent, where the rows are JSON values' };
  }
  if (typeof source.inline === 'string' && format === 'parquet') {
    yield { field: `${field}.format`, message: 'must not be parquet for inline text' };
  }
  if (source.path !== undefined && source.task_id === undefined) {
    yield { field: `${field}.path`, message: 'goes with task_id only' };
  }
  if (options.compression !== undefined && source.artifact_id === undefined && source.url === undefined) {
    yield { field: `${field}.options.compression`, message: 'goes with artifact_id and url only' };
  }
  for (const name of Object.keys(options)) {
    const known = READ_BY[name];
    if (known !== undefined && format !== undefined && !known.includes(format)) {
      yield { field: `${field}.options.${name}`, message: `does not apply to ${format}` };
    }
  }
}

/** The formats an option of reading applies to; `compression` is none of reading. */
const READ_BY: Readonly<Record<string, readonly string[]>> = {
  columns: ['csv', 'json', 'ndjson'],
  date_format: ['csv', 'json', 'ndjson'],
  timestamp_format: ['csv', 'json', 'ndjson'],
  delimiter: ['csv'],
  quote: ['csv'],
  escape: ['csv'],
  header: ['csv'],
  null_values: ['csv'],
  decimal_separator: ['csv'],
};

function* pipelineFaults(
  { steps = [], from }: DataPayload,
  names: ReadonlyMap<string, string>,
): Generator<Fault, void> {
  if (from === undefined && names.size > 1) {
    yield { field: 'task_data.from', message: 'is required where there are several sources' };
  }
  if (from !== undefined && !names.has(from.toLowerCase())) {
    yield { field: 'task_data.from', message: `is not a source (${[...names.values()].join(', ')})` };
  }
  if (names.has('input')) {
    yield {
      field: `task_data.sources.${names.get('input')}`,
      message: 'is the name sql steps give their input',
    };
  }
  for (const [index, step] of steps.entries()) {
    const field = `task_data.steps.${index}`;
    if (step.type === 'join' && !names.has(step.with.toLowerCase())) {
      yield { field: `${field}.with`, message: `is not a source (${[...names.values()].join(', ')})` };
    }
    if (step.type === 'sample' && (step.count === undefined) === (step.percent === undefined)) {
      yield { field, message: 'must have exactly one of count and percent' };
    }
  }
}

function* outputFaults({ outputs = [] }: DataPayload): Generator<Fault, void> {
  const names = new Set<string>();
  for (const [index, { name }] of outputs.entries()) {
    if (names.has(name)) yield { field: `task_data.outputs.${index}.name`, message: 'is used twice' };
    names.add(name);
  }
}
