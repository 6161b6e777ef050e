// How this process is: what it measures of itself, its disk and its store, for the health routes.

import { statfs } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import type { JsonObject } from '../domain/json.ts';
import type { CanaryView, EngineMeasure } from '../engine/api.ts';
import type { Engine } from '../engine/engine.ts';
import type { Executor } from '../engine/ports/executor.ts';
import type { HealthReport, Wellness } from '../protocols/health.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Config } from './config.ts';

const STALLED_MS = 60_000;
const REPORT_MS = 1_000;

/** What a health report is drawn from. */
export interface HealthParts {
  readonly clock: Clock;
  readonly config: Config;
  readonly engine: Pick<Engine, 'measure' | 'draining' | 'canaries'>;
  readonly executors: readonly Executor[];
}

/** Answers reports at most a second old, so that health checks cost nothing; but who drains says so at once. */
export function createHealth(parts: HealthParts): () => Promise<HealthReport> {
  const startedAt = parts.clock.monotonic();
  let made: { readonly at: number; readonly report: Promise<HealthReport> } | null = null;
  return async () => {
    const now = parts.clock.monotonic();
    if (made === null || now - made.at > REPORT_MS) made = { at: now, report: examine(parts, startedAt) };
    const report = await made.report;
    return { ...report, ready: report.ready && !parts.engine.draining };
  };
}

async function examine(
  { clock, config, engine, executors }: HealthParts,
  startedAt: number,
): Promise<HealthReport> {
  const [measure, disk] = await Promise.all([
    engine.measure().catch(() => null),
    statfs(config.dataDir).catch(() => null),
  ]);
  const diskPercent = disk === null ? 100 : 100 * (1 - disk.bavail / Math.max(1, disk.blocks));
  const stalled = measure?.stalledMs ?? 0;
  const database: Wellness =
    measure === null || !measure.storeWritable ? 'unhealthy' : stalled > STALLED_MS ? 'degraded' : 'healthy';
  return {
    uptimeSeconds: Math.round((clock.monotonic() - startedAt) / 1_000),
    activeTasks: measure?.activeTasks ?? 0,
    queueSize: measure?.queueSize ?? 0,
    memoryPercent: percent(1 - freemem() / totalmem()),
    cpuPercent: percent(Math.min(1, (loadavg()[0] ?? 0) / availableParallelism())),
    diskPercent: percent(diskPercent / 100),
    database,
    externalApis: 'healthy',
    fileSystem: disk === null ? 'unhealthy' : 'healthy',
    ready: measure !== null,
    detail: {
      queue_max: config.queueMax,
      rate_limits: config.rateLimits === null ? 'off' : { ...config.rateLimits },
      stalled_ms: measure?.stalledMs ?? null,
      deliveries_pending: measure?.deliveriesPending ?? null,
      store_bytes: measure?.storeBytes ?? null,
      schema_version: measure?.schemaVersion ?? null,
      claim_p99_ms: measure?.claimP99Ms ?? null,
      search_index: measure === null ? null : { ...measure.search },
      ...databaseDetail(measure?.database),
      canaries: canaryDetail(engine.canaries()),
      task_types: Object.fromEntries(
        executors.map(executor => {
          const { available, missing, isolation, detail } = executor.status();
          return [
            executor.type,
            { available, isolation, ...(missing === undefined ? {} : { missing }), ...detail },
          ];
        }),
      ),
    },
  };
}

/** What a database server tells of itself, for whoever must see to its cleaning; nothing where there is none. */
function databaseDetail(database: EngineMeasure['database']): JsonObject {
  if (database === undefined) return {};
  const { oldestXminAgeS, deadTuples, clockAheadMs } = database;
  return {
    database: {
      oldest_xmin_age_seconds: oldestXminAgeS,
      dead_tuples: deadTuples,
      clock_ahead_ms: clockAheadMs,
    },
  };
}

/** Anybody may read this: no tenant is named. */
function canaryDetail({ share, tenants, stopped }: CanaryView): JsonObject {
  return {
    share,
    tenants: tenants.length,
    stopped: stopped && { because: stopped.because, at: new Date(stopped.at).toISOString() },
  };
}

function percent(share: number): number {
  return Math.round(share * 1_000) / 10;
}
