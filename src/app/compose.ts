// Builds a server from settings: the only place that knows everyone. Reads from top to bottom in the order things come to life;
// they are put to rest the other way round.

import { type AgentId, DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import { Engine, type EngineOptions } from '../engine/engine.ts';
import { Mailroom } from '../engine/mailroom/mailroom.ts';
import type { Channel } from '../engine/ports/channel.ts';
import { Privacy } from '../engine/privacy.ts';
import { Reviews } from '../engine/reviews.ts';
import { createGuards, type Guards } from '../guards/guards.ts';
import { HostBreakers } from '../guards/host-breakers.ts';
import { createOutbound, parsePrivateTargets } from '../guards/outbound.ts';
import { SchemaGuard } from '../guards/schemas.ts';
import { withSensitiveSealed } from '../guards/sensitive-store.ts';
import { createServer, type HttpServer } from '../http/server.ts';
import type { Dialect } from '../protocols/dialect/dialect.ts';
import type { DialectHands, DialectKit } from '../protocols/dialect/hands.ts';
import { mailMeasures } from '../protocols/dialect/measures.ts';
import { Pace, type PaceLimit } from '../protocols/dialect/pace.ts';
import { protocolOf } from '../protocols/dialect/protocol-of.ts';
import { createSeals } from '../protocols/dialect/seals.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { correctedClock, pause, systemClock } from '../runtime/clock.ts';
import { createLog, type Log } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import type { Blobs } from '../store/blobs.ts';
import type { Store } from '../store/store.ts';
import { createAlerts } from './alerts.ts';
import { capacityOf } from './capacity.ts';
import type { Config, RateLimits } from './config.ts';
import { type Credentials, ensureDataDir, loadCredentials, loadHouseKeys } from './credentials.ts';
import { createHealth } from './health.ts';
import {
  createChannels,
  createContentValidator,
  createCoordinator,
  createDelegation,
  createDialects,
  createExecutors,
  createModelProviders,
  createProtocols,
  createRenderer,
  createSkills,
  openBlobs,
  openStore,
  RESERVED_WORK,
  workRootOf,
} from './registry.ts';
import { keepTime } from './time.ts';
import { tlsOf } from './tls.ts';
import { VERSION } from './version.ts';

/** A server that is up. */
export interface RunningServer {
  readonly url: string;
  readonly credentials: Credentials;
  readonly engine: Engine;
  readonly log: Log;
  /** Refuses new work, gives running work its time, and lets go of everything; idempotent. */
  stop(): Promise<void>;
}

const clock = correctedClock(systemClock);
const random = systemRandom;
const UNLIMITED = 1_000_000_000;
const MEGABYTE = 1_048_576;
/** Two looks of a load balancer that looks every other second. */
const LEAVE_MS = 5_000;

/** What a server speaks beside what the registry has. */
export interface Extras {
  readonly dialects?: readonly ((hands: DialectHands) => DialectKit)[];
}

/** Starts a server; resolves when it serves, rejects with the reason why it cannot. */
export async function startServer(config: Config, extras: Extras = {}): Promise<RunningServer> {
  const log = createLog(config.logLevel);
  const undo: Undo[] = [];
  const stop = once(() => stopAll(undo, log));
  try {
    ensureDataDir(config.dataDir);
    const keys = loadHouseKeys(config, random);
    const tls = tlsOf(config);
    const listening = `${tls === null ? 'http' : 'https'}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${config.port}`;
    const credentials = loadCredentials(config, random, listening);
    const base = await openStore(config, keys.auditKey);
    undo.push(() => base.stop());
    undo.push(await keepTime(log, systemClock, clock, base));
    const guards = createGuards(log, clock, random, base, {
      masterKey: keys.masterKey,
      bootstrap: { id: credentials.api_key, secret: credentials.api_secret },
      jwtKeys: [{ kid: 'configured', algorithm: 'HS256', material: credentials.jwt_secret }],
      rates: ratesOf(config.rateLimits),
    });
    await guards.start();
    undo.push(() => guards.stop());
    const store = withSensitiveSealed(base, guards.vault);
    const reached = { url: config.publicUrl ?? listening };
    const blobs = await openBlobs(config, random);
    undo.push(() => blobs.stop());
    const floor = { log, config, extras, store, blobs, guards, auditKey: keys.auditKey, reached, undo };
    const upstairs = await startEngine(floor);
    const { engine, remoteAgents } = upstairs;
    const server = await startHttp(floor, upstairs);
    if (config.publicUrl === null) reached.url = server.url();
    await remoteAgents.start();
    undo.push(() => remoteAgents.stop());
    undo.push(() => leave(floor, upstairs, server));
    log.info('serving', { url: server.url(), version: VERSION, data: config.dataDir });
    return {
      url: server.url(),
      credentials: loadCredentials(config, random, server.url()),
      engine,
      log,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Undo = () => Promise<void>;

/** What stands once the store and the guards do. */
interface Floor {
  readonly log: Log;
  readonly config: Config;
  readonly extras: Extras;
  readonly store: Store;
  readonly blobs: Blobs;
  readonly guards: Guards;
  readonly auditKey: Uint8Array;
  /** Where callers reach us; known for sure once the server listens. */
  readonly reached: { url: string };
  readonly undo: Undo[];
}

/** Other nodes serve whoever comes now; who does not know it yet is still served until the load balancers do. */
async function leave(
  { config, store }: Floor,
  { engine, mailroom }: Upstairs,
  server: HttpServer,
): Promise<void> {
  const leaveMs = config.leaveMs ?? (store.capabilities.shared ? LEAVE_MS : 0);
  server.leave();
  mailroom.endWaits();
  await Promise.all([engine.drain(config.drainMs), pause(clock, leaveMs)]);
}

type Upstairs = Awaited<ReturnType<typeof startEngine>>;

async function startEngine({ log, config, extras, store, blobs, guards, reached, undo }: Floor) {
  const outbound = createOutbound({ clock, log, allowed: parsePrivateTargets(config.allowPrivateTargets) });
  undo.push(() => outbound.stop());
  const breakers = new HostBreakers(log, clock, store);
  await breakers.start();
  undo.push(() => breakers.stop());
  const adapters = { log, clock, random, outbound, breakers, config, version: VERSION };
  const models = createModelProviders(adapters);
  const workflows = createCoordinator({ log, clock, store, engine: (): Engine => engine });
  const executors = [
    ...createExecutors({ ...adapters, outbound: breakers.around(outbound) }),
    createSkills({ clock, store, models, memory: () => engine.memory }),
    workflows,
  ];
  const schemas = new SchemaGuard(
    clock,
    executors.map(executor => executor.payloadSchema),
  );
  undo.push(() => schemas.stop());
  const renderer = createRenderer({
    serverId: config.serverId,
    get publicUrl() {
      return reached.url;
    },
  });
  const channels = createChannels(adapters);
  const engine: Engine = new Engine(
    {
      ...{ log, clock, random, store, blobs, outbound, schemas, renderer, channels, executors },
      reserved: RESERVED_WORK,
      secrets: guards.secrets,
      weights: guards.tenants,
      quotas: guards.quotas,
      sealer: guards.sealer,
      alerts: createAlerts(log, guards.audit),
    },
    { ...(await engineOptionsOf(config)), url: () => reached.url },
  );
  await engine.start();
  undo.push(() => engine.stop());
  const remoteAgents = createDelegation(
    { log, clock, random, engine, store, blobs, outbound, vault: guards.vault, sealer: guards.sealer },
    {
      serverId: config.serverId,
      version: VERSION,
      get receiverUrl() {
        return `${reached.url}/api/v2/webhooks/task-completed`;
      },
    },
  );
  const messages = await startMailroom(
    { log, config, extras, store, guards, undo },
    { engine, channels, outbound, models, workflows, schemas },
  );
  return { engine, executors, workflows, remoteAgents, outbound, ...messages };
}

/** The dialects, and the mailroom between them. */
async function startMailroom(
  {
    log,
    config,
    extras,
    store,
    guards,
    undo,
  }: Pick<Floor, 'log' | 'config' | 'extras' | 'store' | 'guards' | 'undo'>,
  {
    engine,
    channels,
    outbound,
    models,
    workflows,
    schemas,
  }: Pick<DialectHands, 'outbound' | 'models' | 'workflows'> & {
    readonly engine: Engine;
    readonly channels: readonly Channel[];
    readonly schemas: SchemaGuard;
  },
) {
  const { audit, secrets, inspector, tenants, guardrails } = guards;
  const quotaOf: DialectHands['quotaOf'] = tenant => tenants.quotaPlan(tenant)?.tenant?.limits ?? {};
  const validator = createContentValidator({ clock, schemas, models });
  const reviews = new Reviews(clock, store, engine);
  const judges = { validator, guardrails, reviews };
  const reached = { audit, inspector, quotaOf, outbound, models, workflows };
  const parts = { log, clock, random, store, engine, ...reached, ...judges };
  const byName = new Map(channels.map(channel => [channel.name, channel]));
  const hands: DialectHands = {
    ...parts,
    channels: byName,
    memory: engine.memory,
    mailroom: () => mailroom,
  };
  const kits = [...createDialects(hands), ...(extras.dialects ?? []).map(create => create(hands))];
  const dialects = kits.map(({ dialect }) => dialect);
  const seals = createSeals({
    ...{ clock, random, dialects, guards: guards.messages },
    directory: () => mailroom.directory,
  });
  const mailroom: Mailroom = new Mailroom({
    ...parts,
    wires: dialects,
    participants: kits.flatMap(({ participants }) => participants),
    webhooks: byName.get('webhook') ?? null,
    secrets,
    seals,
    options: { self: `node:${config.serverId}`, leads: () => engine.leads },
  });
  await mailroom.start();
  undo.push(() => mailroom.stop());
  for (const { service } of kits) {
    await service?.start();
    undo.push(async () => service?.stop());
  }
  return { mailroom, reviews, dialects, seals };
}

/** The dialects as wires. */
function dialectProtocols(
  { log, guards, config }: Floor,
  { mailroom, dialects, seals, outbound }: Upstairs,
): readonly Protocol[] {
  const { guardrails } = guards;
  const limitOf = (tenant: TenantId, own: number | undefined): PaceLimit | null => {
    const isSet = guardrails.setsPace(tenant);
    if (config.rateLimits === null && !isSet) return null;
    const { messagesPerMinute, messagesBurst: burst } = guardrails.of(tenant);
    return { perMinute: isSet ? messagesPerMinute : (own ?? messagesPerMinute), burst };
  };
  const common = new Pace(clock, ({ tenant }) => limitOf(tenant, undefined));
  const paceOf = ({ pacePerMinute }: Dialect): Pace =>
    pacePerMinute === undefined
      ? common
      : new Pace(clock, ({ tenant }) => limitOf(tenant, pacePerMinute(tenant)));
  const shared = {
    ...{ log, clock, random, mailroom, guardrails, audit: guards.audit, seals },
    allowClearText: config.allowClearText,
    checkTarget: (url: string) => outbound.check(url),
    sealSecret: (tenant: TenantId, secret: string) => guards.secrets.sealWebhookSecret(tenant, secret),
  };
  return dialects.map(dialect => protocolOf(dialect, { ...shared, pace: paceOf(dialect) }));
}

async function engineOptionsOf(config: Config): Promise<EngineOptions> {
  return {
    serverId: config.serverId as AgentId,
    ...(config.region === null ? {} : { region: config.region }),
    ...(config.labels.length === 0 ? {} : { labels: config.labels }),
    version: VERSION,
    tenantOfServer: DEFAULT_TENANT,
    capacity: await capacityOf(config.dataDir),
    slotsPerType: config.slots,
    workRoot: workRootOf(config.dataDir),
    leaseMs: config.leaseMs,
    waitingMax: config.queueMax,
    webhooksPerHour: config.rateLimits?.webhooks ?? UNLIMITED,
    archiveDelayMs: config.archiveDelayMs,
    drainMs: config.drainMs,
    memory: {
      agentRecordsMax: config.memoryRecordsMax,
      agentBytesMax: config.memoryMbMax * MEGABYTE,
      searchBytesMax: config.searchMb * MEGABYTE,
    },
  };
}

async function startHttp(floor: Floor, upstairs: Upstairs): Promise<HttpServer> {
  const { engine, executors, workflows, remoteAgents, reviews } = upstairs;
  const { log, config, store, blobs, guards, auditKey, undo } = floor;
  const { host, port, serverId, publicUrl, trustedProxies, allowClearText } = config;
  const wires = dialectProtocols(floor, upstairs);
  const { mailroom } = upstairs;
  const tls = tlsOf(config);
  const isClear = tls === null && trustedProxies.length === 0 && !allowClearText;
  if (isClear && !['127.0.0.1', '::1', 'localhost'].includes(host))
    log.warn('serving other machines in clear text', {
      host,
      hint: 'set BATUTA_TLS_CERT and BATUTA_TLS_KEY, or BATUTA_TRUSTED_PROXIES where a proxy ends TLS',
    });
  const server = createServer({
    protocols: [
      ...createProtocols({
        clock,
        random,
        engine,
        store,
        blobs,
        guards,
        remoteAgents,
        workflows,
        reviews,
        seen: task => mailroom.releases.seen(task),
        privacy: new Privacy({ store, engine, memory: engine.memory, blobs }),
        measures: async tenant => [
          ...wires.flatMap(wire => wire.measures?.(tenant) ?? []),
          ...(await mailMeasures({ mailroom, clock }, tenant)),
        ],
        health: createHealth({ clock, config, engine, executors }),
        options: { serverId, version: VERSION, auditKey },
      }),
      ...wires,
    ],
    authenticator: guards.authenticator,
    limits: guards.limits,
    repeats: guards.repeats,
    log,
    clock,
    random,
    options: {
      ...{ host, port, version: VERSION, ...(publicUrl === null ? {} : { publicUrl }) },
      ...(trustedProxies.length === 0 ? {} : { trustedProxies }),
      ...(tls === null ? {} : { tls }),
    },
  });
  await server.start();
  undo.push(() => server.stop());
  return server;
}

async function stopAll(undo: readonly (() => Promise<void>)[], log: Log): Promise<void> {
  for (const step of undo.toReversed()) {
    await step().catch(error => log.error('something did not stop cleanly', { error: String(error) }));
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => {
    done ??= work();
    return done;
  };
}

function ratesOf(limits: RateLimits | null) {
  if (limits === null) return 'off' as const;
  return { standardPerHour: limits.standard, statusPerHour: limits.status, unauthenticatedPerMinute: 100 };
}
