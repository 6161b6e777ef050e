// What is kept of the reports on a task beside its own row: when the last one was written, its figures, and the checkpoints by name.

import { DomainError } from '../../domain/errors.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { changeDocument, createDocument, type Documents, oneDocument } from '../../guards/documents.ts';

/** Which task's. */
export interface ReportRef {
  readonly tenant: TenantId;
  readonly taskId: TaskId;
}

/** What is known of the reports on a task. */
export interface Reported {
  /** The attempt it was of, and the instant its sender gave it, epoch milliseconds. */
  readonly attempt: number;
  readonly at: number;
  readonly metrics: JsonObject;
  /** Names, oldest first. */
  readonly checkpoints: readonly string[];
}

/** A resumable state an agent left under a name. */
export interface NamedCheckpoint {
  readonly id: string;
  readonly data: Json;
}

const KIND = 'task_report';
const CHECKPOINT = 'task_checkpoint';
const CHECKPOINTS_MAX = 100;
const BYTES_MAX = 1_048_576;
const NOTHING: Reported = { attempt: 0, at: 0, metrics: {}, checkpoints: [] };

/** The reports on all tasks. */
export class Reports {
  readonly #store: Documents;

  constructor(store: Documents) {
    this.#store = store;
  }

  async read({ tenant, taskId }: ReportRef): Promise<Reported> {
    const found = await oneDocument(this.#store, { tenant, kind: KIND, id: taskId });
    return found === null ? NOTHING : (found.body as unknown as Reported);
  }

  /** Notes a report that is the newest of its attempt. */
  async note(
    ref: ReportRef,
    { attempt, at, metrics }: Pick<Reported, 'attempt' | 'at' | 'metrics'>,
  ): Promise<void> {
    await this.#change(ref, known => ({
      ...known,
      ...{ attempt, at, metrics: Object.keys(metrics).length === 0 ? known.metrics : metrics },
    }));
  }

  /** Keeps a checkpoint under its name; throws `unprocessable` past 100 of them, or 1 MiB. */
  async save(ref: ReportRef, { id, data }: NamedCheckpoint): Promise<void> {
    if (Buffer.byteLength(JSON.stringify(data)) > BYTES_MAX)
      throw new DomainError('unprocessable', `a checkpoint is at most ${BYTES_MAX} bytes`, {
        details: { limit: BYTES_MAX },
      });
    await this.#change(ref, known => {
      const checkpoints = [...known.checkpoints.filter(name => name !== id), id];
      if (checkpoints.length > CHECKPOINTS_MAX)
        throw new DomainError('unprocessable', `a task keeps at most ${CHECKPOINTS_MAX} checkpoints`, {
          details: { limit: CHECKPOINTS_MAX },
        });
      return { ...known, checkpoints };
    });
    await this.#store.putDocuments([{ ...refOf(ref, id), body: { data } }]);
  }

  /** The checkpoint of that name; throws `not_found`. */
  async checkpoint(ref: ReportRef, id: string): Promise<NamedCheckpoint> {
    const found = await oneDocument(this.#store, refOf(ref, id));
    if (found !== null) return { id, data: found.body.data ?? null };
    throw new DomainError('not_found', `task ${ref.taskId} has no checkpoint ${id}`, {
      details: { task_id: ref.taskId, checkpoint: id },
    });
  }

  /** Forgets all there is of an archived task (`TASK-30`). */
  async forget(ref: ReportRef): Promise<void> {
    const { checkpoints } = await this.read(ref);
    const { tenant, taskId } = ref;
    await this.#store.putDocuments([
      ...checkpoints.map(id => ({ ...refOf(ref, id), body: null })),
      { tenant, kind: KIND, id: taskId, body: null },
    ]);
  }

  async #change({ tenant, taskId }: ReportRef, change: (known: Reported) => Reported): Promise<void> {
    const ref = { tenant, kind: KIND, id: taskId };
    await createDocument(this.#store, ref, NOTHING as unknown as JsonObject);
    await changeDocument(
      this.#store,
      ref,
      body => change(body as unknown as Reported) as unknown as JsonObject,
    );
  }
}

function refOf({ tenant, taskId }: ReportRef, id: string): { tenant: TenantId; kind: string; id: string } {
  return { tenant, kind: CHECKPOINT, id: `${taskId}/${id}` };
}
