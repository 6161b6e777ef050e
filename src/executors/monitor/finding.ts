// What a look at something found, and how bad that is.

import type { ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';

/** How bad a result is, best first. */
export const LEVELS = ['ok', 'warning', 'critical'] as const;

/** How bad a result is. */
export type Level = (typeof LEVELS)[number];

/** What a check measures in. */
export type Unit = 'ms' | 'days' | 'percent' | 'processes';

/** What one look found. */
export interface Finding {
  /** In the unit of the check; null where nothing could be measured. */
  readonly value: number | null;
  /** How long the other side took; null for checks of this node and where there was no answer. */
  readonly latencyMs: number | null;
  /** Why the target is not as it should be, whatever was measured. */
  readonly fault: { readonly code: ErrorCode; readonly message: string } | null;
  readonly detail: JsonObject;
}

/** A finding with its level, and the threshold that made it so. */
export interface Judged extends Finding {
  readonly at: number;
  readonly level: Level;
  readonly limit: number | null;
  /** In words, for whoever is told; null for a good result. */
  readonly message: string | null;
}

/** Bounds of what is measured; `falling` where less is worse. */
export interface Thresholds {
  readonly warning: number | null;
  readonly critical: number | null;
  readonly falling: boolean;
}

/** True where `one` is at least as bad as `other`. */
export function isAtLeast(one: Level, other: Level): boolean {
  return LEVELS.indexOf(one) >= LEVELS.indexOf(other);
}

/** Judges a finding: a fault is critical, anything else as the thresholds say. */
export function judge(finding: Finding, thresholds: Thresholds, unit: Unit, at: number): Judged {
  const { fault, value } = finding;
  if (fault !== null) return { ...finding, at, level: 'critical', limit: null, message: fault.message };
  const { warning, critical, falling } = thresholds;
  const isBeyond = (limit: number | null): limit is number =>
    value !== null && limit !== null && (falling ? value <= limit : value >= limit);
  const limit = isBeyond(critical) ? critical : isBeyond(warning) ? warning : null;
  if (limit === null) return { ...finding, at, level: 'ok', limit, message: null };
  const message = `${value} ${unit}, ${falling ? 'not above' : 'not below'} the limit of ${limit}`;
  return { ...finding, at, level: isBeyond(critical) ? 'critical' : 'warning', limit, message };
}
