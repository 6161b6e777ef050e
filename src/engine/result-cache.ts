// Which finished task's result will do for another one (`SAM-234`). A document by the digest of what makes tasks identical names the
// task that runs, or ran, for all of them; what it left is read from that task itself, so losing the document costs a run and no more.

import { hash } from 'node:crypto';
import type { ArtifactId, TaskId } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { isHeld } from '../domain/transitions.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { sealingKeyOf } from './sealing.ts';

const KIND = 'result_cache';
const TRIES_MAX = 5;

/** What is to be done for a task: run it, take another one's result, or wait for the one that runs. */
export type CacheVerdict =
  | { readonly what: 'run' }
  | { readonly what: 'take'; readonly source: Task }
  | { readonly what: 'wait'; readonly leader: Task };

const RUN: CacheVerdict = { what: 'run' };

/** Finds results that may be used again; never one of another tenant, of a failure, or one that was encrypted or purged. */
export class ResultCache {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Pick<Store, 'documents' | 'putDocuments' | 'read' | 'artifacts' | 'putArtifacts'>;

  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: Pick<Store, 'documents' | 'putDocuments' | 'read' | 'artifacts' | 'putArtifacts'>,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
  }

  /** What to do for a claimed task. With `mayLead` the answer `run` makes it the one that identical tasks wait for. */
  async judge(task: Task, mayLead: boolean): Promise<CacheVerdict> {
    const { cache, timeoutMs } = task.spec;
    const id = await this.#digestOf(task);
    if (cache === undefined || id === null) return RUN;
    const { tenant } = task;
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      const [document] = await this.#store.documents({ kind: KIND, tenant, ids: [id] });
      const known = document === undefined ? null : await this.#taskOf(document);
      if (known?.key === task.key) return RUN;
      if (known !== null && document !== undefined) {
        if (known.outcome === null && isHeld(known.state)) return { what: 'wait', leader: known };
        if (await this.#isFit(task, known, document)) return { what: 'take', source: known };
      }
      if (!mayLead) return RUN;
      const [outcome] = await this.#store.putDocuments([
        {
          kind: KIND,
          tenant,
          id,
          body: { task: task.id, execution: task.executionId },
          expected: document?.version ?? 'absent',
          expiresAt: this.#clock.now() + timeoutMs + cache.ttlMs,
        },
      ]);
      if (outcome?.status === 'done') return RUN;
    }
    return RUN;
  }

  /** Notes the files that a task leaves, just before its success is recorded: without them its result is not used again. */
  async keep(task: Task): Promise<void> {
    const { cache } = task.spec;
    if (cache === undefined) return;
    try {
      const id = await this.#digestOf(task);
      if (id === null) return;
      const { tenant } = task;
      const [document] = await this.#store.documents({ kind: KIND, tenant, ids: [id] });
      if (document === undefined || document.body.execution !== task.executionId) return;
      const artifacts = await this.#store.artifacts({ tenant, taskId: task.id });
      await this.#store.putDocuments([
        {
          kind: KIND,
          tenant,
          id,
          body: { ...document.body, artifacts: artifacts.map(artifact => artifact.id) },
          expected: document.version,
          expiresAt: this.#clock.now() + cache.ttlMs,
        },
      ]);
    } catch (error) {
      this.#log.warn('a result will not be used again', { task: task.id, error: String(error) });
    }
  }

  /** Gives the task files of its own that are those of the source; false where some are gone by now. */
  async copyArtifacts(task: Task, source: Task): Promise<boolean> {
    const query = { tenant: task.tenant, taskId: source.id };
    const files = await this.#store.artifacts(query);
    if (files.length === 0) return true;
    const createdAt = this.#clock.now();
    await this.#store.putArtifacts(
      files.map(file => ({
        ...file,
        id: this.#random.uuid() as ArtifactId,
        taskId: task.id,
        attempt: task.attempt,
        createdAt,
      })),
    );
    // Bytes are kept for as long as something refers to them: they were there all along if the source still does.
    const still = await this.#store.artifacts(query);
    return files.every(file => still.some(({ id }) => id === file.id));
  }

  async #taskOf({ tenant, body }: StoredDocument): Promise<Task | null> {
    const [task] = await this.#store.read([{ tenant, id: String(body.task) as TaskId }]);
    return task?.executionId === body.execution ? (task ?? null) : null;
  }

  async #isFit(task: Task, source: Task, { body }: StoredDocument): Promise<boolean> {
    const { outcome, endedAt, purged, result, spec } = source;
    if (outcome !== 'completed' || endedAt === null || purged || result?.output === undefined) return false;
    if (sealingKeyOf(spec) !== undefined) return false;
    const ttlMs = Math.min(task.spec.cache?.ttlMs ?? 0, spec.cache?.ttlMs ?? 0);
    if (this.#clock.now() - endedAt >= ttlMs) return false;
    if (!Array.isArray(body.artifacts)) return false;
    if (body.artifacts.length === 0) return true;
    const artifacts = await this.#store.artifacts({ tenant: source.tenant, taskId: source.id });
    const there = new Set<Json>(artifacts.filter(one => !one.quarantined).map(({ id }) => id));
    return body.artifacts.every((id: Json) => there.has(id));
  }

  /** What makes tasks identical, as one text; null for a task whose result is for nobody else, or whose input cannot be told. */
  async #digestOf({ tenant, spec }: Task): Promise<string | null> {
    const { cache, dependsOn } = spec;
    if (cache === undefined || sealingKeyOf(spec) !== undefined) return null;
    const inputs: Json[] = [];
    if (dependsOn.length > 0) {
      const sources = await this.#store.read(dependsOn.map(id => ({ tenant, id })));
      for (const source of sources) {
        if (source?.outcome !== 'completed' || source.purged || sealingKeyOf(source.spec) !== undefined)
          return null;
        const files = await this.#store.artifacts({ tenant, taskId: source.id });
        inputs.push({
          output: source.result?.output ?? null,
          files: files.map(({ name, sha256 }) => [name, sha256]),
        });
      }
    }
    const {
      type,
      typeName = null,
      payload,
      variables,
      secretNames,
      dependencies,
      outputSchema = null,
    } = spec;
    const order: JsonObject = {
      type,
      typeName,
      payload,
      variables,
      secretNames,
      dependencies,
      outputSchema,
      inputs,
      key: cache.key ?? null,
    };
    return hash('sha256', canonical(order), 'hex');
  }
}

/** JSON with its keys in order, so that equal values are equal texts. */
function canonical(value: Json | undefined): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
