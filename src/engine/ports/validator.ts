// What wires need of whoever validates content: a verdict by rules.

import type { Json, JsonObject } from '../../domain/json.ts';

/** The rules content can be validated by. */
export const VALIDATION_RULES = ['format_check', 'quality_check', 'policy_check'] as const;

/** One of them. */
export type ValidationRule = (typeof VALIDATION_RULES)[number];

/** What was asked of whoever made the content; what is absent was not asked. */
export interface ExpectedContent {
  /** `markdown`, `html`, `json` are checked for their form; others are not (`ARMY-22`). */
  readonly format?: string;
  /** Names of sections that must have a heading and text. */
  readonly sections?: readonly string[];
  /** JSON Schema of JSON content. */
  readonly schema?: JsonObject;
  readonly wordsMin?: number;
  readonly wordsMax?: number;
  /** How many sources it must name. */
  readonly sourcesMin?: number;
}

/** Content to validate. */
export interface ValidationOrder {
  readonly content: Json;
  readonly rules: readonly ValidationRule[];
  readonly expected: ExpectedContent;
  /** Personal data may stand in it (`ARMY-75`). */
  readonly personalDataAllowed: boolean;
  /** What it must not be a copy of, by any name. */
  readonly against: readonly { readonly name: string; readonly text: string }[];
  /** The score it is valid from, 0–1. */
  readonly scoreMin: number;
}

/** Something about content; the path leads into JSON content. */
export interface ValidationIssue {
  readonly rule: ValidationRule;
  readonly severity: 'error' | 'warning' | 'info';
  readonly code: string;
  readonly message: string;
  readonly path?: string;
  /** Found by a model, not by rules. */
  readonly source?: 'model';
}

/** What was made of content; `score` is 0–1 in hundredths. */
export interface ValidationVerdict {
  readonly valid: boolean;
  readonly score: number;
  readonly issues: readonly ValidationIssue[];
  readonly recommendations: readonly string[];
}

/** Validates content; rules alone give the same verdict on the same order every time. */
export interface Validator {
  /**
   * An order as a message asks for it: `content`, `validation_rules`, `expected_output`, `context` (`pii_allowed`, `duplicates_of`). Throws
   * `invalid_request`, naming the known rules where it names another.
   */
  orderOf(
    request: JsonObject,
    terms: { readonly scoreMin: number; readonly expected?: JsonObject },
  ): ValidationOrder;
  /** Throws only the signal's reason, and `invalid_request` for a schema that is none. */
  validate(order: ValidationOrder, signal: AbortSignal): Promise<ValidationVerdict>;
  /** In which ways it offends; none where it does not. */
  offencesIn(content: Json): readonly string[];
}
