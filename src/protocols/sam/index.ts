// SAM: the main REST API as a wire. Its routes by resource, its words for errors, and nothing of how any of it is done.

import type { TenantId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { EngineApi } from '../../engine/api.ts';
import type { Privacy } from '../../engine/privacy.ts';
import type { Reviews } from '../../engine/reviews.ts';
import type { Guards } from '../../guards/guards.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { Blobs } from '../../store/blobs.ts';
import type { Store } from '../../store/store.ts';
import type { HealthReport } from '../health.ts';
import type { Measure } from '../measures.ts';
import type { Protocol, Route } from '../protocol.ts';
import { errorPages, errorSchema, renderError } from './errors.ts';
import { PREFIX } from './route.ts';
import { agentKeyRoutes } from './routes/agent-keys.ts';
import { agentRoutes, type RemoteEnrolment } from './routes/agents.ts';
import { apiKeyRoutes } from './routes/api-keys.ts';
import { approvalRoutes } from './routes/approvals.ts';
import { artifactRoutes } from './routes/artifacts.ts';
import { auditRoutes } from './routes/audit.ts';
import { authRoutes } from './routes/auth.ts';
import { canaryRoutes } from './routes/canaries.ts';
import { controlRoutes } from './routes/control.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { eventRoutes } from './routes/events.ts';
import { executeRoutes } from './routes/execute.ts';
import { healthRoutes } from './routes/health.ts';
import { jwtKeyRoutes } from './routes/jwt-keys.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { observeRoutes } from './routes/observe.ts';
import { pipeRoutes } from './routes/pipes.ts';
import { privacyRoutes } from './routes/privacy.ts';
import { quotaRoutes } from './routes/quotas.ts';
import { type ReceivedDeps, receivedRoutes } from './routes/received.ts';
import { scheduleRoutes } from './routes/schedules.ts';
import { secretRoutes } from './routes/secrets.ts';
import { statusRoutes } from './routes/status.ts';
import { tenantRoutes } from './routes/tenants.ts';
import { workRoutes } from './routes/work.ts';
import { workflowRoutes } from './routes/workflows.ts';
import type { WorkflowDesk } from './workflow-desk.ts';

export { createSamRenderer, type NotificationOptions } from './notification.ts';

/** What SAM asks of the house. */
export interface SamDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly engine: EngineApi;
  readonly store: Store;
  readonly blobs: Blobs;
  readonly guards: Pick<
    Guards,
    | 'tenants'
    | 'quotas'
    | 'apiKeys'
    | 'usage'
    | 'jwtKeys'
    | 'tokens'
    | 'authenticator'
    | 'audit'
    | 'auditHeads'
    | 'sealer'
    | 'messages'
  > & {
    readonly secrets: Pick<Guards['secrets'], 'set' | 'names' | 'remove' | 'sealWebhookSecret'>;
  };
  /** Whoever delegates to SAM agents and takes their webhooks. */
  readonly remoteAgents: RemoteEnrolment & ReceivedDeps;
  /** Whoever runs workflows. */
  readonly workflows: WorkflowDesk;
  readonly reviews: Reviews;
  readonly privacy: Privacy;
  /** A task as its requester may see it: what of it is held back does not show; as it is unless given. */
  seen?(task: Task): Promise<Task>;
  health(): Promise<HealthReport>;
  /** What is measured of a tenant, for metrics; nothing unless given. */
  measures?(tenant: TenantId): Promise<readonly Measure[]>;
  readonly options: {
    /** The agent id shown while no agent is known: this server's own. */
    readonly serverId: string;
    readonly version: string;
    /** The key of the audit chain's hashes. */
    readonly auditKey: Uint8Array;
    /** Media types nobody may upload; none unless given. */
    readonly bannedTypes?: readonly string[];
  };
}

/** The wire. */
export function createSamProtocol(deps: SamDeps): Protocol {
  return {
    name: 'sam',
    prefix: PREFIX,
    errorSchema,
    errorPages,
    renderError,
    routes: [...taskRoutes(deps), ...administrativeRoutes(deps)],
  };
}

function taskRoutes(deps: SamDeps): readonly Route[] {
  const { engine, store, blobs, clock, random, guards, options } = deps;
  const { secrets } = guards;
  const { serverId, bannedTypes = [] } = options;
  const sealWebhookSecret = (tenant: TenantId, secret: string) => secrets.sealWebhookSecret(tenant, secret);
  return [
    ...executeRoutes({ clock, engine, sealWebhookSecret }),
    ...statusRoutes({
      clock,
      engine,
      store,
      serverId,
      seen: async task => (await deps.seen?.(task)) ?? task,
    }),
    ...observeRoutes({ clock, engine, store }),
    ...eventRoutes({ clock, engine, store }),
    ...controlRoutes({ clock, engine }),
    ...artifactRoutes({ clock, random, engine, store, blobs, bannedTypes, sealer: guards.sealer }),
    ...scheduleRoutes({ clock, random, engine, audit: guards.audit, sealWebhookSecret }),
    ...workRoutes({ clock, engine }),
    ...pipeRoutes({ engine }),
  ];
}

function administrativeRoutes(deps: SamDeps): readonly Route[] {
  const { engine, store, clock, random, guards, workflows, options } = deps;
  const { tenants, quotas, apiKeys, usage, jwtKeys, tokens, authenticator, secrets, audit } = guards;
  const { agentKeys, serverKeys } = guards.messages;
  const { version, auditKey } = options;
  return [
    ...agentRoutes({ engine, remoteAgents: deps.remoteAgents, agentKeys }),
    ...agentKeyRoutes({ agentKeys, serverKeys, tenants, audit }),
    ...nodeRoutes({ engine }),
    ...canaryRoutes({ engine, audit }),
    ...receivedRoutes(deps.remoteAgents),
    ...deliveryRoutes({ random, engine, store }),
    ...tenantRoutes({ tenants, apiKeys, audit }),
    ...quotaRoutes({ quotas }),
    ...apiKeyRoutes({ apiKeys, usage, audit }),
    ...authRoutes({ authenticator, tokens }),
    ...jwtKeyRoutes({ jwtKeys, audit }),
    ...secretRoutes({ secrets, audit }),
    ...auditRoutes({ store, heads: guards.auditHeads, auditKey }),
    ...workflowRoutes({ clock, engine, store, audit, workflows }),
    ...approvalRoutes({ reviews: deps.reviews, audit, workflows }),
    ...privacyRoutes({ privacy: deps.privacy, audit }),
    ...healthRoutes({ clock, version, health: () => deps.health() }),
    ...metricsRoutes({
      health: () => deps.health(),
      measures: async tenant => (await deps.measures?.(tenant)) ?? [],
    }),
  ];
}
