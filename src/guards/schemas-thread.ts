// The thread that applies schemas nobody vouches for. Started by schemas.ts, which kills it when it takes too long.

import { parentPort } from 'node:worker_threads';
import { Ajv, type ErrorObject, type Options } from 'ajv';
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
  return errors.slice(0, FAULTS_MAX).map(error => {
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

function answer({ schema, data }: SchemaJob): SchemaAnswer {
  try {
    const validate = new Ajv(SCHEMA_OPTIONS).compile(schema);
    if (data === undefined || validate(data) === true) return { faults: [] };
    return { faults: faultsOf(validate.errors ?? []) };
  } catch (error) {
    return { faults: [{ field: '', message: error instanceof Error ? error.message : String(error) }] };
  }
}

parentPort?.on('message', (job: SchemaJob) => parentPort?.postMessage(answer(job)));
parentPort?.postMessage('ready');
