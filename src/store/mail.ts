// The part of the store that keeps messages: the log of all that were accepted, the inboxes they wait in, the dead letters. A verb
// is one transaction, as in store.ts; instants are epoch milliseconds by the store's clock. What a message says is content to the
// store, kept and given back as it is.

import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { DeadReason, InboxName, MessageId } from '../domain/message.ts';
import type { Priority } from '../domain/priority.ts';

/** Where a copy of a message is to wait. */
export interface NewEntry {
  readonly inbox: InboxName;
  /** Entries of one lane and priority leave an inbox in order: the sender, or in a shared inbox the exchange it belongs to. */
  readonly lane: string;
  /** Held from the beginning by this reader for so long, which will settle it; absent: to be taken. */
  readonly held?: { readonly by: string; readonly ms: number };
  /** Not to be taken earlier than this instant. */
  readonly notBefore?: number;
  /** Why it is there, where it is not the message's own address: the subscription. One of each (message, inbox, cause) exists. */
  readonly cause?: string;
}

/** A message to keep. */
export interface NewMail {
  readonly tenant: TenantId;
  readonly id: MessageId;
  /** What repeats of it are known by, unique in the installation; the same name with the same fingerprint is the same message. */
  readonly name: string;
  readonly fingerprint: string;
  /** Further names it takes: one that is taken makes it a repeat of the message that took it, `different` by the same rule. */
  readonly aliases?: readonly { readonly name: string; readonly fingerprint: string }[];
  readonly dialect: string;
  /** What readers of the log filter by. */
  readonly type: string;
  readonly from: string;
  readonly correlationId: string;
  readonly replyTo: MessageId | null;
  readonly taskId: string | null;
  readonly priority: Priority;
  /** After this instant it is delivered no more. */
  readonly expiresAt: number | null;
  readonly content: JsonObject;
  /** Its content is not to be stored readable; whoever wraps the store sees to that. */
  readonly isSensitive?: true;
  readonly entries: readonly NewEntry[];
  /** `full` where one of its inboxes already holds about this many. */
  readonly inboxMax: number;
  /** The dead letter whose sender is told by this message. */
  readonly tellsOf?: number;
}

/** A message as it is kept. */
export interface StoredMail extends Omit<NewMail, 'entries' | 'inboxMax' | 'aliases' | 'tellsOf'> {
  /** Its place in its tenant's log: greater than that of every message a reader of the log was shown before. */
  readonly position: string;
  readonly acceptedAt: number;
  /** What became of it where its receiver refused it: set once, by a settlement. */
  readonly refusal: JsonObject | null;
}

/** What became of a message that was handed in. */
export type PostOutcome =
  | { readonly status: 'stored'; readonly mail: StoredMail; readonly entries: readonly PostedEntry[] }
  | { readonly status: 'same'; readonly mail: StoredMail }
  | { readonly status: 'different'; readonly mail: StoredMail }
  | { readonly status: 'full'; readonly inbox: InboxName };

/** One copy of a message in an inbox, under one delivery of it: void once it was delivered anew or settled. */
export interface EntryRef {
  readonly entry: number;
  /** Deliveries of it so far, this one included; 0 before the first. */
  readonly attempt: number;
}

/** A copy just put into an inbox. */
export interface PostedEntry extends EntryRef {
  readonly inbox: InboxName;
  readonly isHeld: boolean;
}

/** Who wants messages, of which inboxes. */
export interface MailPick {
  readonly tenant: TenantId;
  readonly inboxes: readonly InboxName[];
  /** Whoever holds what is taken; an inbox's lane goes to another only when its holder holds nothing of it. */
  readonly reader: string;
  readonly limit: number;
  readonly visibilityMs: number;
  /** Only answers to that message, whatever stands before them; null: whatever comes. */
  readonly replyTo: MessageId | null;
}

/** A message taken from an inbox. */
export interface TakenMail extends EntryRef {
  readonly inbox: InboxName;
  readonly cause: string | null;
  readonly visibleUntil: number;
  readonly mail: StoredMail;
}

/** What a reader makes of an entry it holds. */
export type MailVerdict =
  | { readonly outcome: 'ack' }
  /** Back to its inbox, at once or later; its lane waits for it. */
  | { readonly outcome: 'nack'; readonly delayMs: number }
  | { readonly outcome: 'extend'; readonly visibilityMs: number }
  /** To the dead letters. */
  | { readonly outcome: 'bury'; readonly reason: DeadReason; readonly error: string };

/** A verdict on an entry, with what follows from it in the same transaction. */
export interface MailSettlement extends EntryRef {
  readonly tenant: TenantId;
  /** Holds only for an entry of one of these; absent: of any. */
  readonly inboxes?: readonly InboxName[];
  readonly reader: string;
  readonly verdict: MailVerdict;
  /** Kept on the message, whose names are free from then on: the same id may be sent again, with whatever body. */
  readonly refusal?: JsonObject;
  /** Posted if the verdict holds, and then only. */
  readonly mail?: readonly NewMail[];
}

/** What became of a verdict. */
export type SettleOutcome =
  | {
      readonly status: 'done';
      readonly visibleUntil: number | null;
      /** What came of `mail`, in order. */
      readonly posted: readonly PostOutcome[];
    }
  /** The same verdict was given before. */
  | { readonly status: 'repeated' }
  /** Delivered anew since, settled otherwise, or never there. */
  | { readonly status: 'lost' };

/** Which messages of a tenant's log, in order of position. */
export interface MailQuery {
  readonly tenant: TenantId;
  readonly ids?: readonly MessageId[];
  readonly correlationId?: string;
  readonly replyTo?: MessageId;
  readonly taskId?: string;
  readonly dialect?: string;
  readonly type?: string;
  /** Only those after it. */
  readonly after?: string;
  /** Only the last so many; without it the first so many. */
  readonly newestFirst?: boolean;
  readonly limit: number;
}

/** A message, or what was meant to be one, that nobody will get. */
export interface DeadLetter {
  readonly id: number;
  readonly tenant: TenantId;
  readonly dialect: string;
  /** Null for what never reached an inbox. */
  readonly inbox: InboxName | null;
  readonly reason: DeadReason;
  readonly error: string;
  /** Null for `invalid`: then `raw` has what came. */
  readonly mail: StoredMail | null;
  readonly raw: string | null;
  readonly sender: string;
  readonly attempts: number;
  readonly diedAt: number;
  readonly told: boolean;
}

/** Something refused, to be kept for a while. */
export interface NewDeadLetter {
  readonly tenant: TenantId;
  readonly dialect: string;
  readonly reason: DeadReason;
  readonly error: string;
  readonly raw: string;
  readonly sender: string;
}

/** Which dead letters, oldest first. */
export interface DeadLetterQuery {
  readonly tenant: TenantId;
  readonly dialect?: string;
  readonly ids?: readonly number[];
  readonly inboxes?: readonly InboxName[];
  readonly reason?: DeadReason;
  readonly since?: number;
  /** Only those with a greater id. */
  readonly after?: number;
  readonly limit: number;
}

/** How an inbox stands. */
export interface InboxDepth {
  readonly inbox: InboxName;
  readonly waiting: number;
  readonly held: number;
  readonly oldestAt: number | null;
}

/** How long what is settled stays, in milliseconds. */
export interface MailTerms {
  /** Messages, from acceptance; those in an inbox or a dead letter stay. */
  readonly messagesMs: number;
  readonly deadLettersMs: number;
  /** Names by which repeats are known, and verdicts given. */
  readonly namesMs: number;
}

/** A durable store of messages. Rejects as `Store` does. */
export interface MailStore {
  /** Keeps messages and puts them into inboxes, answering each in order; of those handed in together, each is for itself. */
  post(mail: readonly NewMail[]): Promise<readonly PostOutcome[]>;
  /** Puts messages kept before into further inboxes; null where such an entry is, or was, or where there is no such message. */
  fanOut(
    copies: readonly { readonly tenant: TenantId; readonly position: string; readonly entry: NewEntry }[],
  ): Promise<readonly (EntryRef | null)[]>;
  /**
   * Takes what waits in inboxes: per pick the most urgent first, among equals the oldest, at most `limit`. Nothing is taken
   * before an earlier entry of its lane and priority that waits or that another reader holds.
   */
  take(picks: readonly MailPick[]): Promise<readonly (readonly TakenMail[])[]>;
  /** Applies verdicts, each for itself and answered in order. */
  settle(settlements: readonly MailSettlement[]): Promise<readonly SettleOutcome[]>;
  /** Gives back at once all a reader holds, as if never delivered. */
  release(reader: string): Promise<void>;
  /**
   * Puts back what was held too long, buries what was delivered `deliveriesMax` times in vain (`max_deliveries`) and what expired
   * (`expired`), at most `limit` of each; answers into which inboxes something was put back or has come due (of `notBefore` or
   * a delayed nack) since the sweep before, and when it should look again.
   */
  sweep(
    limit: number,
    deliveriesMax: number,
  ): Promise<{
    readonly moved: number;
    readonly ready: readonly { readonly tenant: TenantId; readonly inbox: InboxName }[];
    readonly nextDueInMs: number | null;
  }>;
  /** Messages of the log that match. */
  mail(query: MailQuery): Promise<readonly StoredMail[]>;
  /** How inboxes stand; one that holds nothing is absent. Without names, all of the tenant. */
  depths(tenant: TenantId, inboxes?: readonly InboxName[]): Promise<readonly InboxDepth[]>;

  /** Keeps what was refused as dead letters. */
  bury(letters: readonly NewDeadLetter[]): Promise<void>;
  deadLetters(query: DeadLetterQuery): Promise<readonly DeadLetter[]>;
  /** How many dead letters a tenant has, by wire and reason. */
  deadCounts(
    tenant: TenantId,
  ): Promise<readonly { readonly dialect: string; readonly reason: DeadReason; readonly count: number }[]>;
  /** Dead letters with a message whose sender was not told yet, of all tenants, oldest first. */
  untold(limit: number): Promise<readonly DeadLetter[]>;
  /** Marks dead letters as told where there is nobody to tell. */
  told(ids: readonly number[]): Promise<void>;
  /** Puts dead letters back into their inboxes with no deliveries behind them, each once; answers which were. */
  replay(tenant: TenantId, ids: readonly number[]): Promise<readonly number[]>;
  /** Forgets dead letters; answers which there were. */
  drop(tenant: TenantId, ids: readonly number[]): Promise<readonly number[]>;
  /** Puts other content in the place of what messages say, wherever they wait; answers how many there were (`ARMY-76`). */
  blank(
    tenant: TenantId,
    mail: readonly { readonly position: string; readonly content: JsonObject }[],
  ): Promise<number>;
  /** Deletes what is past its term, at most `limit` of each; answers how many. */
  purge(terms: MailTerms, limit: number): Promise<number>;
}
