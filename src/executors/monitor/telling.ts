// What a run has to say: the alerts of changed states, its intermediate result, and where the task stands in a few words.

import type { JsonObject } from '../../domain/json.ts';
import type { AttemptAlert } from '../../engine/ports/executor.ts';
import { instant } from './book.ts';
import type { Judged } from './finding.ts';
import type { PlannedCheck } from './plan.ts';
import type { Notice, Standing, StateChange } from './standing.ts';

/** A check, what was found, and what that changed. */
export interface Told {
  readonly check: PlannedCheck;
  readonly result: Judged;
  readonly standing: Standing;
  readonly change: StateChange | null;
  readonly notice: Notice | null;
}

const NAMED_MAX = 5;

/** The alert of a notice (`SAM-170`): a threshold that is passed is a `resource_warning`, anything else an `agent_error`. */
export function alertOf({ name, spec }: PlannedCheck, notice: Notice): AttemptAlert {
  const { result } = notice;
  const detail = { check: name, type: spec.type, at: instant(result.at) };
  if (notice.kind === 'resolved')
    return { kind: 'note', name: 'alert_resolved', detail: { ...detail, from: notice.from } };
  if (notice.kind === 'raised' && result.limit !== null && result.value !== null)
    return { kind: 'resource_warning', resource: name, value: result.value, limit: result.limit };
  return {
    kind: 'agent_error',
    error: {
      code: result.fault?.code ?? 'dependency_failed',
      message: wordsOf(name, notice),
      recoverable: true,
      details: { ...detail, state: notice.kind === 'flapping' ? 'flapping' : notice.level },
    },
  };
}

/** A notice in words. */
export function wordsOf(name: string, notice: Notice): string {
  switch (notice.kind) {
    case 'raised': {
      const { message } = notice.result;
      return `${name} is ${notice.level}${message === null ? '' : `: ${message}`}`;
    }
    case 'resolved':
      return `${name} is ok again`;
    case 'flapping':
      return `${name} is flapping: ${notice.changes} changes of state in a short time`;
  }
}

/** The intermediate result of a run (`SAM-172`). */
export function intermediateOf(run: number, at: number, told: readonly Told[]): JsonObject {
  const changes = told.flatMap(({ check, change }) =>
    change === null ? [] : [{ check: check.name, ...change, at: instant(change.at) }],
  );
  return {
    run,
    at: instant(at),
    checks: told.map(({ check, result, standing }) => ({
      name: check.name,
      state: standing.state,
      level: result.level,
      value: result.value,
      unit: check.unit,
      latency_ms: result.latencyMs,
      ...(result.message === null ? {} : { message: result.message }),
    })),
    ...(changes.length === 0 ? {} : { state_changes: changes }),
  };
}

/** Where the task stands. The words change with the states only: who asked for progress is told of news, not of every run. */
export function stepOf(told: readonly Told[]): string {
  const off = told.filter(({ standing }) => standing.state !== 'ok');
  if (off.length === 0) return told.length === 1 ? 'The check is ok' : `All ${told.length} checks are ok`;
  const named = off.slice(0, NAMED_MAX).map(({ check, standing }) => `${check.name} is ${standing.state}`);
  const more = off.length - named.length;
  return `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
