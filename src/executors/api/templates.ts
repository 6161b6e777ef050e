// Templates: text with `{{ expression }}` in it. A string that is one template has its value with its type; in longer text the value
// is written out. What has no value fails: a request is never sent with a hole in it.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { partsOf } from '../../domain/template.ts';
import { type Expression, type ParseBudget, parseExpression } from './expressions.ts';

/** Text and expressions in turn. */
export type Template = readonly (string | Expression)[];

/** JSON whose strings are templates. */
export type JsonTemplate =
  | { readonly kind: 'value'; readonly value: Json }
  | { readonly kind: 'text'; readonly template: Template }
  | { readonly kind: 'array'; readonly items: readonly JsonTemplate[] }
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, JsonTemplate])[] };

/** Values of expressions by their text. */
export type Values = ReadonlyMap<string, Json>;

const OPEN = '{{';
const SYNTAX = { open: OPEN, close: '}}', lengthMax: 2_000 };

/** Throws an `Error` saying what is wrong with the text. */
export function parseTemplate(text: string, budget: ParseBudget): Template {
  return partsOf(text, { ...SYNTAX, parse: expression => parseExpression(expression, budget) });
}

/** Throws an `Error` saying what is wrong, the path in the value before it. */
export function parseJsonTemplate(value: Json, budget: ParseBudget, path = ''): JsonTemplate {
  if (typeof value === 'string') {
    if (!value.includes(OPEN)) return { kind: 'value', value };
    try {
      return { kind: 'text', template: parseTemplate(value, budget) };
    } catch (error) {
      const { message } = error as Error;
      throw new Error(path === '' ? message : `${path}: ${message}`, { cause: error });
    }
  }
  if (Array.isArray(value)) {
    const items = value.map((item: Json, index) => parseJsonTemplate(item, budget, `${path}.${index}`));
    return { kind: 'array', items };
  }
  if (!isJsonObject(value)) return { kind: 'value', value };
  const entries = Object.entries(value).map(
    ([name, one]) => [name, parseJsonTemplate(one ?? null, budget, `${path}.${name}`)] as const,
  );
  return { kind: 'object', entries };
}

/** Every expression in it. */
export function expressionsIn(template: Template | JsonTemplate): readonly Expression[] {
  if (isText(template)) return template.filter(part => typeof part !== 'string');
  switch (template.kind) {
    case 'value':
      return [];
    case 'text':
      return expressionsIn(template.template);
    case 'array':
      return template.items.flatMap(expressionsIn);
    case 'object':
      return template.entries.flatMap(([, one]) => expressionsIn(one));
  }
}

function isText(template: Template | JsonTemplate): template is Template {
  return Array.isArray(template);
}

/** The text with its values; throws `task_failed` naming the expression without one. */
export function renderText(template: Template, values: Values): string {
  return template.map(part => (typeof part === 'string' ? part : written(valueFor(part, values)))).join('');
}

/** The same as a URL: a value at its very beginning is taken as it is, any other is one piece of a path or query and encoded. */
export function renderUrl(template: Template, values: Values): string {
  return template
    .map((part, index) => {
      if (typeof part === 'string') return part;
      const text = written(valueFor(part, values));
      if (index === 0) return text;
      // The one thing encoding does not take from it: to lead elsewhere.
      if (text === '.' || text === '..') throw hole(part, 'must not be a step in a path');
      return encodeURIComponent(text.toWellFormed());
    })
    .join('');
}

/** The value with those of its templates; throws `task_failed` naming the expression without one. */
export function renderJson(template: JsonTemplate, values: Values): Json {
  switch (template.kind) {
    case 'value':
      return template.value;
    case 'text': {
      const [only] = template.template;
      if (template.template.length === 1 && only !== undefined && typeof only !== 'string') {
        return valueFor(only, values);
      }
      return renderText(template.template, values);
    }
    case 'array':
      return template.items.map(item => renderJson(item, values));
    case 'object':
      return Object.fromEntries(
        template.entries.map(([name, one]) => [name, renderJson(one, values)]),
      ) as JsonObject;
  }
}

function valueFor(expression: Expression, values: Values): Json {
  const value = values.get(expression.text);
  if (value === undefined || value === null) throw hole(expression, 'has no value');
  return value;
}

function written(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function hole({ text }: Expression, what: string): DomainError {
  return new DomainError('task_failed', `{{ ${text} }} ${what}`, { details: { expression: text } });
}
