// What the conformance chapters on messages share: messages, takes and acknowledgements in one line each.

import assert from 'node:assert/strict';
import type { TenantId } from '../domain/ids.ts';
import { inboxOfAgent, type MessageId } from '../domain/message.ts';
import { ACME } from './conformance-setup.ts';
import type { MailPick, MailStore, NewEntry, NewMail, StoredMail, TakenMail } from './mail.ts';

/** Another tenant. */
export const GLOBEX = 'globex' as TenantId;

/** The inbox of whatever says no other. */
export const INBOX = inboxOfAgent('receiver');

/** How long whatever is taken is held. */
export const VISIBLE_MS = 10_000;

/** A message for one inbox, unless told otherwise; its lane is its sender. */
export function letter(
  id: string,
  more: Partial<NewMail> & { readonly entry?: Partial<NewEntry> } = {},
): NewMail {
  const { entry, ...rest } = more;
  const from = more.from ?? 'sender';
  return {
    tenant: ACME,
    id: id as MessageId,
    name: `name of ${id}`,
    fingerprint: `fingerprint of ${id}`,
    dialect: 'sam',
    type: 'TASK_REQUEST',
    from,
    correlationId: `exchange of ${id}`,
    replyTo: null,
    taskId: null,
    priority: 5,
    expiresAt: null,
    content: { says: id, nested: { list: [1, null, 'ü\u{1f600}'] } },
    entries: [{ inbox: INBOX, lane: from, ...entry }],
    inboxMax: 1_000,
    ...rest,
  };
}

/** Posts messages that must all be new. */
export async function posted(
  mail: MailStore,
  ...letters: readonly NewMail[]
): Promise<readonly StoredMail[]> {
  const outcomes = await mail.post(letters);
  return outcomes.map(outcome => {
    assert.equal(outcome.status, 'stored');
    return outcome.status === 'stored' ? outcome.mail : assert.fail();
  });
}

/** Takes what a reader gets from one inbox. */
export async function taken(
  mail: MailStore,
  reader: string,
  more: Partial<MailPick> = {},
): Promise<readonly TakenMail[]> {
  const pick = {
    tenant: ACME,
    inboxes: [INBOX],
    reader,
    limit: 100,
    visibilityMs: VISIBLE_MS,
    replyTo: null,
    ...more,
  };
  const [answer] = await mail.take([pick]);
  return answer ?? assert.fail('a pick must be answered');
}

/** The ids of what a reader gets. */
export async function takenIds(
  mail: MailStore,
  reader: string,
  more: Partial<MailPick> = {},
): Promise<readonly string[]> {
  return (await taken(mail, reader, more)).map(one => one.mail.id);
}

/** Acknowledges what was taken; it must hold. */
export async function acked(
  mail: MailStore,
  reader: string,
  ...entries: readonly TakenMail[]
): Promise<void> {
  const outcomes = await mail.settle(
    entries.map(({ entry, attempt }) => ({
      tenant: ACME,
      reader,
      entry,
      attempt,
      verdict: { outcome: 'ack' },
    })),
  );
  for (const outcome of outcomes)
    assert.deepEqual(outcome, { status: 'done', visibleUntil: null, posted: [] });
}
