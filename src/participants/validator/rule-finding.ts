// What one rule makes of content, before the rules are put together.

import type { ValidationIssue } from '../../engine/ports/validator.ts';

/** A rule's score, 0–1, and what it found. */
export interface RuleFinding {
  readonly score: number;
  readonly issues: readonly ValidationIssue[];
  readonly recommendations: readonly string[];
}
