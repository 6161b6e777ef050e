// Messages as parameters of the functions that keep them, and what those answer.

import type { InboxName } from '../../domain/message.ts';
import type {
  EntryRef,
  MailSettlement,
  NewEntry,
  NewMail,
  PostedEntry,
  PostOutcome,
  StoredMail,
} from '../mail.ts';
import { accepted, type MailRow, storedOf } from '../mail-row.ts';
import { plain } from './records.ts';

/** A message as the table holds it. */
export type PlacedRow = MailRow & { readonly txn: number };

/** What became of one message. */
export interface PostedRow {
  readonly status: PostOutcome['status'];
  /** Where the message is, or the one it repeats. */
  readonly mail: number | null;
  readonly inbox: InboxName | null;
  readonly entries: readonly number[] | null;
}

/** The transaction that messages were kept in. */
export interface Moment {
  readonly txn: number;
  readonly at: number;
}

/** The message of a row. */
export function placedOf(row: PlacedRow): StoredMail {
  return storedOf(row, positionText(row.txn, row.position));
}

/** A place in a tenant's log, as readers keep it. */
export function positionText(txn: number, position: number): string {
  return `${txn}.${position}`;
}

/** The place that a reader kept; what is none is before all. */
export function placeOf(text: string): { readonly txn: number; readonly position: number } {
  // Without a transaction it was given out by the embedded store that these messages were copied from.
  const match = /^(?:(\d{1,15})\.)?(\d{1,15})$/.exec(text);
  return match === null
    ? { txn: 0, position: 0 }
    : { txn: Number(match[1] ?? 0), position: Number(match[2]) };
}

/** A message to keep, as `batuta.post_one` takes it. */
export function packMail(mail: NewMail): object {
  const entries = distinct(mail.entries);
  const names = new Map([[plain(mail.name), mail.fingerprint]]);
  for (const { name, fingerprint } of mail.aliases ?? [])
    if (!names.has(plain(name))) names.set(plain(name), fingerprint);
  return {
    tenant: plain(mail.tenant),
    id: plain(mail.id),
    names: [...names].map(([name, fingerprint]) => ({ name, fingerprint: plain(fingerprint) })),
    dialect: plain(mail.dialect),
    type: plain(mail.type),
    sender: plain(mail.from),
    correlation: plain(mail.correlationId),
    reply_to: mail.replyTo === null ? null : plain(mail.replyTo),
    task_id: mail.taskId === null ? null : plain(mail.taskId),
    priority: mail.priority,
    expires_at: mail.expiresAt,
    content: JSON.stringify(mail.content),
    addressed: JSON.stringify(entries.map(({ inbox, cause = '' }) => [plain(inbox), plain(cause)])),
    entries: entries.map(packEntry),
    inbox_max: mail.inboxMax,
    tells_of: mail.tellsOf ?? null,
  };
}

/** Where a copy is to wait. */
export function packEntry({ inbox, lane, held, notBefore, cause }: NewEntry): object {
  return {
    inbox: plain(inbox),
    lane: plain(lane),
    cause: cause === undefined ? null : plain(cause),
    held_by: held === undefined ? null : plain(held.by),
    held_ms: held?.ms ?? null,
    not_before: notBefore ?? null,
  };
}

/** A verdict, as `batuta.settle_one` takes it. */
export function packSettlement(settlement: MailSettlement): object {
  const { tenant, inboxes, reader, entry, attempt, verdict, refusal, mail = [] } = settlement;
  const common = {
    tenant: plain(tenant),
    inboxes: inboxes?.map(plain) ?? null,
    reader: plain(reader),
    entry,
    attempt,
  };
  return {
    ...common,
    outcome: verdict.outcome,
    ...(verdict.outcome === 'nack' && { ms: verdict.delayMs }),
    ...(verdict.outcome === 'extend' && { ms: verdict.visibilityMs }),
    ...(verdict.outcome === 'bury' && { reason: verdict.reason, error: plain(verdict.error) }),
    refusal: refusal === undefined ? null : JSON.stringify(refusal),
    mail: mail.map(packMail),
  };
}

/** The inboxes that messages go into, with how many entries each gets at most and the least that is too many there. */
export function packBoxes(mail: readonly NewMail[]): readonly object[] {
  const boxes = new Map<string, { tenant: string; name: string; entries: number; max: number }>();
  for (const { tenant, entries, inboxMax } of mail) {
    for (const { inbox } of entries) {
      const key = JSON.stringify([tenant, inbox]);
      const box = boxes.get(key) ?? { tenant: plain(tenant), name: plain(inbox), entries: 0, max: inboxMax };
      boxes.set(key, { ...box, entries: box.entries + 1, max: Math.min(box.max, inboxMax) });
    }
  }
  return [...boxes.values()];
}

/** What became of a message; `known` has those that were repeated. */
export function outcomeOf(
  mail: NewMail,
  row: PostedRow,
  { moment, known }: { readonly moment: Moment; readonly known: ReadonlyMap<number, StoredMail> },
): PostOutcome {
  switch (row.status) {
    case 'full':
      return { status: 'full', inbox: row.inbox ?? ('' as InboxName) };
    case 'stored':
      return {
        status: 'stored',
        mail: accepted(mail, positionText(moment.txn, row.mail ?? 0), moment.at),
        entries: postedEntries(mail, row.entries ?? []),
      };
    case 'same':
    case 'different': {
      const repeated = known.get(row.mail ?? 0);
      if (repeated === undefined) throw new Error('a message that is repeated must be there');
      return { status: row.status, mail: repeated };
    }
  }
}

/** One copy just put into an inbox. */
export function refOf(entry: number, { held }: NewEntry): EntryRef {
  return { entry, attempt: held === undefined ? 0 : 1 };
}

function postedEntries(mail: NewMail, numbers: readonly number[]): readonly PostedEntry[] {
  return distinct(mail.entries).flatMap((entry, index) => {
    const number = numbers[index];
    if (number === undefined) return [];
    return [{ ...refOf(number, entry), inbox: entry.inbox, isHeld: entry.held !== undefined }];
  });
}

/** The first of each inbox and cause. */
function distinct(entries: readonly NewEntry[]): readonly NewEntry[] {
  const first = new Map<string, NewEntry>();
  for (const entry of entries) {
    const key = JSON.stringify([plain(entry.inbox), plain(entry.cause ?? '')]);
    if (!first.has(key)) first.set(key, entry);
  }
  return [...first.values()];
}
