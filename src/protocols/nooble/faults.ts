// What can be wrong with a message, all told at once under the code of the gravest (`NOOB-1`, `NOOB-145`).

import { DomainError } from '../../domain/errors.ts';
import type { NoobleCode } from './catalogue.ts';

/** One thing that is wrong with an envelope, under the code it is told by. */
export interface EnvelopeFault {
  readonly field: string;
  readonly message: string;
  readonly code: Extract<NoobleCode, 'VAL_001' | 'VAL_002' | 'VAL_003' | 'VAL_004'>;
}

/** The error that tells faults, under the code of the gravest: what is missing, then what has no form, then what is too much. */
export function invalid(faults: readonly EnvelopeFault[], message?: string): DomainError {
  const order = ['VAL_002', 'VAL_003', 'VAL_004', 'VAL_001'] as const;
  const code = order.find(one => faults.some(fault => fault.code === one)) ?? 'VAL_001';
  const told = faults.map(({ field, message: what, code: own }) => ({ field, message: what, code: own }));
  const missing = faults.filter(fault => fault.code === 'VAL_002').map(({ field }) => field);
  return new DomainError(
    'invalid_request',
    message ??
      faults
        .map(({ field, message: what }) => `${field}: ${what}`)
        .join('; ')
        .slice(0, 2_000),
    {
      details: {
        nooble_code: code,
        errors: told,
        ...(missing.length === 0 ? {} : { missing_fields: missing }),
      },
    },
  );
}
