// What waits for somebody's word, and the word: for those who may decide approvals, and nothing else perhaps.

import type { Transport } from './transport.ts';
import type { PageQuery } from './wire-admin.ts';

/** How an approval stands; `withdrawn` where nobody needs it any more. */
export type ApprovalState = 'waiting' | 'approved' | 'rejected' | 'expired' | 'withdrawn';

/** An approval; instants are ISO 8601 (`SAM-210`). */
export interface ApprovalView {
  readonly approval_id: string;
  /** A task's output before it is released, or content somebody asked about; absent for the step of a workflow. */
  readonly subject?: 'output' | 'content';
  /** The task that waits for it, and the step of a workflow. */
  readonly task_id: string;
  readonly step: string;
  readonly title: string;
  readonly message: string;
  readonly state: ApprovalState;
  readonly requested_by: string;
  readonly requested_at: string;
  /** When it counts as rejected. */
  readonly expires_at: string;
  readonly claimed_by?: string;
  readonly claimed_until?: string;
  readonly decided_by?: string;
  readonly decided_at?: string;
  readonly comment?: string;
}

/** Which approvals to list. */
export interface ApprovalQuery extends PageQuery {
  /** `waiting` where absent. */
  readonly state?: ApprovalState | undefined;
}

/** Approvals of the tenant. Nobody decides what they asked for themselves: that is a `ForbiddenError`. */
export class Approvals {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async list(query: ApprovalQuery = {}): Promise<readonly ApprovalView[]> {
    const answer = await this.#transport.json<{ readonly approvals: readonly ApprovalView[] }>({
      method: 'GET',
      path: '/api/v2/approvals',
      query,
    });
    return answer.approvals;
  }

  get(approvalId: string): Promise<ApprovalView> {
    return this.#transport.json({ method: 'GET', path: at(approvalId) });
  }

  /** Keeps others from deciding it for a quarter of an hour; throws as `approve` does. */
  claim(approvalId: string): Promise<ApprovalView> {
    return this.#transport.json({ method: 'POST', path: `${at(approvalId)}/claim`, json: {} });
  }

  /** Throws `InvalidStateError` where it is decided or over. */
  approve(approvalId: string, comment?: string): Promise<ApprovalView> {
    return this.#transport.json({ method: 'POST', path: `${at(approvalId)}/approve`, json: { comment } });
  }

  /** The comment is what the workflow's next steps see; throws as `approve` does. */
  reject(approvalId: string, comment: string): Promise<ApprovalView> {
    return this.#transport.json({ method: 'POST', path: `${at(approvalId)}/reject`, json: { comment } });
  }
}

function at(approvalId: string): string {
  return `/api/v2/approvals/${encodeURIComponent(approvalId)}`;
}
