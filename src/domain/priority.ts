// Priority: 0 the most urgent, 9 the least. It orders tasks inside one tenant by shifting their arrival, so waiting ages it.

/** 0 (most urgent) to 9. */
export type Priority = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

/** The priority of a task that names none. */
export const DEFAULT_PRIORITY: Priority = 5;

/** How much earlier a task counts as arrived per level of urgency, in milliseconds (`SAM-110`). */
export const PRIORITY_STEP_MS = 5 * 60_000;

/**
 * The place in its tenant's line, in milliseconds: arrival shifted by five minutes a level.
 * Lower goes first; the shift is bounded, so a task of any priority is overtaken only by what arrives within 45 minutes (`SAM-110`).
 */
export function rankOf(arrivedAt: number, priority: Priority): number {
  return arrivedAt + priority * PRIORITY_STEP_MS;
}

/** True for an integer 0–9. */
export function isPriority(value: number): value is Priority {
  return Number.isInteger(value) && value >= 0 && value <= 9;
}
