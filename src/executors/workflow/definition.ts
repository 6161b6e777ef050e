// Which steps a run is of: those it was given, or a stored workflow's, whose version is looked up once and then kept with the run
// (`SAM-163`).

import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { versionId, WORKFLOW_KIND, WORKFLOW_VERSION_KIND } from '../../domain/workflow-documents.ts';
import type { Store } from '../../store/store.ts';
import type { WorkflowPayload } from './payload.ts';

/** The steps of a run, and what its checkpoint and its output say of where they are from. */
export interface Pinned {
  readonly payload: WorkflowPayload;
  readonly kept: JsonObject;
}

/** The definition the task runs; throws `unprocessable` where there is none of that name or version. */
export async function definitionOf(
  store: Pick<Store, 'documents' | 'read'>,
  task: Task,
  kept: JsonObject | null,
): Promise<Pinned> {
  const payload = task.spec.payload as WorkflowPayload;
  const { workflow_id: id } = payload;
  if (id === undefined) return { payload, kept: {} };
  const version = await versionOf(store, task, kept);
  const [found] = await store.documents({
    tenant: task.tenant,
    kind: WORKFLOW_VERSION_KIND,
    ids: [versionId(id, version)],
  });
  if (found === undefined) throw missing(id, version);
  const definition = found.body.definition as unknown as WorkflowPayload;
  const own = payload.max_parallel === undefined ? {} : { max_parallel: payload.max_parallel };
  return { payload: { ...definition, ...own }, kept: { workflow_id: id, version } };
}

/** Throws `unprocessable` unless there is such a workflow and, where one is named, such a version of it. */
export async function requireDefinition(
  store: Pick<Store, 'documents'>,
  tenant: Task['tenant'],
  id: string,
  version: number | undefined,
): Promise<void> {
  const [found] =
    version === undefined
      ? await store.documents({ tenant, kind: WORKFLOW_KIND, ids: [id] })
      : await store.documents({ tenant, kind: WORKFLOW_VERSION_KIND, ids: [versionId(id, version)] });
  if (found === undefined || found.body.deleted === true) throw missing(id, version ?? null);
}

/** What the run began with, else what the earlier run it takes up was of, else what is asked for, else the newest. */
async function versionOf(
  store: Pick<Store, 'documents' | 'read'>,
  { tenant, spec }: Task,
  kept: JsonObject | null,
): Promise<number> {
  const { workflow_id: id = '', version, rerun } = spec.payload as WorkflowPayload;
  if (typeof kept?.version === 'number') return kept.version;
  if (version !== undefined) return version;
  if (rerun !== undefined) {
    const [earlier] = await store.read([{ tenant, id: rerun.task_id as Task['id'] }]);
    const { version: before } = (earlier?.checkpoint ?? {}) as JsonObject;
    if (typeof before === 'number') return before;
  }
  const [head] = await store.documents({ tenant, kind: WORKFLOW_KIND, ids: [id] });
  if (typeof head?.body.version !== 'number' || head.body.deleted === true) throw missing(id, null);
  return head.body.version;
}

function missing(id: string, version: number | null): DomainError {
  const what = version === null ? `there is no workflow ${id}` : `workflow ${id} has no version ${version}`;
  return new DomainError('unprocessable', what, { details: { workflow_id: id, version } });
}
