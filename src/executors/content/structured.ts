// From what a model wrote to an object its requester can rely on: taken out of what models like to put around JSON, and checked.

import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import { readForeign } from './foreign.ts';

/** A value that matches, or what is wrong with it. */
export type Verdict =
  | { readonly fits: true; readonly value: Json }
  | { readonly fits: false; readonly errors: readonly JsonObject[] };

const ERRORS_MAX = 20;

/** Judges a text by the schema. */
export async function judgeObject(text: string, schema: JsonObject, schemas: PayloadCheck): Promise<Verdict> {
  const read = readForeign(unfenced(text));
  if ('wrong' in read) return { fits: false, errors: [{ field: 'object', message: read.wrong }] };
  const { value } = read;
  try {
    await schemas.check(schema, value, 'object');
    return { fits: true, value };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const { errors } = error.details;
    const told = Array.isArray(errors)
      ? (errors as readonly JsonObject[])
      : [{ field: 'object', message: error.message }];
    return { fits: false, errors: told.slice(0, ERRORS_MAX) };
  }
}

/** The one request a model gets to mend its answer. */
export function repairOf(errors: readonly JsonObject[]): string {
  const faults = errors.map(({ field, message }) => `- ${field} ${message}`).join('\n');
  return `That answer does not match the JSON Schema:\n${faults}\nAnswer again with the whole corrected JSON value and nothing else.`;
}

/** The text within one code fence around all of it, else the text itself. */
export function unfenced(text: string): string {
  const trimmed = text.trim();
  if (!trimmed.startsWith('```') || !trimmed.endsWith('```') || trimmed.length < 7) return text;
  const begin = trimmed.indexOf('\n');
  return begin < 0 ? text : trimmed.slice(begin + 1, -3).trimEnd();
}
