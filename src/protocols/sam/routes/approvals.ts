// Approvals: what waits for somebody's word, and the word (`SAM-210`). Nobody decides what they asked for themselves.

import Type from 'typebox';
import { DomainError } from '../../../domain/errors.ts';
import type { TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Principal } from '../../../domain/principal.ts';
import { APPROVAL_KIND, type Approval } from '../../../domain/workflow-documents.ts';
import type { EngineApi } from '../../../engine/api.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Store } from '../../../store/store.ts';
import type { Call, Route } from '../../protocol.ts';
import { recordAction } from '../audited.ts';
import { findTask } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { pageOf } from '../schema/answers.ts';
import { callerId, instant, paging } from '../vocabulary.ts';
import type { WorkflowDesk } from '../workflow-desk.ts';

/** What the approvals' routes need. */
export interface ApprovalDeps {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'task'>;
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly audit: AuditRecorder;
  readonly workflows: Pick<WorkflowDesk, 'mailCame'>;
}

const STATES = ['waiting', 'approved', 'rejected', 'expired', 'withdrawn'] as const;
const comment = Type.String({ maxLength: 10_000 });
const params = Type.Object({ approval_id: callerId });
const approvalAnswer = Type.Object(
  {
    approval_id: Type.String(),
    task_id: Type.String(),
    step: Type.String(),
    title: Type.String(),
    message: Type.String(),
    state: Type.Enum([...STATES]),
    requested_at: Type.String({ format: 'date-time' }),
    expires_at: Type.String({ format: 'date-time' }),
  },
  { description: 'An approval.' },
);
const common = { tag: 'approvals', access: 'approval:decide', rate: 'standard' } as const;

/** The routes that show and decide approvals. */
export function approvalRoutes(deps: ApprovalDeps): readonly Route[] {
  return [
    ...readingRoutes(deps),
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/approvals/:approval_id/approve`,
      summary: 'Approve it',
      params,
      body: Type.Object({ comment: Type.Optional(comment) }),
      answers: { 200: approvalAnswer },
      handle: call => decide(deps, call, call.params.approval_id, 'approved', call.body.comment),
    }),
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/approvals/:approval_id/reject`,
      summary: 'Reject it, and say why',
      params,
      body: Type.Object({ comment: Type.String({ minLength: 1, maxLength: 10_000 }) }),
      answers: { 200: approvalAnswer },
      handle: call => decide(deps, call, call.params.approval_id, 'rejected', call.body.comment),
    }),
  ];
}

function readingRoutes({ store }: ApprovalDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/approvals`,
      summary: 'What waits for a decision, or was decided',
      query: Type.Object({ ...paging, state: Type.Optional(Type.Enum([...STATES])) }),
      answers: { 200: pageOf('approvals') },
      async handle({ principal: { tenant }, query: { state = 'waiting', limit, offset } }) {
        const all = await store.documents({ tenant, kind: APPROVAL_KIND });
        const matching = all.filter(one => one.body.state === state);
        const approvals = matching
          .slice(offset, offset + limit)
          .map(({ id, body }) => wire(id, body as Approval));
        return json(200, { approvals, total: matching.length, limit, offset });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/approvals/:approval_id`,
      summary: 'An approval',
      params,
      answers: { 200: approvalAnswer },
      async handle({ principal: { tenant }, params: { approval_id: id } }) {
        return json(200, wire(id, (await find(store, tenant, id)).approval));
      },
    }),
  ];
}

async function decide(
  { clock, engine, store, audit, workflows }: ApprovalDeps,
  call: Pick<Call, 'principal' | 'requestId'>,
  id: string,
  state: 'approved' | 'rejected',
  why: string | undefined,
) {
  const { principal } = call;
  const { tenant } = principal;
  const { approval, version, expiresAt } = await find(store, tenant, id);
  refuseOwn(principal, approval);
  const now = clock.now();
  if (approval.state !== 'waiting') throw over(id, `it is ${approval.state}`);
  if (approval.expires_at <= now) throw over(id, 'it has expired');
  const task = await findTask(engine, tenant, approval.task_id);
  if (task.outcome !== null) throw over(id, `its task has ended ${task.outcome}`);
  const decided: Approval = {
    ...approval,
    ...{ state, decided_by: principal.id, decided_at: now },
    ...(why === undefined ? {} : { comment: why }),
  };
  const expiry = expiresAt === null ? {} : { expiresAt };
  const [outcome] = await store.putDocuments([
    { tenant, kind: APPROVAL_KIND, id, body: decided, expected: version, ...expiry },
  ]);
  if (outcome?.status !== 'done') throw over(id, 'somebody else has decided it');
  recordAction(audit, call, `approval.${state}`, id, { task_id: approval.task_id, step: approval.step });
  workflows.mailCame();
  return json(200, wire(id, decided));
}

/** By credential, by agent, or by the person behind them. */
function refuseOwn({ id, agentId, userId }: Principal, { requester }: Approval): void {
  const isOwn =
    id === requester.credential ||
    (agentId !== undefined && agentId === requester.agent) ||
    (userId !== undefined && userId === requester.user);
  if (!isOwn) return;
  throw new DomainError('forbidden', 'nobody decides what they asked for themselves', {
    details: { rule: 'own_request' },
  });
}

async function find(store: Pick<Store, 'documents'>, tenant: TenantId, id: string) {
  const [found] = await store.documents({ tenant, kind: APPROVAL_KIND, ids: [id] });
  if (found === undefined) throw new DomainError('not_found', `there is no approval ${id}`);
  return { approval: found.body as Approval, version: found.version, expiresAt: found.expiresAt };
}

function over(id: string, why: string): DomainError {
  return new DomainError('invalid_transition', `approval ${id} cannot be decided: ${why}`, {
    details: { approval_id: id },
  });
}

function wire(id: string, approval: Approval): JsonObject {
  const { requester, requested_at: at, expires_at: until, decided_at: decidedAt, ...rest } = approval;
  return {
    approval_id: id,
    ...rest,
    requested_by: requester.agent,
    requested_at: instant(at),
    expires_at: instant(until),
    ...(decidedAt === undefined ? {} : { decided_at: instant(decidedAt) }),
  };
}
