// What every dialect tells of itself: a front page with versions, types and limits, the schema of each type, and how it fares.

import Type, { type TSchema } from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import type { Dialect, DialectVersion } from './dialect.ts';
import { BATCH_MAX, MESSAGE_BYTES_MAX } from './media.ts';
import type { DialectRouteParts } from './routes.ts';

const anything = Type.Object({}, { additionalProperties: true });

/** The routes that tell of a dialect: its front page, its schemas, its health. */
export function pageRoutes(parts: DialectRouteParts): readonly Route[] {
  const { dialect } = parts;
  const prefix = `/protocols/${dialect.name}`;
  const common = { method: 'GET', tag: dialect.name, rate: 'standard' } as const;
  return [
    route({
      ...common,
      path: prefix,
      summary: `What is spoken here: versions, types, limits of ${dialect.title}`,
      access: 'public',
      rate: 'free',
      answers: { 200: anything },
      async handle() {
        return json(200, frontPage(dialect));
      },
    }),
    route({
      ...common,
      path: `${prefix}/schemas/:type`,
      summary: 'The JSON Schema of a message type',
      access: 'public',
      rate: 'free',
      params: Type.Object({ type: Type.String({ maxLength: 200 }) }),
      answers: { 200: anything },
      async handle({ params: { type } }) {
        const schema: TSchema | undefined = Object.hasOwn(dialect.types, type)
          ? dialect.types[type]
          : undefined;
        if (schema === undefined)
          throw new DomainError('not_found', `there is no message type ${type}`, {
            details: { types: Object.keys(dialect.types) },
          });
        return json(200, { $schema: 'https://json-schema.org/draft/2020-12/schema', title: type, ...schema });
      },
    }),
    route({
      ...common,
      path: `${prefix}/health`,
      summary:
        'Messages by type and outcome, handling time, redeliveries, dead letters, depth and age of the inboxes',
      access: 'message:receive',
      rate: 'free',
      answers: { 200: anything },
      handle: async ({ principal: { tenant } }) => json(200, await healthOf(tenant, parts)),
    }),
  ];
}

/** How a tenant's messages fare by a dialect (`TASK-60`). */
async function healthOf(
  tenant: TenantId,
  { dialect, mailroom, figures, guardrails }: DialectRouteParts,
): Promise<object> {
  const [inboxes, dead] = await Promise.all([mailroom.depths(tenant), mailroom.deadCounts(tenant)]);
  const { messages, handlingMs, deliveries, redeliveries } = figures.show(tenant);
  const ours = dead.filter(one => one.dialect === dialect.name);
  return {
    status: 'healthy',
    ...{ messages, handling_ms: handlingMs, deliveries, redeliveries },
    dead_letters: Object.fromEntries(ours.map(({ reason, count }) => [reason, count])),
    guardrails: guardrails.counts(tenant),
    inboxes: inboxes.map(({ inbox, waiting, held, oldestAt }) => ({
      ...{ inbox, waiting, held },
      oldest_at: oldestAt === null ? null : new Date(oldestAt).toISOString(),
    })),
  };
}

/** What a dialect says of itself. */
function frontPage(dialect: Dialect): object {
  return {
    protocol: dialect.name,
    title: dialect.title,
    versions: dialect.versions.map(({ changes: _, ...version }) => versionShown(version)),
    types: Object.keys(dialect.types),
    schemas: Object.fromEntries(
      Object.keys(dialect.types).map(type => [
        type,
        `/protocols/${dialect.name}/schemas/${encodeURIComponent(type)}`,
      ]),
    ),
    error_codes: Object.fromEntries(
      Object.entries(dialect.codes).map(([code, { code: word }]) => [code, word]),
    ),
    limits: { message_bytes: MESSAGE_BYTES_MAX, batch_items: BATCH_MAX, nesting: 64, wait_seconds: 60 },
    ...dialect.about(),
  };
}

/** A version as pages show it. */
export function versionShown({ version, changes, deprecatedAt, sunsetAt }: DialectVersion) {
  return {
    version,
    ...(changes === undefined ? {} : { changes }),
    ...(deprecatedAt === undefined ? {} : { deprecated_at: deprecatedAt }),
    ...(sunsetAt === undefined ? {} : { sunset_at: sunsetAt }),
  };
}
