// Validations as attempts (`BLOG-55`, `BLOG-59`): after each step they can be taken up by another attempt, and once over their verdict on
// exactly this content is kept, for whoever wants to publish it.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Contents } from '../../engine/contents.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Models } from './model.ts';
import {
  byPerson,
  endsRun,
  findingsOf,
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
const APPROVAL = 'final-approval';

/** A whole validation; with `leaves_approval` all but its last step, and whether that is still to be taken. */
export async function validated(
  payload: JsonObject,
  context: AttemptContext,
  parts: VerdictParts,
): Promise<Json> {
  const { contentId, content = null, steps: given, metadata, leaves_approval: leaves } = payload;
  const { checkpoint, task, signal } = context;
  const isOurs = isJsonObject(checkpoint) && typeof checkpoint.startedAt === 'number';
  const began = isOurs ? checkpoint : { startedAt: parts.clock.now(), steps: [] };
  const done = (began.steps ?? []) as unknown as readonly Step[];
  const planned = stepsOf(given);
  const steps: Step[] = [...done];
  const hooks = hooksOf(parts.models, signal);
  for (const step of planned.slice(done.length)) {
    signal.throwIfAborted();
    if (steps.some(endsRun)) steps.push({ ...step, status: 'skipped' });
    else if (leaves === true && step.id === APPROVAL) steps.push(step);
    else {
      context.report({ currentStep: step.id });
      steps.push(await taken(step, content, findingsOf(steps), hooks));
    }
    noteStep(context, { contentId: contentId ?? null, startedAt: began.startedAt ?? 0 }, steps);
  }
  const validation = validationOf({
    contentId,
    content,
    metadata,
    startedAt: Number(began.startedAt),
    steps,
  });
  if (leaves === true && steps.some(({ status }) => status === 'pending')) {
    const { issues, isFailed } = findingsOf(steps);
    return { validation, isFit: !isFailed && !issues.some(({ severity }) => severity === 'error') };
  }
  const finished = await finish(validation, steps, task.tenant, parts);
  return leaves === true ? { validation: finished, isFit: false } : finished;
}

/** A validation whose last word is a person's: `decision` is how the approval ended. */
export async function concluded(
  payload: JsonObject,
  { task }: AttemptContext,
  parts: VerdictParts,
): Promise<Json> {
  const validation = isJsonObject(payload.validation) ? payload.validation : {};
  const steps = (validation.steps ?? []) as unknown as readonly Step[];
  if (steps.every(({ status }) => status !== 'pending')) return validation;
  const findings = findingsOf(steps);
  const result = byPerson(String(payload.decision), findings);
  const decided = steps.map(
    (step): Step =>
      step.status === 'pending' ? { ...step, status: result.passed ? 'passed' : 'failed', result } : step,
  );
  return finish({ ...validation, steps: decided.map(shown) }, decided, task.tenant, parts);
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
  steps: readonly Step[],
  tenant: AttemptContext['task']['tenant'],
  { clock, contents }: VerdictParts,
): Promise<JsonObject> {
  const result = verdictOf(steps);
  const at = clock.now();
  const verdict = {
    approved: result.approved === true && steps.every(({ status }) => status !== 'pending'),
    at,
  };
  await contents.noteVerdict(tenant, String(validation.contentId), validation.content, verdict);
  const metadata = isJsonObject(validation.metadata) ? validation.metadata : {};
  return { ...validation, result, metadata: { ...metadata, endTime: new Date(at).toISOString() } };
}

function hooksOf(models: Models, signal: AbortSignal): ValidatingHooks {
  return { moderates: async text => (await models.moderate(text, signal))?.flagged === true };
}
