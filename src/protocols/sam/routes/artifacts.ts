// Artifacts: uploaded, listed, served whole or in part, deleted (`SAM-71` to `SAM-75`).

import Type, { type Static } from 'typebox';
import type { Artifact } from '../../../domain/artifact.ts';
import { DomainError } from '../../../domain/errors.ts';
import type { ArtifactId, TaskId, TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { CHUNK_TYPE } from '../../../domain/pipe.ts';
import type { EngineApi } from '../../../engine/api.ts';
import type { Sealer } from '../../../engine/ports/sealer.ts';
import { sealingKeyOf } from '../../../engine/sealing.ts';
import type { Call, Reply, Route } from '../../protocol.ts';
import {
  ARTIFACT_BYTES_MAX,
  declaredDigest,
  dropFile,
  type KeepDeps,
  keepFile,
  sealUpload,
  type Upload,
} from '../artifact-upload.ts';
import { isCurrent, rangeOf } from '../conditional.ts';
import { rangeErrorBody } from '../errors.ts';
import { boundaryOf, formFile } from '../multipart.ts';
import { wireArtifact } from '../records.ts';
import { findTask, invalidRequest, requireAny } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { artifactSchema, nothing, pageOf } from '../schema/answers.ts';
import { callerId, paging } from '../vocabulary.ts';

/** What the artifacts' routes need. */
export interface ArtifactDeps extends KeepDeps {
  readonly engine: Pick<EngineApi, 'task'>;
  readonly sealer: Sealer;
}

const uploadQuery = Type.Object({
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
  type: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  task_id: Type.Optional(callerId),
  fencing_token: Type.Optional(
    Type.Integer({ minimum: 0, description: 'The worker’s proof that it holds the task.' }),
  ),
});

const params = Type.Object({
  artifact_id: Type.String({ minLength: 1, maxLength: 500, description: 'Id or name.' }),
});
const bytes = Type.String({ contentMediaType: 'application/octet-stream', description: 'The bytes.' });
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const common = { tag: 'artifacts', rate: 'standard' } as const;
const one = `${PREFIX}/artifacts/:artifact_id`;

/** The routes that keep and serve files. */
export function artifactRoutes(deps: ArtifactDeps): readonly Route[] {
  const serving = { ...common, path: one, access: 'task:read', params } as const;
  const answers = { 200: bytes, 206: bytes, 304: nothing };
  return [
    uploadRoute(deps),
    listRoute(deps),
    route({
      ...serving,
      method: 'GET',
      summary: 'The bytes of an artifact',
      answers,
      handle: call => serve(call, deps, true),
    }),
    route({
      ...serving,
      method: 'HEAD',
      summary: 'What is known of an artifact',
      answers,
      handle: call => serve(call, deps, false),
    }),
    route({
      ...common,
      method: 'DELETE',
      path: one,
      summary: 'Delete an artifact',
      access: 'task:control',
      params,
      answers: { 204: nothing },
      async handle({ principal, params: { artifact_id: id } }) {
        await dropFile(await find(principal.tenant, id, deps), deps);
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}

function uploadRoute(deps: ArtifactDeps): Route {
  return route({
    ...common,
    method: 'POST',
    path: `${PREFIX}/artifacts`,
    summary: 'Upload a file, raw or as a form, for a task or as an input',
    access: 'authenticated',
    bodyAs: 'stream',
    bodyBytesMax: ARTIFACT_BYTES_MAX,
    query: uploadQuery,
    answers: { 201: artifactSchema },
    async handle(call) {
      requireAny(call.principal, ['task:execute', 'task:write-result']);
      const { tenant } = call.principal;
      const { sealingKey, ...holder } = await holderOf(call, deps);
      const sha256 = declaredDigest(call.headers);
      const file = await incoming(call);
      if (file.name === undefined) throw invalidRequest([{ field: 'name', message: 'is required' }]);
      const { name } = file;
      const upload = { tenant, ...holder, ...file, name, sha256 };
      const artifact = await keepFile(
        sealingKey === undefined ? upload : await sealUpload(upload, sealingKey, deps.sealer),
        deps,
      );
      return json(201, wireArtifact(artifact, call.origin));
    },
  });
}

/** The task a file is for; a worker must hold it, others may add inputs to what has not ended (`SAM-133`). */
async function holderOf(
  { principal, query }: Call<unknown, Static<typeof uploadQuery>, unknown>,
  { engine }: ArtifactDeps,
): Promise<Pick<Upload, 'taskId' | 'attempt'> & { readonly sealingKey?: JsonObject | undefined }> {
  const { task_id: taskId, fencing_token: token } = query;
  if (taskId === undefined) return { taskId: null, attempt: null };
  const task = await findTask(engine, principal.tenant, taskId);
  if (token === undefined) {
    requireAny(principal, ['task:execute']);
    if (task.outcome !== null) throw new DomainError('invalid_transition', 'the task has ended');
    return { taskId: task.id, attempt: null };
  }
  if (task.lease?.token !== token)
    throw new DomainError('lease_lost', 'the task is held by another, or by nobody', {
      details: { task_id: taskId },
    });
  return { taskId: task.id, attempt: task.attempt, sealingKey: sealingKeyOf(task.spec) };
}

interface Incoming extends Pick<Parameters<typeof keepFile>[0], 'type' | 'mediaType' | 'source'> {
  readonly name: string | undefined;
}

async function incoming(call: Call<unknown, Static<typeof uploadQuery>, unknown>): Promise<Incoming> {
  const { headers, stream, query } = call;
  if (stream === null) throw new DomainError('unserializable', 'the request has no body');
  const contentType = headers['content-type'];
  const boundary = boundaryOf(contentType);
  if (boundary === null) {
    const mediaType = contentType ?? 'application/octet-stream';
    return { name: query.name, type: query.type ?? 'input', mediaType, source: stream };
  }
  const form = await formFile(stream, boundary);
  return {
    name: query.name ?? form.fields.name ?? form.name,
    type: query.type ?? form.fields.type ?? 'input',
    mediaType: form.mediaType ?? 'application/octet-stream',
    source: form.stream,
  };
}

function listRoute({ store, engine }: ArtifactDeps): Route {
  return route({
    ...common,
    method: 'GET',
    path: `${PREFIX}/artifacts`,
    summary: 'The artifacts of a task, or of the tenant',
    access: 'task:read',
    query: Type.Object({ task_id: Type.Optional(callerId), name: Type.Optional(Type.String()), ...paging }),
    answers: { 200: pageOf('artifacts') },
    async handle({ principal: { tenant }, query, origin }) {
      const { limit, offset, task_id: taskId, name } = query;
      if (taskId !== undefined) await findTask(engine, tenant, taskId);
      const found = await store.artifacts({
        tenant,
        ...(taskId === undefined ? {} : { taskId: taskId as TaskId }),
        ...(name === undefined ? {} : { name }),
      });
      const visible = found.filter(isVisible);
      const shown = visible.slice(offset, offset + limit).map(artifact => wireArtifact(artifact, origin));
      return json(200, { artifacts: shown, total: visible.length, limit, offset });
    },
  });
}

/** What steps stream to one another is theirs alone. */
function isVisible({ quarantined, type }: Artifact): boolean {
  return !quarantined && type !== CHUNK_TYPE;
}

/** By id, or by name while exactly one bears it (`SAM-71`). */
async function find(
  tenant: TenantId,
  idOrName: string,
  { store }: Pick<ArtifactDeps, 'store'>,
): Promise<Artifact> {
  const query = UUID.test(idOrName) ? { tenant, id: idOrName as ArtifactId } : { tenant, name: idOrName };
  const [found, ...others] = (await store.artifacts(query)).filter(isVisible);
  if (found === undefined) throw new DomainError('not_found', 'there is no such artifact');
  if (others.length > 0)
    throw new DomainError('conflict', 'several artifacts bear this name; ask by id', {
      details: { artifact_ids: [found, ...others].map(one => one.id) },
    });
  return found;
}

async function serve(
  call: Call<unknown, unknown, Static<typeof params>>,
  deps: ArtifactDeps,
  withBytes: boolean,
): Promise<Reply> {
  const { headers, principal, origin, requestId, traceId } = call;
  const artifact = await find(principal.tenant, call.params.artifact_id, deps);
  const about = headersOf(artifact);
  if (isCurrent(about.etag, headers['if-none-match'])) return { kind: 'empty', status: 304, headers: about };
  const { sizeBytes, sha256 } = artifact;
  // A part is only of use to whoever has the rest of the same bytes.
  const ifRange = headers['if-range'];
  const wanted = rangeOf(
    ifRange === undefined || ifRange === about.etag ? headers.range : undefined,
    sizeBytes,
  );
  if (wanted.kind === 'unsatisfiable') {
    const body = rangeErrorBody(sizeBytes, { origin, requestId, traceId, now: deps.clock.now() });
    return json(416, body, { 'content-range': `bytes */${sizeBytes}` });
  }
  const { start, end } = wanted.kind === 'part' ? wanted : { start: 0, end: sizeBytes - 1 };
  const length = end - start + 1;
  const head = {
    ...about,
    'content-length': String(length),
    ...(wanted.kind === 'part' ? { 'content-range': `bytes ${start}-${end}/${sizeBytes}` } : {}),
  };
  const status = wanted.kind === 'part' ? 206 : 200;
  if (!withBytes || length === 0) return { kind: 'empty', status, headers: head };
  return { kind: 'stream', status, headers: head, body: await deps.blobs.read(sha256, { start, end }) };
}

/** Files are downloads, whatever they are: never shown, sniffed or run (`SAM-75`). */
function headersOf({
  sha256,
  name,
  mediaType,
}: Artifact): Readonly<Record<string, string>> & { readonly etag: string } {
  return {
    'content-type': /^[\x20-\x7e]{1,200}$/.test(mediaType) ? mediaType : 'application/octet-stream',
    etag: `"${sha256}"`,
    'accept-ranges': 'bytes',
    'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
    'content-disposition': `attachment; filename*=UTF-8''${percentEncoded(name)}`,
    'content-security-policy': "sandbox; default-src 'none'",
    'cache-control': 'private, max-age=0, must-revalidate',
  };
}

/** As RFC 8187 wants it: stricter than a URL. */
function percentEncoded(name: string): string {
  return encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
