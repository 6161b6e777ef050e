// Validations as attempts (`BLOG-55`, `BLOG-59`): after each step they can be taken up by another attempt, and once over their verdict on
// exactly this content is kept, for whoever wants to publish it.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Contents } from '../../engine/contents.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Models } from './model.ts';
import {
  endsRun,
  findingsOf,
  judgedElsewhere,
  type Step,
  shown,
  stepsOf,
  taken,
  type ValidatingHooks,
  verdictOf,
} from './validating.ts';

/** What validations work with. */
export interface VerdictParts {
  readonly clock: Clock;
  readonly contents: Contents;
  readonly models: Models;
}

const VALIDATOR = 'reviewer-agent';

/**
 * A validation as the task asks for it, to its end. One that others judge a part of comes in parts, each `until` a step that is theirs: then
 * `told` is the word of whoever judged the step before, and `state` what had come of it until then (`BLOG-49`, `BLOG-54`).
 */
export async function validated(
  payload: JsonObject,
  context: AttemptContext,
  parts: VerdictParts,
): Promise<Json> {
  const { asked, until, state, told, ...whole } = payload;
  const isPart = isJsonObject(asked);
  const { contentId = null, content = null, steps: given, metadata, advisory } = isPart ? asked : whole;
  const planned = stepsOf(given);
  const end = typeof until === 'number' ? until : planned.length;
  const begun = stateIn(state) ?? { startedAt: parts.clock.now(), steps: [] };
  const { startedAt, steps: done } = stateIn(context.checkpoint) ?? begun;
  const steps: Step[] = [...done];
  const hooks = hooksOf(parts.models, context.signal);
  for (const step of planned.slice(steps.length, end)) {
    context.signal.throwIfAborted();
    const isTold = steps.length === begun.steps.length && isJsonObject(told);
    if (steps.some(endsRun)) steps.push({ ...step, status: 'skipped' });
    else if (isTold) steps.push(judgedElsewhere(step, told, findingsOf(steps)));
    else {
      context.report({ currentStep: step.id });
      steps.push(await taken(step, content, findingsOf(steps), hooks));
    }
    noteStep(context, { contentId, startedAt }, steps);
  }
  if (steps.length < planned.length) return stateOf(startedAt, steps);
  const validation = validationOf({ contentId, content, metadata, startedAt, steps });
  const isBinding = advisory !== true;
  const finished = await finish(validation, { steps, isBinding }, context.task.tenant, parts);
  return isPart ? { validation: finished } : finished;
}

interface ValidationState {
  readonly startedAt: number;
  readonly steps: readonly Step[];
}

function stateIn(kept: Json | undefined): ValidationState | null {
  const isState = isJsonObject(kept) && typeof kept.startedAt === 'number' && Array.isArray(kept.steps);
  return isState ? (kept as unknown as ValidationState) : null;
}

/** What the next part goes on from, and whether there is something left to judge, or to approve. */
function stateOf(startedAt: number, steps: readonly Step[]): JsonObject {
  const { issues, isFailed } = findingsOf(steps);
  const isOpen = !steps.some(endsRun);
  const isFit = isOpen && !isFailed && !issues.some(({ severity }) => severity === 'error');
  return { state: { startedAt, steps } as unknown as JsonObject, isOpen, isFit };
}

/** The step is done with its commit; the moderation is told with it (`BLOG-59`). */
function noteStep(
  { report }: AttemptContext,
  { contentId, startedAt }: { readonly contentId: Json; readonly startedAt: Json },
  steps: readonly Step[],
): void {
  const last = steps.at(-1);
  const isModerated = last?.id === 'moderation' && last.status !== 'skipped' && last.status !== 'pending';
  const detail = { contentId, flagged: last?.status !== 'passed' };
  report({
    checkpoint: { startedAt, steps: steps.map(step => ({ ...step })) } as unknown as JsonObject,
    ...(isModerated ? { alerts: [{ kind: 'note', name: 'content.moderated', detail }] } : {}),
  });
}

function validationOf(made: {
  readonly contentId: Json | undefined;
  readonly content: Json;
  readonly metadata: Json | undefined;
  readonly startedAt: number;
  readonly steps: readonly Step[];
}): JsonObject {
  const metadata = isJsonObject(made.metadata) ? made.metadata : {};
  const { endTime: _, ...kept } = metadata;
  return {
    contentId: made.contentId ?? null,
    content: made.content,
    steps: made.steps.map(shown),
    result: verdictOf(made.steps),
    metadata: { validator: VALIDATOR, ...kept, startTime: new Date(made.startedAt).toISOString() },
  };
}

async function finish(
  validation: JsonObject,
  { steps, isBinding }: { readonly steps: readonly Step[]; readonly isBinding: boolean },
  tenant: AttemptContext['task']['tenant'],
  { clock, contents }: VerdictParts,
): Promise<JsonObject> {
  const result = verdictOf(steps);
  const at = clock.now();
  const verdict = { approved: isBinding && result.approved === true, at };
  await contents.noteVerdict(tenant, String(validation.contentId), validation.content, verdict);
  const metadata = isJsonObject(validation.metadata) ? validation.metadata : {};
  return { ...validation, result, metadata: { ...metadata, endTime: new Date(at).toISOString() } };
}

function hooksOf(models: Models, signal: AbortSignal): ValidatingHooks {
  return { moderates: async text => (await models.moderate(text, signal))?.flagged === true };
}
