// A delegated attempt as it is remembered, so that webhooks and restarts find it: what was sent where, what was heard, how it ended.
// Kept while it is open; its name alone is kept for a day after, to know late webhooks by.

import { DomainError } from '../../domain/errors.ts';
import type { AgentId, ExecutionId, FencingToken, TaskId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { WorkLease } from '../../engine/api.ts';
import {
  changeDocument,
  createDocument,
  type DocumentRef,
  type Documents,
  everyDocument,
} from '../../guards/documents.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { AgentRef } from './enrolment.ts';
import type { RemoteEnd, RemoteLine, RemoteProgress } from './event.ts';

/** A delegated attempt. Instants are epoch milliseconds; those of events are by the agent's clock. */
export interface Delegation extends AgentRef {
  /** The task's id at the agent: `{execution_id}.{attempt}`. */
  readonly remoteId: string;
  readonly taskId: TaskId;
  readonly executionId: ExecutionId;
  readonly attempt: number;
  readonly token: FencingToken;
  readonly claimedAt: number;
  readonly deadlineAt: number;
  /** `sending` until the agent has answered the order; `cancelling` until it has answered the cancellation. */
  readonly state: 'sending' | 'running' | 'cancelling';
  readonly cancelReason: string | null;
  /** The agent may be at work though the attempt has ended here: cancel it there once the end is told. */
  readonly abandoned: boolean;
  /** Of the last event that counted. */
  readonly sequence: number | null;
  readonly eventAt: number | null;
  readonly heardAt: number;
  readonly progress: RemoteProgress | null;
  /** Not yet in the task's log, oldest first. */
  readonly lines: readonly RemoteLine[];
  readonly end: RemoteEnd | null;
}

/** Whose a remote task is, and whether its attempt is still open. */
export interface KnownDelegation extends AgentRef {
  readonly open: Delegation | null;
}

const OPEN = 'delegation';
const ENDED = 'delegation_ended';
const KEPT_MS = 86_400_000;

/** The name of a task's current attempt at an agent; no two attempts of any tenant share one (`SAM-98`). */
export function remoteIdOf(task: { readonly executionId: ExecutionId; readonly attempt: number }): string {
  return `${task.executionId}.${task.attempt}`;
}

/** The delegation of a leased task, before anything was sent. */
export function newDelegation(lease: WorkLease, agentId: AgentId, now: number): Delegation {
  const { task, token } = lease;
  return {
    tenant: task.tenant,
    agentId,
    remoteId: remoteIdOf(task),
    taskId: task.id,
    executionId: task.executionId,
    attempt: task.attempt,
    token,
    claimedAt: task.lease?.claimedAt ?? now,
    deadlineAt: task.lease?.deadlineAt ?? now + task.spec.timeoutMs,
    state: 'sending',
    cancelReason: null,
    abandoned: false,
    sequence: null,
    eventAt: null,
    heardAt: now,
    progress: null,
    lines: [],
    end: null,
  };
}

/** Delegations in the store, shared by all nodes. */
export class Delegations {
  readonly #clock: Clock;
  readonly #store: Documents;

  constructor(clock: Clock, store: Documents) {
    this.#clock = clock;
    this.#store = store;
  }

  /** Remembers a new delegation; one remembered before stays as it is. */
  async create(delegation: Delegation): Promise<void> {
    const expiresAt = delegation.deadlineAt + KEPT_MS;
    await createDocument(this.#store, refOf(delegation), bodyOf(delegation), expiresAt);
  }

  /** The open delegation of that name in any tenant, or whose it was; null if there never was one, or long ago. */
  async find(remoteId: string): Promise<KnownDelegation | null> {
    for (const kind of [OPEN, ENDED]) {
      const [found] = await this.#store.documents({ kind, ids: [remoteId] });
      if (found === undefined) continue;
      const { tenant, body } = found;
      const open = kind === OPEN ? (body as unknown as Delegation) : null;
      return { tenant, agentId: String(body.agentId) as AgentId, open };
    }
    return null;
  }

  /** The open delegations to an agent. */
  async openAt({ tenant, agentId }: AgentRef): Promise<readonly Delegation[]> {
    const all = await everyDocument(this.#store, { kind: OPEN, tenant });
    return all.map(one => one.body as unknown as Delegation).filter(one => one.agentId === agentId);
  }

  /** Changes a delegation, whoever else does so at once; null if it was closed meanwhile. */
  async change(
    ref: { readonly tenant: TenantId; readonly remoteId: string },
    change: (delegation: Delegation) => Delegation,
  ): Promise<Delegation | null> {
    try {
      const body = await changeDocument(this.#store, refOf(ref), known =>
        bodyOf(change(known as unknown as Delegation)),
      );
      return body as unknown as Delegation;
    } catch (error) {
      if (error instanceof DomainError && error.code === 'not_found') return null;
      throw error;
    }
  }

  /** Closes a delegation: only whose it was is remembered, for a day. */
  async close({ tenant, remoteId, agentId }: Delegation): Promise<void> {
    const expiresAt = this.#clock.now() + KEPT_MS;
    await this.#store.putDocuments([
      { tenant, kind: ENDED, id: remoteId, body: { agentId }, expiresAt },
      { ...refOf({ tenant, remoteId }), body: null },
    ]);
  }
}

function refOf({ tenant, remoteId }: Pick<Delegation, 'tenant' | 'remoteId'>): DocumentRef {
  return { tenant, kind: OPEN, id: remoteId };
}

function bodyOf(delegation: Delegation): JsonObject {
  return delegation as unknown as JsonObject;
}
