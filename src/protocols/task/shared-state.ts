// The state that the agents of a task share, and its version: every change of it and every move of the task raises it by exactly one. Kept in
// one document a task, so that a change and its number are one write.

import { hash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { changeDocument, createDocument, type Documents, oneDocument } from '../../guards/documents.ts';
import { canonicalBytes } from '../../guards/messages/canonical-json.ts';

/** Which task's. */
export interface StateRef {
  readonly tenant: TenantId;
  readonly taskId: TaskId;
}

/** How it stands; version 0 before anything happened. */
export interface SharedState {
  readonly version: number;
  readonly state: JsonObject;
}

interface Body extends SharedState {
  /** What caused the last changes, each with the version it made: a cause that comes again made that one. */
  readonly causes: readonly (readonly [string, number])[];
}

const KIND = 'task_shared_state';
const CAUSES_KEPT = 500;
const BYTES_MAX = 1_048_576;

/** The shared states of all tasks. */
export class SharedStates {
  readonly #store: Documents;

  constructor(store: Documents) {
    this.#store = store;
  }

  async read({ tenant, taskId }: StateRef): Promise<SharedState> {
    const found = await oneDocument(this.#store, { tenant, kind: KIND, id: taskId });
    return found === null ? { version: 0, state: {} } : (found.body as unknown as Body);
  }

  /** The version that a move of the task made. */
  moved(ref: StateRef, cause: string): Promise<number> {
    return this.#change(ref, cause, state => state);
  }

  /** Merges a change (RFC 7396) and answers the version it made; throws `conflict` with the current version where another was expected. */
  merge(
    ref: StateRef,
    cause: string,
    { patch, version: base }: { readonly patch: JsonObject; readonly version: number },
  ): Promise<number> {
    return this.#change(ref, cause, (state, version) => {
      if (base !== version)
        throw new DomainError('conflict', `the state has version ${version}, not ${base}`, {
          details: { task_id: ref.taskId, version, expected_version: base },
        });
      const merged = mergePatch(state, patch) as JsonObject;
      if (Buffer.byteLength(JSON.stringify(merged)) > BYTES_MAX)
        throw new DomainError('unprocessable', `the state of a task is at most ${BYTES_MAX} bytes`, {
          details: { limit: BYTES_MAX },
        });
      return merged;
    });
  }

  async #change(
    { tenant, taskId }: StateRef,
    cause: string,
    change: (state: JsonObject, version: number) => JsonObject,
  ): Promise<number> {
    const ref = { tenant, kind: KIND, id: taskId };
    const empty: Body = { version: 0, state: {}, causes: [] };
    await createDocument(this.#store, ref, empty as unknown as JsonObject);
    let made = 0;
    await changeDocument(this.#store, ref, document => {
      const { version, state, causes } = document as unknown as Body;
      const known = causes.find(([name]) => name === cause);
      made = known?.[1] ?? version + 1;
      if (known !== undefined) return document;
      const next: Body = {
        version: made,
        state: change(state, version),
        causes: [...causes.slice(1 - CAUSES_KEPT), [cause, made]],
      };
      return next as unknown as JsonObject;
    });
    return made;
  }
}

/** Hex SHA-256 of the canonical bytes of a state (`TASK-48`). */
export function hashOf(state: JsonObject): string {
  return hash('sha256', canonicalBytes(state), 'hex');
}

/** RFC 7396. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const merged: Record<string, Json> = {};
  for (const [name, value] of Object.entries(isJsonObject(target) ? target : {}))
    if (value !== undefined) merged[name] = value;
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(Object.hasOwn(merged, name) ? (merged[name] ?? null) : null, value);
  }
  return merged;
}
