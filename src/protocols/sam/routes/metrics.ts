// Metrics: a tenant's figures as Prometheus scrapes them (`SAM-188`, `TASK-60`).

import Type from 'typebox';
import type { TenantId } from '../../../domain/ids.ts';
import type { HealthReport } from '../../health.ts';
import { type Measure, prometheusText } from '../../measures.ts';
import type { Route } from '../../protocol.ts';
import { PREFIX, route } from '../route.ts';

/** Where metrics come from. */
export interface MetricsDeps {
  health(): Promise<HealthReport>;
  /** What is measured of a tenant. */
  measures(tenant: TenantId): Promise<readonly Measure[]>;
}

/** The route that is scraped. */
export function metricsRoutes({ health, measures }: MetricsDeps): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `${PREFIX}/metrics`,
      summary: 'Figures of this process and of the tenant, as Prometheus reads them',
      tag: 'health',
      access: 'audit:read',
      rate: 'free',
      answers: {
        200: Type.String({ contentMediaType: 'text/plain', description: 'Exposition format 0.0.4.' }),
      },
      async handle({ principal: { tenant } }) {
        const [report, ofTenant] = await Promise.all([health(), measures(tenant)]);
        return {
          kind: 'text',
          status: 200,
          contentType: 'text/plain; version=0.0.4; charset=utf-8',
          body: prometheusText([...ofProcess(report), ...ofTenant]),
        };
      },
    }),
  ];
}

function ofProcess({ uptimeSeconds, activeTasks, queueSize }: HealthReport): readonly Measure[] {
  const gauge = (name: string, help: string, value: number): Measure => {
    return { name: `batuta_${name}`, help, type: 'gauge', labels: {}, value };
  };
  return [
    gauge('uptime_seconds', 'Since this process began to serve.', uptimeSeconds),
    gauge('active_tasks', 'Tasks that run.', activeTasks),
    gauge('queue_size', 'Tasks that wait.', queueSize),
  ];
}
