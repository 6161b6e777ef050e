// Stored workflows and their runs: definitions are kept by version and never changed, runs are tasks that name one (`SAM-163`).

import Type from 'typebox';
import { DomainError } from '../../../domain/errors.ts';
import type { TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Task } from '../../../domain/task.ts';
import {
  MESSAGE_KIND,
  messageId,
  versionId,
  WORKFLOW_KIND,
  WORKFLOW_VERSION_KIND,
} from '../../../domain/workflow-documents.ts';
import type { EngineApi } from '../../../engine/api.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { StoredDocument } from '../../../store/rows.ts';
import type { Store } from '../../../store/store.ts';
import { fingerprintOf } from '../../fingerprint.ts';
import type { Call, Route } from '../../protocol.ts';
import { bodyCheck } from '../../validation.ts';
import { recordAction } from '../audited.ts';
import { findTask, invalidRequest } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { nothing, pageOf } from '../schema/answers.ts';
import { anyObject, callerId, instant, paging, samState } from '../vocabulary.ts';
import type { WorkflowDesk } from '../workflow-desk.ts';

/** What the workflows' routes need. */
export interface WorkflowDeps {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'task'>;
  readonly store: Pick<Store, 'documents' | 'putDocuments' | 'list'>;
  readonly audit: AuditRecorder;
  readonly workflows: WorkflowDesk;
}

const workflowId = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,100}$' });
const params = Type.Object({ workflow_id: workflowId });
const definition = Type.Object(
  {},
  { description: 'Its `steps`, and the other fields of a workflow’s `task_data`.' },
);
const body = Type.Object({
  definition,
  description: Type.Optional(Type.String({ maxLength: 10_000 })),
  dry_run: Type.Optional(
    Type.Boolean({ description: 'Only says whether it is valid, and shows its graph.' }),
  ),
});
const stored = Type.Object(
  { workflow_id: Type.String(), version: Type.Integer() },
  { description: 'The workflow and the number of the version.' },
);
const valid = Type.Object(
  { valid: Type.Boolean(), graph: anyObject, mermaid: Type.String() },
  { description: 'Nothing was stored.' },
);
const runAnswer = Type.Object(
  { task_id: Type.String(), state: Type.String(), steps: anyObject },
  { description: 'A run with the state of each step, its graph as JSON and as a Mermaid flowchart.' },
);

const manage = { tag: 'workflows', access: 'workflow:manage', rate: 'standard' } as const;
const CONTENDERS_MAX = 16;
const SCANNED_MAX = 10_000;

/** The routes that keep workflows and show their runs. */
export function workflowRoutes(deps: WorkflowDeps): readonly Route[] {
  return [...storingRoutes(deps), ...readingRoutes(deps), ...runRoutes(deps), messageRoute(deps)];
}

function storingRoutes({ clock, store, audit, workflows }: WorkflowDeps): readonly Route[] {
  const check = bodyCheck(workflows.payloadSchema as never);
  return [
    route({
      ...manage,
      method: 'PUT',
      path: `${PREFIX}/workflows/:workflow_id`,
      summary: 'Store a workflow, or a new version of it',
      params,
      body,
      answers: { 200: Type.Union([stored, valid]), 201: stored },
      async handle(call) {
        const { tenant } = call.principal;
        const { definition: written, description = '', dry_run: isDry = false } = call.body;
        const faults = check(written);
        if (faults !== null)
          throw invalidRequest(faults.map(one => ({ ...one, field: `definition.${one.field}` })));
        const preview = await workflows.preview(written as JsonObject, tenant);
        if (isDry) return json(200, { valid: true, ...preview });
        const { workflow_id: id } = call.params;
        const made = await put(store, tenant, id, {
          definition: written as JsonObject,
          description,
          at: clock.now(),
        });
        if (made.isNew) recordAction(audit, call, 'workflow.stored', id, { version: made.version });
        return json(made.isNew ? 201 : 200, { workflow_id: id, version: made.version });
      },
    }),
    route({
      ...manage,
      method: 'DELETE',
      path: `${PREFIX}/workflows/:workflow_id`,
      summary: 'Forget a workflow; runs under way keep their version',
      params,
      answers: { 204: nothing },
      async handle(call) {
        const { tenant } = call.principal;
        const head = await headOf(store, tenant, call.params.workflow_id);
        const gone = { ...head.body, deleted: true };
        await store.putDocuments([{ tenant, kind: WORKFLOW_KIND, id: head.id, body: gone }]);
        recordAction(audit, call, 'workflow.deleted', head.id);
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}

function readingRoutes({ store, workflows }: WorkflowDeps): readonly Route[] {
  return [
    route({
      ...manage,
      method: 'GET',
      path: `${PREFIX}/workflows`,
      summary: 'The stored workflows',
      query: Type.Object(paging),
      answers: { 200: pageOf('workflows') },
      async handle({ principal: { tenant }, query: { limit, offset } }) {
        const all = (await store.documents({ tenant, kind: WORKFLOW_KIND })).filter(
          one => one.body.deleted !== true,
        );
        return json(200, {
          workflows: all.slice(offset, offset + limit).map(wireHead),
          total: all.length,
          limit,
          offset,
        });
      },
    }),
    route({
      ...manage,
      method: 'GET',
      path: `${PREFIX}/workflows/:workflow_id`,
      summary: 'A workflow’s newest version, or the one asked for, with its graph',
      params,
      query: Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) }),
      answers: { 200: stored },
      async handle({ principal: { tenant }, params: { workflow_id: id }, query }) {
        const head = await headOf(store, tenant, id);
        const version = query.version ?? Number(head.body.version);
        const [found] = await store.documents({
          tenant,
          kind: WORKFLOW_VERSION_KIND,
          ids: [versionId(id, version)],
        });
        if (found === undefined)
          throw new DomainError('not_found', `workflow ${id} has no version ${version}`);
        const written = found.body.definition as JsonObject;
        const { graph, mermaid } = await workflows.preview(written, tenant);
        return json(200, { ...wireHead(head), version, definition: written, graph, mermaid });
      },
    }),
  ];
}

function runRoutes({ engine, store, workflows }: WorkflowDeps): readonly Route[] {
  const reading = { ...manage, access: 'task:read', method: 'GET' } as const;
  return [
    route({
      ...manage,
      method: 'GET',
      path: `${PREFIX}/workflows/:workflow_id/runs`,
      summary: 'The runs of a workflow, newest first, with each step’s state',
      params,
      query: Type.Object(paging),
      answers: { 200: pageOf('runs') },
      async handle({ principal: { tenant }, params: { workflow_id: id }, query: { limit, offset } }) {
        // A forgotten one's runs are still there.
        const [known] = await store.documents({ tenant, kind: WORKFLOW_KIND, ids: [id] });
        if (known === undefined) throw missing(id);
        const runs = await runsOf(store, tenant, id);
        const shown = await Promise.all(
          runs.slice(offset, offset + limit).map(task => wireRun(workflows, task)),
        );
        return json(200, { runs: shown, total: runs.length, limit, offset });
      },
    }),
    route({
      ...reading,
      path: `${PREFIX}/workflow-runs/:task_id`,
      summary: 'A run: its steps and its graph as they stand',
      params: Type.Object({ task_id: callerId }),
      answers: { 200: runAnswer },
      async handle({ principal, params: { task_id: id } }) {
        return json(200, await wireRun(workflows, await findRun(engine, principal.tenant, id)));
      },
    }),
  ];
}

function messageRoute({ clock, engine, store, workflows }: WorkflowDeps): Route {
  return route({
    method: 'POST',
    path: `${PREFIX}/workflow-runs/:task_id/messages`,
    summary: 'Send a run a message that one of its steps waits for, or will',
    tag: 'workflows',
    access: 'task:control',
    rate: 'standard',
    params: Type.Object({ task_id: callerId }),
    body: Type.Object({
      name: Type.String({ minLength: 1, maxLength: 200 }),
      payload: Type.Optional(Type.Unknown()),
    }),
    answers: {
      200: Type.Object(
        { task_id: Type.String(), name: Type.String() },
        { description: 'It is kept for the run.' },
      ),
    },
    async handle(call: Call<{ name: string; payload?: unknown }, unknown, { task_id: string }>) {
      const { tenant, id: sender } = call.principal;
      const task = await findRun(engine, tenant, call.params.task_id);
      if (task.outcome !== null) throw new DomainError('invalid_transition', `run ${task.id} has ended`);
      const { name, payload = null } = call.body;
      const message = { payload: payload as JsonObject, sent_by: sender, sent_at: clock.now() };
      const id = messageId(task.id, name);
      const expiresAt = clock.now() + 90 * 86_400_000;
      const [outcome] = await store.putDocuments([
        { tenant, kind: MESSAGE_KIND, id, body: message, expected: 'absent', expiresAt },
      ]);
      if (outcome?.status !== 'done')
        throw new DomainError('conflict', `run ${task.id} has had its message ${name}`);
      workflows.mailCame();
      return json(200, { task_id: task.id, name });
    },
  });
}

/** Stores a version after the newest; the newest itself where nothing changed. */
async function put(
  store: Pick<Store, 'documents' | 'putDocuments'>,
  tenant: TenantId,
  id: string,
  {
    definition: written,
    description,
    at,
  }: { readonly definition: JsonObject; readonly description: string; readonly at: number },
): Promise<{ readonly version: number; readonly isNew: boolean }> {
  const fingerprint = fingerprintOf([written, description]);
  for (let tried = 0; tried < CONTENDERS_MAX; tried++) {
    const [head] = await store.documents({ tenant, kind: WORKFLOW_KIND, ids: [id] });
    const newest = Number(head?.body.version ?? 0);
    if (head !== undefined && head.body.fingerprint === fingerprint && head.body.deleted !== true)
      return { version: newest, isNew: false };
    const version = newest + 1;
    const body = { version, fingerprint, description, updated_at: at };
    // Both in one transaction: whoever comes second finds both changed.
    const outcomes = await store.putDocuments([
      {
        ...{ tenant, kind: WORKFLOW_VERSION_KIND, id: versionId(id, version) },
        body: { definition: written },
        expected: 'absent',
      },
      { tenant, kind: WORKFLOW_KIND, id, body, expected: head?.version ?? 'absent' },
    ]);
    if (outcomes.every(({ status }) => status === 'done')) return { version, isNew: true };
  }
  throw new DomainError('conflict', `workflow ${id} is being changed by others`);
}

async function headOf(
  store: Pick<Store, 'documents'>,
  tenant: TenantId,
  id: string,
): Promise<StoredDocument> {
  const [head] = await store.documents({ tenant, kind: WORKFLOW_KIND, ids: [id] });
  if (head === undefined || head.body.deleted === true) throw missing(id);
  return head;
}

function missing(id: string): DomainError {
  return new DomainError('not_found', `there is no workflow ${id}`);
}

/** Of the latest runs of all workflows those of this one. */
async function runsOf(store: Pick<Store, 'list'>, tenant: TenantId, id: string): Promise<readonly Task[]> {
  const found: Task[] = [];
  for (let offset = 0; offset < SCANNED_MAX; offset += 1_000) {
    const { items } = await store.list({ tenant, types: ['workflow_orchestration'], limit: 1_000, offset });
    found.push(...items.filter(({ spec }) => spec.payload.workflow_id === id));
    if (items.length < 1_000) break;
  }
  return found;
}

async function findRun(engine: Pick<EngineApi, 'task'>, tenant: TenantId, id: string): Promise<Task> {
  const task = await findTask(engine, tenant, id);
  if (task.spec.type === 'workflow_orchestration') return task;
  throw new DomainError('not_found', `task ${id} is no workflow`);
}

async function wireRun(workflows: WorkflowDesk, task: Task): Promise<JsonObject> {
  const view = task.purged ? { steps: {} } : await workflows.view(task);
  return {
    task_id: task.id,
    execution_id: task.executionId,
    state: samState(task.state, task.outcome),
    lifecycle_state: task.state,
    outcome: task.outcome,
    created_at: instant(task.createdAt),
    ended_at: task.endedAt === null ? null : instant(task.endedAt),
    ...view,
  };
}

function wireHead({ id, body: head }: StoredDocument): JsonObject {
  return {
    workflow_id: id,
    version: head.version,
    description: head.description ?? '',
    updated_at: instant(Number(head.updated_at ?? 0)),
  };
}
