// Canaries: agents that are tried with some of the tasks before the rest follow (`SAM-228`). What their runs and the others' come to, and
// whether theirs are worse. Pure: counts in, verdict out.

/** Runs of one kind, as far as they matter for comparing: completed ones also by how long they took. */
export interface Tally {
  readonly runs: number;
  readonly failures: number;
  /** Completed runs by the number of their step of duration. */
  readonly durations: Readonly<Record<string, number>>;
}

/** The runs of one kind of work, by who ran them. */
export interface Comparison {
  readonly canary: Tally;
  readonly rest: Tally;
}

/** What runs come to; null where there is nothing to tell it from. */
export interface RunFigures {
  readonly runs: number;
  readonly errorRate: number | null;
  readonly p95Ms: number | null;
}

/** Why canaries are worse, and by what figures over all kinds of work that both ran. */
export interface CanaryVerdict {
  readonly because: 'error_rate' | 'latency';
  readonly canary: RunFigures;
  readonly rest: RunFigures;
}

/** Nothing run yet. */
export const NO_RUNS: Tally = { runs: 0, failures: 0, durations: {} };

/** Fewer runs than these, of canaries or of the rest, say nothing. */
const RUNS_MIN = 20;
/** Standard deviations that are no accident: one look in thirty thousand would be that far off by chance. */
const DEVIATIONS = 4;
/** Durations are told apart in steps of a tenth, from 50 ms on; two steps more say nothing of an agent. */
const STEP = { firstMs: 50, factor: 1.1, tolerated: 2 };

/** The tally with one more run. */
export function counted(tally: Tally, run: { readonly failed: boolean; readonly durationMs: number }): Tally {
  const { runs, failures, durations } = tally;
  if (run.failed) return { runs: runs + 1, failures: failures + 1, durations };
  const step = String(stepOf(run.durationMs));
  return { runs: runs + 1, failures, durations: { ...durations, [step]: (durations[step] ?? 0) + 1 } };
}

/** Both tallies as one. */
export function together(one: Tally, other: Tally): Tally {
  const durations: Record<string, number> = { ...one.durations };
  for (const [step, runs] of Object.entries(other.durations)) durations[step] = (durations[step] ?? 0) + runs;
  return { runs: one.runs + other.runs, failures: one.failures + other.failures, durations };
}

/**
 * Whether canaries fail more often, or more than one in twenty of their runs takes longer, by a fifth at least, than the rest's 95th
 * percentile, and both by more than chance explains. Each kind of work is held against itself, so that it does not matter who ran which.
 */
export function verdictOf(kinds: readonly Comparison[]): CanaryVerdict | null {
  const both = kinds.filter(({ canary, rest }) => canary.runs > 0 && rest.runs > 0);
  const errors = both.map(({ canary, rest }) => ({
    canary: { of: canary.runs, bad: canary.failures },
    rest: { of: rest.runs, bad: rest.failures },
  }));
  const because = isWorse(errors) ? 'error_rate' : isWorse(both.flatMap(slowRuns)) ? 'latency' : null;
  if (because === null) return null;
  const sum = (tallies: readonly Tally[]): RunFigures => figuresOf(tallies.reduce(together, NO_RUNS));
  return { because, canary: sum(both.map(one => one.canary)), rest: sum(both.map(one => one.rest)) };
}

/** What a tally comes to. */
export function figuresOf({ runs, failures, durations }: Tally): RunFigures {
  const step = p95StepOf(durations);
  return {
    runs,
    errorRate: runs === 0 ? null : failures / runs,
    p95Ms: step === null ? null : Math.round(STEP.firstMs * STEP.factor ** step),
  };
}

interface Bad {
  readonly of: number;
  readonly bad: number;
}

/** Completed runs that took surely longer than the 95th percentile of the rest; nothing where that is not known. */
function slowRuns({ canary, rest }: Comparison): readonly { readonly canary: Bad; readonly rest: Bad }[] {
  const step = p95StepOf(rest.durations);
  if (step === null || completedOf(rest) < RUNS_MIN) return [];
  const slow = ({ durations }: Tally): number =>
    Object.entries(durations).reduce(
      (sum, [at, runs]) => sum + (Number(at) > step + STEP.tolerated ? runs : 0),
      0,
    );
  return [
    {
      canary: { of: completedOf(canary), bad: slow(canary) },
      // One in twenty is what the percentile allows, whatever fell into its step.
      rest: { of: completedOf(rest), bad: Math.max(slow(rest), completedOf(rest) / 20) },
    },
  ];
}

/** Mantel and Haenszel: over all kinds, how far the bad runs of canaries are above what they would be if it did not matter who ran. */
function isWorse(kinds: readonly { readonly canary: Bad; readonly rest: Bad }[]): boolean {
  let [observed, expected, variance, canaryRuns, restRuns] = [0, 0, 0, 0, 0];
  for (const { canary, rest } of kinds) {
    const all = canary.of + rest.of;
    if (canary.of === 0 || rest.of === 0) continue;
    const bad = canary.bad + rest.bad;
    observed += canary.bad;
    expected += (canary.of * bad) / all;
    variance += (canary.of * rest.of * bad * (all - bad)) / (all * all * (all - 1));
    canaryRuns += canary.of;
    restRuns += rest.of;
  }
  if (canaryRuns < RUNS_MIN || restRuns < RUNS_MIN) return false;
  return observed - expected > DEVIATIONS * Math.sqrt(variance);
}

function completedOf({ runs, failures }: Tally): number {
  return runs - failures;
}

function stepOf(durationMs: number): number {
  const { firstMs, factor } = STEP;
  return durationMs <= firstMs ? 0 : Math.ceil(Math.log(durationMs / firstMs) / Math.log(factor));
}

/** The step that 95 of a hundred runs do not exceed (nearest rank). */
function p95StepOf(durations: Tally['durations']): number | null {
  const steps = Object.entries(durations)
    .map(([step, runs]) => ({ step: Number(step), runs }))
    .sort((a, b) => a.step - b.step);
  const rank = Math.ceil(0.95 * steps.reduce((sum, { runs }) => sum + runs, 0));
  let seen = 0;
  for (const { step, runs } of steps) {
    seen += runs;
    if (seen >= rank) return step;
  }
  return null;
}
