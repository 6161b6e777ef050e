// Runs workflow_orchestration tasks (`SAM-162` to `SAM-169`): an attempt coordinates child tasks and does nothing itself, so very many fit
// into a process. Owns what attempts share, and what is to be done for runs that others end.

import { DomainError } from '../../domain/errors.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Task, TaskSpec } from '../../domain/task.ts';
import { newRun, recordOf, type WorkflowRun } from '../../domain/workflow.ts';
import { rerun } from '../../domain/workflow-run.ts';
import { graphView, mermaidView } from '../../domain/workflow-view.ts';
import type { EngineApi } from '../../engine/api.ts';
import type {
  AttemptContext,
  AttemptResult,
  Executor,
  ExecutorStatus,
  Farewell,
} from '../../engine/ports/executor.ts';
import { Batcher } from '../../runtime/batcher.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { childId } from './child-order.ts';
import { CLOSER, closeRun, closingOrder } from './closing.ts';
import { Coordinator } from './coordinator.ts';
import { definitionOf, type Pinned, requireDefinition } from './definition.ts';
import { Mail } from './mail.ts';
import { resultOf, stepView } from './outcome.ts';
import type { WorkflowParts } from './parts.ts';
import { WORKFLOW_PAYLOAD, type WorkflowPayload } from './payload.ts';
import { pipeViews } from './pipe-views.ts';
import { planOf, refuse } from './plan.ts';
import { reach, release } from './reach.ts';
import { runStage } from './stage.ts';
import { stageOf } from './stage-plan.ts';

const READS_MAX = 500;
const READS_UNDER_WAY_MAX = 4;
/** Runs at once in one process; each is little more than its checkpoint. */
const SLOTS = 10_000;

/** The executor of workflows, and what wires ask of it beside. */
export interface WorkflowExecutor extends Executor {
  /** The graph of a definition; throws what is wrong with it. */
  preview(definition: JsonObject, tenant: TenantId): Promise<JsonObject>;
  /** A run's steps and graph as they stand; throws `unprocessable` where its definition is gone. */
  view(task: Task): Promise<JsonObject>;
  /** A record that some run waits for was written here. */
  mailCame(): void;
}

/** The executor of `workflow_orchestration`; the engine, which is made after it, is asked for when a run begins. */
export function createWorkflowExecutor(parts: {
  readonly log: Log;
  readonly clock: Clock;
  readonly store: WorkflowParts['store'];
  readonly engine: () => EngineApi;
}): WorkflowExecutor {
  return new WorkflowOrchestration(parts);
}

class WorkflowOrchestration implements WorkflowExecutor {
  readonly type = 'workflow_orchestration';
  readonly payloadSchema = WORKFLOW_PAYLOAD as unknown as JsonObject;
  // Nothing is reserved: what its children use is theirs.
  readonly defaults = { resources: { memoryMb: 0, cpuCores: 0, diskMb: 0 }, expectedMs: 60_000 };
  readonly slots = SLOTS;
  readonly coordinates = true;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: WorkflowParts['store'];
  readonly #engine: () => EngineApi;
  readonly #mail: Mail;
  readonly #reads: Batcher<Pick<Task, 'tenant' | 'id'>, Task | null>;
  readonly #afterwards = new Set<Promise<void>>();

  constructor(parts: Parameters<typeof createWorkflowExecutor>[0]) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#store = parts.store;
    this.#engine = parts.engine;
    this.#reads = new Batcher(refs => parts.store.read(refs), {
      batchMax: READS_MAX,
      underWayMax: READS_UNDER_WAY_MAX,
    });
    this.#mail = new Mail(parts.log, parts.clock, parts.store);
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    await Promise.all([...this.#afterwards, this.#mail.stop()]);
  }

  status(): ExecutorStatus {
    return { available: true, isolation: [], detail: { expressions: 'jmespath', slots: SLOTS } };
  }

  async check({ payload, submittedBy }: TaskSpec, tenant?: TenantId): Promise<void> {
    const { steps, workflow_id: id, closes, version, stage } = payload as WorkflowPayload;
    if (closes !== undefined) {
      if (submittedBy !== CLOSER)
        refuse([{ field: 'task_data.closes', message: 'is for the server itself' }]);
      return;
    }
    if (stage !== undefined) {
      stageOf(stage);
      return;
    }
    if ((steps === undefined) === (id === undefined))
      refuse([{ field: 'task_data', message: 'needs steps or workflow_id, and not both' }]);
    if (steps !== undefined) planOf(payload as WorkflowPayload);
    else if (tenant !== undefined) await requireDefinition(this.#store, tenant, id ?? '', version);
  }

  async preview(definition: JsonObject, tenant: TenantId): Promise<JsonObject> {
    await this.check({ payload: definition } as TaskSpec, tenant);
    const { graph } = planOf(definition as WorkflowPayload);
    return { graph: graphView(graph, null), mermaid: mermaidView(graph, null) };
  }

  async view(task: Task): Promise<JsonObject> {
    const kept = isJsonObject(task.checkpoint) ? task.checkpoint : null;
    const pinned = await definitionOf(this.#store, task, kept);
    const plan = planOf(pinned.payload);
    const { graph } = plan;
    const run = (kept?.run as unknown as WorkflowRun | undefined) ?? newRun({});
    const pipes = await pipeViews(this.#engine().pipes, task, plan.pipes, run);
    return {
      ...pinned.kept,
      phase: run.phase,
      steps: Object.fromEntries(
        graph.order.map(step => [step.id, stepView(task.id, step, recordOf(run, step.id))]),
      ),
      ...(pipes.length === 0 ? {} : { pipes }),
      graph: graphView(graph, run),
      mermaid: mermaidView(graph, run),
    };
  }

  mailCame(): void {
    this.#mail.look();
  }

  farewell(task: Task): Farewell | null {
    return (task.spec.payload as WorkflowPayload).closes === undefined ? closingOrder(task) : null;
  }

  async run(context: AttemptContext): Promise<AttemptResult> {
    const { task, signal } = context;
    const parts = this.#parts();
    const { closes, stage } = task.spec.payload as WorkflowPayload;
    try {
      if (closes !== undefined) return await closeRun(context, parts, closes as TaskId);
      if (stage !== undefined) return await runStage(context, parts, stageOf(stage));
      return await this.#run(context, parts);
    } catch (error) {
      if (signal.aborted && closes === undefined) this.#later(reach(parts, task));
      throw error;
    }
  }

  async #run(context: AttemptContext, parts: WorkflowParts): Promise<AttemptResult> {
    const { task, checkpoint } = context;
    const kept = isJsonObject(checkpoint) ? checkpoint : null;
    const pinned = await definitionOf(parts.store, task, kept);
    const plan = planOf(pinned.payload);
    const { input = {}, tells_steps: tellsSteps = false } = task.spec.payload as WorkflowPayload;
    const given = { ...pinned.payload.input, ...input };
    const scene = { plan, input: given, tellsSteps, kept: pinned.kept, parent: task };
    const begun = (kept?.run as unknown as WorkflowRun | undefined) ?? (await this.#takenUp(task, pinned));
    // What was held with the workflow goes on with it.
    if (kept !== null) await release(parts, task);
    const coordinator = new Coordinator(context, parts, scene, begun);
    const run = await coordinator.run();
    return await resultOf(run, {
      ...parts,
      plan,
      parent: task,
      scope: coordinator.scope,
      pinned: pinned.kept,
    });
  }

  /** The run of an earlier task, from some step on; null for a run of its own. */
  async #takenUp(task: Task, pinned: Pinned): Promise<WorkflowRun | null> {
    const { rerun: wish } = task.spec.payload as WorkflowPayload;
    if (wish === undefined) return null;
    const [earlier] = await this.#store.read([{ tenant: task.tenant, id: wish.task_id as TaskId }]);
    const run = (earlier?.checkpoint as JsonObject | null | undefined)?.run;
    const { graph } = planOf(pinned.payload);
    if (earlier === null || earlier === undefined || run === undefined)
      throw new DomainError('unprocessable', `there is no run ${wish.task_id} to take up`, {
        details: { rerun: wish },
      });
    if (!graph.steps.has(wish.from_step))
      throw new DomainError('unprocessable', `there is no step ${wish.from_step} to take it up at`, {
        details: { rerun: wish },
      });
    const { from_step: from, result_of: result = null } = wish;
    const taskOf = (step: string): string => childId(earlier.id, step, null);
    return rerun(graph, run as unknown as WorkflowRun, from, taskOf, result);
  }

  #parts(): WorkflowParts {
    return {
      log: this.#log,
      clock: this.#clock,
      store: this.#store,
      engine: this.#engine(),
      read: refs => Promise.all(refs.map(ref => this.#reads.add(ref))),
      mail: this.#mail,
    };
  }

  #later(work: Promise<void>): void {
    const done = work
      .catch(error => this.#log.warn('children of a workflow were not reached', { error: String(error) }))
      .finally(() => this.#afterwards.delete(done));
    this.#afterwards.add(done);
  }
}
