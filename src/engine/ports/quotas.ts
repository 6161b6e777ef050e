// What the engine needs from whoever keeps quotas (`SAM-119`): a word before a task comes in, how many may start, and to be told
// what runs and what ends. All of it is answered from memory.

import type { JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import type { LeaseRow, TaskChange } from '../../store/rows.ts';

/** What of a tenant may start beside what runs of it. */
export interface QuotaRoom {
  readonly tasks: number;
  /** Memory its tasks may still reserve in all; absent where that is not limited. */
  readonly memoryMb?: number;
  /** The quota that leaves no room, as `{quota, limit, used, resets_at}`. */
  readonly spent?: JsonObject;
}

/** The quotas of tenants, credentials and users. */
export interface Quotas {
  /**
   * Counts a task that is about to be stored; what is answered takes it back if it is not. Throws `rate_limited` where a quota is
   * spent and its policy is to refuse, `unprocessable` where the task alone is more than a quota.
   */
  admit(task: Pick<Task, 'tenant' | 'id' | 'spec'>): () => void;
  /** Null where the tenant has no quota. */
  room(tenant: Task['tenant']): QuotaRoom | null;
  /** An attempt of the task began. */
  began(task: Task): void;
  /** The task left its lease, or ended without one. */
  left(task: Task, change: Pick<TaskChange, 'outcome' | 'result'>): void;
  /** Whether there is a quota of what runs at once, which runs on other nodes too. */
  readonly countsRunning: boolean;
  /** Counts anew what runs, by the leases of all nodes as of the call; what begins or ends here meanwhile stays counted so. */
  recount(reading: Promise<readonly LeaseRow[]>): Promise<void>;
}

/** No quotas at all. */
export const UNLIMITED: Quotas = {
  admit: () => () => {},
  room: () => null,
  began: () => {},
  left: () => {},
  countsRunning: false,
  recount: async () => {},
};
