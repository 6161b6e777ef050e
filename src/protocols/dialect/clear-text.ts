// What others could read on its way: a wire may want none of it between machines, and a sender may want TLS for one message (`ARMY-8`,
// `ARMY-105`). Who reads in clear gets what others sent so, and is told why there is no more.

import { DomainError } from '../../domain/errors.ts';
import { type Message, needsTls } from '../../domain/message.ts';
import type { Handout } from '../../engine/mailroom/handout.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { AuditRecorder } from '../../guards/audit.ts';
import type { Call, Route } from '../protocol.ts';
import type { Dialect } from './dialect.ts';

/** What judging a call needs. */
export interface ClearTextParts {
  readonly audit: AuditRecorder;
  readonly dialect: Pick<Dialect, 'name' | 'tlsBetweenMachines'>;
  /** Whether the operator vouches for the network between machines. */
  readonly allowClearText: boolean;
}

/** What was not given out in clear may be asked for again after a while. */
export const WITHHOLD = { outcome: 'nack', delayMs: 30_000 } as const;

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

/** Whether it may go over the caller's connection (`ARMY-8`). */
export function mayShow(message: Message, { isPrivate }: Pick<Call, 'isPrivate'>): boolean {
  return isPrivate || !needsTls(message);
}

/** What of it may be given to the reader as it is connected; the rest goes back for a while. Throws `policy_violation` where nothing is left. */
export async function deliverable(
  handouts: readonly Handout[],
  call: Pick<Call, 'isPrivate'>,
  reader: Parameters<Mailroom['settle']>[0],
  mailroom: Pick<Mailroom, 'settle'>,
): Promise<readonly Handout[]> {
  const withheld = handouts.filter(({ message }) => !mayShow(message, call));
  if (withheld.length === 0) return handouts;
  await mailroom.settle(
    reader,
    withheld.map(({ id }) => ({ id, verdict: WITHHOLD })),
  );
  if (withheld.length === handouts.length)
    throw new DomainError('policy_violation', 'what waits here is only given out under TLS', {
      details: { rule: 'encryption', encryption: 'tls', waiting: withheld.length },
    });
  return handouts.filter(one => !withheld.includes(one));
}
