// Orders handed in again and again: making and steering schedules.

import type { Transport } from './transport.ts';
import type { Acceptance, TaskRequest } from './wire.ts';
import type { PageQuery } from './wire-admin.ts';

/** What a due run does while the one before has not ended. */
export type ScheduleOverlap = 'skip' | 'queue' | 'cancel_previous';

/** What becomes of runs missed by a downtime. */
export type ScheduleCatchUp = 'skip' | 'once' | 'all';

interface ScheduleTerms {
  /** Five fields, or `@daily` and the like. */
  readonly cron?: string | undefined;
  /** IANA name, for `cron`; UTC where absent. */
  readonly timezone?: string | undefined;
  /** Seconds, in place of `cron`. */
  readonly interval?: number | undefined;
  readonly overlap?: ScheduleOverlap | undefined;
  readonly catch_up?: ScheduleCatchUp | undefined;
  readonly catch_up_max?: number | undefined;
  /** Seconds a run may start later. */
  readonly jitter?: number | undefined;
  readonly start_at?: string | undefined;
  readonly end_at?: string | undefined;
}

/** A schedule to make: exactly one of `cron` and `interval`. */
export interface ScheduleRequest extends ScheduleTerms {
  /** Made where absent; the ids of its runs begin with it. */
  readonly schedule_id?: string | undefined;
  /** `${scheduled_at}` and the like in its texts are replaced for each run. */
  readonly task: TaskRequest;
}

/** A schedule as it stands. */
export interface ScheduleView extends ScheduleTerms {
  readonly schedule_id: string;
  readonly state: 'active' | 'paused' | 'ended';
  readonly task: TaskRequest;
  /** The next runs that are due; none while it is paused. */
  readonly next_runs: readonly string[];
  readonly last_run: { readonly task_id: string; readonly scheduled_at: string } | null;
  readonly runs: number;
  /** Runs not made because the one before had not ended. */
  readonly skipped: number;
  readonly last_error: string | null;
  /** What its runs are listed by. */
  readonly correlation_id: string;
  readonly created_at: string;
  readonly created_by: string;
}

/** Schedules of the tenant; each run is a task of its own. */
export class Schedules {
  readonly #transport: Transport;
  readonly #agentId: string;

  constructor(transport: Transport, agentId: string) {
    this.#transport = transport;
    this.#agentId = agentId;
  }

  /** Throws `ConflictError` where its id is taken. */
  create(schedule: ScheduleRequest): Promise<ScheduleView> {
    const { task } = schedule;
    const from = { ...task.orchestrator_info, agent_id: task.orchestrator_info?.agent_id ?? this.#agentId };
    return this.#transport.json({
      method: 'POST',
      path: '/api/v2/schedules',
      json: { ...schedule, task: { ...task, orchestrator_info: from } },
    });
  }

  /** Oldest first. */
  async list(query: PageQuery = {}): Promise<readonly ScheduleView[]> {
    const answer = await this.#transport.json<{ readonly schedules: readonly ScheduleView[] }>({
      method: 'GET',
      path: '/api/v2/schedules',
      query,
    });
    return answer.schedules;
  }

  get(scheduleId: string): Promise<ScheduleView> {
    return this.#transport.json({ method: 'GET', path: at(scheduleId) });
  }

  pause(scheduleId: string): Promise<ScheduleView> {
    return this.#transport.json({ method: 'POST', path: `${at(scheduleId)}/pause`, json: {} });
  }

  /** Runs that were due while it was paused are not made up for. */
  resume(scheduleId: string): Promise<ScheduleView> {
    return this.#transport.json({ method: 'POST', path: `${at(scheduleId)}/resume`, json: {} });
  }

  /** Makes a run at once, beside those that are due. */
  run(scheduleId: string): Promise<Acceptance> {
    return this.#transport.json({ method: 'POST', path: `${at(scheduleId)}/run`, json: {} });
  }

  /** Makes no more runs; those under way go on. */
  async remove(scheduleId: string): Promise<void> {
    await this.#transport.json({ method: 'DELETE', path: at(scheduleId) });
  }
}

function at(scheduleId: string): string {
  return `/api/v2/schedules/${encodeURIComponent(scheduleId)}`;
}
