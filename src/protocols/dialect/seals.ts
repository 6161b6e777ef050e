// Signatures and encryption of every dialect: proves what comes through the door, opens what is encrypted to this server, signs what it
// answers. A dialect says where its envelopes keep these things; the guards of messages do the rest.

import type { AgentId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { type Draft, type InboxName, inboxOfAgent, type Message } from '../../domain/message.ts';
import { PERMISSIONS, type Principal } from '../../domain/principal.ts';
import type { Directory } from '../../engine/mailroom/directory.ts';
import type { MessageSeals } from '../../engine/ports/message-seals.ts';
import { sanitizedJson } from '../../guards/content/sanitize.ts';
import { encryptedMembers } from '../../guards/messages/confidence.ts';
import { type EnvelopeForm, memberAt } from '../../guards/messages/envelope.ts';
import type { MessageGuards } from '../../guards/messages/messages.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import { callerOf } from './callers.ts';
import type { Dialect } from './dialect.ts';

/** A message at the door, read but not yet believed. */
export interface Unproven {
  /** As it arrived, nothing filled in. */
  readonly envelope: NonNullable<Draft['envelope']>;
  readonly draft: Draft;
  readonly senderInbox: InboxName | readonly InboxName[];
  readonly principal: Principal;
  readonly address: string;
  readonly requestId: string;
}

/** The seals of all dialects of a server. */
export interface Seals extends MessageSeals {
  /** Throws `unauthenticated` where a signature is wrong, or lacking where the tenant demands one. */
  verify(dialect: Dialect, message: Unproven): Promise<void>;
}

/** What seals are made with. */
export interface SealParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly guards: Pick<MessageGuards, 'signatures' | 'confidence'>;
  readonly dialects: readonly Dialect[];
  /** The mailroom's, which is made after the seals. */
  readonly directory: () => Directory;
}

/** Makes them. */
export function createSeals(parts: SealParts): Seals {
  const { signatures } = parts.guards;
  const dialects = new Map(parts.dialects.map(dialect => [dialect.name, dialect]));
  return {
    async verify(dialect, { envelope, draft, senderInbox, principal, address, requestId }) {
      const { type, priority } = draft;
      await signatures.check({
        ...{ envelope, form: formOf(dialect), principal, address, requestId },
        kind: { dialect: dialect.name, type, isCritical: priority === 0 },
        sender: (draft.agentId ?? agentBehind(senderInbox)) as AgentId | null,
      });
    },
    isSigned({ dialect: name, envelope }) {
      const dialect = dialects.get(name);
      return (
        envelope !== null && dialect !== undefined && memberAt(envelope, dialect.signatureAt) !== undefined
      );
    },
    isConfidential({ dialect: name, envelope }) {
      const dialect = dialects.get(name);
      return (
        envelope !== null && dialect !== undefined && encryptedMembers(envelope, formOf(dialect)).length > 0
      );
    },
    async open(message) {
      const dialect = dialects.get(message.dialect);
      return dialect === undefined ? message : opened(message, dialect, parts);
    },
    async sign(draft) {
      const dialect = dialects.get(draft.dialect);
      if (dialect === undefined) return draft;
      const envelope = dialect.encode({ ...draft, position: '', acceptedAt: parts.clock.now() });
      return { ...draft, envelope: await signatures.sign(draft.tenant, envelope, formOf(dialect)) };
    },
  };
}

/** Where a dialect's envelopes keep what seals are about. */
export function formOf({ signatureAt, timestampAt, confidential = ['payload'] }: Dialect): EnvelopeForm {
  const [first, ...rest] = signatureAt.toSpliced(-1, 1, 'timestamp');
  return { signature: signatureAt, timestamp: timestampAt ?? [first ?? 'timestamp', ...rest], confidential };
}

/** Read anew with its confidential members plain. Whether it may be sent was judged by what is readable, when it came. */
async function opened(
  message: Message,
  dialect: Dialect,
  { clock, random, guards, directory }: SealParts,
): Promise<Message | null> {
  const { tenant, envelope, actor: id, agentId } = message;
  if (envelope === null) return message;
  const found = await guards.confidence.open(tenant, envelope, formOf(dialect));
  if (found.status === 'clear') return message;
  if (found.status === 'undecryptable') return null;
  const principal: Principal = {
    ...{ tenant, id, method: 'system', permissions: new Set(PERMISSIONS) },
    ...(agentId === null ? {} : { agentId: agentId as AgentId }),
  };
  const clean = sanitizedJson(found.envelope) as JsonObject;
  const { draft } = await dialect.decode(clean, {
    ...{ caller: await callerOf(principal, directory()), now: clock.now(), traceId: message.traceId },
    ...{ headers: {}, isPrivate: true, again: message },
    newId: () => random.uuid(),
  });
  return { ...message, envelope: clean, taskId: draft.taskId, meaning: draft.meaning };
}

/** The agent whose answers wait there: an operator may send what an agent signed. */
function agentBehind(inboxes: Unproven['senderInbox']): string | null {
  const prefix = inboxOfAgent('');
  const inbox = [inboxes].flat().find(one => one.startsWith(prefix));
  return inbox === undefined ? null : inbox.slice(prefix.length);
}
