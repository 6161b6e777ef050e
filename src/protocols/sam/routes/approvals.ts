// Approvals: what waits for somebody's word, and the word (`SAM-210`). Nobody decides what they asked for themselves.

import Type from 'typebox';
import type { JsonObject } from '../../../domain/json.ts';
import type { Approval } from '../../../domain/workflow-documents.ts';
import type { Reviews } from '../../../engine/reviews.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { Call, Route } from '../../protocol.ts';
import { recordAction } from '../audited.ts';
import { json, PREFIX, route } from '../route.ts';
import { pageOf } from '../schema/answers.ts';
import { callerId, instant, paging } from '../vocabulary.ts';
import type { WorkflowDesk } from '../workflow-desk.ts';

/** What the approvals' routes need. */
export interface ApprovalDeps {
  readonly reviews: Pick<Reviews, 'list' | 'get' | 'claim' | 'decide'>;
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
    subject: Type.Optional(
      Type.Enum(['output', 'content'], { description: 'Absent for the step of a workflow.' }),
    ),
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
      path: `${PREFIX}/approvals/:approval_id/claim`,
      summary: 'Look at it: nobody else decides it for a quarter of an hour',
      params,
      answers: { 200: approvalAnswer },
      async handle(call) {
        const { approval_id: id } = call.params;
        const claimed = await deps.reviews.claim(call.principal, id);
        recordAction(deps.audit, call, 'approval.claimed', id, {
          task_id: claimed.task_id,
          step: claimed.step,
        });
        return json(200, wire(id, claimed));
      },
    }),
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

function readingRoutes({ reviews }: ApprovalDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/approvals`,
      summary: 'What waits for a decision, or was decided',
      query: Type.Object({ ...paging, state: Type.Optional(Type.Enum([...STATES])) }),
      answers: { 200: pageOf('approvals') },
      async handle({ principal: { tenant }, query: { state = 'waiting', limit, offset } }) {
        const matching = await reviews.list(tenant, state);
        const approvals = matching.slice(offset, offset + limit).map(one => wire(one.id, one.approval));
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
        return json(200, wire(id, await reviews.get(tenant, id)));
      },
    }),
  ];
}

async function decide(
  { reviews, audit, workflows }: ApprovalDeps,
  call: Pick<Call, 'principal' | 'requestId'>,
  id: string,
  state: 'approved' | 'rejected',
  why: string | undefined,
) {
  const word = { state, ...(why === undefined ? {} : { comment: why }) };
  const decided = await reviews.decide(call.principal, id, word);
  recordAction(audit, call, `approval.${state}`, id, { task_id: decided.task_id, step: decided.step });
  workflows.mailCame();
  return json(200, wire(id, decided));
}

function wire(id: string, approval: Approval): JsonObject {
  const { requester, requested_at: at, expires_at: until, decided_at: decidedAt, ...more } = approval;
  const { claimed_until: claimedUntil, ...rest } = more;
  return {
    approval_id: id,
    ...rest,
    requested_by: requester.agent,
    requested_at: instant(at),
    expires_at: instant(until),
    ...(claimedUntil === undefined ? {} : { claimed_until: instant(claimedUntil) }),
    ...(decidedAt === undefined ? {} : { decided_at: instant(decidedAt) }),
  };
}
