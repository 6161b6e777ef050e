// The mail channel: one plain-text mail a notification, handed to the mail server that the operator named. What that server takes is
// delivered as far as this one is concerned; whether it arrives is between mail servers.

import { createHash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import { isMailAddress } from '../../domain/mail-address.ts';
import type { Channel, ChannelMessage, SendOutcome, Words } from '../../engine/ports/channel.ts';
import type { Clock } from '../../runtime/clock.ts';
import { judgeFailure } from '../answer.ts';
import type { MailServer } from './server.ts';

/** What the channel is built from. */
export interface EmailChannelOptions {
  readonly clock: Clock;
  readonly server: MailServer;
  /** Who the mails are from, as `batuta@example.com`. */
  readonly from: string;
  /** Where mails may go; null: anywhere. */
  readonly domains: readonly string[] | null;
}

const CONNECTIONS_MAX = 5;
const ANSWER_KEPT_CHARACTERS = 1_024;
/** Faults of ours with the server, which another day may not have, whatever its reply was: TLS, and who we are. */
const OURS: ReadonlySet<unknown> = new Set(['EAUTH', 'ENOAUTH', 'ETLS', 530, 534, 535, 538]);

/** Mails notifications in words; 4xx and no answer are worth another try, 5xx is an end (`NOOB-52`). */
export function createEmailChannel({ clock, server, from, domains }: EmailChannelOptions): Channel {
  // Loaded with the first mail: a server that sends none starts without it.
  let transport: ReturnType<typeof openTransport> | null = null;
  return {
    name: 'email',
    start: async () => {},
    stop: async () => (await transport)?.close(),
    check: async endpoint => requirePermitted(endpoint, domains),
    async send(message) {
      const startedAt = clock.monotonic();
      try {
        requirePermitted(message.endpoint, domains);
      } catch (error) {
        return judgeFailure(error, 0);
      }
      const overdue = new AbortController();
      const cancel = clock.after(message.timeoutMs, () => overdue.abort());
      transport ??= openTransport(server);
      const outcome = await (await transport)
        .sendMail({ ...mailOf(message, from, clock.now()), signal: overdue.signal })
        .then(({ response }) => taken(response), judged)
        .finally(cancel);
      return { ...outcome, durationMs: clock.monotonic() - startedAt };
    },
  };
}

async function openTransport(server: MailServer) {
  const { createTransport } = await import('nodemailer');
  return createTransport({
    ...server,
    ...{ pool: true, maxConnections: CONNECTIONS_MAX, disableFileAccess: true, disableUrlAccess: true },
  });
}

function requirePermitted(endpoint: string, domains: EmailChannelOptions['domains']): void {
  const address = endpoint.slice('mailto:'.length);
  if (!endpoint.startsWith('mailto:') || !isMailAddress(address))
    throw new DomainError('invalid_request', 'it is no mail address');
  const domain = address.slice(address.indexOf('@') + 1).toLowerCase();
  if (domains !== null && !domains.includes(domain))
    throw new DomainError('policy_violation', `mails may not go to ${domain} from here`, {
      details: { domain },
    });
}

type Verdict = Omit<SendOutcome, 'durationMs'>;

function taken(response: string): Verdict {
  return { status: statusIn(response), answer: kept(response), verdict: 'delivered' };
}

function judged(error: unknown): Verdict {
  const { responseCode, response, code, message } = error as Partial<Record<string, unknown>>;
  const status = typeof responseCode === 'number' ? responseCode : null;
  const answer = kept(String(code === 'EABORT' ? 'no answer in time' : (response ?? message)));
  const isFinal = (status !== null && status >= 500) || (status === null && code === 'EENVELOPE');
  return { status, answer, verdict: isFinal && !OURS.has(code) && !OURS.has(status) ? 'fail' : 'retry' };
}

function mailOf({ endpoint, notificationId, event, words }: ChannelMessage, from: string, now: number) {
  const to = endpoint.slice('mailto:'.length);
  const { title, facts }: Words = words?.() ?? { title: event, facts: [] };
  return {
    // As objects, so that nothing in an address is read as a list of them.
    ...{ from: { name: 'Batuta', address: from }, to: { name: '', address: to } },
    envelope: { from, to: [to] },
    subject: title,
    text: `${title}.\n\n${facts.map(([name, value]) => `${`${name}:`.padEnd(12)}${value}`).join('\n')}\n`,
    date: new Date(now),
    // One for ever, so that a mail client shows what was sent twice once.
    messageId: `<${idOf(notificationId, to)}@${from.slice(from.lastIndexOf('@') + 1)}>`,
    // So that nobody's holiday notice answers.
    headers: { 'Auto-Submitted': 'auto-generated' },
  };
}

function idOf(notificationId: string, to: string): string {
  return createHash('sha256').update(`${notificationId}\n${to}`).digest('hex').slice(0, 40);
}

function statusIn(response: string): number | null {
  const [digits] = /^\d{3}/.exec(response) ?? [];
  return digits === undefined ? null : Number(digits);
}

function kept(text: string): string {
  return text.slice(0, ANSWER_KEPT_CHARACTERS).replace(/[^\P{Cc}\n\t]|[\p{Cf}\u2028\u2029]/gu, '\ufffd');
}
