// The Slack channel: one POST a notification to an incoming webhook of Slack, or of a chat that takes the same.

import type { Channel, ChannelMessage, SendOutcome, Words } from '../../engine/ports/channel.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Clock } from '../../runtime/clock.ts';
import { judgeAnswer, judgeFailure } from '../answer.ts';

/** What the channel is built from. */
export interface SlackChannelOptions {
  readonly clock: Clock;
  /** Its owner stops it. */
  readonly outbound: Outbound;
  /** Of this server, for `User-Agent`. */
  readonly version: string;
}

const ANSWER_BYTES_MAX = 16 * 1024;
/** What Slack takes of a header, and of the fields of a section. */
const HEADER_MAX = 150;
const FIELD_MAX = 2_000;
const FIELDS_MAX = 10;

/** Posts notifications in words; what its receiver answers besides a status is kept and not obeyed (`NOOB-52`). */
export function createSlackChannel(options: SlackChannelOptions): Channel {
  const { clock } = options;
  return {
    name: 'slack',
    start: async () => {},
    stop: async () => {},
    check: endpoint => options.outbound.check(endpoint),
    async send(message) {
      const startedAt = clock.monotonic();
      return post(options, message).catch(error => judgeFailure(error, clock.monotonic() - startedAt));
    },
  };
}

async function post(
  { clock, outbound, version }: SlackChannelOptions,
  message: ChannelMessage,
): Promise<SendOutcome> {
  const answer = await outbound.send({
    url: message.endpoint,
    method: 'POST',
    headers: { 'User-Agent': `batuta/${version}`, 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(slackBody(message.words?.() ?? { title: message.event, facts: [] }))),
    timeoutMs: message.timeoutMs,
    answerBytesMax: ANSWER_BYTES_MAX,
    truncate: true,
  });
  const { acknowledgement: _, ...outcome } = judgeAnswer(answer, clock.now());
  return outcome;
}

/** Everything that is not ours is plain text: no text of a task mentions a channel, or becomes a link of another name. */
function slackBody({ title, facts }: Words): object {
  const fields = facts.slice(0, FIELDS_MAX).map(([name, value]) => plainText(`${name}: ${value}`, FIELD_MAX));
  return {
    text: title.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    blocks: [
      { type: 'header', text: plainText(title, HEADER_MAX) },
      ...(fields.length === 0 ? [] : [{ type: 'section', fields }]),
    ],
  };
}

function plainText(text: string, most: number): object {
  return { type: 'plain_text', text: text.slice(0, most), emoji: false };
}
