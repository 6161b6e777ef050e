// Steps of one run that wait for no task: for a time, a message or somebody's decision. The first is the clock's, the others are records
// that anybody may leave in the store (`SAM-164`, `SAM-210`).

import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Task, TaskError } from '../../domain/task.ts';
import { recordOf, type StepRecord, type WorkflowRun } from '../../domain/workflow.ts';
import {
  APPROVAL_KIND,
  type Approval,
  approvalId,
  MESSAGE_KIND,
  messageId,
} from '../../domain/workflow-documents.ts';
import type { RunFact } from '../../domain/workflow-run.ts';
import type { StoredDocument } from '../../store/rows.ts';
import type { WorkflowParts } from './parts.ts';
import type { Plan, PlannedStep } from './plan.ts';
import type { Scope } from './scope.ts';
import { expressionsIn, render } from './templates.ts';

/** Records of what was decided are kept so long after their time. */
const KEPT_MS = 90 * 86_400_000;

/** The waits of one run. */
export class WaitingRoom {
  readonly #parts: Pick<WorkflowParts, 'clock' | 'store' | 'mail'>;
  readonly #parent: Task;
  readonly #scope: Scope;
  readonly #plan: Plan;
  readonly #ring: () => void;
  readonly #withdraw = new Map<string, () => void>();
  readonly #seen = new Map<string, StoredDocument>();
  readonly #lookedAt = new Map<string, number>();

  constructor(
    parts: Pick<WorkflowParts, 'clock' | 'store' | 'mail'>,
    parent: Task,
    scope: Scope,
    plan: Plan,
    ring: () => void,
  ) {
    this.#parts = parts;
    this.#parent = parent;
    this.#scope = scope;
    this.#plan = plan;
    this.#ring = ring;
  }

  /** When the next wait for a time is over, epoch milliseconds; records are looked at by themselves. */
  dueAt(run: WorkflowRun): number {
    return this.#waiting(run).reduce(
      (least, [step, { dueAt }]) => (isByRecord(step) ? least : Math.min(least, dueAt ?? least)),
      Number.POSITIVE_INFINITY,
    );
  }

  /** Waits that are over. */
  facts(run: WorkflowRun, now: number): readonly RunFact[] {
    return this.#waiting(run).flatMap(([step, record]): readonly RunFact[] => {
      const { kind, written } = step;
      const ended = (how: {
        readonly output?: JsonObject;
        readonly error?: TaskError;
      }): readonly RunFact[] => [
        {
          ...{ fact: 'ended', step: written.id, item: null, at: now },
          outcome: how.error === undefined ? 'completed' : 'failed',
          ...how,
        },
      ];
      const seen = this.#seen.get(written.id)?.body;
      // What came just in time is looked for once more before it is too late.
      const looked = isByRecord(step) ? (this.#lookedAt.get(written.id) ?? 0) : now;
      const isOver = record.dueAt !== undefined && record.dueAt <= looked;
      if (kind === 'approval') {
        const approval = seen as Approval | undefined;
        if (approval?.state === 'approved') return ended({ output: decision(approval) });
        if (approval?.state === 'rejected')
          return ended({ output: decision(approval), error: rejected(approval) });
        return isOver ? ended({ output: { approved: false }, error: EXPIRED }) : [];
      }
      if (written.message === undefined) return isOver ? ended({ output: {} }) : [];
      if (seen !== undefined)
        return ended(seen.error === undefined ? { output: messageOf(seen) } : { error: faultIn(seen) });
      return isOver ? ended({ error: SILENT }) : [];
    });
  }

  /** Sees to it that what is waited for is asked for, and nothing else. */
  async keep(run: WorkflowRun): Promise<void> {
    const waiting = new Map(this.#waiting(run).map(([step, record]) => [step.written.id, { step, record }]));
    for (const [id, withdraw] of this.#withdraw) {
      if (waiting.has(id)) continue;
      withdraw();
      this.#withdraw.delete(id);
      if (this.#plan.steps.get(id)?.kind === 'approval') await this.#close(id, recordOf(run, id));
    }
    for (const [id, { step, record }] of waiting) {
      if (this.#withdraw.has(id)) continue;
      if (step.kind === 'approval') await this.#ask(run, step, record);
      else if (step.written.message === undefined) continue;
      this.#withdraw.set(id, this.#await(step, record));
    }
  }

  /** Waits for nothing any more. */
  stop(): void {
    for (const withdraw of this.#withdraw.values()) withdraw();
    this.#withdraw.clear();
  }

  #waiting(run: WorkflowRun): readonly (readonly [PlannedStep, StepRecord])[] {
    const found: (readonly [PlannedStep, StepRecord])[] = [];
    for (const [id, record] of Object.entries(run.steps)) {
      const step = record.state === 'waiting' ? this.#plan.steps.get(id) : undefined;
      if (step !== undefined) found.push([step, record]);
    }
    return found;
  }

  #await({ kind, written }: PlannedStep, { dueAt }: StepRecord): () => void {
    const { id } = written;
    const { tenant, id: task } = this.#parent;
    return this.#parts.mail.await({
      tenant,
      ...(kind === 'approval'
        ? { kind: APPROVAL_KIND, id: approvalId(task, id) }
        : { kind: MESSAGE_KIND, id: messageId(task, written.message ?? '') }),
      seen: document => {
        const now = this.#parts.clock.now();
        this.#lookedAt.set(id, now);
        const isDecided = document !== null && document.body.state !== 'waiting';
        if (isDecided) this.#seen.set(id, document);
        if (isDecided || (dueAt ?? Number.POSITIVE_INFINITY) <= now) this.#ring();
      },
    });
  }

  /** Asking twice changes nothing: what stands there stays. */
  async #ask(run: WorkflowRun, step: PlannedStep, record: StepRecord): Promise<void> {
    const { tenant, id: task, spec } = this.#parent;
    const said = render(step.said, await this.#scope.of(run, expressionsIn(step.said)));
    const { title = '', message = '' } = isJsonObject(said) ? said : {};
    const dueAt = record.dueAt ?? this.#parts.clock.now();
    const approval: Approval = {
      task_id: task,
      step: step.written.id,
      title: String(title),
      message: String(message),
      state: 'waiting',
      requested_at: record.startedAt ?? this.#parts.clock.now(),
      expires_at: dueAt,
      requester: {
        credential: spec.submittedBy ?? '',
        agent: spec.requester.agentId,
        user: spec.requester.userId ?? '',
      },
    };
    const id = approvalId(task, step.written.id);
    const expiresAt = dueAt + KEPT_MS;
    await this.#parts.store.putDocuments([
      { tenant, kind: APPROVAL_KIND, id, body: approval, expected: 'absent', expiresAt },
    ]);
  }

  /** Nobody is to decide what is no longer asked. */
  async #close(step: string, record: StepRecord | undefined): Promise<void> {
    const { tenant, id: task } = this.#parent;
    const id = approvalId(task, step);
    const [found] = await this.#parts.store.documents({ tenant, kind: APPROVAL_KIND, ids: [id] });
    if (found?.body.state !== 'waiting') return;
    const state = record?.error?.code === 'task_timeout' ? 'expired' : 'withdrawn';
    const expiry = found.expiresAt === null ? {} : { expiresAt: found.expiresAt };
    await this.#parts.store.putDocuments([
      { tenant, kind: APPROVAL_KIND, id, body: { ...found.body, state }, expected: found.version, ...expiry },
    ]);
  }
}

function isByRecord({ kind, written }: PlannedStep): boolean {
  return kind === 'approval' || written.message !== undefined;
}

const SILENT: TaskError = {
  code: 'task_timeout',
  message: 'the message did not come in time',
  recoverable: false,
};
const EXPIRED: TaskError = {
  code: 'task_timeout',
  message: 'nobody approved it in time',
  recoverable: false,
};

function rejected({ comment, decided_by: by = '' }: Approval): TaskError {
  const message = comment === undefined ? `${by} rejected it` : `${by} rejected it: ${comment}`;
  return { code: 'policy_violation', message, recoverable: false, details: { rejected_by: by } };
}

function decision({ state, decided_by: by, decided_at: at, comment }: Approval): JsonObject {
  return {
    approved: state === 'approved',
    ...(by === undefined ? {} : { decided_by: by }),
    ...(at === undefined ? {} : { decided_at: new Date(at).toISOString() }),
    ...(comment === undefined ? {} : { comment }),
  };
}

/** What the server itself waited for in vain: the message says why. */
function faultIn({ error }: JsonObject): TaskError {
  return error as unknown as TaskError;
}

function messageOf({ payload, sent_by: by }: JsonObject): JsonObject {
  return { payload: payload ?? null, ...(by === undefined ? {} : { sent_by: by }) };
}
