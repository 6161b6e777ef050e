// Subscriptions to messages: what somebody wants to be told of from now on, and how far it was told.

import type { TenantId } from './ids.ts';
import type { JsonObject } from './json.ts';
import type { InboxName } from './message.ts';

/** How a subscriber is told: it reads a stream, finds copies in its inbox, or is called. */
export type SubscriptionTarget =
  | { readonly by: 'sse' }
  | { readonly by: 'inbox'; readonly inbox: InboxName; readonly name: string }
  | {
      readonly by: 'webhook';
      readonly url: string;
      /** Called in this order while those before them cannot be reached. */
      readonly backups?: readonly string[];
      readonly secretSealed?: string;
    };

/** A durable wish to be told of messages of one wire. */
export interface Subscription {
  readonly id: string;
  readonly tenant: TenantId;
  readonly dialect: string;
  /** The agent or principal it belongs to, which alone sees and ends it. */
  readonly owner: string;
  /** Types, with `*` for anything. */
  readonly types: readonly string[];
  /** Paths of an envelope and what must stand there; or an expression that must hold. */
  readonly filter: JsonObject | string | null;
  readonly target: SubscriptionTarget;
  /** 0: told once it was handed over; 1 or absent: told again until that is acknowledged. */
  readonly qos?: 0 | 1;
  /** May see what is said between others. */
  readonly watchesAll: boolean;
  readonly createdAt: number;
  /** The position of the last message it was told of, or need not be; null before the first. */
  readonly cursor: string | null;
}
