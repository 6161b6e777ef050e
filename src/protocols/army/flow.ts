// A flow: what the built-in coordinator does for one root task, step by step (`ARMY-62`, `ARMY-66`). Pure: from where it stands and what was
// heard to where it stands then. Whatever is to be said follows from where it stands, so that it can be said again.

import type { TaskError } from '../../domain/failure.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { MessageId } from '../../domain/message.ts';
import type { Priority } from '../../domain/priority.ts';
import type { Role } from './words.ts';

/** The kind of the document in which a flow stands, named by its root task. */
export const FLOW_KIND = 'army_flow';

/** One specialist's part. */
export interface FlowStep {
  readonly id: string;
  readonly role: Role;
  readonly taskType: string;
  readonly description: string;
  readonly parameters: JsonObject | null;
  readonly dependsOn: readonly string[];
  readonly state: 'waiting' | 'asked' | 'done';
  /** How often it was asked anew because its result was found invalid. */
  readonly round: number;
  /** What was found wrong with its last result. */
  readonly issues: readonly Json[];
  readonly result: Json;
}

/** Where a flow stands: specialists work, the result is validated, a person looks at it, it is put into memory; or it is over. */
export type FlowPhase = 'working' | 'validating' | 'reviewing' | 'storing' | 'completed' | 'failed';

/** A flow at one instant. */
export interface Flow {
  /** The root task, and the message that asked for it. */
  readonly root: string;
  readonly requestId: MessageId;
  readonly correlationId: string;
  readonly traceId: string;
  readonly priority: Priority;
  readonly expiresAt: number | null;
  readonly taskType: string;
  /** What the root request said beside the work. */
  readonly terms: JsonObject;
  /** Whether a person decides at the end. */
  readonly needsReview: boolean;
  readonly steps: readonly FlowStep[];
  readonly phase: FlowPhase;
  /** How often the result was sent back. */
  readonly round: number;
  readonly error: TaskError | null;
}

/** What may come of a judgement of the result. */
export interface FlowLimits {
  readonly minQualityScore: number;
  /** How often a result found invalid is sent back at most. */
  readonly roundsMax: number;
}

/** What was heard. */
export type FlowFact =
  | { readonly fact: 'result'; readonly step: string; readonly round: number; readonly result: Json }
  | { readonly fact: 'failure'; readonly error: TaskError }
  | {
      readonly fact: 'verdict';
      readonly by: 'validator' | 'supervisor';
      readonly round: number;
      readonly valid: boolean;
      readonly score: number;
      readonly issues: readonly Json[];
    }
  | { readonly fact: 'stored'; readonly round: number };

/** A flow of which nothing was heard yet: what depends on nothing is asked for. */
export function begin(flow: Omit<Flow, 'phase' | 'round' | 'error'>): Flow {
  return { ...flow, phase: 'working', round: 0, error: null, steps: asking(flow.steps) };
}

/** The flow after a fact; itself where the fact is no news. */
export function after(flow: Flow, fact: FlowFact, limits: FlowLimits): Flow {
  if (isOver(flow)) return flow;
  switch (fact.fact) {
    case 'result':
      return withResult(flow, fact);
    case 'failure':
      return { ...flow, phase: 'failed', error: fact.error };
    case 'verdict':
      return withVerdict(flow, fact, limits);
    case 'stored':
      return flow.phase === 'storing' && fact.round === flow.round ? { ...flow, phase: 'completed' } : flow;
  }
}

/** True once nothing more is heard or said. */
export function isOver({ phase }: Flow): boolean {
  return phase === 'completed' || phase === 'failed';
}

/** What it released, or is about to: the result of its last step; of several, each by its name. */
export function resultOf({ steps }: Flow): Json {
  const last = lastSteps(steps);
  const [only] = last;
  if (last.length === 1 && only !== undefined) return only.result;
  return { content: Object.fromEntries(last.map(({ id, result }) => [id, result])) };
}

/** Results of the steps that a step builds on, by name. */
export function resultsFor({ steps }: Flow, { dependsOn }: FlowStep): JsonObject {
  return Object.fromEntries(
    steps.filter(({ id }) => dependsOn.includes(id)).map(({ id, result }) => [id, result]),
  );
}

/** Whether steps wait for one another in a circle. */
export function isCircular(steps: readonly Pick<FlowStep, 'id' | 'dependsOn'>[]): boolean {
  const done = new Set<string>();
  for (;;) {
    const next = steps.filter(({ id, dependsOn }) => !done.has(id) && dependsOn.every(one => done.has(one)));
    if (next.length === 0) return done.size < steps.length;
    for (const { id } of next) done.add(id);
  }
}

function withResult(flow: Flow, { step: id, round, result }: FlowFact & { readonly fact: 'result' }): Flow {
  const step = flow.steps.find(one => one.id === id);
  if (flow.phase !== 'working' || step?.state !== 'asked' || step.round !== round) return flow;
  const done: FlowStep = { ...step, state: 'done', result };
  const steps = asking(flow.steps.map(one => (one === step ? done : one)));
  const isDone = steps.every(({ state }) => state === 'done');
  return { ...flow, steps, phase: isDone ? 'validating' : 'working' };
}

function withVerdict(flow: Flow, verdict: FlowFact & { readonly fact: 'verdict' }, limits: FlowLimits): Flow {
  const asked = verdict.by === 'validator' ? 'validating' : 'reviewing';
  if (flow.phase !== asked || verdict.round !== flow.round) return flow;
  // A person's word needs no score.
  const isGood = verdict.valid && (verdict.by === 'supervisor' || verdict.score >= limits.minQualityScore);
  if (isGood) return { ...flow, phase: asked === 'validating' && flow.needsReview ? 'reviewing' : 'storing' };
  if (flow.round >= limits.roundsMax)
    return { ...flow, phase: 'failed', error: invalidResult(verdict, flow.round + 1) };
  const last = new Set(lastSteps(flow.steps).map(({ id }) => id));
  const steps = flow.steps.map(step =>
    last.has(step.id)
      ? { ...step, state: 'asked' as const, round: step.round + 1, issues: verdict.issues, result: null }
      : step,
  );
  return { ...flow, phase: 'working', round: flow.round + 1, steps };
}

function invalidResult(
  { by, score, issues }: FlowFact & { readonly fact: 'verdict' },
  times: number,
): TaskError {
  return {
    code: 'policy_violation',
    message: `the ${by} found the result invalid ${times} times`,
    recoverable: false,
    details: { rule: 'validation', score, issues },
  };
}

/** Asks for what no longer waits for anything. */
function asking(steps: readonly FlowStep[]): readonly FlowStep[] {
  const done = new Set(steps.filter(({ state }) => state === 'done').map(({ id }) => id));
  return steps.map(step =>
    step.state === 'waiting' && step.dependsOn.every(id => done.has(id)) ? { ...step, state: 'asked' } : step,
  );
}

/** Those no other builds on. */
function lastSteps(steps: readonly FlowStep[]): readonly FlowStep[] {
  const used = new Set(steps.flatMap(({ dependsOn }) => dependsOn));
  return steps.filter(({ id }) => !used.has(id));
}
