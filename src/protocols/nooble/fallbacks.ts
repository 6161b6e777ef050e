// Ways to go on where a step failed: an earlier result of the same step and input in place of its own, or without it where its policy lets
// the workflow go on. What is offered is what would work now (`NOOB-92`, `NOOB-93`).

import { hash } from 'node:crypto';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { canonicalJson } from '../../guards/messages/canonical-json.ts';
import type { Store } from '../../store/store.ts';
import type { Language } from './catalogue.ts';
import { stepsOf } from './status.ts';

/** The ways there are. */
export const FALLBACKS = ['use_cached_data', 'skip_step'] as const;

/** An earlier result of a step, in the place of what it failed to make. */
export interface CachedResult {
  readonly step: string;
  /** The task that left it. */
  readonly taskId: TaskId;
  /** When, epoch milliseconds. */
  readonly madeAt: number;
}

const KIND = 'nooble_step_result';
const KEPT_MS = 7 * 86_400_000;
const IMPACT = {
  es: (steps: string) =>
    steps === '' ? 'el workflow sigue sin su resultado' : `siguen sin su resultado: ${steps}`,
  en: (steps: string) =>
    steps === '' ? 'the workflow goes on without its result' : `go on without its result: ${steps}`,
} as const;

/** The results of steps of all tenants, by step and input. */
export class Fallbacks {
  readonly #store: Pick<Store, 'read' | 'documents' | 'putDocuments'>;

  constructor(store: Pick<Store, 'read' | 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  /** Notes that steps of a workflow have results, which later runs may use. */
  async remember(task: Task, steps: readonly string[], now: number): Promise<void> {
    // Not even a digest is kept of what is sensitive.
    if (task.spec.sensitive === true) return;
    const made = (await this.#children(task, steps)).filter(child => child.outcome === 'completed');
    if (made.length === 0) return;
    await this.#store.putDocuments(
      made.map(child => ({
        ...{ tenant: task.tenant, kind: KIND, id: nameOf(task, child), expiresAt: now + KEPT_MS },
        body: { task: child.id },
      })),
    );
  }

  /** An earlier result for the step that ended a workflow; null where there is none, or it did not end so. */
  async cached(task: Task): Promise<CachedResult | null> {
    const step = task.outcome === 'failed' ? task.result?.error?.details?.step : undefined;
    if (typeof step !== 'string') return null;
    const [failed] = await this.#children(task, [step]);
    if (failed === undefined) return null;
    const { tenant } = task;
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids: [nameOf(task, failed)] });
    if (typeof found?.body.task !== 'string') return null;
    const [made] = await this.#store.read([{ tenant, id: found.body.task as TaskId }]);
    if (made?.outcome !== 'completed' || made.result?.output === undefined || made.endedAt === null)
      return null;
    return { step, taskId: made.id, madeAt: made.endedAt };
  }

  /** What there is to do about the step that ended a workflow. */
  async optionsAtEnd(task: Task, now: number): Promise<JsonObject | null> {
    const cached = await this.cached(task);
    if (cached === null) return null;
    const freshness = Math.max(0, Math.round((now - cached.madeAt) / 1_000));
    const option = { option: 'use_cached_data', availability: true, data_freshness_seconds: freshness };
    return { fallback_options: [option] };
  }

  async #children(task: Task, steps: readonly string[]): Promise<readonly Task[]> {
    const ids = stepsOf(task)
      .filter(({ id, service }) => service !== null && steps.includes(id))
      .map(({ taskId }) => ({ tenant: task.tenant, id: taskId as TaskId }));
    return (await this.#store.read(ids)).filter(child => child !== null);
  }
}

/** What was done about a step that its workflow goes on without. */
export function optionsGoingOn(task: Task, step: string, language: Language): JsonObject {
  const { steps } = task.spec.payload;
  const after = (Array.isArray(steps) ? steps.filter(isJsonObject) : []).flatMap(
    ({ id, depends_on: before }) => (Array.isArray(before) && before.includes(step) ? [String(id)] : []),
  );
  return { fallback_options: [{ option: 'skip_step', impact: IMPACT[language](after.join(', ')) }] };
}

/** Whether a workflow has gone on without some step, as it was told. */
export function hasSkipped(task: Task): boolean {
  const { steps } = task.spec.payload;
  const goesOn = (Array.isArray(steps) ? steps.filter(isJsonObject) : []).flatMap(
    ({ id, on_failure: policy }) => (policy === 'continue' ? [String(id)] : []),
  );
  return stepsOf(task).some(({ id, status }) => status === 'failed' && goesOn.includes(id));
}

/** The same for the same step of the same workflow with the same input. */
function nameOf(task: Task, child: Task): string {
  const { asked } = task.spec.origin?.terms ?? {};
  const template = isJsonObject(asked) ? asked.workflow_template_id : null;
  return hash('sha256', canonicalJson([template ?? null, child.spec.payload]), 'hex');
}
