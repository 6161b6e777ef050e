// What pipes are kept in: a document for each end, which only the attempt that leads it can change, and an artifact for each chunk that
// waits. Knows how they are written and found, and nothing of when.

import { hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Artifact } from '../domain/artifact.ts';
import type { ArtifactId, TaskId, TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import {
  CHUNK_BYTES_MAX,
  CHUNK_TYPE,
  PIPE_IN_KIND,
  PIPE_OUT_KIND,
  type PipeIn,
  type PipeOut,
  type PipePositions,
  type PipeReader,
  pipeInId,
  positionsIn,
  UNREAD,
  writerOf,
} from '../domain/pipe.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Blobs, StoredBytes } from '../store/blobs.ts';
import type { Store } from '../store/store.ts';
import { notThere } from './pipe-refusals.ts';

/** An end outlives its last change by this long; a pipeline that stands still for longer cannot go on. */
const KEPT_MS = 30 * 86_400_000;
const DROPPED_AT_ONCE = 100;

/** An end as it was read; `version` null: there was none yet. */
export interface Kept<End> {
  readonly end: End;
  readonly version: number | null;
}

/** What pipes need of a store. */
export type PipeStore = Pick<
  Store,
  'documents' | 'putDocuments' | 'artifacts' | 'putArtifacts' | 'dropArtifacts' | 'read'
>;

/** A chunk that waits. */
export interface KeptChunk {
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Bytes of the pipe up to its end. */
  readonly bytesUpTo: number;
}

/** The ends and chunks of all pipes. */
export class PipeRecords {
  readonly #clock: Clock;
  readonly #store: PipeStore;
  readonly #blobs: Pick<Blobs, 'write' | 'read' | 'removeFreed'>;

  constructor(clock: Clock, store: PipeStore, blobs: Pick<Blobs, 'write' | 'read' | 'removeFreed'>) {
    this.#clock = clock;
    this.#store = store;
    this.#blobs = blobs;
  }

  /** How far the last checkpoint of the task goes in its inputs. */
  async positions(tenant: TenantId, id: TaskId): Promise<PipePositions> {
    const [task] = await this.#store.read([{ tenant, id }]);
    return positionsIn(task?.checkpoint ?? null).positions;
  }

  /** The writer's end; null where nobody has written yet. */
  async out(tenant: TenantId, pipe: string): Promise<Kept<PipeOut> | null> {
    const [found] = await this.#store.documents({ tenant, kind: PIPE_OUT_KIND, ids: [pipe] });
    return found === undefined ? null : { end: found.body as unknown as PipeOut, version: found.version };
  }

  /** The readers' ends, in their order. */
  async ins(
    tenant: TenantId,
    pipe: string,
    readers: readonly PipeReader[],
  ): Promise<readonly Kept<PipeIn>[]> {
    const ids = readers.map(reader => pipeInId(pipe, reader));
    const found = await this.#store.documents({ tenant, kind: PIPE_IN_KIND, ids });
    const byId = new Map(found.map(one => [one.id, one]));
    return ids.map(id => {
      const one = byId.get(id);
      return one === undefined
        ? { end: UNREAD, version: null }
        : { end: one.body as unknown as PipeIn, version: one.version };
    });
  }

  /** Whether the writer's end was still the one that was read, and is now this. */
  putOut(tenant: TenantId, pipe: string, end: PipeOut, version: number | null): Promise<boolean> {
    return this.#put(PIPE_OUT_KIND, tenant, pipe, end as unknown as JsonObject, version);
  }

  /** Whether the reader's end was still the one that was read, and is now this. */
  putIn(
    tenant: TenantId,
    pipe: string,
    reader: PipeReader,
    end: PipeIn,
    version: number | null,
  ): Promise<boolean> {
    const body = end as unknown as JsonObject;
    return this.#put(PIPE_IN_KIND, tenant, pipeInId(pipe, reader), body, version);
  }

  /** Stores the bytes of the chunk that this end's writer writes next; they count once the end says so. */
  async keepChunk(
    tenant: TenantId,
    pipe: string,
    out: PipeOut,
    source: Readable | Uint8Array,
  ): Promise<StoredBytes> {
    const number = out.written + 1;
    const artifactOf = ({ sha256, sizeBytes }: StoredBytes): Artifact => ({
      ...{ id: chunkId(pipe, number, out.token), tenant, taskId: null, attempt: null, type: CHUNK_TYPE },
      name: `${out.bytes + sizeBytes}:${number}:${pipe}`,
      mediaType: 'application/octet-stream',
      ...{ sha256, sizeBytes, createdAt: this.#clock.now(), quarantined: false },
    });
    return await this.#blobs.write(source, CHUNK_BYTES_MAX, stored =>
      this.#store.putArtifacts([artifactOf(stored)]),
    );
  }

  /** The chunk of this number; throws `not_found` where it was acknowledged by all. */
  async chunk(tenant: TenantId, pipe: string, out: PipeOut, number: number): Promise<KeptChunk> {
    const found = await this.find(tenant, pipe, out, number);
    if (found === null) throw notThere(pipe, number);
    return found;
  }

  /** The chunk of this number; null where it was acknowledged by all. */
  async find(tenant: TenantId, pipe: string, out: PipeOut, number: number): Promise<KeptChunk | null> {
    const id = chunkId(pipe, number, writerOf(out, number));
    const [found] = await this.#store.artifacts({ tenant, id });
    if (found === undefined) return null;
    const { sha256, sizeBytes, name } = found;
    return { sha256, sizeBytes, bytesUpTo: Number(name.slice(0, name.indexOf(':'))) };
  }

  /** The bytes of a chunk. */
  bytes({ sha256 }: KeptChunk): Promise<Readable> {
    return this.#blobs.read(sha256);
  }

  /** Forgets the chunks after the first number up to the second. */
  async dropChunks(
    tenant: TenantId,
    pipe: string,
    out: PipeOut,
    { after, upTo }: { readonly after: number; readonly upTo: number },
  ): Promise<void> {
    for (let from = after + 1; from <= upTo; from += DROPPED_AT_ONCE) {
      const count = Math.min(DROPPED_AT_ONCE, upTo - from + 1);
      const numbers = Array.from({ length: count }, (_, at) => from + at);
      await this.#drop(
        tenant,
        numbers.map(number => chunkId(pipe, number, writerOf(out, number))),
      );
    }
  }

  /** Forgets what an attempt stored whose end had been taken from it meanwhile. */
  dropStray(tenant: TenantId, pipe: string, number: number, token: number): Promise<void> {
    return this.#drop(tenant, [chunkId(pipe, number, token)]);
  }

  async #drop(tenant: TenantId, ids: readonly ArtifactId[]): Promise<void> {
    await this.#blobs.removeFreed(async () => ({
      freed: await this.#store.dropArtifacts(ids.map(id => ({ tenant, id }))),
    }));
  }

  async #put(
    kind: string,
    tenant: TenantId,
    id: string,
    body: JsonObject,
    version: number | null,
  ): Promise<boolean> {
    const expiresAt = this.#clock.now() + KEPT_MS;
    const expected = version ?? 'absent';
    const [outcome] = await this.#store.putDocuments([{ kind, tenant, id, body, expected, expiresAt }]);
    return outcome?.status === 'done';
  }
}

/** Of its writer's attempt too: what an attempt stored that lost its lease meanwhile is not taken for another's. */
function chunkId(pipe: string, number: number, token: number): ArtifactId {
  const hex = hash('sha256', `${pipe}\n${number}\n${token}`, 'hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-') as ArtifactId;
}
