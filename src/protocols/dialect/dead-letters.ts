// Dead letters over HTTP: who manages deliveries sees what nobody got and why, puts it back, or lets it go. All three are audited.

import Type from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import { DEAD_REASONS, type DeadReason, type InboxName } from '../../domain/message.ts';
import { messageOf } from '../../engine/mailroom/packing.ts';
import type { DeadLetter } from '../../store/mail.ts';
import type { Call, Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import { instantOf } from '../validation.ts';
import { callerOf } from './callers.ts';
import { mayShow } from './clear-text.ts';
import { keepable } from './dead-handout.ts';
import type { Dialect } from './dialect.ts';
import type { DialectRouteParts } from './routes.ts';

const PAGE = 100;
const REPLAY_MAX = 1_000;
const anything = Type.Object({}, { additionalProperties: true });
const inbox = Type.Optional(Type.String({ maxLength: 400 }));
const reason = Type.Optional(Type.Enum([...DEAD_REASONS]));
const since = Type.Optional(Type.String({ format: 'date-time' }));

interface Filter {
  readonly inbox?: string;
  readonly reason?: DeadReason;
  readonly since?: string;
}

/** The routes that list, replay and drop dead letters. */
export function deadLetterRoutes(parts: DialectRouteParts): readonly Route[] {
  const common: Common = { tag: parts.dialect.name, rate: 'standard', access: 'delivery:manage' };
  const path = `/protocols/${parts.dialect.name}/dead-letters`;
  return [listing(parts, common, path), replaying(parts, common, path), dropping(parts, common, path)];
}

type Common = Pick<Route, 'tag' | 'rate' | 'access'>;

function listing(parts: DialectRouteParts, common: Common, path: string): Route {
  return route({
    ...common,
    method: 'GET',
    path,
    summary: 'Messages nobody got, and why',
    query: Type.Object({
      ...{ inbox, reason, since },
      cursor: Type.Optional(Type.Integer({ minimum: 0 })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE })),
    }),
    answers: { 200: anything },
    async handle(call) {
      const { cursor, limit = PAGE, ...filter } = call.query;
      const letters = await find(call, filter, parts, { limit, after: cursor ?? 0 });
      const last = letters.at(-1);
      return json(200, {
        dead_letters: letters.map(letter => shown(letter, parts.dialect, call)),
        next_cursor: letters.length === limit && last !== undefined ? last.id : null,
      });
    },
  });
}

function replaying(parts: DialectRouteParts, common: Common, path: string): Route {
  return route({
    ...common,
    method: 'POST',
    path: `${path}/replay`,
    summary: 'Put dead letters back into their inboxes',
    body: Type.Object({
      ids: Type.Optional(Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1, maxItems: REPLAY_MAX })),
      filter: Type.Optional(Type.Object({ inbox, reason, since })),
    }),
    answers: { 200: anything },
    async handle(call) {
      const { ids, filter } = call.body;
      if ((ids === undefined) === (filter === undefined))
        throw new DomainError('invalid_request', 'either ids or filter says which');
      const wanted =
        ids ?? (await find(call, filter ?? {}, parts, { limit: REPLAY_MAX, after: 0 })).map(({ id }) => id);
      const replayed = await parts.mailroom.replay(call.principal.tenant, wanted);
      record(parts, call, 'dead_letters.replayed', replayed);
      return json(200, { replayed });
    },
  });
}

function dropping(parts: DialectRouteParts, common: Common, path: string): Route {
  return route({
    ...common,
    method: 'DELETE',
    path: `${path}/:id`,
    summary: 'Let a dead letter go',
    params: Type.Object({ id: Type.Integer({ minimum: 0 }) }),
    answers: { 204: Type.Null() },
    async handle(call) {
      const dropped = await parts.mailroom.drop(call.principal.tenant, [call.params.id]);
      if (dropped.length === 0)
        throw new DomainError('not_found', `there is no dead letter ${call.params.id}`);
      record(parts, call, 'dead_letters.dropped', dropped);
      return { kind: 'empty', status: 204 };
    },
  });
}

function record(
  { audit, dialect }: DialectRouteParts,
  { principal: { tenant, id: principal }, requestId }: Pick<Call, 'principal' | 'requestId'>,
  action: string,
  ids: readonly number[],
): void {
  audit.record({ tenant, action, principal, object: dialect.name, detail: { ids }, requestId });
}

async function find(
  { principal }: Call,
  filter: Filter,
  { dialect, mailroom }: DialectRouteParts,
  page: { readonly limit: number; readonly after: number },
): Promise<readonly DeadLetter[]> {
  const caller = await callerOf(principal, mailroom.directory);
  const named = filter.inbox === undefined ? null : await dialect.inbox(filter.inbox, caller);
  const inboxes: readonly InboxName[] | null = named === null || named.isDead === true ? null : named.inboxes;
  return mailroom.deadLetters({
    ...{ tenant: principal.tenant, dialect: dialect.name, ...page },
    ...(inboxes === null ? {} : { inboxes }),
    ...(filter.reason === undefined ? {} : { reason: filter.reason }),
    ...(filter.since === undefined ? {} : { since: instantOf(filter.since) }),
  });
}

function shown(letter: DeadLetter, dialect: Dialect, call: Pick<Call, 'isPrivate'>): object {
  const { id, inbox: where, reason: why, error, attempts, diedAt, mail, raw, sender } = letter;
  return {
    ...{ id, inbox: where, reason: why, last_error: error, attempts, sender },
    died_at: new Date(diedAt).toISOString(),
    ...(mail === null ? {} : { accepted_at: new Date(mail.acceptedAt).toISOString() }),
    ...(mail === null || !mayShow(messageOf(mail), call)
      ? {}
      : { message: keepable(messageOf(mail), dialect) }),
    ...(raw === null ? {} : { raw }),
  };
}
