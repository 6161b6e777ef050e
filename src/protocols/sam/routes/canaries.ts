// Canaries: what nodes and agents of that label get, for whoever runs the house (`SAM-228`).

import Type from 'typebox';
import type { CanaryVerdict } from '../../../domain/canary.ts';
import type { TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { CanaryView, EngineApi } from '../../../engine/api.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { Route } from '../../protocol.ts';
import { recordAction } from '../audited.ts';
import { requireLandlord } from '../landlord.ts';
import { json, PREFIX, route } from '../route.ts';
import { callerId, instant } from '../vocabulary.ts';

/** What the canaries' routes need. */
export interface CanaryDeps {
  readonly engine: Pick<EngineApi, 'canaries' | 'setCanaries'>;
  readonly audit: AuditRecorder;
}

const settings = {
  share: Type.Number({ minimum: 0, maximum: 1, description: 'Of new tasks, drawn when they come in.' }),
  tenants: Type.Array(callerId, { maxItems: 1_000, description: 'Whose tasks all go to canaries first.' }),
};

const figures = Type.Object({
  runs: Type.Integer(),
  error_rate: Type.Union([Type.Number(), Type.Null()]),
  p95_ms: Type.Union([Type.Number(), Type.Null()]),
});

const canaryAnswer = Type.Object(
  {
    ...settings,
    set_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
    set_by: Type.String(),
    stopped: Type.Union([
      Type.Object(
        {
          ...settings,
          at: Type.String({ format: 'date-time' }),
          because: Type.Enum(['error_rate', 'latency']),
          canary: figures,
          rest: figures,
        },
        { description: 'Since when and why they get nothing, and what they had.' },
      ),
      Type.Null(),
    ]),
  },
  { description: 'What canaries get, as of at most 2 s ago.' },
);

const common = { path: `${PREFIX}/canaries`, tag: 'nodes', access: 'admin', rate: 'standard' } as const;

/** The routes that show and set what canaries get; for administrators of the default tenant. */
export function canaryRoutes({ engine, audit }: CanaryDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'GET',
      summary: 'What canaries get',
      answers: { 200: canaryAnswer },
      async handle({ principal }) {
        requireLandlord(principal);
        return json(200, wireCanaries(engine.canaries()));
      },
    }),
    route({
      ...common,
      method: 'PUT',
      summary: 'Set what canaries get, and count anew; gives back a share that was taken away',
      body: Type.Object({ share: settings.share, tenants: Type.Optional(settings.tenants) }),
      answers: { 200: canaryAnswer },
      async handle(call) {
        requireLandlord(call.principal);
        const { share, tenants = [] } = call.body;
        const old = wireCanaries(engine.canaries());
        const chosen = { share, tenants: [...new Set(tenants)] as TenantId[] };
        const set = wireCanaries(await engine.setCanaries(chosen, call.principal.id));
        recordAction(audit, call, 'canaries.set', 'canaries', { old, new: set });
        return json(200, set);
      },
    }),
  ];
}

function wireCanaries({ share, tenants, setAt, setBy, stopped }: CanaryView): JsonObject {
  return {
    share,
    tenants,
    set_at: setAt === 0 ? null : instant(setAt),
    set_by: setBy,
    stopped: stopped && {
      share: stopped.share,
      tenants: stopped.tenants,
      at: instant(stopped.at),
      because: stopped.because,
      canary: wireFigures(stopped.canary),
      rest: wireFigures(stopped.rest),
    },
  };
}

function wireFigures({ runs, errorRate, p95Ms }: CanaryVerdict['canary']): JsonObject {
  return { runs, error_rate: errorRate, p95_ms: p95Ms };
}
