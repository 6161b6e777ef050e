// The protocol validator (`BLOG-75`): says of a message, a skill execution or a validation everything that is wrong with it, and does
// nothing else.

import { asDomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { faultsOf } from './decode.ts';
import { skillAsked, validationAsked } from './orders.ts';

/** What can be checked. */
export const KINDS = ['message', 'skill-execution', 'content-pipeline'] as const;

interface Finding {
  readonly field: string;
  readonly message: string;
}

/** A ValidationResult about it; `validators` are those registered in the tenant. */
export function findingsOf(
  kind: (typeof KINDS)[number],
  value: unknown,
  validators: ReadonlySet<string>,
): JsonObject {
  const faults = faultsIn(kind, value, validators);
  return {
    passed: faults.length === 0,
    score: faults.length === 0 ? 100 : 0,
    issues: faults.map(({ field, message }) => ({
      ...{ severity: 'error', code: 'SCHEMA_INVALID', field, message },
      suggestion: `Correct ${field === '' ? 'the whole' : field}`,
    })),
  };
}

function faultsIn(
  kind: (typeof KINDS)[number],
  value: unknown,
  validators: ReadonlySet<string>,
): readonly Finding[] {
  switch (kind) {
    case 'message':
      return faultsOf(value);
    case 'skill-execution':
      return thrownBy(() =>
        skillAsked(isJsonObject(value) ? { skillId: null, ...value } : (value as Json), ''),
      );
    case 'content-pipeline':
      return thrownBy(() => validationAsked(value as Json, validators));
  }
}

/** The faults an order is refused for, each where it stands in what was given. */
function thrownBy(read: () => unknown): readonly Finding[] {
  try {
    read();
    return [];
  } catch (thrown) {
    const { code, details, message } = asDomainError(thrown);
    if (code !== 'invalid_request') throw thrown;
    const errors = Array.isArray(details.errors) ? (details.errors as unknown as readonly Finding[]) : [];
    const faults = errors.length > 0 ? errors : [{ field: 'payload', message }];
    return faults.map(one => ({ field: one.field.replace(/^payload\.?/, ''), message: one.message }));
  }
}
