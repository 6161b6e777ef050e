// Content going through steps of validation, one after another, as a state that can be kept between any two of them. What a step finds is
// told by whoever runs it; what follows from it is decided here.

import type { JsonObject } from './json.ts';

/** A step of a pipeline; lower orders come first, of one order those listed first. */
export interface PipelineStep {
  readonly id: string;
  readonly order: number;
  readonly required: boolean;
}

/** Something a step found. */
export interface PipelineIssue {
  readonly severity: 'error' | 'warning' | 'info';
  readonly code: string;
  readonly message: string;
  readonly suggestion?: string;
}

/** What a step found; `score` is 0–100, absent where it gives none. */
export interface StepFinding {
  readonly passed: boolean;
  readonly score?: number;
  readonly issues: readonly PipelineIssue[];
  readonly suggestions: readonly string[];
}

/** What running a step gave: a finding, or that somebody else must say something first. */
export type StepAnswer = StepFinding | 'waiting';

/** How a step stands. */
export interface StepState extends PipelineStep {
  readonly status: 'pending' | 'running' | 'passed' | 'failed' | 'skipped';
  readonly finding: StepFinding | null;
}

/** A pipeline as it is kept, its steps in the order they run. */
export interface PipelineState {
  readonly steps: readonly StepState[];
  /** Whether no step is left to run. */
  readonly ended: boolean;
}

/** What came of a pipeline; `score` is 0–100 in hundredths. */
export interface PipelineResult {
  readonly approved: boolean;
  readonly score: number;
  readonly issues: readonly PipelineIssue[];
  readonly recommendations: readonly string[];
}

/** What running a pipeline needs beside its steps. */
export interface PipelineRun {
  /** Runs a step; what it throws fails the step. */
  readonly run: (
    step: PipelineStep,
    content: JsonObject,
    state: PipelineState,
  ) => StepAnswer | Promise<StepAnswer>;
  /** Keeps the state before and after each step, so that a crash loses one step at most. */
  readonly keep: (state: PipelineState) => Promise<void>;
}

const RECOMMENDATIONS_MAX = 20;

/** Runs steps until none is left or one waits, going on where `resume` was left; answers the state it came to. */
export async function runPipeline(
  steps: readonly PipelineStep[],
  content: JsonObject,
  { resume, run, keep }: PipelineRun & { readonly resume: PipelineState | null },
): Promise<PipelineState> {
  let state = resume ?? begunPipeline(steps);
  for (let step = nextStep(state); step !== null; step = nextStep(state)) {
    if (step.status === 'pending') {
      state = withStep(state, step.id, { status: 'running' });
      await keep(state);
    }
    const answer = await answerOf(step, () => run(step, content, state));
    if (answer === 'waiting') return state;
    state = concluded(state, step, answer);
    await keep(state);
  }
  return state;
}

/** A pipeline none of whose steps has run; one without steps has ended. */
export function begunPipeline(steps: readonly PipelineStep[]): PipelineState {
  const sorted = steps.toSorted((one, other) => one.order - other.order);
  return {
    steps: sorted.map(({ id, order, required }) => ({
      id,
      order,
      required,
      status: 'pending',
      finding: null,
    })),
    ended: sorted.length === 0,
  };
}

/** The step to run: the one that was begun, else the first that was not; null once it has ended. */
export function nextStep({ steps, ended }: PipelineState): StepState | null {
  if (ended) return null;
  return steps.find(({ status }) => status === 'running' || status === 'pending') ?? null;
}

/** What has come of a pipeline so far (`BLOG-57`, `BLOG-58`). */
export function pipelineResult({ steps }: PipelineState): PipelineResult {
  const findings = steps.flatMap(({ finding }) => finding ?? []);
  const issues = findings.flatMap(finding => finding.issues);
  const scores = findings.flatMap(({ score }) => score ?? []);
  const said = findings.flatMap(finding => [
    ...finding.suggestions,
    ...finding.issues.flatMap(({ suggestion }) => suggestion ?? []),
  ]);
  const mean = scores.length === 0 ? 0 : scores.reduce((sum, score) => sum + score, 0) / scores.length;
  return {
    approved:
      !issues.some(({ severity }) => severity === 'error') &&
      !steps.some(({ required, status }) => required && status === 'failed'),
    score: Math.round(mean * 100) / 100,
    issues,
    recommendations: [...new Set(said)].slice(0, RECOMMENDATIONS_MAX),
  };
}

/** The final step's finding where nobody else decides: what came before stands, and so does its score (`BLOG-54`). */
export function finalFinding(state: PipelineState): StepFinding {
  const { approved, score } = pipelineResult(state);
  return { passed: approved, score, issues: [], suggestions: [] };
}

async function answerOf(
  step: PipelineStep,
  run: () => StepAnswer | Promise<StepAnswer>,
): Promise<StepAnswer> {
  try {
    return await run();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `step ${step.id} could not be run: ${reason}`;
    return {
      passed: false,
      issues: [{ severity: 'error', code: 'VALIDATION_ERROR', message }],
      suggestions: [],
    };
  }
}

function concluded(state: PipelineState, step: StepState, finding: StepFinding): PipelineState {
  const done = withStep(state, step.id, { status: finding.passed ? 'passed' : 'failed', finding });
  const isOver = !finding.passed && step.required;
  const steps = isOver
    ? done.steps.map(one => (one.status === 'pending' ? { ...one, status: 'skipped' as const } : one))
    : done.steps;
  return { steps, ended: !steps.some(({ status }) => status === 'pending') };
}

function withStep(
  state: PipelineState,
  id: string,
  change: Partial<Pick<StepState, 'status' | 'finding'>>,
): PipelineState {
  return { ...state, steps: state.steps.map(one => (one.id === id ? { ...one, ...change } : one)) };
}
