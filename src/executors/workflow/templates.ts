// Templates in steps: JSON whose strings may hold `${{ expression }}`. A string that is one template has its value with its type; in longer
// text the value is written out. What has no value fails the step (`SAM-166`). `{{ }}`, `${}` and the like are left to the steps themselves.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { partsOf } from '../../domain/template.ts';
import {
  EXPRESSION_LENGTH_MAX,
  type Expression,
  evaluate,
  fault,
  type ParseBudget,
  parseExpression,
} from '../../engine/expressions.ts';

/** JSON with expressions in it. */
export type Template =
  | { readonly kind: 'value'; readonly value: Json }
  | { readonly kind: 'one'; readonly expression: Expression }
  | { readonly kind: 'text'; readonly parts: readonly (string | Expression)[] }
  | { readonly kind: 'array'; readonly items: readonly Template[] }
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, Template])[] };

const OPEN = '${{';
const SYNTAX = { open: OPEN, close: '}}', lengthMax: EXPRESSION_LENGTH_MAX };

/** Throws an `Error` saying what is wrong, the path in the value before it. */
export function parseTemplate(value: Json, budget: ParseBudget, path = ''): Template {
  if (typeof value === 'string') {
    if (!value.includes(OPEN)) return { kind: 'value', value };
    try {
      return textTemplate(value, budget);
    } catch (error) {
      const { message } = error as Error;
      throw new Error(path === '' ? message : `${path.slice(1)}: ${message}`, { cause: error });
    }
  }
  if (Array.isArray(value)) {
    const items = value.map((item: Json, index) => parseTemplate(item, budget, `${path}.${index}`));
    return items.every(isFixed) ? { kind: 'value', value } : { kind: 'array', items };
  }
  if (!isJsonObject(value)) return { kind: 'value', value };
  const entries = Object.entries(value).map(
    ([name, one]) => [name, parseTemplate(one ?? null, budget, `${path}.${name}`)] as const,
  );
  return entries.every(([, one]) => isFixed(one)) ? { kind: 'value', value } : { kind: 'object', entries };
}

/** Every expression in it. */
export function expressionsIn(template: Template): readonly Expression[] {
  switch (template.kind) {
    case 'value':
      return [];
    case 'one':
      return [template.expression];
    case 'text':
      return template.parts.filter(part => typeof part !== 'string');
    case 'array':
      return template.items.flatMap(expressionsIn);
    case 'object':
      return template.entries.flatMap(([, one]) => expressionsIn(one));
  }
}

/** The value with those of its expressions; throws `task_failed` naming the expression without one. */
export function render(template: Template, scope: JsonObject): Json {
  switch (template.kind) {
    case 'value':
      return template.value;
    case 'one':
      return valueFor(template.expression, scope);
    case 'text':
      return template.parts
        .map(part => (typeof part === 'string' ? part : written(valueFor(part, scope))))
        .join('');
    case 'array':
      return template.items.map(item => render(item, scope));
    case 'object':
      return Object.fromEntries(
        template.entries.map(([name, one]) => [name, render(one, scope)]),
      ) as JsonObject;
  }
}

function isFixed({ kind }: Template): boolean {
  return kind === 'value';
}

function textTemplate(text: string, budget: ParseBudget): Template {
  const parts = partsOf(text, { ...SYNTAX, parse: expression => parseExpression(expression, budget) });
  const [only] = parts;
  return parts.length === 1 && typeof only === 'object'
    ? { kind: 'one', expression: only }
    : { kind: 'text', parts };
}

function valueFor(expression: Expression, scope: JsonObject): Json {
  const value = evaluate(expression, scope);
  if (value === null) throw fault(expression.text, 'has no value');
  return value;
}

function written(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
