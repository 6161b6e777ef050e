// SAM: the main REST API as a wire. Its routes by resource, its words for errors, and nothing of how any of it is done.

import type { EngineApi } from '../../engine/api.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { Store } from '../../store/store.ts';
import type { Protocol } from '../protocol.ts';
import type { DecodeDeps } from './decode.ts';
import { errorPages, errorSchema, renderError } from './errors.ts';
import { PREFIX } from './route.ts';
import { agentRoutes } from './routes/agents.ts';
import { controlRoutes } from './routes/control.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { eventRoutes } from './routes/events.ts';
import { executeRoutes } from './routes/execute.ts';
import { type HealthReport, healthRoutes } from './routes/health.ts';
import { observeRoutes } from './routes/observe.ts';
import { statusRoutes } from './routes/status.ts';
import { workRoutes } from './routes/work.ts';

export type { HealthReport, Wellness } from './routes/health.ts';

/** What SAM asks of the house. */
export interface SamDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly engine: EngineApi;
  readonly store: Store;
  readonly sealWebhookSecret: DecodeDeps['sealWebhookSecret'];
  health(): Promise<HealthReport>;
  readonly options: {
    /** The agent id shown while no agent is known: this server's own. */
    readonly serverId: string;
    readonly version: string;
  };
}

/** The wire. */
export function createSamProtocol(deps: SamDeps): Protocol {
  const { engine, store, clock, random, options } = deps;
  const { serverId, version } = options;
  return {
    name: 'sam',
    prefix: PREFIX,
    errorSchema,
    errorPages,
    renderError,
    routes: [
      ...executeRoutes({
        clock,
        engine,
        sealWebhookSecret: (tenant, secret) => deps.sealWebhookSecret(tenant, secret),
      }),
      ...statusRoutes({ clock, engine, store, serverId }),
      ...observeRoutes({ clock, engine, store }),
      ...eventRoutes({ clock, engine, store }),
      ...controlRoutes({ clock, engine }),
      ...workRoutes({ clock, engine }),
      ...agentRoutes({ engine }),
      ...deliveryRoutes({ random, engine, store }),
      ...healthRoutes({ clock, version, health: () => deps.health() }),
    ],
  };
}
