// Conformance, ninth chapter: how messages end. Verdicts and what follows from them, dead letters, terms.

import assert from 'node:assert/strict';
import { inboxOfAgent } from '../domain/message.ts';
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
import type {
  DeadLetter,
  EntryRef,
  MailSettlement,
  MailStore,
  MailTerms,
  MailVerdict,
  SettleOutcome,
} from './mail.ts';

const ACK: MailVerdict = { outcome: 'ack' };
const NEVER: MailTerms = { messagesMs: 1e12, deadLettersMs: 1e12, namesMs: 1e12 };

async function settled(
  mail: MailStore,
  { entry, attempt }: EntryRef,
  verdict: MailVerdict,
  more: Partial<MailSettlement> = {},
): Promise<SettleOutcome> {
  const [outcome] = await mail.settle([{ tenant: ACME, reader: 'r', entry, attempt, verdict, ...more }]);
  return outcome ?? assert.fail('a settlement must be answered');
}

async function deadOf(mail: MailStore, tenant = ACME): Promise<readonly DeadLetter[]> {
  return mail.deadLetters({ tenant, limit: 100 });
}

/** Lets a message die in its inbox. */
async function dead(
  mail: MailStore,
  id: string,
  more: Parameters<typeof letter>[1] = {},
): Promise<DeadLetter> {
  await posted(mail, letter(id, more));
  const [one = assert.fail()] = await taken(mail, 'r', { tenant: more.tenant ?? ACME });
  const verdict: MailVerdict = { outcome: 'bury', reason: 'rejected_by_receiver', error: 'no' };
  assert.equal((await settled(mail, one, verdict, { tenant: more.tenant ?? ACME })).status, 'done');
  return (await deadOf(mail, more.tenant)).at(-1) ?? assert.fail();
}

/** Claims about verdicts. */
export const settling = suite(test => {
  test('a verdict given again is a repetition, another one too late, after a restart too', async bundle => {
    await posted(bundle.store.mail, letter('a'), letter('b'));
    const [a = assert.fail(), b = assert.fail()] = await taken(bundle.store.mail, 'r');
    await acked(bundle.store.mail, 'r', a);
    const nack: MailVerdict = { outcome: 'nack', delayMs: 1_000 };
    await settled(bundle.store.mail, b, nack);
    await bundle.reopen();
    const { mail } = bundle.store;
    assert.deepEqual(await settled(mail, a, ACK), { status: 'repeated' });
    assert.deepEqual(await settled(mail, b, { ...nack, delayMs: 0 }), { status: 'repeated' });
    assert.deepEqual(await settled(mail, b, ACK), { status: 'lost' });
    assert.deepEqual(await settled(mail, a, nack), { status: 'lost' });
    assert.deepEqual(await settled(mail, { entry: 999_999_999, attempt: 1 }, ACK), { status: 'lost' });
    await bundle.passTime(1_000);
    assert.deepEqual(await takenIds(mail, 'r'), ['b']);
    assert.deepEqual(await settled(mail, b, nack), { status: 'repeated' });
  });

  test('a verdict holds only for the tenant, the inboxes and the reader it is of', async ({
    store: { mail },
  }) => {
    await posted(mail, letter('a'));
    const [a = assert.fail()] = await taken(mail, 'r');
    const wrong: readonly Partial<MailSettlement>[] = [
      { tenant: GLOBEX },
      { inboxes: [inboxOfAgent('other')] },
      { inboxes: [] },
      { reader: 'other' },
      { attempt: 2 },
      { attempt: 0 },
    ];
    for (const more of wrong) assert.deepEqual(await settled(mail, a, ACK, more), { status: 'lost' });
    assert.equal((await settled(mail, a, ACK, { inboxes: [INBOX] })).status, 'done');
    for (const more of wrong) assert.deepEqual(await settled(mail, a, ACK, more), { status: 'lost' });
  });

  test('what follows from a verdict is posted with it, and not where it is lost', async ({
    store: { mail },
  }) => {
    await posted(mail, letter('a'), letter('b'));
    const [a = assert.fail()] = await taken(mail, 'r');
    const answer = letter('answer', { entry: { inbox: inboxOfAgent('asker') } });
    const lost = await settled(mail, { entry: a.entry, attempt: 7 }, ACK, {
      mail: [letter('never'), answer],
    });
    assert.deepEqual(lost, { status: 'lost' });
    assert.deepEqual(await mail.mail({ tenant: ACME, ids: [answer.id], limit: 1 }), []);
    const done = await settled(mail, a, ACK, {
      mail: [answer, letter('b'), letter('full', { inboxMax: 1 })],
    });
    assert.deepEqual(done.status === 'done' && done.posted.map(({ status }) => status), [
      'stored',
      'same',
      'full',
    ]);
    assert.deepEqual(await settled(mail, a, ACK, { mail: [letter('again')] }), { status: 'repeated' });
    assert.deepEqual(await takenIds(mail, 'x', { inboxes: [inboxOfAgent('asker')] }), ['answer']);
    assert.deepEqual(await mail.mail({ tenant: ACME, ids: [letter('again').id], limit: 1 }), []);
  });

  test('a refusal is kept on the message, once, and frees its names', async ({ store: { mail } }) => {
    await posted(mail, letter('a', { aliases: [{ name: 'key', fingerprint: 'f' }] }));
    const entry = { inbox: INBOX, lane: 'l', cause: 's' };
    const [stored = assert.fail()] = await mail.mail({ tenant: ACME, limit: 1 });
    await mail.fanOut([{ tenant: ACME, position: stored.position, entry }]);
    const [a = assert.fail(), b = assert.fail()] = await taken(mail, 'r');
    await settled(mail, a, ACK, { refusal: { code: 'no' } });
    await settled(mail, b, ACK, { refusal: { code: 'later' } });
    const [kept] = await mail.mail({ tenant: ACME, limit: 1 });
    assert.deepEqual(kept?.refusal, { code: 'no' });
    await posted(
      mail,
      letter('a', { fingerprint: 'new' }),
      letter('c', { aliases: [{ name: 'key', fingerprint: 'g' }] }),
    );
  });

  test('a reader may keep what it holds for longer', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'));
    const [a = assert.fail()] = await taken(mail, 'r');
    await bundle.passTime(VISIBLE_MS - 1);
    const kept = await settled(mail, a, { outcome: 'extend', visibilityMs: VISIBLE_MS });
    const visibleUntil = a.visibleUntil - 1 + VISIBLE_MS;
    assert.deepEqual(kept, { status: 'done', visibleUntil, posted: [] });
    await bundle.passTime(VISIBLE_MS - 1);
    assert.deepEqual(await mail.sweep(10, 5), { moved: 0, ready: [], nextDueInMs: 1 });
    await acked(mail, 'r', a);
    assert.deepEqual(await mail.sweep(10, 5), { moved: 0, ready: [], nextDueInMs: null });
  });

  test('a verdict holds until the message is delivered anew', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b', { from: 'x' }), letter('c', { from: 'y' }));
    const [a = assert.fail(), b = assert.fail(), c = assert.fail()] = await taken(mail, 'r');
    await bundle.passTime(VISIBLE_MS);
    await mail.sweep(10, 5);
    assert.equal((await settled(mail, a, ACK)).status, 'done');
    assert.equal((await settled(mail, c, { outcome: 'extend', visibilityMs: VISIBLE_MS })).status, 'done');
    assert.deepEqual(await settled(mail, b, ACK, { reader: 'other' }), { status: 'lost' });
    assert.deepEqual(await takenIds(mail, 'other'), ['b']);
    assert.deepEqual(await settled(mail, b, ACK), { status: 'lost' });
    await acked(mail, 'r', c);
  });
});

/** Claims about what time and failure make of messages. */
export const dying = suite(test => {
  test('what was held too long comes back, and dies when it was delivered often enough in vain', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b'));
    for (const attempt of [1, 2]) {
      const [a = assert.fail()] = await taken(mail, 'r', { limit: 1 });
      assert.deepEqual([a.mail.id, a.attempt], ['a', attempt]);
      assert.equal((await mail.sweep(10, 2)).nextDueInMs, VISIBLE_MS);
      await bundle.passTime(VISIBLE_MS);
      const { ready } = await mail.sweep(10, 2);
      assert.deepEqual(ready, [{ tenant: ACME, inbox: INBOX }]);
    }
    const [letterOfA, ...others] = await deadOf(mail);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [letterOfA?.mail?.id, letterOfA?.reason, letterOfA?.attempts, letterOfA?.inbox, letterOfA?.told],
      ['a', 'max_deliveries', 2, INBOX, false],
    );
    const [b = assert.fail()] = await taken(mail, 'r');
    await settled(mail, b, { outcome: 'nack', delayMs: 60_000 });
    assert.equal((await mail.sweep(10, 2)).nextDueInMs, 60_000);
    await mail.sweep(10, 1);
    assert.deepEqual(
      (await deadOf(mail)).map(one => one.mail?.id),
      ['a', 'b'],
    );
  });

  test('what expires in its inbox dies; what a reader holds may still be settled', async bundle => {
    const { mail } = bundle.store;
    const [{ acceptedAt } = assert.fail()] = await posted(
      mail,
      letter('0', { entry: { inbox: inboxOfAgent('x') } }),
    );
    const expiresAt = acceptedAt + 1_000;
    await posted(
      mail,
      letter('a', { expiresAt }),
      letter('b', { expiresAt }),
      letter('c', { expiresAt: expiresAt + 1 }),
    );
    const [a = assert.fail()] = await taken(mail, 'r', { limit: 1 });
    assert.equal((await mail.sweep(10, 5)).nextDueInMs, 1_000);
    await bundle.passTime(1_000);
    assert.deepEqual((await mail.sweep(10, 5)).moved, 1);
    await acked(mail, 'r', a);
    const letters = await deadOf(mail);
    assert.deepEqual(
      letters.map(one => [one.mail?.id, one.reason, one.attempts]),
      [['b', 'expired', 0]],
    );
    assert.deepEqual(await takenIds(mail, 'r'), ['c']);
  });

  test('a sweep tells what came due since the one before, whoever noticed', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b', { from: 'x', tenant: GLOBEX }));
    for (const tenant of [ACME, GLOBEX]) {
      const [one = assert.fail()] = await taken(mail, 'r', { tenant });
      await settled(mail, one, { outcome: 'nack', delayMs: 1_000 }, { tenant });
    }
    assert.deepEqual(await mail.sweep(10, 5), { moved: 0, ready: [], nextDueInMs: 1_000 });
    await bundle.passTime(1_000);
    await taken(mail, 'r', { inboxes: [inboxOfAgent('another')] });
    const { ready } = await mail.sweep(10, 5);
    assert.deepEqual(ready.map(({ tenant }) => tenant).sort(), [ACME, GLOBEX]);
    assert.deepEqual(await mail.sweep(10, 5), { moved: 0, ready: [], nextDueInMs: null });
  });

  test('a sweep does so much and no more, and says that there is more', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b'), letter('c'));
    await taken(mail, 'r');
    await bundle.passTime(VISIBLE_MS);
    assert.deepEqual(await mail.sweep(2, 1), {
      moved: 2,
      ready: [{ tenant: ACME, inbox: INBOX }],
      nextDueInMs: 0,
    });
    assert.equal((await mail.sweep(2, 1)).moved, 1);
    assert.deepEqual(
      (await deadOf(mail)).map(one => one.mail?.id),
      ['a', 'b', 'c'],
    );
  });

  test('what was refused is kept as it came, among the tenant’s other dead letters', async ({
    store: { mail },
  }) => {
    const first = await dead(mail, 'a');
    await mail.bury([
      { tenant: ACME, dialect: 'sam', reason: 'invalid', error: 'no JSON', raw: '{"', sender: 'key:1' },
      { tenant: GLOBEX, dialect: 'sam', reason: 'invalid', error: 'no JSON', raw: 'x', sender: 'key:2' },
    ]);
    const [, raw = assert.fail(), ...others] = await deadOf(mail);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [raw.raw, raw.mail, raw.inbox, raw.reason, raw.error, raw.sender, raw.attempts, raw.dialect],
      ['{"', null, null, 'invalid', 'no JSON', 'key:1', 0, 'sam'],
    );
    const found = async (query: object): Promise<readonly number[]> =>
      (await mail.deadLetters({ tenant: ACME, limit: 10, ...query })).map(({ id }) => id);
    assert.deepEqual(await found({ reason: 'invalid' }), [raw.id]);
    assert.deepEqual(await found({ inboxes: [INBOX] }), [first.id]);
    assert.deepEqual(await found({ ids: [first.id, raw.id] }), [first.id, raw.id]);
    assert.deepEqual(await found({ after: first.id }), [raw.id]);
    assert.deepEqual(await found({ dialect: 'other' }), []);
    assert.deepEqual(await found({ since: raw.diedAt + 1 }), []);
    assert.deepEqual(await found({ limit: 1 }), [first.id]);
    assert.deepEqual(await mail.deadCounts(ACME), [
      { dialect: 'sam', reason: 'invalid', count: 1 },
      { dialect: 'sam', reason: first.reason, count: 1 },
    ]);
  });

  test('a sender is told once of a dead letter, by the message that tells it or by nobody', async ({
    store: { mail },
  }) => {
    const a = await dead(mail, 'a');
    const b = await dead(mail, 'b', { tenant: GLOBEX });
    await mail.bury([{ tenant: ACME, dialect: 'sam', reason: 'invalid', error: 'e', raw: 'r', sender: 's' }]);
    assert.deepEqual(
      (await mail.untold(10)).map(({ id }) => id),
      [a.id, b.id],
    );
    const telling = letter('t', { tellsOf: a.id });
    assert.equal((await mail.post([telling]))[0]?.status, 'stored');
    assert.deepEqual(
      (await mail.untold(10)).map(({ id }) => id),
      [b.id],
    );
    await mail.told([b.id]);
    assert.deepEqual(await mail.untold(10), []);
    assert.equal((await deadOf(mail, GLOBEX))[0]?.told, true);
  });

  test('a dead letter put back is a message of its inbox again, once', async bundle => {
    const { mail } = bundle.store;
    const a = await dead(mail, 'a');
    const b = await dead(mail, 'b');
    assert.deepEqual(await mail.replay(GLOBEX, [a.id]), []);
    assert.deepEqual(await mail.replay(ACME, [a.id, a.id, 999_999_999]), [a.id]);
    assert.deepEqual(await mail.replay(ACME, [a.id]), []);
    assert.deepEqual(
      (await deadOf(mail)).map(({ id }) => id),
      [b.id],
    );
    const [again = assert.fail()] = await taken(mail, 'r');
    assert.deepEqual([again.mail.id, again.attempt, again.inbox], ['a', 1, INBOX]);
    await acked(mail, 'r', again);
    assert.deepEqual(await mail.drop(GLOBEX, [b.id]), []);
    assert.deepEqual(await mail.drop(ACME, [b.id, a.id]), [b.id]);
    assert.deepEqual(await deadOf(mail), []);
  });

  test('an expired message put back may be taken', async bundle => {
    const { mail } = bundle.store;
    const [{ acceptedAt } = assert.fail()] = await posted(
      mail,
      letter('0', { entry: { inbox: inboxOfAgent('x') } }),
    );
    await posted(mail, letter('a', { expiresAt: acceptedAt + 1 }));
    await bundle.passTime(1);
    await mail.sweep(10, 5);
    const [letterOfA = assert.fail()] = await deadOf(mail);
    await mail.replay(ACME, [letterOfA.id]);
    await mail.sweep(10, 5);
    assert.deepEqual(await takenIds(mail, 'r'), ['a']);
  });

  test('a purge deletes what is past its term, but nothing that somebody may still be given', async bundle => {
    const { mail } = bundle.store;
    await dead(mail, 'dead');
    await posted(mail, letter('settled'), letter('held'), letter('waiting'));
    const [one = assert.fail()] = await taken(mail, 'r', { limit: 2 });
    await acked(mail, 'r', one);
    await bundle.passTime(1_000);
    await posted(mail, letter('young', { from: 'x' }));
    await acked(mail, 'y', ...(await taken(mail, 'y')));
    assert.equal(await mail.purge(NEVER, 10), 0);
    assert.equal(await mail.purge({ ...NEVER, messagesMs: 999 }, 10), 1);
    const left = async (): Promise<readonly string[]> =>
      (await mail.mail({ tenant: ACME, limit: 10 })).map(({ id }) => id);
    assert.deepEqual(await left(), ['dead', 'held', 'waiting', 'young']);
    await posted(mail, letter('settled', { entry: { inbox: inboxOfAgent('x') } }));
    assert.equal(await mail.purge({ ...NEVER, deadLettersMs: 999 }, 10), 1);
    assert.deepEqual(await deadOf(mail), []);
    assert.equal(await mail.purge({ ...NEVER, messagesMs: 999 }, 10), 1);
    assert.deepEqual(await left(), ['held', 'waiting', 'young', 'settled']);
  });

  test('ARMY-76 other content takes the place of what a tenant’s message says, for whoever takes it up too', async ({
    store: { mail },
  }) => {
    const [a = assert.fail(), b = assert.fail()] = await posted(mail, letter('a'), letter('b'));
    const [foreign = assert.fail()] = await posted(mail, letter('f', { tenant: GLOBEX }));
    const content = { says: null };
    const blanks = [a, foreign].map(({ position }) => ({ position, content }));
    assert.equal(await mail.blank(ACME, blanks), 1);
    assert.deepEqual(await mail.mail({ tenant: ACME, limit: 10 }), [{ ...a, content }, b]);
    assert.deepEqual(await mail.mail({ tenant: GLOBEX, limit: 10 }), [foreign]);
    const [first] = await taken(mail, 'r');
    assert.deepEqual(first?.mail.content, content);
  });

  test('names and verdicts are forgotten after their term, at most so many at a time', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b'));
    const [a = assert.fail()] = await taken(mail, 'r');
    await acked(mail, 'r', a);
    await bundle.passTime(1_000);
    await posted(mail, letter('c'));
    assert.equal(await mail.purge({ ...NEVER, namesMs: 1_000 }, 10), 0);
    assert.equal(await mail.purge({ ...NEVER, namesMs: 999 }, 1), 2);
    assert.equal(await mail.purge({ ...NEVER, namesMs: 999 }, 10), 1);
    assert.deepEqual(await settled(mail, a, ACK), { status: 'lost' });
    const outcomes = await mail.post([letter('a', { fingerprint: 'new' }), letter('c')]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['stored', 'same'],
    );
  });
});
