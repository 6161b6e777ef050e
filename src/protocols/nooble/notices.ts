// Whom a workflow's end is told, and by what (`NOOB-52`): by each channel that the start names, the recipients that suit it; where none
// of them does, those the tenant has set. What cannot be told is said in a warning, never left out in silence.

import type { EndNotice } from '../../domain/delivery.ts';
import { asDomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Channel } from '../../engine/ports/channel.ts';
import { noobleError } from './errors.ts';
import { invalid } from './faults.ts';
import { CHANNELS, type ChannelName, type Recipient, recipientIn } from './recipients.ts';
import type { Settings } from './settings.ts';

/** What a start's notifications come to. */
export interface NoticePlan {
  readonly notices: readonly EndNotice[];
  readonly warnings: readonly string[];
}

/** What can be wrong with whom a start wants told, and what becomes of it. */
export class Notices {
  readonly #settings: Settings;
  readonly #channels: ReadonlyMap<string, Pick<Channel, 'check'>>;

  constructor(settings: Settings, channels: ReadonlyMap<string, Pick<Channel, 'check'>>) {
    this.#settings = settings;
    this.#channels = channels;
  }

  /** Throws VAL_001 for a channel nobody knows, a recipient that is none, and one to whom nothing may be sent. */
  async check(tenant: TenantId, payload: JsonObject): Promise<void> {
    const { named, recipients } = askedIn(payload);
    const unknown = named.filter(one => !CHANNELS.some(channel => channel === one));
    if (unknown.length > 0)
      throw noobleError('VAL_001', `there is no channel ${unknown.join(', ')}`, {
        unknown_channels: unknown,
        channels: [...CHANNELS],
      });
    const strange = recipients.flatMap((text, at) =>
      recipientIn(text) === null ? [fault(at, 'is neither a mail address nor a URL')] : [],
    );
    if (strange.length > 0) throw invalid(strange);
    const { notices } = await this.of(tenant, payload);
    const refusals = await Promise.all(
      notices.map(async ({ channel, url }) => {
        const at = recipients.findIndex(text => recipientIn(text)?.url === url);
        const refusal = await this.#channels
          .get(channel)
          ?.check(url)
          .then(() => null, asDomainError);
        return refusal == null ? [] : [fault(at, `cannot be told by ${channel}: ${refusal.message}`)];
      }),
    );
    if (refusals.flat().length > 0) throw invalid(refusals.flat());
  }

  /** Whom to tell of the end of what is started so. */
  async of(tenant: TenantId, payload: JsonObject): Promise<NoticePlan> {
    const { named, recipients, at } = askedIn(payload);
    if (named.length === 0) return { notices: [], warnings: [] };
    const { recipients: usual } = await this.#settings.of(tenant);
    const given = recipients.flatMap(text => recipientIn(text) ?? []);
    const warnings: string[] = [];
    const notices = CHANNELS.filter(channel => named.includes(channel)).flatMap(channel => {
      const suits = (one: Recipient) => one.channel === channel;
      const own = given.filter(suits);
      const told = own.length > 0 ? own : usual.flatMap(text => recipientIn(text) ?? []).filter(suits);
      const why = this.#channels.has(channel) ? (told.length === 0 ? NOBODY[channel] : null) : NO_MAIL;
      if (why !== null) warnings.push(`nobody will be told by ${channel}: ${why}`);
      const events = EVENTS.filter(([list]) => at(list).includes(channel)).map(([, event]) => event);
      const urls = why === null ? new Set(told.map(({ url }) => url)) : [];
      return [...urls].map(url => ({ channel, url, events }));
    });
    for (const text of recipients) {
      const channel = recipientIn(text)?.channel;
      if (channel !== undefined && !named.includes(channel))
        warnings.push(`${text} will be told nothing: ${channel} is not among the channels`);
    }
    return { notices, warnings };
  }
}

/** Of a task that ended by its time is told as of one that failed. */
const EVENTS = [
  ['on_complete', 'task_completed'],
  ['on_error', 'task_failed'],
] as const;

const USUAL = 'and notification_recipients of this tenant has none';
const NOBODY: Readonly<Record<ChannelName, string>> = {
  email: `no recipient is a mail address, ${USUAL}`,
  webhook: `no recipient is a URL, ${USUAL}`,
  slack: `no recipient is a URL of Slack, ${USUAL}`,
};
const NO_MAIL = 'this server knows no mail server; set BATUTA_SMTP_URL and BATUTA_MAIL_FROM';

/** What a start asks: the channels it names, each once, and its recipients. */
function askedIn({ notification_config: config }: JsonObject) {
  const textsAt = (name: string): readonly string[] => {
    const list = isJsonObject(config) ? config[name] : null;
    return Array.isArray(list) ? list.map(String) : [];
  };
  const named = [...new Set(EVENTS.flatMap(([list]) => textsAt(list)))];
  return { named, recipients: textsAt('recipients'), at: textsAt };
}

function fault(at: number, message: string) {
  const field = `payload.notification_config${at < 0 ? '' : `.recipients.${at}`}`;
  return { field, code: 'VAL_001' as const, message };
}
