// The far end for tests of delegation: a SAM agent on the loopback that speaks the wire, signs its own webhooks and does what the
// test says; and a house whose engine delegates to it.

import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type House, type HouseOptions, openHouse, orderOf } from '../../../test/harness.ts';
import type { AgentId, TaskId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { TaskSpec } from '../../domain/task.ts';
import { createOutbound, parsePrivateTargets } from '../../guards/outbound.ts';
import { createSealer } from '../../guards/sealer.ts';
import { Vault } from '../../guards/vault.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openFileBlobs } from '../../store/files/blobs.ts';
import { createRemoteAgents, type NewEnrolment, type ReceivedWebhook, type RemoteAgents } from './index.ts';

export const AGENT = 'far-agent' as AgentId;
export const SECRET = 'secret of the far agent';
export const RECEIVER_URL = 'https://here.test/api/v2/webhooks/task-completed';
/** What the far agent calls the worker that ran a task: nothing this server knows. */
export const FAR_WORKER = 'worker-of-the-far-agent';

/** A request as it arrived. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly json: JsonObject;
}

/** What to answer; `drop` cuts the connection. */
export interface Answer {
  readonly status?: number;
  readonly json?: unknown;
  readonly drop?: boolean;
}

/** A SAM agent that runs nothing. */
export class FarAgent {
  url = '';
  readonly asked: Asked[] = [];
  /** Answers by method and path's first segment (`POST execute-task`), in place of the usual ones. */
  readonly answers = new Map<string, (asked: Asked) => Answer>();
  /** Bodies of task-status by task. */
  readonly statuses = new Map<string, JsonObject>();
  readonly files = new Map<string, Buffer>();
  /** Whether files are served in parts. */
  ranges = true;
  #sequence = 0;
  readonly #listeners = new Set<() => void>();

  async listen(context: TestContext): Promise<this> {
    const server = createServer((request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const text = Buffer.concat(chunks).toString('utf8');
        const asked: Asked = {
          method: request.method ?? '',
          path: new URL(request.url ?? '/', 'http://far').pathname.replace('/api/v2/', ''),
          headers: request.headers,
          json: text === '' ? {} : (JSON.parse(text) as JsonObject),
        };
        this.asked.push(asked);
        this.#answer(asked, response);
        for (const listener of this.#listeners) listener();
      })();
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    context.after(() => {
      server.closeAllConnections();
      server.close();
    });
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return this;
  }

  /** Resolves with the first request of that start of path, come or still to come, after so many others like it. */
  heard(path: string, earlier = 0): Promise<Asked> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the far agent never heard ${path}`)), 10_000);
      const look = (): void => {
        const found = this.asked.filter(one => one.path.startsWith(path))[earlier];
        if (found === undefined) return;
        clearTimeout(late);
        this.#listeners.delete(look);
        resolve(found);
      };
      this.#listeners.add(look);
      look();
    });
  }

  /** A webhook as it would send it now, the next in its own sequence. */
  webhook(event: string, taskId: string, body: JsonObject = {}, how: Signing = {}): ReceivedWebhook {
    this.#sequence += 1;
    const payload = {
      event_type: event,
      task_id: taskId,
      execution_id: randomUUID(),
      agent_id: FAR_WORKER,
      timestamp: new Date().toISOString(),
      sequence: this.#sequence,
      ...body,
    };
    return signed(payload, how);
  }

  #answer(asked: Asked, response: ServerResponse): void {
    const [route = '', id = ''] = asked.path.split('/');
    const told = this.answers.get(`${asked.method} ${route}`)?.(asked);
    if (told?.drop === true) {
      response.destroy();
      return;
    }
    if (told === undefined && route === 'artifacts') {
      this.#serve(id, asked, response);
      return;
    }
    const { status = 200, json = {} } = told ?? this.#usual(route, id);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(json));
  }

  #usual(route: string, id: string): Answer {
    if (route !== 'task-status') return { json: { status: 'accepted', agent_id: FAR_WORKER } };
    const json = this.statuses.get(id);
    return json === undefined ? refusal(404, 'TASK_NOT_FOUND') : { json };
  }

  #serve(name: string, { headers }: Asked, response: ServerResponse): void {
    const bytes = this.files.get(name);
    if (bytes === undefined) {
      response.writeHead(404).end();
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    if (!this.ranges || first === undefined || last === undefined) {
      response.writeHead(200).end(bytes);
      return;
    }
    const end = Math.min(Number(last), bytes.length - 1);
    response.writeHead(206, { 'content-range': `bytes ${first}-${end}/${bytes.length}`, etag: '"one"' });
    response.end(bytes.subarray(Number(first), end + 1));
  }
}

/** How a webhook is signed; by SAM's signature alone unless `standard`. */
export interface Signing {
  readonly secrets?: readonly [string, ...string[]];
  readonly standard?: boolean;
  readonly deliveryId?: string;
  readonly agentId?: string;
  readonly ageSeconds?: number;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

/** Signs anything as a webhook. */
export function signed(payload: unknown, how: Signing = {}): ReceivedWebhook {
  const body = Buffer.from(JSON.stringify(payload));
  const { secrets = [SECRET], deliveryId = randomUUID(), agentId = FAR_WORKER, ageSeconds = 0 } = how;
  const timestamp = String(Math.floor(Date.now() / 1_000) - ageSeconds);
  const standard = secrets
    .map(secret => createHmac('sha256', secret).update(`name.${timestamp}.`).update(body).digest('base64'))
    .map(signature => `v1,${signature}`)
    .join(' ');
  const headers = {
    'x-sam-agent-id': agentId,
    'x-webhook-signature': `sha256=${createHmac('sha256', secrets[0]).update(body).digest('hex')}`,
    'x-webhook-timestamp': timestamp,
    'x-delivery-id': deliveryId,
    ...(how.standard === true
      ? { 'webhook-id': 'name', 'webhook-timestamp': timestamp, 'webhook-signature': standard }
      : {}),
    ...how.headers,
  };
  return { headers, body, payload };
}

/** A refusal as the wire has it. */
export function refusal(status: number, code: string, more: JsonObject = {}): Answer {
  return { status, json: { error: { code, message: `refused: ${code}`, ...more } } };
}

/** `result.artifacts` for a file of the far agent. */
export function offerOf(name: string, bytes: Buffer): JsonObject {
  return {
    artifact_id: name,
    type: 'report',
    name,
    media_type: 'text/plain',
    size_bytes: bytes.length,
    url: `/api/v2/artifacts/${name}`,
    checksum: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
  };
}

/** An engine that delegates `custom:far` tasks to a far agent. */
export interface DelegatingHouse {
  readonly house: House;
  readonly far: FarAgent;
  readonly remote: RemoteAgents;
  /** Hands a task in and resolves with its id at the far agent once that has it. */
  delegate(id: string, spec?: Partial<TaskSpec>): Promise<string>;
  task(id: string): ReturnType<House['engine']['task']>;
  /** Another delegation over the same store: a second node, or the next process of a first that was stopped. */
  another(): Promise<RemoteAgents>;
}

/** What a test may choose of the delegation. */
export interface DelegatingOptions {
  readonly house?: HouseOptions;
  readonly credential?: NewEnrolment['credential'];
  readonly silenceMs?: number;
  readonly slots?: number;
}

/** A started house, engine and delegation, stopped when the test ends. */
export async function delegatingHouse(
  context: TestContext,
  choice: DelegatingOptions = {},
): Promise<DelegatingHouse> {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-remote-'));
  const far = await new FarAgent().listen(context);
  const house = await openHouse({ dir, ...choice.house });
  const { engine } = house;
  const { another, stop } = await delegations(house, dir, choice.silenceMs);
  context.after(async () => {
    await stop();
    await house.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const remote = await another();
  await engine.registerAgent({
    tenant: DEFAULT_TENANT,
    id: AGENT,
    kind: 'sam',
    types: ['custom:far'],
    capabilities: [],
    slots: choice.slots ?? 4,
    capacity: {},
    url: far.url,
  });
  const { credential = { kind: 'api_key', key: 'key', secret: 'opens' } } = choice;
  await remote.enrol({ tenant: DEFAULT_TENANT, agentId: AGENT, credential, webhookSecret: SECRET });
  return {
    house,
    far,
    remote,
    another,
    async delegate(id, spec = {}) {
      const earlier = far.asked.filter(one => one.path === 'execute-task').length;
      await engine.submit([orderOf(id, { type: 'custom', typeName: 'far', ...spec })]);
      return String((await far.heard('execute-task', earlier)).json.task_id);
    },
    task: id => engine.task(DEFAULT_TENANT, id as TaskId),
  };
}

async function delegations(
  { engine, store }: House,
  dir: string,
  silenceMs: number | undefined,
): Promise<{ another(): Promise<RemoteAgents>; stop(): Promise<void> }> {
  const [log, clock, random] = [silentLog, systemClock, systemRandom];
  const vault = new Vault(random, randomBytes(32));
  const outbound = createOutbound({ clock, log, allowed: parsePrivateTargets('127.0.0.1') });
  const blobs = await openFileBlobs(dir, random);
  const opened: RemoteAgents[] = [];
  const parts = { log, clock, random, engine, store, blobs, vault, outbound, sealer: createSealer() };
  const options = { serverId: 'here', version: '0.0.0', receiverUrl: RECEIVER_URL };
  return {
    async another() {
      const patience = silenceMs === undefined ? {} : { silenceMs };
      const one = createRemoteAgents(parts, { ...options, ...patience });
      opened.push(one);
      await one.start();
      return one;
    },
    async stop() {
      await Promise.all(opened.map(one => one.stop()));
      await outbound.stop();
    },
  };
}

test('the far agent serves files in parts and signs what it tells', async context => {
  const far = await new FarAgent().listen(context);
  far.files.set('a', Buffer.from('hello'));
  const part = await fetch(`${far.url}/api/v2/artifacts/a`, { headers: { range: 'bytes=1-2' } });
  assert.deepEqual([part.status, await part.text()], [206, 'el']);
  const { headers, body } = far.webhook('task_started', 'one');
  const expected = createHmac('sha256', SECRET).update(body).digest('hex');
  assert.equal(headers['x-webhook-signature'], `sha256=${expected}`);
});
