// How a check stands after each of its results: what state it is in, whether somebody must be told, and what there is to say about all
// results so far. Pure, and plain JSON, so that another attempt goes on exactly where a checkpoint left it (`SAM-170`, `SAM-172`).

import { isAtLeast, type Judged, type Level } from './finding.ts';
import { type Latency, NO_LATENCY, withTime } from './latency.ts';

/** A check's state; `unknown` before its first result. */
export type State = Level | 'unknown';

/** A change of state. */
export interface StateChange {
  readonly at: number;
  readonly from: State;
  readonly to: Level;
  readonly message: string | null;
  /** Whether somebody was told; nobody is while a check flaps. */
  readonly told: boolean;
}

/** What somebody must be told. */
export type Notice =
  | { readonly kind: 'raised'; readonly level: Level; readonly result: Judged }
  | { readonly kind: 'resolved'; readonly from: Standing['toldState']; readonly result: Judged }
  | { readonly kind: 'flapping'; readonly changes: number; readonly result: Judged };

/** When to tell. */
export interface Patience {
  readonly failuresBeforeAlert: number;
  readonly recoveriesBeforeResolve: number;
  readonly flappingChanges: number;
  readonly flappingWindowMs: number;
}

/** Everything known about one check. */
export interface Standing {
  readonly state: State;
  /** Results in a row: bad ones, critical ones, good ones, ones that are not critical. */
  readonly inARow: {
    readonly bad: number;
    readonly critical: number;
    readonly good: number;
    readonly bearable: number;
  };
  /** What was last told; `ok` where nothing was. */
  readonly toldState: Level | 'flapping';
  readonly flapping: boolean;
  /** Instants of the changes that count for flapping. */
  readonly recentChanges: readonly number[];
  readonly results: number;
  readonly failures: number;
  readonly latency: Latency;
  readonly last: Judged | null;
  /** The last changes; `changesInAll` counts those that fell out, too. */
  readonly changes: readonly StateChange[];
  readonly changesInAll: number;
  readonly alerts: number;
}

const CHANGES_KEPT = 50;

/** Before the first result. */
export const NEW_STANDING: Standing = {
  state: 'unknown',
  inARow: { bad: 0, critical: 0, good: 0, bearable: 0 },
  toldState: 'ok',
  flapping: false,
  recentChanges: [],
  results: 0,
  failures: 0,
  latency: NO_LATENCY,
  last: null,
  changes: [],
  changesInAll: 0,
  alerts: 0,
};

/** What a result makes of a standing, and whom it must be told to. */
export function after(
  before: Standing,
  result: Judged,
  patience: Patience,
): { readonly standing: Standing; readonly change: StateChange | null; readonly notice: Notice | null } {
  const counted = count(before, result);
  const state = stateAfter(counted, result.level, patience);
  const isChange = state !== before.state && state !== 'unknown';
  // The first good result says nothing new.
  const counts = isChange && !(before.state === 'unknown' && state === 'ok');
  // Only between good and bad: getting worse, and better, step by step is no flapping.
  const crosses = counts && (before.state === 'ok' || state === 'ok');
  const recentChanges = [...before.recentChanges, ...(crosses ? [result.at] : [])].filter(
    at => at > result.at - patience.flappingWindowMs,
  );
  const flapping = recentChanges.length >= patience.flappingChanges;
  const notice = noticeOf({ before, state, flapping, changes: recentChanges.length }, result);
  const change: StateChange | null = counts
    ? { at: result.at, from: before.state, to: state, message: result.message, told: notice !== null }
    : null;
  const isAlert = notice !== null && notice.kind !== 'resolved';
  return {
    standing: {
      ...counted,
      state,
      flapping,
      recentChanges,
      toldState: toldAfter(before.toldState, notice),
      changes: change === null ? before.changes : [...before.changes, change].slice(-CHANGES_KEPT),
      changesInAll: before.changesInAll + (change === null ? 0 : 1),
      alerts: before.alerts + (isAlert ? 1 : 0),
    },
    change,
    notice,
  };
}

function count(before: Standing, result: Judged): Standing {
  const { bad, critical, good, bearable } = before.inARow;
  const isBad = result.level !== 'ok';
  const isCritical = result.level === 'critical';
  return {
    ...before,
    inARow: {
      bad: isBad ? bad + 1 : 0,
      critical: isCritical ? critical + 1 : 0,
      good: isBad ? 0 : good + 1,
      bearable: isCritical ? 0 : bearable + 1,
    },
    results: before.results + 1,
    failures: before.failures + (isCritical ? 1 : 0),
    latency: result.latencyMs === null ? before.latency : withTime(before.latency, result.latencyMs),
    last: result,
  };
}

function stateAfter({ state, inARow }: Standing, level: Level, patience: Patience): State {
  const { failuresBeforeAlert: failures, recoveriesBeforeResolve: recoveries } = patience;
  if (inARow.critical >= failures) return 'critical';
  switch (state) {
    case 'unknown':
    case 'ok':
      if (inARow.bad >= failures) return 'warning';
      return level === 'ok' ? 'ok' : state;
    case 'warning':
      return inARow.good >= recoveries ? 'ok' : 'warning';
    case 'critical':
      if (inARow.good >= recoveries) return 'ok';
      return inARow.bearable >= recoveries ? 'warning' : 'critical';
  }
}

/** A check that flaps is told of once; when it has calmed down, what it has become is told, if that is news. */
function noticeOf(
  now: {
    readonly before: Standing;
    readonly state: State;
    readonly flapping: boolean;
    readonly changes: number;
  },
  result: Judged,
): Notice | null {
  const { before, state, flapping, changes } = now;
  if (flapping) return before.flapping ? null : { kind: 'flapping', changes, result };
  if (state === 'unknown' || state === before.toldState) return null;
  if (state === 'ok') return { kind: 'resolved', from: before.toldState, result };
  return { kind: 'raised', level: state, result };
}

function toldAfter(before: Standing['toldState'], notice: Notice | null): Standing['toldState'] {
  if (notice === null) return before;
  if (notice.kind === 'flapping') return 'flapping';
  return notice.kind === 'resolved' ? 'ok' : notice.level;
}

/** The worst state among several; `unknown` where there is none at all. */
export function worstOf(states: readonly State[]): State {
  const known = states.filter(state => state !== 'unknown');
  return known.reduce<State>(
    (worst, state) => (worst === 'unknown' || isAtLeast(state, worst) ? state : worst),
    'unknown',
  );
}
