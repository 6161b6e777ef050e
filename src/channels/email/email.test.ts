// The mail channel against mail servers on loopback.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeAuthority, opensslMissing } from '../../../test/certificates.ts';
import { type MailServerOptions, openMailServer } from '../../../test/mail-server.ts';
import type { ChannelMessage } from '../../engine/ports/channel.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createEmailChannel } from './email.ts';
import { mailServerAt } from './server.ts';

const message: ChannelMessage = {
  endpoint: 'mailto:ann@example.com',
  ...{ deliveryId: 'a delivery', notificationId: 'execution.7', event: 'task_failed', attempt: 1 },
  ...{ agentId: 'agent', traceparent: '', secrets: [], body: {}, timeoutMs: 5_000 },
  words: () => ({
    title: 'Workflow büro failed',
    facts: [
      ['Status', 'failed'],
      ['Reason', 'it\r\n.\r\nRCPT TO:<eve@example.com>'],
    ],
  }),
};

interface Setup extends MailServerOptions {
  readonly query?: string;
  readonly authorities?: string;
  readonly domains?: readonly string[];
}

async function setup(t: TestContext, { query = '', authorities, domains, ...options }: Setup = {}) {
  const server = await openMailServer(options);
  const scheme = options.tls === 'at once' ? 'smtps' : 'smtp';
  const url = `${scheme}://user:p%40ss@127.0.0.1:${server.port}${query}`;
  const channel = createEmailChannel({
    ...{ clock: systemClock, server: mailServerAt(url, authorities), from: 'batuta@ours.example' },
    domains: domains ?? null,
  });
  t.after(async () => {
    await channel.stop();
    await server.stop();
  });
  const send = (more: Partial<ChannelMessage> = {}) => channel.send({ ...message, ...more });
  return { ...server, channel, send };
}

test('NOOB-52 a notification is a mail of plain text to its one address, under the same Message-ID however often it is sent', async t => {
  const { send, mails } = await setup(t);
  const outcome = await send();
  assert.deepEqual([outcome.verdict, outcome.status, outcome.answer], ['delivered', 250, '250 2.0.0 kept']);
  await send({ deliveryId: 'another', attempt: 2 });
  await send({ endpoint: 'mailto:bob@example.com' });
  const [first, again, other] = mails;
  assert.deepEqual([first?.from, first?.to], ['batuta@ours.example', ['ann@example.com']]);
  assert.deepEqual(other?.to, ['bob@example.com']);
  const [head = '', ...body] = (first?.text ?? '').split('\n\n');
  assert.match(head, /^To: <?ann@example.com>?$/m);
  assert.match(head, /^From: Batuta <batuta@ours.example>$/m);
  assert.match(head, /^Subject: =\?UTF-8\?Q\?Workflow_b=C3=BCro_failed\?=$/m);
  assert.match(head, /^Auto-Submitted: auto-generated$/m);
  assert.match(head, /^Content-Type: text\/plain; charset=utf-8$/m);
  assert.match(body.join('\n\n'), /^Status: {5}failed$/m);
  const idOf = (mail = first) => /^Message-ID: (<[0-9a-f]{40}@ours.example>)$/m.exec(mail?.text ?? '')?.[1];
  assert.ok(idOf(first));
  assert.equal(idOf(again), idOf(first));
  assert.notEqual(idOf(other), idOf(first));
});

test('NOOB-52 nothing that a notification says becomes a header, an address or a command of its mail', async t => {
  const { send, mails } = await setup(t);
  await send({
    words: () => ({ title: 'one\r\nBcc: eve@example.com\r\n\r\ntwo', facts: message.words?.().facts ?? [] }),
  });
  assert.equal(mails.length, 1);
  assert.deepEqual(mails[0]?.to, ['ann@example.com']);
  const [head = ''] = (mails[0]?.text ?? '').split('\n\n');
  assert.match(head, /^Subject: one Bcc: eve@example.com +two$/m);
  assert.doesNotMatch(head, /^Bcc:/m);
  for (const endpoint of [
    'mailto:ann@example.com,eve@example.com',
    'mailto:ann@example.com\r\nRCPT TO:<eve@example.com>',
    'mailto:"ann"@example.com',
    'mailto:Ann <ann@example.com>',
    'ann@example.com',
  ])
    assert.equal((await send({ endpoint })).verdict, 'fail', endpoint);
  assert.equal(mails.length, 1);
});

test('NOOB-52 a refusal for now is worth another try and one for good is not; trouble of ours with the server is for now', async t => {
  let refuse: MailServerOptions['refuse'];
  const { send } = await setup(t, { refuse: (verb, line) => refuse?.(verb, line) });
  const at = async (verb: string, answer: string, timeoutMs = 5_000) => {
    refuse = said => (said === verb ? answer : undefined);
    const outcome = await send({ timeoutMs });
    return [outcome.verdict, outcome.status, outcome.answer];
  };
  // The first connection is made here, so that the others can tell of its login.
  assert.deepEqual(await at('AUTH', '535 5.7.8 wrong'), ['retry', 535, '535 5.7.8 wrong']);
  assert.deepEqual(await at('MAIL', '530 5.7.0 log in'), ['retry', 530, '530 5.7.0 log in']);
  assert.deepEqual(await at('RCPT', '450 4.2.1 busy'), ['retry', 450, '450 4.2.1 busy']);
  assert.deepEqual(await at('RCPT', '550 5.1.1 nobody'), ['fail', 550, '550 5.1.1 nobody']);
  assert.deepEqual(await at('.', '554 5.7.1 spam'), ['fail', 554, '554 5.7.1 spam']);
  assert.deepEqual(await at('.', '451 4.3.0 later'), ['retry', 451, '451 4.3.0 later']);
  assert.deepEqual(await at('DATA', '', 200), ['retry', null, 'no answer in time']);
  const gone = await setup(t);
  await gone.stop();
  const outcome = await gone.send();
  assert.deepEqual([outcome.verdict, outcome.status], ['retry', null]);
});

test('NOOB-52 mails go to the permitted domains alone, where there are any', async t => {
  const { send, channel, mails } = await setup(t, { domains: ['example.com'] });
  await channel.check('mailto:ann@EXAMPLE.com');
  await assert.rejects(channel.check('mailto:ann@sub.example.com'), { code: 'policy_violation' });
  assert.equal((await send({ endpoint: 'mailto:ann@example.org' })).verdict, 'fail');
  assert.equal((await send()).verdict, 'delivered');
  assert.equal(mails.length, 1);
});

test('NOOB-52 between machines nothing is said without TLS, nor to a server nobody vouches for', {
  skip: opensslMissing,
}, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'batuta-mail-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const authority = makeAuthority(folder, 'authority');
  const certificate = authority.sign('mail', 'IP:127.0.0.1');
  const { certificate: authorities } = authority;
  const required = { query: '?tls=required' };
  const spoken: string[] = [];
  const refuse: MailServerOptions['refuse'] = verb => void spoken.push(verb);
  const clear = await setup(t, { ...required, refuse });
  assert.equal((await clear.send()).verdict, 'retry');
  assert.ok(!spoken.includes('AUTH') && !spoken.includes('MAIL'), spoken.join(' '));
  for (const tls of ['asked', 'at once'] as const) {
    const query = tls === 'asked' ? required : {};
    const strange = await setup(t, { ...query, tls, certificate });
    assert.equal((await strange.send()).verdict, 'retry');
    const trusted = await setup(t, { ...query, tls, certificate, authorities });
    assert.equal((await trusted.send()).verdict, 'delivered');
    assert.deepEqual(
      [strange, trusted].map(({ mails }) => mails.map(({ isSecure }) => isSecure)),
      [[], [true]],
    );
  }
});

test('NOOB-52 a mail server is named by a URL, which says whether there is TLS', () => {
  const named = (url: string) => {
    const { host, port, secure, requireTLS, ignoreTLS, auth } = mailServerAt(url);
    return [host, port, secure ? 'tls' : requireTLS ? 'starttls' : ignoreTLS ? 'clear' : '', auth?.user];
  };
  assert.deepEqual(named('smtps://a%40b:c@mail.test'), ['mail.test', 465, 'tls', 'a@b']);
  assert.deepEqual(named('smtp://mail.test'), ['mail.test', 587, 'starttls', undefined]);
  assert.deepEqual(named('smtp://mail.test:25?tls=off'), ['mail.test', 25, 'clear', undefined]);
  assert.deepEqual(named('smtp://10.0.0.1'), ['10.0.0.1', 587, 'starttls', undefined]);
  assert.deepEqual(named('smtp://127.0.0.1:1025'), ['127.0.0.1', 1025, 'clear', undefined]);
  assert.deepEqual(named('smtp://[::1]:1025'), ['::1', 1025, 'clear', undefined]);
  assert.deepEqual(named('smtp://localhost?tls=required'), ['localhost', 587, 'starttls', undefined]);
  for (const url of [
    'mail.test',
    'https://mail.test',
    'smtp://',
    'smtp://a:%zz@mail.test',
    'smtp://mail.test?tls=maybe',
    'smtp://mail.test?pool=1',
  ])
    assert.throws(() => mailServerAt(url), /BATUTA_SMTP_URL is wrong/, url);
  assert.throws(() => mailServerAt('smtps://mail.test', '/nowhere.pem'), /BATUTA_SMTP_CA is wrong/);
});
