// Everyone who can be swapped: stores, executors, channels, wires. Adding one is a folder and a line here; nobody else reaches
// into those folders.

import { join } from 'node:path';
import { createEmailChannel } from '../channels/email/email.ts';
import { mailServerAt } from '../channels/email/server.ts';
import { createSlackChannel } from '../channels/slack/slack.ts';
import { createWebhookChannel } from '../channels/webhook/webhook.ts';
import { DomainError } from '../domain/errors.ts';
import type { Channel, NotificationRenderer } from '../engine/ports/channel.ts';
import type { Executor } from '../engine/ports/executor.ts';
import type { ModelProvider } from '../engine/ports/model-provider.ts';
import type { Outbound } from '../engine/ports/outbound.ts';
import type { ReservedWork } from '../engine/reserved-work.ts';
import { createApiExecutor } from '../executors/api/executor.ts';
import { createCodeExecutor } from '../executors/code/executor.ts';
import { createContentExecutor } from '../executors/content/executor.ts';
import { createOpenAiProvider } from '../executors/content/provider.ts';
import { createDataExecutor } from '../executors/data/executor.ts';
import { createMonitorExecutor } from '../executors/monitor/executor.ts';
import { createRemoteAgents } from '../executors/remote/index.ts';
import { createSkillsExecutor, SKILL_SHAPES, type SkillsParts } from '../executors/skills/executor.ts';
import { createWebExecutor } from '../executors/web/executor.ts';
import { createWorkflowExecutor } from '../executors/workflow/executor.ts';
import type { HostBreakers } from '../guards/host-breakers.ts';
import { createOutbound, parsePrivateTargets } from '../guards/outbound.ts';
import { SchemaGuard } from '../guards/schemas.ts';
import { createTunnels } from '../guards/tunnels.ts';
import { createValidator } from '../participants/validator/validator.ts';
import { createArmyDialect } from '../protocols/army/index.ts';
import { BLOG_WORK } from '../protocols/blog/desks.ts';
import { createBlogDialect } from '../protocols/blog/index.ts';
import type { DialectHands, DialectKit } from '../protocols/dialect/hands.ts';
import { createNoobleDialect } from '../protocols/nooble/index.ts';
import { createNoobleRenderer } from '../protocols/nooble/notifications.ts';
import { NOOBLE_WORK } from '../protocols/nooble/worker.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { createSamProtocol, type SamDeps } from '../protocols/sam/index.ts';
import { createSamRenderer, type NotificationOptions } from '../protocols/sam/notification.ts';
import { createTaskDialect } from '../protocols/task/index.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Blobs } from '../store/blobs.ts';
import { blobPath, openFileBlobs } from '../store/files/blobs.ts';
import { openPostgresBlobs } from '../store/postgres/blobs.ts';
import { examinePostgres, migratePostgres } from '../store/postgres/examine.ts';
import { openPostgres } from '../store/postgres/open.ts';
import { receive } from '../store/postgres/transfer.ts';
import {
  blobsOfDatabase,
  copyDatabase,
  countInDatabase,
  faultsInDatabase,
  glanceAtDatabase,
  migrateDatabase,
  wakeDatabase,
} from '../store/sqlite/copy.ts';
import { lockFile } from '../store/sqlite/lock.ts';
import { MIGRATIONS } from '../store/sqlite/migrations/migrations.ts';
import { openSqlite } from '../store/sqlite/open.ts';
import { openSource } from '../store/sqlite/transfer.ts';
import type { Store } from '../store/store.ts';
import { type Config, environment } from './config.ts';

/** What adapters are made from. */
export interface AdapterParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly outbound: Outbound;
  readonly breakers: HostBreakers;
  readonly config: Config;
  readonly version: string;
}

const EMBEDDED_FILE = 'batuta.db';

/** The store the configuration names. */
export async function openStore(config: Config, auditKey: Uint8Array): Promise<Store> {
  if (config.databaseUrl === null) return openSqlite({ path: join(config.dataDir, EMBEDDED_FILE), auditKey });
  const { databaseUrl: url, databaseConnections: connections, databasePooled: pooled } = config;
  if (isPostgresUrl(url)) return openPostgres({ url, auditKey, connections, pooled });
  throw noStoreAt(url);
}

/** Whether a URL names a database of the shared store. */
export function isPostgresUrl(url: string): boolean {
  return /^postgres(?:ql)?:\/\//.test(url);
}

/** That no driver knows this URL. */
export function noStoreAt(url: string): DomainError {
  return new DomainError('invalid_request', `there is no store for ${url.split(':')[0]}: databases`, {
    details: {
      setting: 'BATUTA_DATABASE_URL',
      hint: 'postgres://…, or leave it out for the embedded SQLite store',
    },
  });
}

/** The embedded store as files in a data directory, for who must reach it without opening it: backup, restore, doctor. */
export const embedded = {
  file: EMBEDDED_FILE,
  /** Keeps servers out of the data directory until the answer is called; throws `unavailable` while one is in it. */
  lock: (dataDir: string) => lockFile(join(dataDir, `${EMBEDDED_FILE}.lock`)),
  copy: copyDatabase,
  glance: glanceAtDatabase,
  blobs: blobsOfDatabase,
  count: countInDatabase,
  faults: faultsInDatabase,
  wake: wakeDatabase,
  migrate: migrateDatabase,
  /** The schema that this program brings it to. */
  schemaKnown: MIGRATIONS.length,
  source: openSource,
  /** Where an artifact's bytes lie below the data directory. */
  blobPath,
} as const;

/** The shared store as a database elsewhere, for who must reach it without serving from it: migrate, copy, doctor. */
export const remote = {
  migrate: migratePostgres,
  receive,
  examine: examinePostgres,
} as const;

/** Where artifacts lie: in the database that nodes share, or in a folder, which such nodes must then share too. */
export async function openBlobs(config: Config, random: Random): Promise<Blobs> {
  const { databaseUrl: url, databasePooled: pooled, dataDir } = config;
  const place = config.blobs ?? (url === null ? 'files' : 'database');
  if (place === 'files') return openFileBlobs(dataDir, random, { isShared: url !== null });
  if (url !== null) return openPostgresBlobs({ url, pooled }, random);
  throw new DomainError('invalid_request', 'there is no database for the bytes of artifacts', {
    details: { setting: 'BATUTA_BLOBS', hint: 'it needs BATUTA_DATABASE_URL; without one they lie in files' },
  });
}

/** The task types that run in this process. */
export function createExecutors(parts: AdapterParts): readonly Executor[] {
  const { log, clock, random, outbound, config } = parts;
  const { allowRlimits, slots: poolSize, dataDir } = config;
  const options = { workRoot: workRootOf(dataDir), poolSize: Math.max(1, poolSize), allowRlimits };
  const allowed = parsePrivateTargets(config.allowPrivateTargets);
  return [
    createCodeExecutor({ log, clock, random, outbound, options }),
    createDataExecutor({ log, clock, outbound, options: { compileCache: join(dataDir, 'compiled') } }),
    createWebExecutor({
      ...{ log, clock, random, outbound, tunnels: createTunnels({ clock, log, allowed }) },
      options: {
        chromium: config.chromium,
        path: environment.PATH ?? '',
        slots: poolSize,
        allowUnconfined: allowRlimits,
      },
    }),
    createApiExecutor({ clock, random, outbound }),
    createMonitorExecutor({
      ...{ clock, random, outbound, allowed, tunnels: createTunnels({ clock, log, allowed }) },
      openOutbound: () => createOutbound({ clock, log, allowed }),
    }),
    createContentExecutor({
      log,
      clock,
      outbound,
      schemas: new SchemaGuard(clock, []),
      providers: createModelProviders(parts),
      ownProvider: config.modelByTenants
        ? settings => createOpenAiProvider(settings, { clock, outbound, elsewhere: outbound })
        : null,
      blocked: config.modelBlocked,
    }),
  ];
}

/** The model providers the configuration names, first choice first; one without any model is none. */
export function createModelProviders({
  log,
  clock,
  outbound,
  breakers,
  config,
}: AdapterParts): readonly ModelProvider[] {
  const { modelPrices: prices } = config;
  const first = {
    name: 'primary',
    baseUrl: config.modelUrl,
    key: config.modelKey,
    models: config.model,
    imageModel: config.modelImage,
    moderationModel: config.modelModeration,
  };
  const second = {
    name: 'fallback',
    baseUrl: config.modelFallbackUrl,
    key: config.modelFallbackKey,
    models: config.modelFallback,
    imageModel: null,
    moderationModel: null,
  };
  return [first, second].flatMap(({ baseUrl, ...settings }) => {
    if (baseUrl === null || (settings.models.length === 0 && settings.imageModel === null)) return [];
    // Who names a provider lets requests through to it, wherever it is, and to nothing beside it.
    const allowed = parsePrivateTargets(new URL(baseUrl).hostname);
    const way = breakers.around(createOutbound({ clock, log, allowed }));
    return [
      createOpenAiProvider({ ...settings, baseUrl, prices }, { clock, outbound: way, elsewhere: outbound }),
    ];
  });
}

/** Where attempts in this process have their workspaces. */
export function workRootOf(dataDir: string): string {
  return join(dataDir, 'work');
}

/** The executor of workflows, which needs the engine whose tasks it coordinates. */
export const createCoordinator = createWorkflowExecutor;

/** The executor of what a blog's agents are asked for, which keeps contents and conversations in the store. */
export function createSkills(parts: Omit<SkillsParts, 'schemas'>): Executor {
  return createSkillsExecutor({ ...parts, schemas: new SchemaGuard(parts.clock, SKILL_SHAPES) });
}

/** The agents elsewhere that work for this server. */
export const createDelegation = createRemoteAgents;

/** The ways out. */
export function createChannels({ clock, outbound, version, config }: AdapterParts): readonly Channel[] {
  const { smtpUrl, smtpAuthorities: file, mailFrom: from, mailDomains: domains } = config;
  if ((smtpUrl === null) !== (from === null))
    throw new DomainError('invalid_request', 'mails need both a server and who they are from', {
      details: { setting: smtpUrl === null ? 'BATUTA_SMTP_URL' : 'BATUTA_MAIL_FROM' },
    });
  return [
    createWebhookChannel({ clock, outbound, version }),
    createSlackChannel({ clock, outbound, version }),
    ...(smtpUrl === null || from === null
      ? []
      : [createEmailChannel({ clock, server: mailServerAt(smtpUrl, file), from, domains })]),
  ];
}

/** Work that participants of this server keep for themselves. */
export const RESERVED_WORK: ReservedWork = new Set<string>([...BLOG_WORK, ...NOOBLE_WORK]);

/** The wires; the first is the house's own. */
export function createProtocols(deps: SamDeps): readonly [Protocol, ...Protocol[]] {
  return [createSamProtocol(deps)];
}

/** The wires that carry messages between agents. */
export function createDialects(hands: DialectHands): readonly DialectKit[] {
  return [
    createArmyDialect(hands),
    createBlogDialect(hands),
    createNoobleDialect(hands),
    createTaskDialect(hands),
  ];
}

/** Who validates content. */
export const createContentValidator = createValidator;

/** Words notifications in the language of the wire their task came by. */
export function createRenderer(options: NotificationOptions): NotificationRenderer {
  return createNoobleRenderer(createSamRenderer(options));
}
