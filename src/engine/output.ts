// Whether a finished attempt delivered what was promised: the requester's output schema, and the one its worker registered.

import { DomainError } from '../domain/errors.ts';
import type { TaskError } from '../domain/task.ts';
import type { PayloadCheck } from './ports/schemas.ts';
import type { Roster } from './roster.ts';
import type { OutputCheck } from './settlement.ts';

/** Checks outputs against the schemas that apply to their task (`SAM-83`, `SAM-175`). */
export function checkOutput(roster: Roster, schemas: PayloadCheck): OutputCheck {
  return async (task, output) => {
    const { outputSchema, typeName } = task.spec;
    const registered = typeName === undefined ? undefined : roster.schemasOf(task.tenant, typeName)?.output;
    if (outputSchema === undefined && registered === undefined) return null;
    try {
      if (outputSchema !== undefined) await schemas.check(outputSchema, output, 'output');
      if (registered !== undefined) await schemas.check(registered, output, 'output');
      return null;
    } catch (error) {
      return faultOf(error);
    }
  };
}

function faultOf(error: unknown): TaskError {
  if (!(error instanceof DomainError)) throw error;
  return {
    code: 'task_failed',
    message: `the output does not match its schema: ${error.message}`,
    recoverable: false,
    details: error.details,
  };
}
