// Conformance, seventh chapter: messages, accepted once under their names and kept.

import assert from 'node:assert/strict';
import { inboxOfAgent, type MessageId } from '../domain/message.ts';
import {
  acked,
  GLOBEX,
  INBOX,
  letter,
  posted,
  taken,
  takenIds,
  VISIBLE_MS,
} from './conformance-mail-setup.ts';
import { ACME, suite } from './conformance-setup.ts';
import type { NewEntry, PostOutcome } from './mail.ts';

function statuses(outcomes: readonly PostOutcome[]): readonly string[] {
  return outcomes.map(({ status }) => status);
}

/** Claims about accepting messages. */
export const posting = suite(test => {
  test('a message is kept and given back as it came', async bundle => {
    const sent = letter('a', {
      ...{ replyTo: 'b' as MessageId, taskId: 't', priority: 0, expiresAt: 9_000_000_000_000 },
      entry: { cause: 'subscription 1' },
    });
    const [outcome] = await bundle.store.mail.post([sent]);
    assert.equal(outcome?.status, 'stored');
    const stored = outcome?.status === 'stored' ? outcome : assert.fail();
    assert.deepEqual(
      stored.entries.map(({ attempt, inbox, isHeld }) => ({ attempt, inbox, isHeld })),
      [{ attempt: 0, inbox: INBOX, isHeld: false }],
    );
    const { entries: _, inboxMax: __, ...rest } = sent;
    const { position, acceptedAt, ...kept } = stored.mail;
    assert.deepEqual(kept, { ...rest, refusal: null });
    assert.deepEqual(await bundle.store.mail.mail({ tenant: ACME, limit: 10 }), [stored.mail]);
    await bundle.reopen();
    const [one, ...others] = await taken(bundle.store.mail, 'r');
    assert.deepEqual(others, []);
    assert.deepEqual(one, {
      ...{ entry: stored.entries[0]?.entry, attempt: 1, inbox: INBOX, cause: 'subscription 1' },
      ...{ visibleUntil: acceptedAt + VISIBLE_MS, mail: { ...kept, position, acceptedAt } },
    });
  });

  test('a name makes repeats the same or a different message, in the call, after it and after a restart', async bundle => {
    const first = letter('a');
    const outcomes = await bundle.store.mail.post([first, first, letter('a', { fingerprint: 'other' })]);
    assert.deepEqual(statuses(outcomes), ['stored', 'same', 'different']);
    await bundle.reopen();
    const { mail } = bundle.store;
    const again = await mail.post([
      letter('x', { name: first.name, fingerprint: first.fingerprint }),
      letter('b'),
    ]);
    assert.deepEqual(statuses(again), ['same', 'stored']);
    assert.equal(again[0]?.status === 'same' && again[0].mail.id, 'a');
    assert.deepEqual(await takenIds(mail, 'r'), ['a', 'b']);
  });

  test('a further name that is taken makes a message a repeat of the one that took it', async ({
    store: { mail },
  }) => {
    const alias = { name: 'key', fingerprint: 'f' };
    const outcomes = await mail.post([
      letter('a', { aliases: [alias] }),
      letter('b', { aliases: [{ name: 'free', fingerprint: 'f' }, alias] }),
      letter('c', { aliases: [{ ...alias, fingerprint: 'g' }] }),
      letter('d', { name: 'key', fingerprint: 'f' }),
      letter('e', { aliases: [{ name: 'name of a', fingerprint: 'fingerprint of a' }] }),
      letter('f', { aliases: [{ name: 'free', fingerprint: 'f' }] }),
    ]);
    assert.deepEqual(statuses(outcomes), ['stored', 'same', 'different', 'same', 'same', 'stored']);
    assert.deepEqual(await takenIds(mail, 'r'), ['a', 'f']);
  });

  test('a name is one in the installation: another tenant’s message under it is a repeat', async ({
    store: { mail },
  }) => {
    await posted(mail, letter('a'));
    const outcomes = await mail.post([
      letter('a', { tenant: GLOBEX }),
      letter('a', { tenant: GLOBEX, fingerprint: 'other' }),
      letter('a', { tenant: GLOBEX, name: 'a name of its own' }),
    ]);
    assert.deepEqual(statuses(outcomes), ['same', 'different', 'stored']);
  });

  test('an inbox that is full refuses a message, which then is in none of its inboxes', async ({
    store: { mail },
  }) => {
    const small = { inboxMax: 2 };
    const both = [
      { inbox: inboxOfAgent('other'), lane: 'l' },
      { inbox: INBOX, lane: 'l' },
    ];
    const outcomes = await mail.post([
      letter('a', small),
      letter('b', small),
      letter('c', { ...small, entries: both }),
    ]);
    assert.deepEqual(outcomes[2], { status: 'full', inbox: INBOX });
    assert.deepEqual(statuses(outcomes), ['stored', 'stored', 'full']);
    assert.deepEqual(await takenIds(mail, 'r', { inboxes: [inboxOfAgent('other')] }), []);
    await acked(mail, 'r', ...(await taken(mail, 'r', { limit: 1 })));
    assert.deepEqual(statuses(await mail.post([letter('c', { ...small, entries: both })])), ['stored']);
  });

  test('one message has one entry for each inbox and cause', async ({ store: { mail } }) => {
    const entry = { inbox: INBOX, lane: 'l' };
    const [outcome] = await mail.post([
      letter('a', { entries: [entry, entry, { ...entry, cause: 's' }, { ...entry, cause: 's' }] }),
    ]);
    assert.equal(outcome?.status === 'stored' && outcome.entries.length, 2);
    assert.deepEqual(
      (await taken(mail, 'r')).map(({ cause }) => cause),
      [null, 's'],
    );
  });

  test('a message goes into further inboxes once each, and never of another tenant', async ({
    store: { mail },
  }) => {
    const [stored = assert.fail()] = await posted(mail, letter('a'));
    const other = inboxOfAgent('other');
    const to = (entry: Partial<NewEntry>, tenant = ACME, position = stored.position) => ({
      ...{ tenant, position },
      entry: { inbox: other, lane: 'l', ...entry },
    });
    await acked(mail, 'r', ...(await taken(mail, 'r')));
    const refs = await mail.fanOut([
      ...[
        to({}),
        to({}),
        to({ cause: 's' }),
        to({ inbox: INBOX }),
        to({}, GLOBEX),
        to({ cause: 'n' }, ACME, 'none'),
      ],
      to({ cause: 'h', held: { by: 'h', ms: VISIBLE_MS } }),
    ]);
    assert.deepEqual(
      refs.map(ref => ref?.attempt ?? null),
      [0, null, 0, null, null, null, 1],
    );
    const found = await taken(mail, 'h', { inboxes: [other] });
    assert.deepEqual(
      found.map(({ entry, cause }) => [entry, cause]),
      [
        [refs[0]?.entry, null],
        [refs[2]?.entry, 's'],
      ],
    );
    await acked(mail, 'h', ...found);
    assert.deepEqual(await mail.fanOut([to({}), to({ cause: 's' })]), [null, null]);
  });

  test('the log is read by what its messages say of themselves, in order, each tenant its own', async ({
    store: { mail },
  }) => {
    await posted(
      mail,
      letter('a'),
      letter('b', { correlationId: 'x', type: 'T' }),
      letter('c', { tenant: GLOBEX }),
    );
    await posted(
      mail,
      letter('d', { replyTo: 'a' as MessageId, dialect: 'o' }),
      letter('e', { correlationId: 'x', taskId: 't' }),
    );
    const ids = async (query: object): Promise<readonly string[]> =>
      (await mail.mail({ tenant: ACME, limit: 10, ...query })).map(({ id }) => id);
    assert.deepEqual(await ids({}), ['a', 'b', 'd', 'e']);
    assert.deepEqual(await ids({ limit: 2 }), ['a', 'b']);
    assert.deepEqual(await ids({ limit: 2, newestFirst: true }), ['e', 'd']);
    assert.deepEqual(await ids({ ids: ['e', 'c', 'a'] }), ['a', 'e']);
    assert.deepEqual(await ids({ correlationId: 'x' }), ['b', 'e']);
    assert.deepEqual(await ids({ replyTo: 'a' }), ['d']);
    assert.deepEqual(await ids({ taskId: 't' }), ['e']);
    assert.deepEqual(await ids({ dialect: 'o' }), ['d']);
    assert.deepEqual(await ids({ type: 'T' }), ['b']);
    assert.deepEqual(await ids({ tenant: GLOBEX }), ['c']);
    const [, second = assert.fail()] = await mail.mail({ tenant: ACME, limit: 2 });
    assert.deepEqual(await ids({ after: second.position }), ['d', 'e']);
    assert.deepEqual(await ids({ after: second.position, correlationId: 'x' }), ['e']);
    assert.deepEqual(await ids({ ids: [] }), []);
  });
});
