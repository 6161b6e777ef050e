// Who may be told of an end, as a start names them: a mail address, a URL, a URL of a chat.

import { isMailAddress } from '../../domain/mail-address.ts';

/** The channels a start may name. */
export const CHANNELS = ['email', 'webhook', 'slack'] as const;

/** One of them. */
export type ChannelName = (typeof CHANNELS)[number];

/** How many a start, or a tenant for all its starts, may name. */
export const RECIPIENTS_MAX = 20;

/** Where somebody is told, and by what. */
export interface Recipient {
  readonly channel: ChannelName;
  readonly url: string;
}

/** Where a recipient is and how it is told; null where it is none. A channel and a colon before a URL say what else would be guessed. */
export function recipientIn(text: string): Recipient | null {
  const [, named, place = ''] = /^(?:(webhook|slack|mailto):)?(.*)$/s.exec(text) ?? [];
  if (named === undefined || named === 'mailto') {
    if (isMailAddress(place)) return { channel: 'email', url: `mailto:${place}` };
    if (named === 'mailto') return null;
  }
  const url = /^https?:\/\//i.test(place) ? URL.parse(place) : null;
  if (url === null) return null;
  const isSlack = named === undefined ? SLACK.has(url.hostname) : named === 'slack';
  return { channel: isSlack ? 'slack' : 'webhook', url: place };
}

const SLACK: ReadonlySet<string> = new Set(['hooks.slack.com', 'hooks.slack-gov.com']);
