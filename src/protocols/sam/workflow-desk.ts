// What SAM asks of whoever runs workflows: to judge a definition, to show a run, and to look at what came for one.

import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';

/** Whoever runs workflows, as this wire sees it. */
export interface WorkflowDesk {
  /** JSON Schema of a workflow's `task_data`. */
  readonly payloadSchema: JsonObject;
  /** The graph of a definition; throws what is wrong with it. */
  preview(definition: JsonObject, tenant: TenantId): Promise<JsonObject>;
  /** A run's steps and graph as they stand. */
  view(task: Task): Promise<JsonObject>;
  /** A record that some run waits for was written here. */
  mailCame(): void;
}
