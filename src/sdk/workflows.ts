// The client's workflows: stored definitions, and runs.

import type { JsonObject } from '../domain/json.ts';
import type { Transport } from './transport.ts';
import type { Acceptance } from './wire.ts';
import type { PageAnswer, PageQuery } from './wire-admin.ts';

/** A stored workflow; with its definition and graph where it was asked for by name. */
export interface WorkflowView {
  readonly workflow_id: string;
  readonly version: number;
  readonly description: string;
  readonly updated_at: string;
  readonly definition?: JsonObject;
  readonly graph?: JsonObject;
  readonly mermaid?: string;
}

/** A run: the state of each step, and the graph as JSON and as a Mermaid flowchart. */
export interface WorkflowRunView {
  readonly task_id: string;
  readonly state: string;
  readonly outcome: string | null;
  readonly workflow_id?: string;
  readonly version?: number;
  readonly steps: Readonly<Record<string, JsonObject & { readonly state: string }>>;
  /** Of a pipeline: what steps stream to one another. */
  readonly pipes?: readonly PipeView[];
  readonly graph?: JsonObject;
  readonly mermaid?: string;
}

/** A pipe of a run, and how far each of its readers is. */
export interface PipeView {
  /** `step.output`. */
  readonly pipe: string;
  readonly mode: 'stream' | 'batch';
  readonly state: 'open' | 'waiting_downstream' | 'ended' | 'failed';
  /** Written so far. */
  readonly chunks: number;
  readonly bytes: number;
  readonly readers: readonly {
    /** `step.input`. */
    readonly input: string;
    readonly by: 'acknowledgement' | 'checkpoint';
    /** The last chunk it will never ask for again. */
    readonly acknowledged: number;
    readonly behind_chunks: number;
    readonly behind_bytes: number;
    readonly is_over: boolean;
  }[];
}

/** Workflows by name, and their runs (`SAM-163`). */
export class Workflows {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async list(query: PageQuery = {}): Promise<readonly WorkflowView[]> {
    const answer = await this.#transport.json<{ readonly workflows: readonly WorkflowView[] }>({
      method: 'GET',
      path: '/api/v2/workflows',
      query,
    });
    return answer.workflows;
  }

  /** Its newest version unless one is named. */
  get(workflowId: string, version?: number): Promise<WorkflowView> {
    return this.#transport.json({ method: 'GET', path: pathOf(workflowId), query: { version } });
  }

  /** Stores a version after the newest, or answers the newest where nothing changed; `dryRun` only says what is wrong with it. */
  put(
    workflowId: string,
    definition: JsonObject,
    options: { readonly description?: string; readonly dryRun?: boolean } = {},
  ): Promise<{
    readonly workflow_id?: string;
    readonly version?: number;
    readonly graph?: JsonObject;
    readonly mermaid?: string;
  }> {
    const { description, dryRun } = options;
    return this.#transport.json({
      method: 'PUT',
      path: pathOf(workflowId),
      json: { definition, description, dry_run: dryRun },
    });
  }

  /** Forgets it; runs under way go on. */
  async remove(workflowId: string): Promise<void> {
    await this.#transport.json({ method: 'DELETE', path: pathOf(workflowId) });
  }

  /** Its runs, newest first. */
  runs(
    workflowId: string,
    query: PageQuery = {},
  ): Promise<PageAnswer & { readonly runs: readonly WorkflowRunView[] }> {
    return this.#transport.json({ method: 'GET', path: `${pathOf(workflowId)}/runs`, query });
  }

  /** A run by the id of its task, whatever it was started from. */
  run(taskId: string): Promise<WorkflowRunView> {
    return this.#transport.json({
      method: 'GET',
      path: `/api/v2/workflow-runs/${encodeURIComponent(taskId)}`,
    });
  }

  /** Sends a run the message that a step waits for, or will; each name once. */
  async send(taskId: string, name: string, payload?: unknown): Promise<void> {
    await this.#transport.json({
      method: 'POST',
      path: `/api/v2/workflow-runs/${encodeURIComponent(taskId)}/messages`,
      json: { name, payload },
    });
  }

  /** Takes a run that has ended up at a step, keeping what completed before it; with `input` in place of the first (`SAM-167`). */
  rerun(taskId: string, fromStep: string, input?: JsonObject): Promise<Acceptance> {
    return this.#transport.json({
      method: 'POST',
      path: `/api/v2/tasks/${encodeURIComponent(taskId)}/retry`,
      json: { from_step: fromStep, input },
    });
  }
}

function pathOf(workflowId: string): string {
  return `/api/v2/workflows/${encodeURIComponent(workflowId)}`;
}
