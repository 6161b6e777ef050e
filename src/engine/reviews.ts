// What waits for a person's word: the queue of approvals and reviews, one document each. Listed, claimed, decided here, whatever way the
// person came by; whoever asked looks at the document for the decision.

import { DomainError } from '../domain/errors.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import type { Principal } from '../domain/principal.ts';
import { APPROVAL_KIND, type Approval, type ApprovalState } from '../domain/workflow-documents.ts';
import type { Clock } from '../runtime/clock.ts';
import type { StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { EngineApi } from './api.ts';

/** Who decides: credentials, and the agent and person behind them. */
export type Reviewer = Pick<Principal, 'tenant' | 'id' | 'agentId' | 'userId'>;

/** A review as it is kept. */
export interface KeptReview {
  readonly id: string;
  readonly approval: Approval;
}

/** A review to open. */
export interface NewReview {
  readonly tenant: TenantId;
  readonly id: string;
  readonly approval: Omit<Approval, 'state' | 'requested_at' | 'expires_at'>;
  /** A day where absent; then it counts as rejected. */
  readonly expiresInMs?: number;
}

/** A word on a review. */
export interface Decision {
  readonly state: 'approved' | 'rejected';
  readonly comment?: string;
}

const DAY_MS = 86_400_000;
const KEPT_MS = 30 * DAY_MS;
const PAGE = 1_000;
/** So long whoever claimed a review has it to itself. */
export const CLAIM_MS = 900_000;

/** The queue of every tenant. */
export class Reviews {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly #engine: Pick<EngineApi, 'task'>;
  readonly #listeners = new Set<() => void>();

  constructor(
    clock: Clock,
    store: Pick<Store, 'documents' | 'putDocuments'>,
    engine: Pick<EngineApi, 'task'>,
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#engine = engine;
  }

  /** Calls back whenever something was decided here. */
  onDecision(wake: () => void): void {
    this.#listeners.add(wake);
  }

  /** Asks for a word; asked before, what stands there stays. */
  async open({ tenant, id, approval, expiresInMs = DAY_MS }: NewReview): Promise<void> {
    const now = this.#clock.now();
    const body = {
      ...approval,
      state: 'waiting',
      requested_at: now,
      expires_at: now + expiresInMs,
    } as Approval;
    const expiresAt = now + expiresInMs + KEPT_MS;
    await this.#store.putDocuments([
      { tenant, kind: APPROVAL_KIND, id, body, expected: 'absent', expiresAt },
    ]);
  }

  /** A tenant's in a state. */
  async list(tenant: TenantId, state: ApprovalState): Promise<readonly KeptReview[]> {
    const all: StoredDocument[] = [];
    for (;;) {
      const page = await this.#store.documents({
        tenant,
        kind: APPROVAL_KIND,
        limit: PAGE,
        offset: all.length,
      });
      all.push(...page);
      if (page.length < PAGE) break;
    }
    return all
      .filter(one => one.body.state === state)
      .map(({ id, body }) => ({ id, approval: body as Approval }));
  }

  /** Throws `not_found`. */
  async get(tenant: TenantId, id: string): Promise<Approval> {
    return (await this.#find(tenant, id)).body as Approval;
  }

  /** Keeps others from deciding it for a quarter of an hour; throws `conflict` where somebody has it, `forbidden` as `decide` does. */
  async claim(reviewer: Reviewer, id: string): Promise<Approval> {
    const found = await this.#open(reviewer, id);
    const now = this.#clock.now();
    return this.#change(reviewer.tenant, found, {
      ...{ claimed_by: reviewer.id, claimed_until: now + CLAIM_MS },
    });
  }

  /**
   * Decides it; throws `not_found`, `forbidden` for whoever asked for it or made it, `conflict` where somebody else looks at it, and
   * `invalid_transition` where there is nothing to decide any more.
   */
  async decide(reviewer: Reviewer, id: string, { state, comment }: Decision): Promise<Approval> {
    const found = await this.#open(reviewer, id);
    const decided = await this.#change(reviewer.tenant, found, {
      ...{ state, decided_by: reviewer.id, decided_at: this.#clock.now() },
      ...(comment === undefined ? {} : { comment }),
    });
    for (const wake of this.#listeners) wake();
    return decided;
  }

  /** The review as it stands, expired if it is time; null where there is none. */
  async look(tenant: TenantId, id: string): Promise<Approval | null> {
    const [found] = await this.#store.documents({ tenant, kind: APPROVAL_KIND, ids: [id] });
    if (found === undefined) return null;
    const approval = found.body as Approval;
    if (approval.state !== 'waiting' || approval.expires_at > this.#clock.now()) return approval;
    return this.#change(tenant, found, { state: 'expired' });
  }

  /** What can still be decided, and by this reviewer. */
  async #open(reviewer: Reviewer, id: string): Promise<StoredDocument> {
    const found = await this.#find(reviewer.tenant, id);
    const approval = found.body as Approval;
    refuseOwn(reviewer, approval);
    const now = this.#clock.now();
    if (approval.state !== 'waiting') throw over(id, `it is ${approval.state}`);
    if (approval.expires_at <= now) throw over(id, 'it has expired');
    const { claimed_by: claimant, claimed_until: until = 0 } = approval;
    if (claimant !== undefined && claimant !== reviewer.id && until > now)
      throw new DomainError('conflict', `somebody else is looking at ${id}`, {
        details: { approval_id: id, claimed_by: claimant },
        retryAfterMs: until - now,
      });
    if (approval.subject === undefined) await this.#requireRunning(reviewer.tenant, id, approval);
    return found;
  }

  /** A workflow's step is nobody's concern once its run is over. */
  async #requireRunning(tenant: TenantId, id: string, { task_id: taskId }: Approval): Promise<void> {
    const task = await this.#engine.task(tenant, taskId as TaskId);
    if (task.outcome !== null) throw over(id, `its task has ended ${task.outcome}`);
  }

  async #find(tenant: TenantId, id: string): Promise<StoredDocument> {
    const [found] = await this.#store.documents({ tenant, kind: APPROVAL_KIND, ids: [id] });
    if (found === undefined) throw new DomainError('not_found', `there is no approval ${id}`);
    return found;
  }

  async #change(tenant: TenantId, found: StoredDocument, change: Partial<Approval>): Promise<Approval> {
    const body = { ...found.body, ...change } as Approval;
    const { id, version, expiresAt } = found;
    const [outcome] = await this.#store.putDocuments([
      {
        tenant,
        kind: APPROVAL_KIND,
        id,
        body,
        expected: version,
        ...(expiresAt === null ? {} : { expiresAt }),
      },
    ]);
    if (outcome?.status !== 'done') throw over(id, 'somebody else has decided or claimed it');
    return body;
  }
}

/** By credential, by agent, or by the person behind them. */
function refuseOwn({ id, agentId, userId }: Reviewer, { requester, made_by: maker }: Approval): void {
  const isOwn =
    id === requester.credential ||
    (agentId !== undefined && (agentId === requester.agent || agentId === maker)) ||
    (userId !== undefined && userId === requester.user);
  if (!isOwn) return;
  throw new DomainError('forbidden', 'nobody decides what they asked for themselves', {
    details: { rule: 'own_request' },
  });
}

function over(id: string, why: string): DomainError {
  return new DomainError('invalid_transition', `approval ${id} cannot be decided: ${why}`, {
    details: { approval_id: id },
  });
}
