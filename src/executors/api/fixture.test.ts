// What the tests of this folder share: a far end that is a real HTTP server, and attempts run through the real executor and guard.

import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { Attempted, type GivenToAll } from '../../../test/attempted.ts';
import type { Artifact } from '../../domain/artifact.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { ResourceLimits, Task, TaskSpec } from '../../domain/task.ts';
import { withHostBreakers } from '../../guards/host-breakers.ts';
import { createOutbound, parsePrivateTargets } from '../../guards/outbound.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { createApiExecutor } from './executor.ts';

/** A request as the far end saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** What the far end answers; it may also write to the response itself and answer nothing. */
export type Answer =
  | {
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly json?: Json;
      readonly body?: string | Uint8Array;
    }
  | undefined;

/** A server on loopback that answers by function and remembers what it was asked. */
export interface FarEnd {
  readonly url: string;
  readonly seen: Seen[];
}

/** Starts a far end, gone after the test; `count` is from 1. */
export async function farEnd(
  t: TestContext,
  answer: (request: Seen, count: number, response: ServerResponse) => Answer | Promise<Answer>,
): Promise<FarEnd> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://far');
    const { method = '', headers } = request;
    const one = { method, path, query, headers, body: await text(request) };
    seen.push(one);
    const told = await answer(one, seen.length, response);
    if (told === undefined) return;
    const type = told.json === undefined ? {} : { 'content-type': 'application/json' };
    response.writeHead(told.status ?? 200, { ...type, ...told.headers });
    response.end(told.json === undefined ? (told.body ?? '') : JSON.stringify(told.json));
  });
  server.listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** What an attempt may be given beside its payload. */
export interface Given extends GivenToAll {
  readonly secrets?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly resources?: ResourceLimits;
  readonly checkpoint?: Json;
  readonly tenant?: string;
  /** Stored files by id. */
  readonly artifacts?: Readonly<Record<string, Uint8Array>>;
}

/** The executor, and all its attempts told and left. */
export class House extends Attempted<Given> {
  readonly lines: string[] = [];

  /** The only response of an attempt that must complete. */
  async response(payload: JsonObject, given: Given = {}): Promise<JsonObject> {
    const { responses } = await this.output(payload, given);
    return (responses as readonly JsonObject[])[0] ?? {};
  }

  /** What is wrong with a payload, by field. */
  async faults(payload: JsonObject, given: Given = {}): Promise<readonly string[]> {
    const spec = specOf(payload, given);
    try {
      await this.executor.check(spec);
      return [];
    } catch (error) {
      const { code, details, message } = error as { code: string; details: JsonObject; message: string };
      if (code !== 'invalid_request') return [`${code}: ${message}`];
      return (details.errors as readonly JsonObject[]).map(one => `${one.field} ${one.message}`);
    }
  }

  protected override contextOf(payload: JsonObject, given: Given) {
    const { tenant = 'default', checkpoint = null, secrets = {} } = given;
    const spec = specOf(payload, given);
    return {
      task: { id: 'task', tenant, executionId: 'execution', spec, lease: null } as unknown as Task,
      checkpoint,
      secrets,
      log: (level: string, message: string, metadata?: JsonObject) =>
        void this.lines.push(`${level} ${message} ${JSON.stringify(metadata)}`),
      openArtifact: async (id: unknown) => {
        const bytes = given.artifacts?.[String(id)];
        if (bytes === undefined) throw new DomainError('not_found', `there is no artifact ${id}`);
        const artifact = { id, mediaType: 'image/png', sizeBytes: bytes.length } as Artifact;
        return { artifact, stream: Readable.from([bytes]) };
      },
    };
  }
}

/** A started executor whose requests may go to 127.0.0.1 and to no other private address. */
export async function setup(t: TestContext, clock: Clock = systemClock): Promise<House> {
  const outbound = createOutbound({ clock, log: silentLog, allowed: parsePrivateTargets('127.0.0.1') });
  const executor = createApiExecutor({
    clock,
    random: systemRandom,
    outbound: withHostBreakers(outbound, clock),
  });
  await executor.start();
  const workspace = mkdtempSync(join(tmpdir(), 'batuta-api-'));
  t.after(async () => {
    await executor.stop();
    await outbound.stop();
    await rm(workspace, { recursive: true, force: true });
  });
  return new House(executor, workspace);
}

function specOf(payload: JsonObject, given: Given): TaskSpec {
  return {
    type: 'api_integration',
    payload,
    secretNames: Object.keys(given.secrets ?? {}),
    variables: given.variables ?? {},
    resources: given.resources ?? {},
  } as unknown as TaskSpec;
}
