// Messages: typed envelopes from one agent to others, durable until acknowledged or expired. Each came by a wire and says
// something; what it says is its meaning, in words that every wire can read and write where it has such words.

import type { ErrorCode } from './errors.ts';
import type { TaskId, TenantId } from './ids.ts';
import { isJsonObject, type Json, type JsonObject } from './json.ts';
import type { Priority } from './priority.ts';

declare const brand: unique symbol;
/** A message's name, its sender's choice, unique in its tenant and wire. */
export type MessageId = string & { readonly [brand]: 'MessageId' };
/** Where messages wait: `agent:<id>` for one agent, `role:<name>` for whoever has a role, `desk:<name>` for a part of this server. */
export type InboxName = string & { readonly [brand]: 'InboxName' };

/** Why a message is a dead letter. */
export const DEAD_REASONS = [
  'expired',
  'max_deliveries',
  'rejected_by_receiver',
  'no_receiver',
  'undecryptable',
  'invalid',
] as const;

/** Why a message is a dead letter. */
export type DeadReason = (typeof DEAD_REASONS)[number];

/** A task as a message asks for it. */
export interface TaskRequest {
  readonly taskId: TaskId;
  /** The name of the work: `research`, `data_processing`; agents say which they can do. */
  readonly taskType: string;
  readonly description: string;
  /** The work itself. */
  readonly input: Json;
  /** What else it says of the task, in its wire's words: context, expected output, constraints, metadata. */
  readonly terms: JsonObject;
  /** How many times it was tried before. */
  readonly retryCount: number;
}

/** What a message says. */
export type Meaning =
  | { readonly act: 'request_task'; readonly task: TaskRequest }
  /** The holder's word on how far it is; `percentage` 0–100. */
  | {
      readonly act: 'report_progress';
      readonly taskId: TaskId;
      readonly status: 'pending' | 'running' | 'paused';
      readonly percentage: number | null;
      readonly note: string | null;
      readonly metrics: JsonObject;
      readonly checkpoint: Json | null;
    }
  | {
      readonly act: 'report_outcome';
      readonly taskId: TaskId;
      readonly status: 'completed' | 'failed' | 'cancelled';
      readonly result: Json;
      readonly error: Fault | null;
    }
  | { readonly act: 'ask_status'; readonly taskId: TaskId }
  | {
      readonly act: 'control_task';
      readonly taskId: TaskId;
      readonly command: 'pause' | 'resume' | 'cancel';
      readonly reason: string | null;
      readonly checkpoint: string | null;
    }
  /** That a command or request is accepted (`accepted`: something must still happen). */
  | {
      readonly act: 'accept';
      readonly status: 'accepted' | 'applied';
      readonly taskId: TaskId | null;
      readonly detail: JsonObject;
    }
  | { readonly act: 'refuse'; readonly taskId: TaskId | null; readonly fault: Fault }
  | {
      readonly act: 'remember';
      readonly key: string;
      readonly value: Json;
      readonly ttlMs: number | null;
      readonly tags: readonly string[];
    }
  | { readonly act: 'recall'; readonly query: JsonObject }
  | { readonly act: 'tell_memory'; readonly memory: JsonObject }
  | { readonly act: 'ask_validation'; readonly request: JsonObject }
  | { readonly act: 'tell_validation'; readonly verdict: JsonObject }
  /** That it lives, and how it is. */
  | { readonly act: 'beat'; readonly condition: JsonObject }
  /** That something happened; nobody answers. */
  | { readonly act: 'notify'; readonly topic: string; readonly data: Json }
  /** Something only its own wire has words for. */
  | { readonly act: 'say'; readonly body: Json };

/** What went wrong, as a message tells it; `wireCode` is kept where it came with a code of its own. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly recoverable: boolean;
  readonly details: JsonObject;
  readonly wireCode?: string;
  readonly retryAfterMs?: number;
}

/** How a message was said, and so what answers it is: under TLS alone, in that version of its wire. */
export interface Manner {
  readonly tlsOnly?: boolean;
  readonly version?: string;
}

/** Whether it may be on no connection that others can read: its sender said so in the envelope or its metadata (`ARMY-8`). */
export function needsTls({ envelope, manner }: Pick<Draft, 'envelope' | 'manner'>): boolean {
  if (manner?.tlsOnly === true) return true;
  if (envelope === null) return false;
  const { metadata } = envelope;
  return envelope.encryption === 'tls' || (isJsonObject(metadata) && metadata.encryption === 'tls');
}

/** A message to send. */
export interface Draft {
  readonly tenant: TenantId;
  readonly id: MessageId;
  /** The wire it came by; of what this server says itself, the wire of the exchange it belongs to. */
  readonly dialect: string;
  /** Its type in that wire's words. */
  readonly type: string;
  /** Sender and receivers in that wire's words. */
  readonly from: string;
  readonly to: readonly string[];
  readonly correlationId: string;
  readonly replyTo: MessageId | null;
  readonly taskId: TaskId | null;
  readonly priority: Priority;
  /** The instant its sender gave it, epoch milliseconds. */
  readonly sentAt: number;
  readonly expiresAt: number | null;
  readonly traceId: string;
  /** Absent: as the wire always does. */
  readonly manner?: Manner;
  /** The principal that sent it (`key:…`), or `system`. */
  readonly actor: string;
  /** The agent whose credentials sent it; null for this server and for people. */
  readonly agentId: string | null;
  readonly meaning: Meaning;
  /** Member for member as it came; null for what this server says. */
  readonly envelope: JsonObject | null;
}

/** A message that was accepted. */
export interface Message extends Draft {
  /** Its place in its tenant's log. */
  readonly position: string;
  readonly acceptedAt: number;
}

/** The inbox of one agent. */
export function inboxOfAgent(id: string): InboxName {
  return `agent:${id}` as InboxName;
}

/** The inbox whoever has the role takes from; roles of different wires never mix. */
export function inboxOfRole(dialect: string, role: string): InboxName {
  return `role:${dialect}:${role}` as InboxName;
}

/** The inbox of a part of this server. */
export function inboxOfDesk(name: string): InboxName {
  return `desk:${name}` as InboxName;
}
