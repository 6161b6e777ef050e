// Conformance, eighth chapter: messages taken from inboxes in order.

import assert from 'node:assert/strict';
import { type InboxName, inboxOfAgent, type MessageId } from '../domain/message.ts';
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
import type { TakenMail } from './mail.ts';

/** Claims about taking messages. */
export const taking = suite(test => {
  test('the most urgent come first, among equals the oldest, over several inboxes', async ({
    store: { mail },
  }) => {
    const two = inboxOfAgent('two');
    await posted(
      mail,
      ...[
        letter('a', { priority: 7, from: '1' }),
        letter('b', { from: '2' }),
        letter('c', { from: '3', entry: { inbox: two } }),
      ],
      ...[
        letter('d', { from: '4' }),
        letter('e', { priority: 0, from: '5', entry: { inbox: two } }),
        letter('f', { from: '2' }),
      ],
    );
    const inboxes = [INBOX, two];
    assert.deepEqual(await takenIds(mail, 'r', { inboxes, limit: 3 }), ['e', 'b', 'c']);
    assert.deepEqual(await takenIds(mail, 'r', { inboxes }), ['d', 'f', 'a']);
  });

  test('what one pick took, no other gets, of the same call or a later one, and no other tenant at all', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b'), letter('c'), letter('d', { tenant: GLOBEX }));
    const pick = {
      tenant: ACME,
      inboxes: [INBOX],
      reader: 'r',
      limit: 2,
      visibilityMs: VISIBLE_MS,
      replyTo: null,
    };
    const answers = await mail.take([pick, pick, { ...pick, tenant: GLOBEX }]);
    assert.deepEqual(
      answers.map(list => list.map(one => one.mail.id)),
      [['a', 'b'], ['c'], ['d']],
    );
    await bundle.reopen();
    assert.deepEqual(await takenIds(bundle.store.mail, 'r'), []);
  });

  test('a lane stays with the reader that holds any of it, and is anybody’s when it holds nothing more', async bundle => {
    const { mail } = bundle.store;
    await posted(
      mail,
      letter('a'),
      letter('b'),
      letter('c', { priority: 0 }),
      letter('d', { from: 'another' }),
    );
    const [urgent = assert.fail()] = await taken(mail, 'one', { limit: 1 });
    assert.equal(urgent.mail.id, 'c');
    assert.deepEqual(await takenIds(mail, 'two'), ['d']);
    await bundle.reopen();
    const again = bundle.store.mail;
    assert.deepEqual(await takenIds(again, 'two'), []);
    const [first = assert.fail()] = await taken(again, 'one', { limit: 1 });
    assert.equal(first.mail.id, 'a');
    await acked(again, 'one', urgent);
    assert.deepEqual(await takenIds(again, 'two'), []);
    await acked(again, 'one', first);
    assert.deepEqual(await takenIds(again, 'two'), ['b']);
  });

  test('what is put back comes again before what stands behind it', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b'), letter('c'), letter('d', { from: 'another' }));
    const [a = assert.fail(), b = assert.fail()] = await taken(mail, 'one', { limit: 2 });
    const nack = (one: TakenMail, delayMs: number) =>
      mail.settle([{ tenant: ACME, reader: 'one', ...one, mail: [], verdict: { outcome: 'nack', delayMs } }]);
    await nack(a, 5_000);
    assert.deepEqual(await takenIds(mail, 'one'), ['d']);
    await nack(b, 0);
    assert.deepEqual(await takenIds(mail, 'two'), []);
    await bundle.passTime(5_000);
    const redelivered = await taken(mail, 'two');
    assert.deepEqual(
      redelivered.map(one => [one.mail.id, one.attempt]),
      [
        ['a', 2],
        ['b', 2],
        ['c', 1],
      ],
    );
  });

  test('what was put back for later is not overtaken when what stood behind it is settled', async bundle => {
    const { mail } = bundle.store;
    await posted(mail, letter('a'), letter('b'), letter('c'), letter('d'));
    const [a = assert.fail(), b = assert.fail()] = await taken(mail, 'r', { limit: 3 });
    await mail.settle([
      { tenant: ACME, reader: 'r', ...a, mail: [], verdict: { outcome: 'nack', delayMs: 1_000 } },
    ]);
    await acked(mail, 'r', b);
    assert.deepEqual(await takenIds(mail, 'r'), []);
    await bundle.passTime(1_000);
    assert.deepEqual(await takenIds(mail, 'r'), ['a', 'd']);
  });

  test('what waits for its time holds up its lane and priority, and nothing else', async bundle => {
    const { mail } = bundle.store;
    const [{ acceptedAt } = assert.fail()] = await posted(
      mail,
      letter('0', { entry: { inbox: inboxOfAgent('x') } }),
    );
    const later = { notBefore: acceptedAt + 1_000 };
    await posted(
      mail,
      letter('a', { entry: later }),
      letter('b'),
      letter('c', { priority: 9 }),
      letter('d', { from: 'z' }),
    );
    await posted(
      mail,
      letter('e', { from: 'y' }),
      letter('f', { from: 'y', entry: later }),
      letter('g', { from: 'y' }),
    );
    assert.deepEqual(await takenIds(mail, 'r'), ['d', 'e', 'c']);
    await bundle.passTime(1_000);
    assert.deepEqual(await takenIds(mail, 'r'), ['a', 'b', 'f', 'g']);
  });

  test('an entry may be held from the beginning: its lane is that reader’s until it settles it', async ({
    store: { mail },
  }) => {
    const [outcome] = await mail.post([
      letter('a', { entry: { held: { by: 'desk', ms: 5_000 } } }),
      letter('b'),
    ]);
    const [ref = assert.fail()] = outcome?.status === 'stored' ? outcome.entries : [];
    assert.deepEqual([ref.attempt, ref.isHeld], [1, true]);
    assert.deepEqual(await takenIds(mail, 'r'), []);
    const verdict = { outcome: 'ack' } as const;
    const settlement = { tenant: ACME, reader: 'desk', entry: ref.entry, attempt: ref.attempt, verdict };
    assert.equal((await mail.settle([settlement]))[0]?.status, 'done');
    assert.deepEqual(await takenIds(mail, 'r'), ['b']);
  });

  test('what has expired is not taken and holds nothing up', async bundle => {
    const { mail } = bundle.store;
    const [{ acceptedAt } = assert.fail()] = await posted(
      mail,
      letter('0', { entry: { inbox: inboxOfAgent('x') } }),
    );
    await posted(
      mail,
      letter('a', { expiresAt: acceptedAt + 1_000 }),
      letter('b'),
      letter('c', { expiresAt: acceptedAt + 1_001 }),
    );
    await bundle.passTime(1_000);
    assert.deepEqual(await takenIds(mail, 'r'), ['b', 'c']);
  });

  test('an answer may be taken whatever stands before it, and only by whom it is there for', async ({
    store: { mail },
  }) => {
    const replyTo = 'q' as MessageId;
    await posted(
      mail,
      letter('a'),
      letter('b', { replyTo }),
      letter('c'),
      letter('d', { replyTo: 'p' as MessageId }),
    );
    await posted(
      mail,
      letter('e', { replyTo, tenant: GLOBEX }),
      letter('f', { replyTo, entry: { inbox: inboxOfAgent('x') } }),
    );
    assert.deepEqual(await takenIds(mail, 'pump', { limit: 1 }), ['a']);
    const answers = await taken(mail, 'asker', { replyTo });
    assert.deepEqual(
      answers.map(one => one.mail.id),
      ['b'],
    );
    assert.deepEqual(await takenIds(mail, 'asker', { replyTo }), []);
    assert.deepEqual(await takenIds(mail, 'pump'), []);
    await acked(mail, 'asker', ...answers);
    assert.deepEqual(await takenIds(mail, 'pump'), ['c', 'd']);
  });

  test('what a reader leaves is there again at once, as if never delivered', async ({ store: { mail } }) => {
    await posted(mail, letter('a'), letter('b'), letter('c', { from: 'x' }), letter('d'));
    const before = await taken(mail, 'one', { limit: 3 });
    await mail.release('nobody');
    assert.deepEqual(await takenIds(mail, 'two'), []);
    await mail.release('one');
    const late = before.map(({ entry, attempt }) => ({
      tenant: ACME,
      reader: 'one',
      entry,
      attempt,
      verdict: { outcome: 'ack' } as const,
    }));
    assert.deepEqual(
      (await mail.settle(late)).map(({ status }) => status),
      ['lost', 'lost', 'lost'],
    );
    assert.deepEqual(
      (await taken(mail, 'two')).map(one => [one.mail.id, one.attempt]),
      [
        ['a', 1],
        ['b', 1],
        ['c', 1],
        ['d', 1],
      ],
    );
  });

  test('inboxes tell how much waits in them, how much is held, and since when', async bundle => {
    const { mail } = bundle.store;
    const other = inboxOfAgent('other');
    const [{ acceptedAt } = assert.fail()] = await posted(
      mail,
      letter('a'),
      letter('b'),
      letter('c', { tenant: GLOBEX }),
    );
    await bundle.passTime(500);
    await posted(mail, letter('d', { entry: { inbox: other } }));
    await taken(mail, 'r', { limit: 1 });
    const depth = { inbox: INBOX, waiting: 1, held: 1, oldestAt: acceptedAt };
    const second = { inbox: other, waiting: 1, held: 0, oldestAt: acceptedAt + 500 };
    assert.deepEqual(await mail.depths(ACME), [second, depth]);
    assert.deepEqual(await mail.depths(ACME, [INBOX, 'agent:nobody' as InboxName]), [depth]);
    await acked(mail, 'x', ...(await taken(mail, 'x', { inboxes: [other] })));
    assert.deepEqual(await mail.depths(ACME), [depth]);
  });
});
