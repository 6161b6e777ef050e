// The log of messages as server-sent events: what the caller may see of its tenant, by type, resumable by position.

import Type from 'typebox';
import type { Message } from '../../domain/message.ts';
import { allows } from '../../domain/principal.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Route, SseItem } from '../protocol.ts';
import { route } from '../route.ts';
import { callerOf } from './callers.ts';
import { mayShow } from './clear-text.ts';
import type { Caller, Dialect } from './dialect.ts';
import { encoded } from './encoded.ts';
import { headersBeside } from './headed.ts';
import { matchesType, patternsIn } from './matching.ts';
import type { DialectRouteParts } from './routes.ts';

const PAGE = 200;
const LOOK_MS = 1_000;

/** The route that streams messages as they are accepted. */
export function streamRoutes({ dialect, mailroom, clock, seals }: DialectRouteParts): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `/protocols/${dialect.name}/events`,
      summary: 'Messages and events as they happen',
      tag: dialect.name,
      access: 'message:receive',
      rate: 'free',
      query: Type.Object({
        types: Type.Optional(
          Type.String({
            maxLength: 2_000,
            description: 'Types, separated by commas; * stands for anything.',
          }),
        ),
      }),
      answers: { 200: Type.String({ contentMediaType: 'text/event-stream' }) },
      async handle(call) {
        const caller = await callerOf(call.principal, mailroom.directory);
        const patterns = patternsIn(call.query.types);
        const wanted = (message: Message): boolean =>
          matchesType(message.type, patterns) && maySee(message, caller, dialect) && mayShow(message, call);
        const from = call.headers['last-event-id'] ?? (await newestPosition(mailroom, caller));
        return {
          kind: 'sse',
          items: follow({ mailroom, clock, dialect, seals, caller, from, wanted, signal: call.signal }),
        };
      },
    }),
  ];
}

/** Messages of a tenant's log after a position, as they come, until the signal aborts. */
export async function* messagesAfter(
  log: {
    readonly mailroom: Mailroom;
    readonly clock: Clock;
    readonly caller: Pick<Caller, 'tenant'>;
    readonly dialect: Dialect;
  },
  from: string | null,
  signal: AbortSignal,
): AsyncIterable<Message> {
  const { mailroom, clock, caller, dialect } = log;
  let after = from;
  let wake: () => void = () => {};
  let isWoken = true;
  const ring = (): void => {
    isWoken = true;
    wake();
  };
  const leave = mailroom.watchLog(caller.tenant, ring);
  signal.addEventListener('abort', ring, { once: true });
  try {
    while (!signal.aborted) {
      isWoken = false;
      const page = await mailroom.messages({
        ...{ tenant: caller.tenant, dialect: dialect.name, limit: PAGE },
        ...(after === null ? {} : { after }),
      });
      for (const message of page) {
        yield message;
        after = message.position;
      }
      if (page.length > 0 || isWoken) continue;
      const cancel = clock.after(LOOK_MS, ring);
      await new Promise<void>(resolve => (wake = resolve));
      cancel();
    }
  } finally {
    signal.removeEventListener('abort', ring);
    leave();
  }
}

/** Whether a message is the caller's business: sent by it or to it, told to everyone, or the caller watches over all; of whatever wire, what is
 * sensitive is for nobody but its receivers, in their inboxes (`NOOB-33`). */
export function maySee(message: Message, caller: Caller, dialect: Dialect): boolean {
  if (message.isSensitive === true) return false;
  if (allows(caller.principal, 'delivery:manage') || dialect.mayWatch(caller)) return true;
  if (message.meaning.act === 'notify' && message.to.length === 0) return true;
  const { agentId, agent } = caller;
  if (agentId === null) return message.actor === caller.principal.id;
  const names = [
    agentId as string,
    dialect.nameOf?.(agentId) ?? agentId,
    ...(agent?.agent.roles ?? []).map(role => role.slice(role.indexOf(':') + 1)),
  ];
  return (
    message.agentId === agentId || message.to.some(to => names.includes(to) || to.endsWith(`:${agentId}`))
  );
}

/** Where a tenant's log ends now; null where it is empty. */
export async function newestPosition(mailroom: Mailroom, { tenant }: Caller): Promise<string | null> {
  const [last] = await mailroom.messages({ tenant, limit: 1, newestFirst: true });
  return last?.position ?? null;
}

async function* follow({
  from,
  wanted,
  signal,
  ...log
}: Parameters<typeof messagesAfter>[0] & {
  readonly seals: DialectRouteParts['seals'];
  readonly from: string | null;
  readonly wanted: (message: Message) => boolean;
  readonly signal: AbortSignal;
}): AsyncIterable<SseItem> {
  for await (const message of messagesAfter(log, from, signal))
    if (wanted(message)) yield streamed(message, log);
}

/** A message as an event of a stream; its headers within, but for one that is signed or encrypted and goes on as it came. */
export function streamed(
  message: Message,
  { dialect, seals }: Pick<DialectRouteParts, 'dialect' | 'seals'>,
): SseItem {
  const isSealed = seals.isSigned(message) || seals.isConfidential(message);
  const beside = isSealed ? {} : headersBeside(message, dialect);
  return {
    id: message.position,
    event: message.type,
    data: JSON.stringify({ ...encoded(message, dialect), ...beside }),
  };
}
