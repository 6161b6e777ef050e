// One attempt of a workflow: looks at what became of its children, works out what follows, keeps that as its checkpoint, and hands in what
// is next; many ends in one turn. It holds nothing a later attempt could not find again: children have ids that follow from their steps.

import type { Json, JsonObject } from '../../domain/json.ts';
import type { Task, TaskError } from '../../domain/task.ts';
import {
  changedSteps,
  isSettled,
  newRun,
  recordOf,
  type Step,
  type WorkflowRun,
} from '../../domain/workflow.ts';
import { intentsOf } from '../../domain/workflow-intents.ts';
import { advance, cancelRun, progressOf, type RunFact } from '../../domain/workflow-run.ts';
import type { AttemptAlert, AttemptContext } from '../../engine/ports/executor.ts';
import type { Cancel } from '../../runtime/clock.ts';
import { Beginner, errorOf, failure } from './beginning.ts';
import { Bell } from './bell.ts';
import { childId, type Errand, orderFor } from './child-order.ts';
import { Children } from './children.ts';
import type { WorkflowParts } from './parts.ts';
import { taskPipes } from './pipes.ts';
import type { Plan } from './plan.ts';
import { Scope } from './scope.ts';
import { WaitingRoom } from './waiting-room.ts';

/** Signals may be lost: so often everything under way is looked at without one. */
const LOOK_MS = 10_000;
/** Between two words on how far a run has come. */
const TELL_MS = 250;

/** What a run is of. */
export interface RunScene {
  readonly plan: Plan;
  readonly input: JsonObject;
  /** Whether every change of a step is noted among the task's events. */
  readonly tellsSteps: boolean;
  /** What stands in the checkpoint beside the run. */
  readonly kept: JsonObject;
  /** Whose children these are: the task itself, or the one it closes. */
  readonly parent: Task;
}

/** Moves one run to its end. */
export class Coordinator {
  readonly #context: AttemptContext;
  readonly #parts: WorkflowParts;
  readonly #scene: RunScene;
  readonly #bell = new Bell();
  readonly #children: Children;
  readonly #beginner: Beginner;
  readonly #waiting: WaitingRoom;
  readonly scope: Scope;
  #run: WorkflowRun;
  #errands: Errand[] = [];
  /** Steps whose pipes know that they are over. */
  readonly #settled = new Set<string>();
  /** The run as it was last kept. */
  #kept: WorkflowRun | null = null;
  /** The run up to which changes of steps are noted. */
  #noted: WorkflowRun;
  #told = { done: -1, at: Number.NEGATIVE_INFINITY };
  /** When there is progress to tell of that was not told yet. */
  #tellAt = Number.POSITIVE_INFINITY;

  constructor(context: AttemptContext, parts: WorkflowParts, scene: RunScene, run: WorkflowRun | null) {
    const { plan, parent, input } = scene;
    this.#context = context;
    this.#parts = parts;
    this.#scene = scene;
    this.#children = new Children(parts, parent, context.signal, this.#bell.ring);
    this.scope = new Scope(plan, parent, this.#children, input);
    this.#beginner = new Beginner(plan, parent, this.scope);
    this.#waiting = new WaitingRoom(parts, parent, this.scope, plan, this.#bell.ring);
    this.#run = run ?? newRun(sharedOf(parent));
    this.#noted = this.#run;
  }

  /** The run at its end; rejects with the signal's reason. */
  async run(): Promise<WorkflowRun> {
    const { signal } = this.#context;
    signal.addEventListener('abort', this.#bell.ring, { once: true });
    let timer: Cancel = () => {};
    let lookedAt = this.#parts.clock.now();
    try {
      this.#save();
      await this.#takeUp();
      this.#kept = null;
      for (;;) {
        await this.#turn();
        if (this.#run.phase === 'completed' || this.#run.phase === 'failed') {
          this.#save();
          return this.#run;
        }
        const now = this.#parts.clock.now();
        const dueAt = Math.min(lookedAt + LOOK_MS, this.#waiting.dueAt(this.#run), this.#tellAt);
        timer = this.#parts.clock.after(Math.max(0, dueAt - now), this.#bell.ring);
        await this.#bell.wait();
        timer();
        signal.throwIfAborted();
        if (this.#parts.clock.now() - lookedAt < LOOK_MS) continue;
        lookedAt = this.#parts.clock.now();
        this.#children.doubt();
      }
    } finally {
      timer();
      signal.removeEventListener('abort', this.#bell.ring);
      this.#children.stop();
      this.#waiting.stop();
    }
  }

  /** Ends it from outside; the next turn stops what is under way. */
  cancel(error: TaskError): void {
    this.#run = cancelRun(this.#scene.plan.graph, this.#run, error, this.#parts.clock.now());
  }

  /** Everything that is known is taken in, all that follows is begun, and only then is it kept and done. */
  async #turn(): Promise<void> {
    const now = this.#parts.clock.now();
    const ended = await this.#endedChildren(now);
    const facts = [...ended, ...this.#waiting.facts(this.#run, now)];
    // Many a ring says nothing new.
    if (facts.length === 0 && this.#kept === this.#run) {
      if (this.#tellAt <= now) this.#save();
      return;
    }
    this.#advance(facts);
    await this.#begin(now);
    this.#save();
    await this.#waiting.keep(this.#run);
    await this.#settlePipes();
    const faults = await this.#handIn();
    if (faults.length > 0) {
      this.#advance(faults);
      this.#bell.ring();
    }
    await this.#stopUnwanted();
  }

  #advance(facts: readonly RunFact[]): void {
    this.#run = advance(this.#scene.plan.graph, this.#run, facts, this.#parts.clock.now());
  }

  /** Beginning a step may settle it at once, so that others can begin. */
  async #begin(now: number): Promise<void> {
    for (;;) {
      this.#context.signal.throwIfAborted();
      const { begin, beginItems, undo } = intentsOf(this.#scene.plan.graph, this.#run);
      if (begin.length === 0 && beginItems.length === 0 && undo === null) return;
      const facts: RunFact[] = [];
      for (const step of begin) {
        const { fact, errand } = await this.#beginner.begin(this.#run, step, now);
        facts.push(fact);
        if (errand !== undefined) this.#errands.push(errand);
      }
      for (const { step, items } of beginItems) {
        facts.push({ fact: 'items_began', step: step.id, items });
        facts.push(...(await this.#beginItems(step, items, now)));
      }
      if (undo !== null) facts.push(...(await this.#beginUndo(undo)));
      this.#advance(facts);
    }
  }

  async #beginItems(step: Step, items: readonly number[], now: number): Promise<readonly RunFact[]> {
    const facts: RunFact[] = [];
    try {
      for (const one of await this.#beginner.itemErrands(this.#run, step.id, items, now)) {
        if ('fact' in one) facts.push(one);
        else this.#errands.push(one);
      }
    } catch (error) {
      const { code, message } = errorOf(error);
      for (const item of items)
        facts.push({
          ...{ fact: 'ended', step: step.id, item, at: now, outcome: 'failed' },
          error: { code, message, recoverable: false },
        });
    }
    return facts;
  }

  async #beginUndo({ id }: Step): Promise<readonly RunFact[]> {
    try {
      this.#errands.push(await this.#beginner.undoing(this.#run, id));
      return [{ fact: 'undo_began', step: id }];
    } catch (error) {
      return [this.#undoFailed(id, errorOf(error))];
    }
  }

  /** Compensation that fails is a person's business (`SAM-168`). */
  #undoFailed(step: string, error: TaskError): RunFact {
    this.#context.log('ERROR', `the compensation of step ${step} failed: ${error.message}`, {
      step,
      code: error.code,
    });
    return { fact: 'undone', step, error };
  }

  async #handIn(): Promise<readonly RunFact[]> {
    const errands = this.#errands;
    if (errands.length === 0) return [];
    this.#errands = [];
    const { parent } = this.#scene;
    const { clock, engine } = this.#parts;
    const now = clock.now();
    const deadlineAt = this.#context.task.lease?.deadlineAt ?? now + this.#context.task.spec.timeoutMs;
    const scene = { parent, shared: this.#run.shared, remainingMs: deadlineAt - now, engine };
    const faults = await this.#children.submit(errands.map(errand => orderFor(errand, scene)));
    return errands.flatMap(({ id, step, item, purpose }): readonly RunFact[] => {
      const error = faults.get(id);
      if (error === undefined) return [];
      if (purpose === 'undo') return [this.#undoFailed(step, error)];
      return [{ fact: 'ended', step, item, at: now, outcome: 'failed', error }];
    });
  }

  async #stopUnwanted(): Promise<void> {
    const { stop } = intentsOf(this.#scene.plan.graph, this.#run);
    const ids = stop.map(({ step, item }) => childId(this.#scene.parent.id, step.id, item));
    await this.#children.cancel(ids, 'the workflow no longer needs it');
  }

  /** Who reads from a step that is over, or writes to it, learns so by their pipes. Every coordinator says so anew. */
  async #settlePipes(): Promise<void> {
    const { plan, parent } = this.#scene;
    for (const step of plan.pipes.keys()) {
      const record = recordOf(this.#run, step);
      const pipes = taskPipes(plan.pipes, parent.id, step);
      if (record === undefined || pipes === null || record.task !== undefined) continue;
      if (!isSettled(record.state) || this.#settled.has(step)) continue;
      const how = record.state === 'completed' || record.state === 'skipped' ? 'ended' : 'failed';
      await this.#parts.engine.pipes.settle(parent.tenant, childId(parent.id, step, null), pipes, how);
      this.#settled.add(step);
    }
  }

  async #endedChildren(now: number): Promise<readonly RunFact[]> {
    const facts: RunFact[] = [];
    for (const task of await this.#children.ended()) {
      const mark = task.spec.extra?.workflow as { step: string; item?: number; purpose?: string };
      const { step, item = null, purpose } = mark;
      const error = errorIn(task);
      if (purpose === 'undo')
        facts.push(error === null ? { fact: 'undone', step } : this.#undoFailed(step, error));
      else facts.push(await this.#factOf(task, step, item, now));
    }
    return facts;
  }

  async #factOf(task: Task, step: string, item: number | null, now: number): Promise<RunFact> {
    const at = task.endedAt ?? now;
    const attempts = task.attempt;
    const error = errorIn(task);
    if (error !== null) {
      const outcome = task.outcome === 'cancelled' ? 'cancelled' : 'failed';
      return { fact: 'ended', step, item, at, outcome, error, attempts };
    }
    if (item !== null) return { fact: 'ended', step, item, at, outcome: 'completed' };
    try {
      const shares = await this.#beginner.shares(this.#run, step, (task.result?.output ?? null) as Json);
      return { fact: 'ended', step, item, at, outcome: 'completed', attempts, shares };
    } catch (thrown) {
      return failure(step, item, thrown, at);
    }
  }

  /** What an earlier attempt had under way: its children are there, or were never handed in. */
  async #takeUp(): Promise<void> {
    const { graph } = this.#scene.plan;
    const { id: parent } = this.#scene.parent;
    for (const step of graph.order) {
      const record = recordOf(this.#run, step.id);
      if (record?.undo === 'running')
        await this.#find([childId(parent, step.id, null, 'undo')], () => this.#beginUndo(step));
      if (record?.state !== 'running') continue;
      if (record.items === undefined) {
        await this.#find([childId(parent, step.id, null)], async () => {
          this.#errands.push(await this.#beginner.errand(this.#run, step.id));
          return [];
        });
        continue;
      }
      const items = [...record.items].flatMap((letter, item) => (letter === 'r' ? [item] : []));
      const numbers = new Map(items.map(item => [childId(parent, step.id, item), item]));
      await this.#find([...numbers.keys()], missing =>
        this.#beginItems(
          step,
          missing.flatMap(id => numbers.get(id) ?? []),
          this.#parts.clock.now(),
        ),
      );
    }
    this.#bell.ring();
  }

  async #find(
    ids: readonly Task['id'][],
    begin: (missing: readonly Task['id'][]) => Promise<readonly RunFact[]>,
  ): Promise<void> {
    const missing = await this.#children.watch(ids);
    if (missing.size > 0) this.#advance(await begin([...missing]));
  }

  /** The changes of steps since the last note, as one. */
  #notes(): readonly AttemptAlert[] {
    const { plan, tellsSteps } = this.#scene;
    const changes = tellsSteps ? changedSteps(plan.graph, this.#noted, this.#run) : [];
    this.#noted = this.#run;
    if (changes.length === 0) return [];
    const steps = changes.map(({ step, state }) => ({
      ...{ step: step.id, state },
      ...(state === 'failed' ? { goes_on: step.onFailure.does === 'continue' } : {}),
    }));
    return [{ kind: 'note', name: STEPS_NOTE, detail: { steps } }];
  }

  /** Every finished step is a checkpoint (`SAM-167`); how far it has come is told a little less often than that may change. */
  #save(): void {
    const { plan, kept } = this.#scene;
    const checkpoint = { ...kept, run: this.#run as unknown as JsonObject };
    const alerts = this.#notes();
    this.#kept = this.#run;
    const { done, of } = progressOf(plan.graph, this.#run);
    const now = this.#parts.clock.now();
    if (alerts.length === 0 && (done === this.#told.done || now < this.#told.at + TELL_MS)) {
      this.#tellAt = done === this.#told.done ? Number.POSITIVE_INFINITY : this.#told.at + TELL_MS;
      this.#context.report({ checkpoint });
      return;
    }
    this.#told = { done, at: now };
    this.#tellAt = Number.POSITIVE_INFINITY;
    const currentStep = plan.graph.order.find(({ id }) => recordOf(this.#run, id)?.state === 'running')?.id;
    this.#context.report({
      ...{ checkpoint, alerts, percentage: (done / of) * 100, totalSteps: of },
      ...(currentStep === undefined ? {} : { currentStep }),
    });
  }
}

/** What the note of changed steps is named. */
const STEPS_NOTE = 'workflow_steps';

function errorIn({ outcome, result, id }: Task): TaskError | null {
  if (outcome === 'completed') return null;
  const { error } = result ?? {};
  return error ?? { code: 'task_failed', message: `task ${id} ended ${outcome}`, recoverable: false };
}

function sharedOf({ spec }: Task): JsonObject {
  const shared = spec.context?.shared_state;
  return typeof shared === 'object' && shared !== null && !Array.isArray(shared)
    ? (shared as JsonObject)
    : {};
}
