// Brings what a task left at its agent to this server: files are fetched part by part and kept only if they are what the agent says
// they are (`SAM-99`).

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Artifact } from '../../domain/artifact.ts';
import type { ArtifactId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { EngineApi } from '../../engine/api.ts';
import type { Sealer } from '../../engine/ports/sealer.ts';
import { SEALED_MEDIA_TYPE, sealFile, sealingKeyOf } from '../../engine/sealing.ts';
import { ARTIFACT_BYTES_MAX } from '../../engine/workbench.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { Blobs, StoredBytes } from '../../store/blobs.ts';
import type { Store } from '../../store/store.ts';
import type { RemoteClient } from './client.ts';
import type { Delegation } from './delegation.ts';
import { artifactOf, type RemoteArtifact } from './event.ts';

/** Where copies go. */
export interface CopyDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Pick<Store, 'artifacts' | 'putArtifacts'>;
  readonly blobs: Pick<Blobs, 'write'>;
  readonly engine: Pick<EngineApi, 'task'>;
  readonly sealer: Sealer;
}

const PART_BYTES = 8 * 1024 * 1024;
/** A larger output stays an artifact (`canonical.md`, limits). */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

/** Copies what one agent offers, one file at a time, so that many tasks ending at once do not fill the memory. */
export class ArtifactCopier {
  readonly #deps: CopyDeps;
  readonly #client: Pick<RemoteClient, 'part'>;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: CopyDeps, client: Pick<RemoteClient, 'part'>) {
    this.#deps = deps;
    this.#client = client;
  }

  /** Copies the files of an ended attempt; those copied before (by a process that then died) are not copied again. */
  async copy(delegation: Delegation, files: readonly RemoteArtifact[], signal: AbortSignal): Promise<void> {
    for (const file of files) await this.#inTurn(() => this.#copyOne(delegation, file, signal));
  }

  /** The output an agent put into an artifact; one too large for a result stays there, and the copy's id stands for it. */
  async output(delegation: Delegation, reference: Json, signal: AbortSignal): Promise<Json> {
    const file = artifactOf(reference);
    if (file === null) throw new Error('the agent names no artifact for its output');
    if ((file.sizeBytes ?? 0) > OUTPUT_BYTES_MAX) {
      const copy = await this.#inTurn(() => this.#copyOne(delegation, file, signal));
      return { output_ref: copy.id };
    }
    const chunks: Uint8Array[] = [];
    await this.#inTurn(async () => {
      for await (const chunk of this.#bytes(file, OUTPUT_BYTES_MAX, signal)) chunks.push(chunk);
    });
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Json;
  }

  async #copyOne(delegation: Delegation, file: RemoteArtifact, signal: AbortSignal): Promise<Artifact> {
    const { clock, random, store, blobs, engine, sealer } = this.#deps;
    const { tenant, taskId, attempt } = delegation;
    const key = sealingKeyOf((await engine.task(tenant, taskId)).spec);
    const known = (await store.artifacts({ tenant, taskId, name: file.name })).find(
      one => one.attempt === attempt && (key !== undefined || one.sha256 === file.sha256),
    );
    if (known !== undefined) return known;
    const plain = Readable.from(this.#bytes(file, ARTIFACT_BYTES_MAX, signal), { objectMode: false });
    const source =
      key === undefined ? plain : await sealFile({ source: plain, mediaType: file.mediaType }, key, sealer);
    const announced = {
      id: random.uuid() as ArtifactId,
      tenant,
      taskId,
      attempt,
      type: file.type,
      name: file.name,
      mediaType: key === undefined ? file.mediaType : SEALED_MEDIA_TYPE,
      createdAt: clock.now(),
      quarantined: false,
    };
    const artifactOf = ({ sha256, sizeBytes }: StoredBytes): Artifact => ({
      ...announced,
      sizeBytes,
      sha256,
    });
    const stored = await blobs.write(source, ARTIFACT_BYTES_MAX, one =>
      store.putArtifacts([artifactOf(one)]),
    );
    return artifactOf(stored);
  }

  /** Yields the file, and throws in place of its end if it is not what was announced: whoever stores it keeps nothing then. */
  async *#bytes(file: RemoteArtifact, bytesMax: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    let start = 0;
    let etag: string | null = null;
    let sizeBytes = Number.POSITIVE_INFINITY;
    while (start < sizeBytes) {
      const part = await this.#client.part(file.url, { start, bytesMax: PART_BYTES, etag }, signal);
      ({ sizeBytes } = part);
      etag ??= part.etag;
      start += part.bytes.length;
      if (start > bytesMax) throw new Error(`artifact ${file.name} has more than ${bytesMax} bytes`);
      hash.update(part.bytes);
      if (part.bytes.length > 0) yield part.bytes;
    }
    const sha256 = hash.digest('hex');
    if (start !== (file.sizeBytes ?? sizeBytes))
      throw new Error(`artifact ${file.name} has ${start} bytes instead of ${file.sizeBytes ?? sizeBytes}`);
    if (file.sha256 !== null && file.sha256 !== sha256)
      throw new Error(`artifact ${file.name} does not match its checksum`);
  }

  async #inTurn<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
