// Runs a stage of a pipeline: takes records batch by batch, has a task made of each, and writes the records that came of it. A batch's task
// has an id that follows from its number and bears up to which record it goes, so that whoever goes on after a crash takes the very same
// batch, finds its task, and writes what is missing of its chunks: every record goes through once (`SAM-229`, `SAM-230`).

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import type { Task, TaskError } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import type { PipeInput, PipeOutput } from '../../engine/ports/pipes.ts';
import { asPayload, errorOf } from './beginning.ts';
import { Bell } from './bell.ts';
import { type Errand, orderFor } from './child-order.ts';
import { Children } from './children.ts';
import type { WorkflowParts } from './parts.ts';
import { type Batch, chunksOf, type Place, type RecordSource, recordsIn, recordsOf } from './records.ts';
import type { Stage } from './stage-plan.ts';
import { batchId, further, kept, type StageState, stateFrom } from './stage-state.ts';
import { render } from './templates.ts';

/** Signals may be lost: so often a batch's task is looked at without one. */
const LOOK_MS = 10_000;

/** One attempt of a stage, to its end. */
export async function runStage(
  context: AttemptContext,
  parts: WorkflowParts,
  stage: Stage,
): Promise<AttemptResult> {
  const run = new StageRun(context, parts, stage);
  try {
    return await run.run();
  } catch (error) {
    context.signal.throwIfAborted();
    return { status: 'failed', error: errorOf(error) };
  } finally {
    run.stop();
  }
}

class StageRun {
  readonly #context: AttemptContext;
  readonly #parts: WorkflowParts;
  readonly #stage: Stage;
  readonly #bell = new Bell();
  readonly #children: Children;
  readonly #input: PipeInput | null;
  readonly #output: PipeOutput | null;
  readonly #source: RecordSource;

  constructor(context: AttemptContext, parts: WorkflowParts, stage: Stage) {
    this.#context = context;
    this.#parts = parts;
    this.#stage = stage;
    this.#children = new Children(parts, context.task, context.signal, this.#bell.ring);
    this.#input = stage.input === null ? null : context.input(stage.input);
    this.#output = stage.output === null ? null : context.output(stage.output);
    this.#source = this.#input === null ? recordsIn(stage.items) : recordsOf(this.#input, parts.clock);
  }

  stop(): void {
    this.#children.stop();
  }

  async run(): Promise<AttemptResult> {
    let state = await this.#begin();
    for (;;) {
      this.#context.signal.throwIfAborted();
      this.#context.report({ checkpoint: kept(state), currentStep: `batch ${state.batch}` });
      const task = await this.#taskOf(state);
      if (task === null) break;
      const error = failureOf(task);
      if (error !== null) return { status: 'failed', error };
      const next = await this.#finish(state, task);
      if (next === null) break;
      state = next;
    }
    await this.#output?.end();
    const { batch: batches, taken, made } = state;
    return { status: 'completed', output: { batches, records_taken: taken, records_made: made } };
  }

  /** Where the stage stands; what an earlier attempt had used up is acknowledged. */
  async #begin(): Promise<StageState> {
    const [before, written] = [await this.#input?.open(), await this.#output?.open()];
    const state = further(stateFrom(before?.state ?? null), stateFrom(written?.state ?? null));
    await this.#input?.acknowledge(Math.max(state.chunk, before?.acknowledged ?? 0), kept(state));
    return state;
  }

  /** The batch's task at its end: the one that is there, or a new one; null where there are no more records. */
  async #taskOf(state: StageState): Promise<Task | null> {
    const id = batchId(this.#context.task.id, state.batch);
    const missing = await this.#children.watch([id]);
    if (missing.size > 0) {
      const batch = await this.#source.batch(state, this.#stage.window);
      if (batch === null) return null;
      const faults = await this.#children.submit([this.#order(id, state, batch)]);
      for (const [, fault] of faults) throw new DomainError(fault.code, fault.message);
    }
    for (;;) {
      const [ended] = await this.#children.ended();
      if (ended !== undefined) return ended;
      const cancel = this.#parts.clock.after(LOOK_MS, () => this.#children.doubt());
      this.#context.signal.addEventListener('abort', this.#bell.ring, { once: true });
      await this.#bell.wait();
      cancel();
      this.#context.signal.removeEventListener('abort', this.#bell.ring);
      this.#context.signal.throwIfAborted();
    }
  }

  #order(id: Task['id'], state: StageState, { records, upTo }: Batch) {
    const { step, type, payload, scope } = this.#stage;
    const { task } = this.#context;
    const batch = { records, number: state.batch };
    const errand: Errand = {
      ...{ id, step: 'batch', item: state.batch, purpose: 'do', type, work: step },
      payload: asPayload(render(payload, { ...scope, batch })),
      upTo: { ...upTo, records: records.length },
    };
    const { engine, clock } = this.#parts;
    const deadlineAt = task.lease?.deadlineAt ?? clock.now() + task.spec.timeoutMs;
    const shared = isJsonObject(scope.shared) ? scope.shared : {};
    return orderFor(errand, { parent: task, shared, remainingMs: deadlineAt - clock.now(), engine });
  }

  /** Writes what came of the batch; the state behind it, or null where nobody wants any more. */
  async #finish(state: StageState, task: Task): Promise<StageState | null> {
    const { records: taken, ...place } = rangeOf(task);
    const made = this.#output === null ? [] : this.#made(task);
    const next: StageState = {
      ...{ batch: state.batch + 1, part: 0, ...place },
      ...{ taken: state.taken + taken, made: state.made + made.length },
    };
    const chunks = [...chunksOf(made)];
    for (const [at, chunk] of chunks.entries()) {
      if (at < state.part) continue;
      const then = at === chunks.length - 1 ? next : { ...state, part: at + 1 };
      if ((await this.#output?.write(chunk, kept(then))) === false) return null;
    }
    await this.#input?.acknowledge(next.chunk, kept(next));
    return next;
  }

  #made(task: Task): readonly Json[] {
    const result = task.result?.output ?? null;
    const records = render(this.#stage.emit, { ...this.#stage.scope, result });
    if (Array.isArray(records)) return records;
    throw new DomainError('task_failed', `what came of ${task.id} is no list of records: say so by emit`);
  }
}

function failureOf({ outcome, result, id }: Task): TaskError | null {
  if (outcome === 'completed') return null;
  const { error } = result ?? {};
  return {
    ...(error ?? { code: 'task_failed', message: `task ${id} ended ${outcome}` }),
    recoverable: false,
  };
}

function rangeOf({ id, spec }: Task): Place & { readonly records: number } {
  const mark = spec.extra?.workflow;
  const upTo = isJsonObject(mark) ? mark.up_to : undefined;
  if (!isJsonObject(upTo)) throw new Error(`${id} does not say which records it is of`);
  return { chunk: Number(upTo.chunk), record: Number(upTo.record), records: Number(upTo.records) };
}
