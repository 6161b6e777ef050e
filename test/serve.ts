// A whole server for tests: real sockets in front of the real engine and store, with credentials as short as a word. Who is
// calling is decided by a table; what the table does not know, the real guards decide.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentId, DEFAULT_TENANT, type TenantId } from '../src/domain/ids.ts';
import type { Permission, Principal } from '../src/domain/principal.ts';
import type { TaskType } from '../src/domain/task.ts';
import { Privacy } from '../src/engine/privacy.ts';
import { Reviews } from '../src/engine/reviews.ts';
import { createGuards, type Guards } from '../src/guards/guards.ts';
import type { RateStanding } from '../src/guards/limits.ts';
import type { RequestLimits } from '../src/http/gate.ts';
import { createServer, type HttpServer, type ServerOptions } from '../src/http/server.ts';
import type { HealthReport } from '../src/protocols/health.ts';
import { createSamProtocol, type SamDeps } from '../src/protocols/sam/index.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { type Log, silentLog } from '../src/runtime/log.ts';
import { systemRandom } from '../src/runtime/random.ts';
import { openFileBlobs } from '../src/store/files/blobs.ts';
import { type House, type HouseOptions, openHouse } from './harness.ts';
import { openTestStore } from './store.ts';

/** What a bearer of a word may do, and for whom. */
export interface Badge {
  readonly tenant?: string;
  readonly permissions: readonly Permission[];
  readonly agentId?: string;
  readonly taskTypes?: readonly TaskType[];
}

/** What a test may choose. */
export interface ServeOptions extends HouseOptions {
  /** Bearers beside `admin`, `reader` and `stranger` (an administrator of another tenant). */
  readonly badges?: Readonly<Record<string, Badge>>;
  readonly limits?: RequestLimits;
  readonly health?: Partial<HealthReport>;
  readonly log?: Log;
  readonly server?: Partial<ServerOptions>;
  /** What the SAM wire is made from, in place of what stands here. */
  readonly sam?: Partial<SamDeps>;
}

/** A server, the house behind it, and a way to ask it. */
export interface Served {
  readonly house: House;
  readonly guards: Guards;
  readonly server: HttpServer;
  readonly url: string;
  /** Sends JSON as `admin` unless told otherwise. */
  ask(method: string, path: string, options?: Ask): Promise<Answer>;
  stop(): Promise<void>;
}

/** How to ask. */
export interface Ask {
  readonly as?: string | null;
  readonly body?: unknown;
  /** Sent as it is, in place of `body`. */
  readonly raw?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** JSON of whatever shape: a test that reads a field that is not there gets `undefined`, as in any program. */
export type Loose = ReturnType<typeof JSON.parse>;

/** What came back; `body` is the parsed JSON, or the text where it is none. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Loose;
}

const WELL: HealthReport = {
  uptimeSeconds: 1,
  activeTasks: 0,
  queueSize: 0,
  memoryPercent: 10,
  cpuPercent: 10,
  diskPercent: 10,
  database: 'healthy',
  externalApis: 'healthy',
  fileSystem: 'healthy',
  ready: true,
};

const BADGES: Readonly<Record<string, Badge>> = {
  admin: { permissions: ['admin'] },
  reader: { permissions: ['task:read'] },
  stranger: { tenant: 'other', permissions: ['admin'] },
};

const NO_DELEGATION: SamDeps['remoteAgents'] = {
  enrol: async () => {},
  forget: async () => {},
  receive: async () => ({ acknowledged: true }),
};

const NO_WORKFLOWS: SamDeps['workflows'] = {
  payloadSchema: {},
  preview: async () => ({}),
  view: async () => ({}),
  mailCame: () => {},
};

const NO_LIMITS: RequestLimits = { charge: () => null, chargeAddress: () => null };

/** What of tenants the engine goes by. */
const limitsOf = ({ quotas, tenants }: Guards): Pick<HouseOptions, 'quotas' | 'prices' | 'regions'> => ({
  quotas,
  prices: id => tenants.prices(id),
  regions: id => tenants.regions(id),
});

const MASTER_KEY = Buffer.alloc(32, 7);

/** What people decide, and what is held of them. */
function peopleOf({
  clock,
  store,
  engine,
  blobs,
}: Pick<SamDeps, 'clock' | 'store' | 'blobs'> & { readonly engine: House['engine'] }) {
  return {
    reviews: new Reviews(clock, store, engine),
    privacy: new Privacy({ store, engine, memory: engine.memory, blobs }),
  };
}

/** A server listening on a port of its own. */
export async function serve(choice: ServeOptions = {}): Promise<Served> {
  const dir = choice.dir ?? mkdtempSync(join(tmpdir(), 'batuta-serve-'));
  const clock = choice.clock ?? systemClock;
  const random = choice.random ?? systemRandom;
  const store = choice.store ?? (await openTestStore({ clock, random }));
  const guards = createGuards(silentLog, clock, systemRandom, store, { masterKey: MASTER_KEY, rates: 'off' });
  await guards.start();
  const house = await openHouse({ ...limitsOf(guards), ...choice, dir, store });
  const { engine } = house;
  const badges = { ...BADGES, ...choice.badges };
  const blobs = await openFileBlobs(dir, systemRandom);
  const sam = createSamProtocol({
    clock,
    random: systemRandom,
    engine,
    store,
    blobs,
    guards,
    remoteAgents: NO_DELEGATION,
    workflows: NO_WORKFLOWS,
    ...peopleOf({ clock, store, engine, blobs }),
    health: async () => ({ ...WELL, ...choice.health }),
    options: { serverId: 'house', version: '1.2.3', auditKey: Buffer.alloc(32) },
    ...choice.sam,
  });
  const server = createServer({
    protocols: [sam],
    authenticator: {
      wantsBody: guards.authenticator.wantsBody,
      async authenticate(request) {
        const word = String(request.headers.authorization ?? '').replace(/^Bearer /, '');
        const badge = badges[word];
        if (badge === undefined) return guards.authenticator.authenticate(request);
        const principal = principalOf(word, badge);
        return { principal, method: 'jwt', keyId: null, jti: null, quotas: {}, warnings: [] };
      },
    },
    limits: choice.limits ?? NO_LIMITS,
    repeats: guards.repeats,
    log: choice.log ?? silentLog,
    clock,
    random: systemRandom,
    options: { host: '127.0.0.1', port: 0, version: '1.2.3', ...choice.server },
  });
  await server.start();
  return {
    house,
    guards,
    server,
    url: server.url(),
    ask: (method, path, options = {}) => ask(server.url(), method, path, options),
    async stop() {
      await server.stop();
      await guards.stop();
      await house.stop();
      if (choice.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function ask(url: string, method: string, path: string, options: Ask): Promise<Answer> {
  const { as = 'admin', body, raw } = options;
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...(as === null ? {} : { authorization: `Bearer ${as}` }),
      ...options.headers,
    },
    ...(payload === undefined ? {} : { body: payload }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text !== '' ? JSON.parse(text) : text,
  };
}

function principalOf(word: string, badge: Badge): Principal {
  return {
    tenant: (badge.tenant ?? DEFAULT_TENANT) as TenantId,
    id: `jwt:${word}`,
    method: 'jwt',
    ...(badge.agentId === undefined ? {} : { agentId: badge.agentId as AgentId }),
    permissions: new Set(badge.permissions),
    ...(badge.taskTypes === undefined ? {} : { taskTypes: new Set(badge.taskTypes) }),
  };
}

/** A limit of so many requests for everyone together, for tests of what happens beyond it. */
export function countedLimits(limit: number, now: () => number): RequestLimits {
  let used = 0;
  const charge = (): RateStanding => {
    used += 1;
    return {
      limit,
      remaining: Math.max(0, limit - used),
      resetAt: now() + 60_000,
      windowMs: 60_000,
      retryAfterMs: used > limit ? 60_000 : null,
    };
  };
  return { charge, chargeAddress: charge };
}

/** A valid body of execute-task. */
export function taskBody(id: string, more: object = {}): object {
  return {
    task_id: id,
    task_type: 'code_execution',
    description: 'say hello',
    orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
    task_data: { language: 'javascript', code: '1' },
    ...more,
  };
}
