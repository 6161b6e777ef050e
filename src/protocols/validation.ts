// How a wire's schemas are checked: one strict Ajv for bodies (nothing coerced, nothing dropped) and one for what arrives as text
// (query, params, headers), and how a fault is worded.

import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import type { TSchema } from 'typebox';

/** One fault of a request: the dotted path of the field and what is wrong with it (`SAM-44`). */
export interface Fault {
  readonly field: string;
  readonly message: string;
}

/** The faults of a value, or null where it has none. */
export type Check = (value: unknown) => readonly Fault[] | null;

/** Above this many values only the first fault is told: naming each would cost more memory than the body itself. */
const LISTED_VALUES_MAX = 20_000;

const INSTANT = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d(:?\d\d)?)?$/;

const COMMON: Options = { strict: true, allowUnionTypes: true, strictTypes: false };
const firstOfBody = withFormats(new Ajv({ ...COMMON, allErrors: false }));
const allOfBody = withFormats(new Ajv({ ...COMMON, allErrors: true }));
const allOfText = withFormats(new Ajv({ ...COMMON, allErrors: true, coerceTypes: true, useDefaults: true }));

/** A check of JSON bodies that changes nothing and tells every fault (of a huge body, the first). */
export function bodyCheck(schema: TSchema): Check {
  // Compiled when first used: a server has many routes, and starts sooner without them.
  let quick: ValidateFunction | null = null;
  let thorough: ValidateFunction | null = null;
  return value => {
    quick ??= firstOfBody.compile(schema);
    if (quick(value)) return null;
    if (!isSmall(value, { left: LISTED_VALUES_MAX })) return worded(quick.errors);
    thorough ??= allOfBody.compile(schema);
    thorough(value);
    return worded(thorough.errors);
  };
}

/** A check of an object of strings that turns them, in place, into what the schema says and fills in its defaults. */
export function textCheck(schema: TSchema): Check {
  let validate: ValidateFunction | null = null;
  return value => {
    validate ??= allOfText.compile(schema);
    return validate(value) ? uncountable(value) : worded(validate.errors);
  };
}

/** Text such as `1e400` passes for an integer, bounds and all, and no store can take it. */
function uncountable(value: unknown): readonly Fault[] | null {
  const faults: Fault[] = [];
  for (const [field, one] of Object.entries(value as object))
    if (typeof one === 'number' && Math.abs(one) > Number.MAX_SAFE_INTEGER)
      faults.push({ field, message: 'is too large a number' });
  return faults.length === 0 ? null : faults;
}

/** Epoch milliseconds of an ISO 8601 instant; one without a zone is UTC. NaN where it is none. */
export function instantOf(text: string): number {
  if (!INSTANT.test(text)) return Number.NaN;
  const zoned = /([Zz]|[+-]\d\d(:?\d\d)?)$/.test(text.slice(10));
  return Date.parse(zoned ? text.replace(' ', 'T') : `${text.replace(' ', 'T')}Z`);
}

function withFormats(ajv: Ajv): Ajv {
  ajv.addFormat('date-time', { type: 'string', validate: text => !Number.isNaN(instantOf(text)) });
  ajv.addFormat('uri', { type: 'string', validate: text => URL.canParse(text) });
  return ajv;
}

function isSmall(value: unknown, budget: { left: number }): boolean {
  if (--budget.left < 0) return false;
  if (typeof value !== 'object' || value === null) return true;
  for (const inner of Object.values(value)) if (!isSmall(inner, budget)) return false;
  return true;
}

function worded(errors: readonly ErrorObject[] | null | undefined): readonly Fault[] {
  const all = errors ?? [];
  const choices = all.filter(one => one.keyword === 'anyOf').map(one => one.schemaPath);
  return all
    .filter(one => !choices.some(path => one.schemaPath.startsWith(`${path}/`)))
    .map(one => ({ field: fieldOf(one), message: messageOf(one) }));
}

function fieldOf(error: ErrorObject): string {
  const parts = error.instancePath
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (error.keyword === 'required') parts.push(String(error.params.missingProperty));
  return parts.join('.');
}

function messageOf(error: ErrorObject): string {
  switch (error.keyword) {
    case 'required':
      return 'is required';
    case 'enum':
      return `must be one of ${(error.params.allowedValues as readonly unknown[]).join(', ')}`;
    case 'const':
      return `must be ${JSON.stringify(error.params.allowedValue)}`;
    default:
      return error.message ?? 'is not valid';
  }
}
