// The audit: read by filter, and verified from its first entry to its last (`SAM-205`).

import Type from 'typebox';
import type { TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { type ChainLink, verifyChain } from '../../../guards/audit.ts';
import type { AuditHeads } from '../../../guards/audit-heads.ts';
import type { AuditEntry } from '../../../store/rows.ts';
import type { Store } from '../../../store/store.ts';
import type { Route } from '../../protocol.ts';
import { instantOf } from '../../validation.ts';
import { json, PREFIX, route } from '../route.ts';
import { anyObject, instant } from '../vocabulary.ts';

/** What the audit's routes need. */
export interface AuditDeps {
  readonly store: Pick<Store, 'audit'>;
  readonly heads: Pick<AuditHeads, 'read'>;
  /** The key of the chain's hashes. */
  readonly auditKey: Uint8Array;
}

const PAGE = 1_000;

const time = Type.Optional(Type.String({ format: 'date-time' }));

const listQuery = Type.Object({
  action: Type.Optional(Type.String()),
  principal: Type.Optional(Type.String()),
  object: Type.Optional(Type.String()),
  since: time,
  until: time,
  after: Type.Optional(Type.Integer({ minimum: 0, description: 'Only entries after this sequence.' })),
  limit: Type.Integer({ minimum: 1, maximum: PAGE, default: 50 }),
});

const entriesAnswer = Type.Object(
  {
    entries: Type.Array(anyObject),
    limit: Type.Integer(),
    next_after: Type.Unsafe({ type: ['integer', 'null'] }),
  },
  { description: 'Audit entries, oldest first.' },
);

const verdictAnswer = Type.Object(
  { intact: Type.Boolean(), entries: Type.Integer() },
  { description: 'Whether every entry is there and as it was written.' },
);

const common = { method: 'GET', tag: 'audit', access: 'audit:read', rate: 'standard' } as const;

/** The routes that read the audit. */
export function auditRoutes(deps: AuditDeps): readonly Route[] {
  return [
    route({
      ...common,
      path: `${PREFIX}/audit`,
      summary: 'Who did what, oldest first',
      query: listQuery,
      answers: { 200: entriesAnswer },
      async handle({ principal, query }) {
        const entries = await deps.store.audit({
          tenant: principal.tenant,
          ...(query.action === undefined ? {} : { action: query.action }),
          ...(query.principal === undefined ? {} : { principal: query.principal }),
          ...(query.object === undefined ? {} : { object: query.object }),
          ...(query.since === undefined ? {} : { since: instantOf(query.since) }),
          ...(query.until === undefined ? {} : { until: instantOf(query.until) }),
          ...(query.after === undefined ? {} : { afterSequence: query.after }),
          limit: query.limit,
        });
        const last = entries.length === query.limit ? entries.at(-1) : undefined;
        return json(200, {
          entries: entries.map(wireEntry),
          limit: query.limit,
          next_after: last?.sequence ?? null,
        });
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/audit/verify`,
      summary: 'Whether the audit is whole and unchanged',
      answers: { 200: verdictAnswer },
      async handle({ principal }) {
        return json(200, await verdictOf(principal.tenant, deps));
      },
    }),
  ];
}

async function verdictOf(tenant: TenantId, { store, heads, auditKey }: AuditDeps): Promise<JsonObject> {
  let link: ChainLink = { sequence: 0, hash: '' };
  // Read first: the chain may have grown past it since, but never falls behind.
  const head = await heads.read(tenant);
  for (;;) {
    const entries = await store.audit({ tenant, afterSequence: link.sequence, limit: PAGE });
    const isReached = entries.length < PAGE || (head?.sequence ?? 0) <= link.sequence + entries.length;
    const known = head !== null && isReached ? { after: link, head } : { after: link };
    const verdict = verifyChain(entries, auditKey, known);
    if (!verdict.intact)
      return {
        intact: false,
        entries: verdict.sequence - 1,
        broken_at: verdict.sequence,
        fault: verdict.fault,
      };
    link = verdict.head;
    if (entries.length < PAGE) return { intact: true, entries: link.sequence, head: link.hash };
  }
}

function wireEntry(entry: AuditEntry): JsonObject {
  return {
    sequence: entry.sequence,
    timestamp: instant(entry.at),
    action: entry.action,
    principal: entry.principal,
    ...(entry.object === undefined ? {} : { object: entry.object }),
    detail: entry.detail,
    ...(entry.requestId === undefined ? {} : { request_id: entry.requestId }),
    hash: entry.hash,
  };
}
