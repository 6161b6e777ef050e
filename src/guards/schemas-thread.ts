// The thread that applies schemas nobody vouches for. Started by schemas.ts, which kills it when it takes too long.

import { parentPort } from 'node:worker_threads';
import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import type { Json, JsonObject } from '../domain/json.ts';

/** A schema to compile, and data to check by it where there is some. */
export interface SchemaJob {
  readonly schema: JsonObject;
  readonly data?: Json;
}

/** What is wrong; nothing where all is well. */
export interface SchemaAnswer {
  readonly faults: readonly Fault[];
}

/** One fault: the dotted path below the root, and what is wrong there. */
export interface Fault {
  readonly field: string;
  readonly message: string;
}

/** Shared by both sides, so that a schema means the same wherever it is applied. */
export const SCHEMA_OPTIONS: Options = {
  allErrors: true,
  strict: false,
  validateFormats: false,
  logger: false,
};

const FAULTS_MAX = 100;

/** Ajv's findings as dotted paths and plain words. */
export function faultsOf(errors: readonly ErrorObject[]): readonly Fault[] {
  // That a branch of a condition did not match says nothing beside what is wrong in it.
  const telling = errors.filter(({ keyword }) => keyword !== 'if');
  return telling.slice(0, FAULTS_MAX).map(error => {
    const path = error.instancePath.split('/').slice(1).map(unescaped);
    const missing = error.keyword === 'required' ? [String(error.params.missingProperty)] : [];
    return {
      field: [...path, ...missing].join('.'),
      message: missing.length > 0 ? 'is required' : (error.message ?? 'is not valid'),
    };
  });
}

function unescaped(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** A task brings its type's schema each time; compiling it takes far longer than applying it. */
const COMPILED_MAX = 16;
const compiled = new Map<string, ValidateFunction>();

function validatorOf(schema: JsonObject): ValidateFunction {
  const text = JSON.stringify(schema);
  const validate = compiled.get(text) ?? new Ajv(SCHEMA_OPTIONS).compile(schema);
  compiled.delete(text);
  compiled.set(text, validate);
  const [oldest] = compiled.keys();
  if (compiled.size > COMPILED_MAX && oldest !== undefined) compiled.delete(oldest);
  return validate;
}

function answer({ schema, data }: SchemaJob): SchemaAnswer {
  try {
    const validate = validatorOf(schema);
    if (data === undefined || validate(data) === true) return { faults: [] };
    return { faults: faultsOf(validate.errors ?? []) };
  } catch (error) {
    return { faults: [{ field: '', message: error instanceof Error ? error.message : String(error) }] };
  }
}

if (parentPort !== null) {
  const parent = parentPort;
  parent.on('message', (job: SchemaJob) => parent.postMessage(answer(job)));
  // The first compilation readies the compiler itself, which must not count as the first job's time.
  answer({ schema: { type: 'object' } });
  parent.postMessage('ready');
}
