// The store's port: everything the engine asks of a database, in verbs that take arrays. Drivers live in folders beside this
// file and prove themselves with conformance.ts. A verb is one transaction: all of it happens, or none; an answer means it is on
// disk. All instants are epoch milliseconds by the store's own clock; callers pass durations, never "now".

import type { Artifact } from '../domain/artifact.ts';
import type { Delivery } from '../domain/delivery.ts';
import type { TaskEvent } from '../domain/event.ts';
import type { ArtifactId, DeliveryId, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import type { MailStore } from './mail.ts';
import type { MemoryStore } from './memory.ts';
import type {
  ArtifactQuery,
  AuditEntry,
  AuditQuery,
  Claimed,
  ClaimPick,
  CommitOutcome,
  DeliveryQuery,
  DeliverySettlement,
  DocumentOutcome,
  DocumentQuery,
  DocumentWrite,
  DueDelivery,
  DueTimer,
  EventQuery,
  LeaseQuery,
  LeaseRow,
  LogLine,
  LogQuery,
  NamedTasks,
  NewAuditEntry,
  NewTask,
  Page,
  PurgeCounts,
  PurgeTerms,
  QueueView,
  Renewal,
  RenewOutcome,
  Sample,
  SampleQuery,
  StoredDocument,
  StoredLogLine,
  StoreHint,
  StoreMeasure,
  SubmitOutcome,
  TaskChange,
  TaskQuery,
} from './rows.ts';

/** What a driver is able to do; the engine adapts to these, never to a driver's name. */
export interface StoreCapabilities {
  /** Several processes may open the same store at once. */
  readonly shared: boolean;
}

/** A durable store. Rejects with `DomainError('unavailable')` when the database cannot be written or read. */
export interface Store {
  readonly capabilities: StoreCapabilities;
  /** What keeps messages. */
  readonly mail: MailStore;
  /** Records and what they are found by. */
  readonly memory: MemoryStore;

  /**
   * Accepts tasks, answering each in order. `atomic` accepts all or none. Same id and fingerprint answers `same`; the id of a
   * rejected task may be used again (`SAM-46`, `SAM-47`). A task is placed ready unless it has timers or dependencies.
   */
  submit(
    tasks: readonly NewTask[],
    options?: { readonly atomic?: boolean },
  ): Promise<readonly SubmitOutcome[]>;
  /**
   * Takes tasks off their queues and leases them: per pick, the heads of its queues merged by rank, at most `limit`, skipping
   * (for 60 s at most) what does not fit `free`. Records the events and deliveries of `beginAttempt` in the same transaction.
   */
  claim(picks: readonly ClaimPick[]): Promise<readonly (readonly Claimed[])[]>;
  /**
   * Applies guarded changes one by one; a change whose guard no longer holds is `stale`, one whose record cannot be kept `refused`: both do
   * nothing but drop their fired timer.
   */
  commit(changes: readonly TaskChange[]): Promise<readonly CommitOutcome[]>;
  /** Prolongs leases from now; a token that no longer leads its task is `lost`. */
  renew(renewals: readonly Renewal[]): Promise<readonly RenewOutcome[]>;
  /** The leases held, all or those expired or past their deadline. */
  leases(query: LeaseQuery): Promise<readonly LeaseRow[]>;
  /** Timers that are due, earliest first, with their tasks; they stay until a change carries them as `fired`. */
  dueTimers(
    limit: number,
  ): Promise<{ readonly due: readonly DueTimer[]; readonly nextDueInMs: number | null }>;

  /** Tasks by tenant and id, in order; null where there is none. */
  read(ids: readonly { readonly tenant: TenantId; readonly id: TaskId }[]): Promise<readonly (Task | null)[]>;
  /** A tenant's tasks that match, newest first. */
  list(query: TaskQuery): Promise<Page<Task>>;
  /** Events after a sequence (of one task) or cursor (of a tenant), in order. */
  events(query: EventQuery): Promise<readonly TaskEvent[]>;
  /** The tasks a task waits for, with their outcomes; null while undecided. */
  dependencies(key: TaskKey): Promise<readonly { readonly id: TaskId; readonly outcome: Task['outcome'] }[]>;
  /** Every queue that holds a ready task. */
  queues(): Promise<readonly QueueView[]>;
  /** How many ready tasks of its tenant and work type stand before the task, counted up to `limit`; null if it is not ready. */
  position(key: TaskKey, limit: number): Promise<number | null>;

  /** Appends log lines and resource samples; they belong to no transaction of the engine. */
  record(lines: readonly LogLine[], samples: readonly Sample[]): Promise<void>;
  /** Log lines of a task, oldest first. */
  logs(query: LogQuery): Promise<readonly StoredLogLine[]>;
  /** Resource samples of a task, oldest first. */
  samples(query: SampleQuery): Promise<readonly Sample[]>;

  /**
   * Takes due deliveries for sending: marks them `sending` and due again after `leaseMs`, so a dead sender's come back. Of one task
   * and endpoint none starts before an earlier one has started, and none while another is being sent (`SAM-85`).
   */
  dueDeliveries(
    limit: number,
    leaseMs: number,
  ): Promise<{ readonly due: readonly DueDelivery[]; readonly nextDueInMs: number | null }>;
  /** Records attempts and what follows, each with the task change that goes with it (ignored where stale). */
  settleDeliveries(settlements: readonly DeliverySettlement[]): Promise<void>;
  /** A tenant's deliveries that match, newest first. */
  deliveries(query: DeliveryQuery): Promise<Page<Delivery>>;
  /** Queues copies of deliveries to be sent anew, due at once; null where there is none of that id (`SAM-92`). */
  redeliver(
    copies: readonly { readonly tenant: TenantId; readonly of: DeliveryId; readonly id: DeliveryId }[],
  ): Promise<readonly (Delivery | null)[]>;

  /** Stores what is known of artifacts; bytes are the blob store's. */
  putArtifacts(artifacts: readonly Artifact[]): Promise<void>;
  /** A tenant's artifacts that match, oldest first. */
  artifacts(query: ArtifactQuery): Promise<readonly Artifact[]>;
  /** Forgets an artifact; answers the digests nothing refers to any more. */
  dropArtifacts(
    refs: readonly { readonly tenant: TenantId; readonly id: ArtifactId }[],
  ): Promise<readonly string[]>;

  /** Small named records (keys, agents, tenants, revocations …) that match; expired ones are absent. */
  documents(query: DocumentQuery): Promise<readonly StoredDocument[]>;
  /** Writes or (body null) deletes documents, each only if its expectation holds; answers each in order. */
  putDocuments(writes: readonly DocumentWrite[]): Promise<readonly DocumentOutcome[]>;

  /** Appends to a tenant's audit, chained by keyed hash to the entry before (`SAM-205`). */
  appendAudit(entries: readonly NewAuditEntry[]): Promise<void>;
  /** Audit entries that match, oldest first. */
  audit(query: AuditQuery): Promise<readonly AuditEntry[]>;

  /**
   * Deletes what is past its term, at most `limit` tasks a call, leaving their stubs; answers counts and freed digests (`SAM-183`).
   * Of named tasks all is removed that ended, whatever their age, with what they logged (`ARMY-76`).
   */
  purge(what: PurgeTerms | NamedTasks, limit: number): Promise<PurgeCounts>;
  /** Sizes and health of the store, cheap enough for every health request. */
  measure(): Promise<StoreMeasure>;

  /** Calls back with hints of what other processes did, never with what this one does; answers how to stop that. */
  hear(listener: (hint: StoreHint) => void): () => void;

  /** Flushes and closes; later calls reject with `unavailable`. Idempotent. */
  stop(): Promise<void>;
}
