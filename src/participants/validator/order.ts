// A validation as a message asks for it, read into what validators work with (`ARMY-28`).

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import {
  type ExpectedContent,
  VALIDATION_RULES,
  type ValidationOrder,
  type ValidationRule,
} from '../../engine/ports/validator.ts';

const SECTIONS_MAX = 200;
const AGAINST_MAX = 20;

/** Reads a request; `expected` of the task it is about gives way to what the request says itself. */
export function orderOf(
  request: JsonObject,
  { scoreMin, expected = {} }: { readonly scoreMin: number; readonly expected?: JsonObject },
): ValidationOrder {
  const { content, validation_rules: rules, expected_output: said } = request;
  if (content === undefined) throw wrong('content', 'is required');
  const context = isJsonObject(request.context) ? request.context : {};
  return {
    content,
    rules: rulesOf(rules),
    expected: expectedOf({ ...expected, ...(isJsonObject(said) ? said : {}) }),
    personalDataAllowed: context.pii_allowed === true,
    against: againstOf(context.duplicates_of),
    scoreMin,
  };
}

/** What an `expected_output` asks for; what it does not understand is not asked. */
export function expectedOf(said: JsonObject): ExpectedContent {
  const { format, sections, schema } = said;
  const names = Array.isArray(sections) ? sections.filter(one => typeof one === 'string') : [];
  const sources = said.sources === true ? 1 : said.sources;
  return {
    ...(typeof format === 'string' ? { format } : {}),
    ...(names.length === 0 ? {} : { sections: names.slice(0, SECTIONS_MAX) }),
    ...(isJsonObject(schema) ? { schema } : {}),
    ...(isCount(said.min_words) ? { wordsMin: said.min_words } : {}),
    ...(isCount(said.max_words) ? { wordsMax: said.max_words } : {}),
    ...(isCount(sources) ? { sourcesMin: sources } : {}),
  };
}

function rulesOf(rules: Json | undefined): readonly ValidationRule[] {
  if (rules === undefined) return VALIDATION_RULES;
  const known: readonly Json[] = VALIDATION_RULES;
  if (!Array.isArray(rules) || rules.length === 0 || !rules.every(rule => known.includes(rule)))
    throw wrong('validation_rules', `must be some of ${VALIDATION_RULES.join(', ')}`);
  return VALIDATION_RULES.filter(rule => rules.includes(rule));
}

function againstOf(texts: Json | undefined): ValidationOrder['against'] {
  if (!isJsonObject(texts)) return [];
  const entries = Object.entries(texts).slice(0, AGAINST_MAX);
  return entries.flatMap(([name, text]) => (typeof text === 'string' ? [{ name, text }] : []));
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 1;
}

function wrong(field: string, message: string): DomainError {
  return new DomainError('invalid_request', `${field} ${message}`, {
    details: { errors: [{ field, message }], known_rules: [...VALIDATION_RULES] },
  });
}
