// Health: whether the system is well, whether this process lives, and whether it may be sent work (`SAM-198`, `SAM-199`).

import Type from 'typebox';
import type { Clock } from '../../../runtime/clock.ts';
import type { HealthReport, Wellness } from '../../health.ts';
import type { Route } from '../../protocol.ts';
import { json, PREFIX, route } from '../route.ts';
import { anyObject, instant } from '../vocabulary.ts';

/** What the health routes need. */
export interface HealthDeps {
  readonly clock: Clock;
  health(): Promise<HealthReport>;
  readonly version: string;
}

const wellness = Type.Enum(['healthy', 'degraded', 'unhealthy']);

const healthAnswer = Type.Object(
  {
    status: wellness,
    timestamp: Type.String({ format: 'date-time' }),
    version: Type.String(),
    uptime: Type.Number({ description: 'Seconds.' }),
    metrics: Type.Object({
      active_tasks: Type.Integer(),
      queue_size: Type.Integer(),
      memory_usage: Type.Number({ description: 'Percent.' }),
      cpu_usage: Type.Number({ description: 'Percent.' }),
      disk_usage: Type.Number({ description: 'Percent.' }),
    }),
    dependencies: Type.Object({ database: wellness, external_apis: wellness, file_system: wellness }),
    detail: Type.Optional(anyObject),
  },
  { description: 'How the system is.' },
);

const liveAnswer = Type.Object({ status: Type.String() }, { description: 'The process serves.' });
const readyAnswer = Type.Object(
  { status: Type.String(), ready: Type.Boolean() },
  { description: 'Whether it may be sent work.' },
);

const DISK_DEGRADED_PERCENT = 90;

const common = { method: 'GET', tag: 'health', access: 'public', rate: 'free' } as const;

/** The health routes; all public. */
export function healthRoutes(deps: HealthDeps): readonly Route[] {
  return [
    route({
      ...common,
      path: `${PREFIX}/health`,
      summary: 'How the system is',
      answers: { 200: healthAnswer, 503: healthAnswer },
      async handle() {
        const report = await deps.health();
        const status = wellnessOf(report);
        return json(status === 'unhealthy' ? 503 : 200, {
          status,
          timestamp: instant(deps.clock.now()),
          version: deps.version,
          uptime: report.uptimeSeconds,
          metrics: {
            active_tasks: report.activeTasks,
            queue_size: report.queueSize,
            memory_usage: report.memoryPercent,
            cpu_usage: report.cpuPercent,
            disk_usage: report.diskPercent,
          },
          dependencies: {
            database: report.database,
            external_apis: report.externalApis,
            file_system: report.fileSystem,
          },
          ...(report.detail === undefined ? {} : { detail: report.detail }),
        });
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/health/live`,
      summary: 'Whether this process serves',
      answers: { 200: liveAnswer },
      async handle() {
        return json(200, { status: 'live' });
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/health/ready`,
      summary: 'Whether this process may be sent work',
      answers: { 200: readyAnswer, 503: readyAnswer },
      async handle() {
        const report = await deps.health();
        const ready = report.ready && wellnessOf(report) !== 'unhealthy';
        return json(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready', ready });
      },
    }),
  ];
}

/** Without database or disk nothing works; without an external service, or with a full disk ahead, some things do. */
function wellnessOf(report: HealthReport): Wellness {
  const { database, fileSystem, externalApis, diskPercent } = report;
  if (database === 'unhealthy' || fileSystem === 'unhealthy') return 'unhealthy';
  const strained = [database, fileSystem, externalApis].some(one => one !== 'healthy');
  return strained || diskPercent > DISK_DEGRADED_PERCENT ? 'degraded' : 'healthy';
}
