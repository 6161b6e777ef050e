// What steps of a pipeline stream to one another, for those of them that run on workers: a worker shows the lease it holds, by the task and
// the fencing token, and gets or sends chunks by number (`SAM-229`, `SAM-230`).

import Type, { type Static } from 'typebox';
import type { FencingToken, TaskId } from '../../../domain/ids.ts';
import type { Json } from '../../../domain/json.ts';
import { CHUNK_BYTES_MAX, READ_BY } from '../../../domain/pipe.ts';
import type { EngineApi } from '../../../engine/api.ts';
import type { PipeEnd } from '../../../engine/pipe-calls.ts';
import type { Call, Route } from '../../protocol.ts';
import { declaredDigest } from '../artifact-upload.ts';
import { invalidRequest } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { nothing } from '../schema/answers.ts';
import { callerId, PIPE_NAME } from '../vocabulary.ts';

/** What the pipes' routes need. */
export interface PipeDeps {
  readonly engine: Pick<EngineApi, 'pipes'>;
}

/** The state that goes with a chunk: base64url of its JSON. */
const STATE_HEADER = 'x-pipe-state';
/** Whether there may be more, where there is no chunk. */
const PIPE_HEADER = 'x-pipe';

const held = { task_id: callerId, fencing_token: Type.Integer({ minimum: 0 }) };
const name = Type.String({ pattern: PIPE_NAME });
const number = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const state = Type.Unsafe<Json>({ description: 'Kept in the same write; the next attempt gets it.' });
const wait = Type.Optional(Type.Number({ minimum: 0, maximum: 60, description: '0 when absent.' }));

const by = Type.Optional(
  Type.Enum([...READ_BY], {
    description:
      '`checkpoint`: chunks are kept until a checkpoint includes them (`input_positions`), and the next attempt begins behind it.',
  }),
);

const params = Type.Object({ name });
const chunkParams = Type.Object({ name, number });
const chunkQuery = Type.Object({ ...held, wait_seconds: wait });
const body = Type.Object(held);
const bytes = Type.String({ contentMediaType: 'application/octet-stream', description: 'The chunk.' });

const common = {
  tag: 'workers',
  access: 'task:write-result',
  rate: 'free',
  idempotency: 'own',
} as const;
const INPUT = `${PREFIX}/work/inputs/:name`;
const OUTPUT = `${PREFIX}/work/outputs/:name`;

/** The routes of both ends. */
export function pipeRoutes(deps: PipeDeps): readonly Route[] {
  return [...inputRoutes(deps), chunkRoute(deps), ...outputRoutes(deps), writingRoute(deps)];
}

function inputRoutes({ engine: { pipes } }: PipeDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${INPUT}/open`,
      summary: 'Take an input over from earlier attempts, and learn where they got to',
      params,
      body: Type.Object({ ...held, by }),
      answers: {
        200: Type.Object(
          { acknowledged: Type.Integer(), state },
          { description: 'The last chunk dealt with, 0 for none.' },
        ),
      },
      async handle(call) {
        const { acknowledged, state: kept } = await pipes.openInput(endOf(call, call.body), call.body.by);
        return json(200, { acknowledged, state: kept });
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: `${INPUT}/acknowledge`,
      summary: 'Say that chunks up to a number were dealt with: they are not kept any longer',
      params,
      body: Type.Object({
        ...held,
        up_to: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
        state: Type.Optional(state),
      }),
      answers: { 204: nothing },
      async handle(call) {
        await pipes.acknowledge(endOf(call, call.body), call.body.up_to, call.body.state);
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}

function outputRoutes({ engine: { pipes } }: PipeDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${OUTPUT}/open`,
      summary: 'Take an output over from earlier attempts, and learn where they got to',
      params,
      body,
      answers: {
        200: Type.Object(
          { written: Type.Integer(), state },
          { description: 'The last chunk written, 0 for none.' },
        ),
      },
      async handle(call) {
        const position = await pipes.openOutput(endOf(call, call.body));
        return json(200, { written: position.written, state: position.state });
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: `${OUTPUT}/end`,
      summary: 'Say that nothing more will be written; a step that completes says so of all its outputs',
      params,
      body,
      answers: { 204: nothing },
      async handle(call) {
        await pipes.endOutput(endOf(call, call.body));
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}

function chunkRoute({ engine: { pipes } }: PipeDeps): Route {
  return route({
    ...common,
    method: 'GET',
    path: `${INPUT}/chunks/:number`,
    summary:
      'A chunk, waited for; 204 where there is none yet (X-Pipe: open) or none any more (X-Pipe: ended)',
    params: chunkParams,
    query: chunkQuery,
    answers: { 200: bytes, 204: nothing },
    async handle(call) {
      const { number: wanted } = call.params;
      const found = await pipes.read(endOf(call, call.query), wanted - 1, patienceOf(call));
      if (found?.kind !== 'chunk') {
        const headers = { [PIPE_HEADER]: found === null ? 'open' : 'ended' };
        return { kind: 'empty', status: 204, headers };
      }
      const headers = {
        'content-type': 'application/octet-stream',
        'content-length': String(found.sizeBytes),
        'cache-control': 'no-store',
      };
      return { kind: 'stream', status: 200, headers, body: found.stream };
    },
  });
}

function writingRoute({ engine: { pipes } }: PipeDeps): Route {
  const written = Type.Object(
    { outcome: Type.Enum(['kept', 'unwanted', 'waiting_downstream']) },
    {
      description: '`waiting_downstream`: it stayed full, send it again; `unwanted`: nobody reads any more.',
    },
  );
  return route({
    ...common,
    method: 'PUT',
    path: `${OUTPUT}/chunks/:number`,
    summary:
      'Write the next chunk, waiting while the pipe is full; the state in X-Pipe-State is kept with it',
    params: chunkParams,
    query: chunkQuery,
    bodyAs: 'stream',
    bodyBytesMax: CHUNK_BYTES_MAX,
    answers: { 200: written },
    async handle(call) {
      const { headers, stream, params: at } = call;
      const length = Number(headers['content-length'] ?? CHUNK_BYTES_MAX);
      const kept = stateIn(headers[STATE_HEADER]);
      const sha256 = declaredDigest(headers);
      const chunk = {
        number: at.number,
        size: Number.isSafeInteger(length) ? length : CHUNK_BYTES_MAX,
        source: stream ?? new Uint8Array(),
        ...(kept === undefined ? {} : { state: kept }),
        ...(sha256 === null ? {} : { sha256 }),
      };
      const outcome = await pipes.write(endOf(call, call.query), chunk, patienceOf(call));
      return json(200, { outcome: outcome === 'full' ? 'waiting_downstream' : outcome });
    },
  });
}

function endOf(
  { principal, params: at }: Pick<Call<unknown, unknown, Static<typeof params>>, 'principal' | 'params'>,
  lease: Static<typeof body>,
): PipeEnd {
  return {
    tenant: principal.tenant,
    taskId: lease.task_id as TaskId,
    token: lease.fencing_token as FencingToken,
    name: at.name,
    ...(principal.agentId === undefined ? {} : { boundTo: principal.agentId }),
  };
}

function patienceOf({ query, signal }: Pick<Call<unknown, Static<typeof chunkQuery>>, 'query' | 'signal'>) {
  return { waitMs: (query.wait_seconds ?? 0) * 1_000, signal };
}

function stateIn(header: string | undefined): Json | undefined {
  if (header === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(header, 'base64url').toString()) as Json;
  } catch (cause) {
    throw invalidRequest([{ field: 'X-Pipe-State', message: `must be base64url of JSON: ${String(cause)}` }]);
  }
}
