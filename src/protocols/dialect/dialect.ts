// The port every message wire implements. A dialect says what its envelopes mean and how it words messages; what all of them do alike
// (taking messages in, inboxes, dead letters, streams, sockets) stands beside this file and is written once.

import type { TSchema } from 'typebox';
import type { DomainError, ErrorCode } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Draft, InboxName, Message } from '../../domain/message.ts';
import type { Principal } from '../../domain/principal.ts';
import type { AgentView } from '../../engine/api.ts';
import type { Sending } from '../../engine/mailroom/packing.ts';
import type { MessageWire } from '../../engine/ports/message-wire.ts';
import type { MemberPath } from '../../guards/messages/envelope.ts';
import type { ErrorPage, Route } from '../protocol.ts';
import type { FieldRequirements } from './requirements.ts';

/** Who sends or reads. */
export interface Caller {
  readonly principal: Principal;
  readonly tenant: TenantId;
  /** The agent the credentials are bound to. */
  readonly agentId: AgentId | null;
  /** That agent as it is registered; null where it is not. */
  readonly agent: AgentView | null;
  /** May act for any agent of its tenant: credentials bound to none, with `agent:manage`. */
  readonly isOperator: boolean;
}

/** What reading an envelope needs to know beside it. */
export interface EnvelopeScene {
  readonly caller: Caller;
  /** When it came, epoch milliseconds. */
  readonly now: number;
  readonly traceId: string;
  /** Lower-case names; of a socket those of its handshake. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Whether it came over TLS or never left this machine. */
  readonly isPrivate: boolean;
  /** The message it was taken for when it came, where it is read again with its confidential members plain. */
  readonly again?: Message;
  /** A new id of the form this server gives. */
  newId(): string;
}

/** An envelope as it was understood. */
export interface Decoded extends Omit<Sending, 'fingerprint' | 'draft'> {
  readonly draft: Draft;
  /** Where answers to the sender wait: one inbox, or any of several. */
  readonly senderInbox: InboxName | readonly InboxName[];
  /** Absent: that of the whole envelope. */
  readonly fingerprint?: string;
}

/** What an inbox's name in a path stands for. */
export interface NamedInbox {
  readonly inboxes: readonly InboxName[];
  /** Whether the caller reads it as its own; another's needs `delivery:manage`. */
  readonly isOwn: boolean;
  /** The agent whose work comes with it; null where nobody is given tasks by it. */
  readonly worker: AgentId | null;
  /** It is the queue of all dead letters of the tenant, which are shown and never taken. */
  readonly isDead?: boolean;
}

/** A version of the wire; instants as ISO 8601. */
export interface DialectVersion {
  readonly version: string;
  /** What it brought, in a sentence or a few. */
  readonly changes?: string;
  readonly deprecatedAt?: string;
  readonly sunsetAt?: string;
}

/** A canonical error in the wire's words. */
export interface WireCode {
  readonly code: string;
  /** Null where it never answers a request. */
  readonly status: number | null;
  /** How severe the wire calls it, where it does. */
  readonly severity?: 'warning' | 'error' | 'critical';
}

/** A message wire. */
export interface Dialect extends MessageWire {
  readonly title: string;
  /** Those served, newest first. */
  readonly versions: readonly DialectVersion[];
  /** It is spoken between machines under TLS alone, unless the operator vouches for the network. */
  readonly tlsBetweenMachines?: boolean;
  /** The schema of a whole message by its type, as it is emitted. */
  readonly types: Readonly<Record<string, TSchema>>;
  /** What else its front page tells: roles, skills, pairs, limits. */
  about(): JsonObject;
  /** The id an envelope bears, for answers about it; null where it has none that can be read. */
  idOf(envelope: unknown): string | null;
  /** An envelope that was refused as it may be kept among the dead letters, without what must never be stored; absent: as it came. */
  keepable?(envelope: unknown): unknown;
  /** The version an envelope is written in; null where it does not say. */
  versionOf(envelope: unknown): string | null;
  /** What an envelope means; throws `invalid_request` with every fault, `forbidden` for what this sender may not say to that receiver. */
  decode(envelope: JsonObject, scene: EnvelopeScene): Promise<Decoded>;
  /** What a name in a path stands for; throws `not_found`. */
  inbox(name: string, caller: Caller): Promise<NamedInbox>;
  /** Throws `invalid_request` for types nobody will ever be told of, or a filter that cannot hold. */
  checkSubscription(types: readonly string[], filter: JsonObject | string | null): void;
  /** How an agent is named in an envelope; absent: by its id. */
  nameOf?(agent: AgentId): string;
  /** Whether the caller may watch all messages of its tenant, though it manages no deliveries. */
  mayWatch(caller: Caller): boolean;
  /** Messages a minute from one agent of the tenant; absent: as many as of any wire. */
  pacePerMinute?(tenant: TenantId): number;
  /** Which requirement each field answers to. */
  readonly requirements: FieldRequirements;
  /** Where an envelope keeps its signature: `['signature']`, `['metadata', 'signature']`. */
  readonly signatureAt: MemberPath;
  /** Where it keeps the instant it was written; absent: `timestamp` beside the signature. */
  readonly timestampAt?: MemberPath;
  /** Its members that may each be `{"jwe": …}`, which `decode` takes as they are; absent: `payload`. */
  readonly confidential?: readonly string[];
  /** Whether requests that offend are refused where the tenant does not say (`ARMY-73`). */
  readonly refusesOffence?: boolean;
  /** Every canonical code in this wire's words. */
  readonly codes: Readonly<Record<ErrorCode, WireCode>>;
  /** The body that tells an error; `about` is the id of the message it is about. */
  errorBody(error: DomainError, scene: ErrorBodyScene): JsonObject;
  readonly errorSchema: TSchema;
  readonly errorPages: Readonly<Record<string, ErrorPage>>;
  /** What only this wire has beside what all have. */
  readonly routes?: readonly Route[];
}

/** What an error's body is made from. */
export interface ErrorBodyScene {
  readonly about: string | null;
  /** The version that message says it is written in; null or absent where there is none or it does not say. */
  readonly version?: string | null;
  readonly traceId: string;
  readonly requestId: string;
  readonly now: number;
  readonly origin: string;
}
