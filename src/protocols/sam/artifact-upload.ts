// Takes an uploaded file in: streams it to the blobs, holds it to its declared digest and type, and writes down what it is
// (`SAM-72`, `SAM-74`).

import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Artifact } from '../../domain/artifact.ts';
import { DomainError } from '../../domain/errors.ts';
import type { ArtifactId, TaskId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Sealer } from '../../engine/ports/sealer.ts';
import { SEALED_MEDIA_TYPE, sealable } from '../../engine/sealing.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { Blobs, StoredBytes } from '../../store/blobs.ts';
import type { Store } from '../../store/store.ts';
import { contradiction, detectedType, essence } from './media.ts';
import { invalidRequest } from './refusals.ts';

/** An artifact is at most this long, in bytes (`canonical.md`, limits). */
export const ARTIFACT_BYTES_MAX = 1024 ** 3;

/** What keeping files needs. */
export interface KeepDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly blobs: Pick<Blobs, 'write' | 'read' | 'removeFreed'>;
  readonly store: Pick<Store, 'putArtifacts' | 'artifacts' | 'dropArtifacts'>;
  /** Media types nobody may upload. */
  readonly bannedTypes: readonly string[];
}

/** A file on its way in, and what its sender says of it. */
export interface Upload {
  readonly tenant: TenantId;
  readonly taskId: TaskId | null;
  readonly attempt: number | null;
  readonly name: string;
  readonly type: string;
  readonly mediaType: string;
  /** Lower-case hex, where the sender said what it must be. */
  readonly sha256: string | null;
  readonly source: Readable;
}

/** Keeps the file; throws `unprocessable` for another digest (keeping nothing) and `policy_violation` for a type it may not have (quarantined). */
export async function keepFile(upload: Upload, deps: KeepDeps): Promise<Artifact> {
  const { store, blobs, clock, random } = deps;
  const { source, sha256: declared, ...said } = upload;
  const id = random.uuid() as ArtifactId;
  const createdAt = clock.now();
  const artifactOf = ({ sha256, sizeBytes, head }: StoredBytes): Artifact => {
    const quarantined = problemOf(head, said.mediaType, deps.bannedTypes) !== null;
    return { ...said, id, sizeBytes, sha256, createdAt, quarantined };
  };
  const stored = await blobs.write(source, ARTIFACT_BYTES_MAX, one => store.putArtifacts([artifactOf(one)]));
  const artifact = artifactOf(stored);
  const { sha256 } = stored;
  const problem = problemOf(stored.head, said.mediaType, deps.bannedTypes);
  if (declared !== null && declared !== sha256) {
    // Only the store knows whether the same bytes belong to another artifact too.
    await dropFile(artifact, deps);
    throw otherBytes(declared, sha256);
  }
  if (problem !== null)
    throw new DomainError('policy_violation', problem, {
      details: { rule: 'artifact_type', artifact_id: artifact.id, quarantined: true },
    });
  return artifact;
}

/** The file encrypted to its task's key, once it is what its sender says it is; throws as `keepFile` does, keeping nothing (`SAM-177`). */
export async function sealUpload(upload: Upload, key: JsonObject, sealer: Sealer): Promise<Upload> {
  const { sha256: declared, mediaType } = upload;
  const content = await sealable(upload.source);
  const sha256 = hash('sha256', content, 'hex');
  if (declared !== null && declared !== sha256) throw otherBytes(declared, sha256);
  const problem = contradiction(content, mediaType);
  if (problem !== null)
    throw new DomainError('policy_violation', problem, { details: { rule: 'artifact_type' } });
  const jwe = await sealer.seal(key, content, mediaType);
  return { ...upload, mediaType: SEALED_MEDIA_TYPE, sha256: null, source: Readable.from([Buffer.from(jwe)]) };
}

function otherBytes(declared: string, received: string): DomainError {
  return new DomainError('unprocessable', 'the bytes are not those of the declared checksum', {
    details: { declared: `sha256:${declared}`, received: `sha256:${received}` },
  });
}

/** Forgets an artifact, and its bytes where nothing else refers to them. */
export async function dropFile(
  { tenant, id }: Pick<Artifact, 'tenant' | 'id'>,
  { store, blobs }: Pick<KeepDeps, 'store' | 'blobs'>,
): Promise<void> {
  await blobs.removeFreed(async () => ({ freed: await store.dropArtifacts([{ tenant, id }]) }));
}

/** The digest a sender declares in `Repr-Digest` or `X-Checksum-SHA256`, as lower-case hex; null where it declares none. */
export function declaredDigest(headers: Readonly<Record<string, string | undefined>>): string | null {
  const plain = headers['x-checksum-sha256'];
  if (plain !== undefined) {
    if (!/^[0-9a-f]{64}$/i.test(plain)) throw badDigest('X-Checksum-SHA256', 'must be 64 hex digits');
    return plain.toLowerCase();
  }
  const structured = headers['repr-digest'];
  if (structured === undefined) return null;
  const [, encoded] = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/i.exec(structured) ?? [];
  if (encoded === undefined) throw badDigest('Repr-Digest', 'must hold sha-256=:<base64>:');
  return Buffer.from(encoded, 'base64').toString('hex');
}

function badDigest(field: string, message: string): DomainError {
  return invalidRequest([{ field, message }]);
}

function problemOf(head: Uint8Array, declared: string, types: readonly string[]): string | null {
  return contradiction(head, declared) ?? banned(head, declared, types);
}

function banned(head: Uint8Array, declared: string, types: readonly string[]): string | null {
  const found = detectedType(head);
  const hit = types.find(type => type === found || type === essence(declared));
  return hit === undefined ? null : `files of type ${hit} are not accepted here`;
}
