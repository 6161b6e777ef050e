// What others could read on its way: a wire may want none of it between machines, and a sender may want TLS for one message (`ARMY-8`,
// `ARMY-105`). Who reads in clear gets what others sent so, and is told why there is no more.

import { DomainError } from '../../domain/errors.ts';
import { needsTls } from '../../domain/message.ts';
import type { Handout } from '../../engine/mailroom/handout.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Call, Route } from '../protocol.ts';
import type { Dialect } from './dialect.ts';
import type { DoorParts } from './door.ts';

/** What judging a call needs. */
export interface ClearTextParts extends Pick<DoorParts, 'audit'> {
  readonly dialect: Pick<Dialect, 'name' | 'tlsBetweenMachines'>;
  /** Whether the operator vouches for the network between machines. */
  readonly allowClearText: boolean;
}

/** So long until what was not given out in clear may be asked for again. */
const WITHHELD_MS = 30_000;

/** Throws `policy_violation` for a call in clear from another machine on a wire that wants none. */
export function requireTls(
  call: Pick<Call, 'isPrivate' | 'principal' | 'requestId' | 'sourceAddress'>,
  { dialect, allowClearText, audit }: ClearTextParts,
): void {
  if (call.isPrivate || allowClearText || dialect.tlsBetweenMachines !== true) return;
  const { tenant, id: principal } = call.principal;
  const detail = {
    dialect: dialect.name,
    code: 'policy_violation',
    rule: 'tls',
    address: call.sourceAddress,
  };
  audit.record({ tenant, action: 'message.refused', principal, detail, requestId: call.requestId });
  throw new DomainError('policy_violation', 'this wire is spoken between machines under TLS alone', {
    details: {
      rule: 'tls',
      hint: 'connect by https; BATUTA_ALLOW_CLEAR_TEXT is for a network that nobody else reads',
    },
  });
}

/** The routes, but for public ones, for callers that `requireTls` lets through. */
export function underTls(routes: readonly Route[], parts: ClearTextParts): readonly Route[] {
  if (parts.allowClearText || parts.dialect.tlsBetweenMachines !== true) return routes;
  return routes.map(route =>
    route.access === 'public'
      ? route
      : {
          ...route,
          async handle(call) {
            requireTls(call, parts);
            return route.handle(call);
          },
        },
  );
}

/** What of it may be given to the reader as it is connected; the rest goes back for a while. Throws `policy_violation` where nothing is left. */
export async function deliverable(
  handouts: readonly Handout[],
  { isPrivate }: Pick<Call, 'isPrivate'>,
  reader: Parameters<Mailroom['settle']>[0],
  mailroom: Pick<Mailroom, 'settle'>,
): Promise<readonly Handout[]> {
  const withheld = isPrivate ? [] : handouts.filter(({ message }) => needsTls(message));
  if (withheld.length === 0) return handouts;
  const verdict = { outcome: 'nack', delayMs: WITHHELD_MS } as const;
  await mailroom.settle(
    reader,
    withheld.map(({ id }) => ({ id, verdict })),
  );
  if (withheld.length === handouts.length)
    throw new DomainError('policy_violation', 'what waits here is only given out under TLS', {
      details: { rule: 'encryption', encryption: 'tls', waiting: withheld.length },
    });
  return handouts.filter(one => !withheld.includes(one));
}
