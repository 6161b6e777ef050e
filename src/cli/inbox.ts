// `batuta inbox`: what waits for an agent. Reading is delivery: what is not acknowledged goes back, and is one delivery older.

import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import type { Mail, MailDelivery } from '../sdk/mail.ts';
import type { CommandCall, CommandSpec, Flags } from './command.ts';
import { EXIT } from './failure.ts';
import type { Output } from './output.ts';
import { protocolIn, protocolOption } from './protocols.ts';

const FOLLOW_WAIT_S = 25;

/** Reads an inbox. */
export const inboxCommand: CommandSpec = {
  name: 'inbox',
  summary: 'read the messages that wait for an agent',
  positionals: [{ name: '<agent>', description: 'the agent, or a role of it in the words of the wire' }],
  options: [
    protocolOption,
    {
      flags: '-w, --wait <seconds>',
      description: 'wait for one if there is none',
      integer: { min: 0, max: 60 },
    },
    { flags: '-n, --max <n>', description: 'at most so many (10)', integer: { min: 1, max: 100 } },
    { flags: '-a, --ack', description: 'acknowledge what is shown: it is gone from the inbox then' },
    { flags: '-f, --follow', description: 'acknowledge and show what comes, until Ctrl-C' },
  ],
  examples: [
    'batuta inbox ana --protocol army',
    'batuta inbox ana --protocol army --wait 30 --ack --json',
    'batuta inbox ana --protocol army --follow',
  ],
  connects: true,
  async run(call) {
    const { args, flags, client } = call;
    const mail = client.mail(protocolIn(flags));
    const [inbox = ''] = args;
    return flags.on('follow') ? follow(call, mail, inbox) : look(call, mail, inbox);
  },
};

async function look({ flags, host, output }: CommandCall, mail: Mail, inbox: string): Promise<number> {
  const deliveries = await mail.read(inbox, { ...bounds(flags), signal: host.signal });
  output.answer({ messages: deliveries }, () =>
    deliveries.length === 0 ? 'nothing waits' : deliveries.map(one => textOf(one, output)).join('\n\n'),
  );
  await settle(mail, inbox, deliveries, flags.on('ack') ? 'ack' : 'nack');
  if (deliveries.length > 0 && !flags.on('ack'))
    output.note('left in the inbox, one delivery older: after five they are dead letters. --ack takes them');
  return EXIT.ok;
}

async function follow({ flags, host, output }: CommandCall, mail: Mail, inbox: string): Promise<number> {
  while (!host.signal.aborted) {
    const deliveries = await mail.read(inbox, {
      ...bounds(flags),
      wait: flags.number('wait') ?? FOLLOW_WAIT_S,
      signal: host.signal,
    });
    for (const one of deliveries) output.item(one, () => `${textOf(one, output)}\n`);
    // Shown is heard: should this fail, they come again.
    await settle(mail, inbox, deliveries, 'ack');
  }
  return EXIT.interrupted;
}

function bounds(flags: Flags): { readonly wait?: number; readonly max?: number } {
  const [wait, max] = [flags.number('wait'), flags.number('max')];
  return { ...(wait === undefined ? {} : { wait }), ...(max === undefined ? {} : { max }) };
}

async function settle(
  mail: Mail,
  inbox: string,
  deliveries: readonly MailDelivery[],
  outcome: 'ack' | 'nack',
): Promise<void> {
  if (deliveries.length > 0)
    await mail.settle(
      inbox,
      deliveries.map(({ delivery_id }) => ({ delivery_id, outcome })),
    );
}

function textOf(
  { delivery_id: id, attempt, message }: MailDelivery,
  { paint }: Pick<Output, 'paint'>,
): string {
  const { type } = message;
  const head = `${paint.bold(typeText(type))} from ${senderOf(message)}`;
  return `${head}  ${paint.dim(`delivery ${id}, number ${attempt}`)}\n${JSON.stringify(message, null, 2)}`;
}

function typeText(type: Json | undefined): string {
  if (isJsonObject(type)) return `${String(type.domain)}.${String(type.action)}`;
  return typeof type === 'string' ? type : 'a message';
}

function senderOf({ from, source_service: service, source }: JsonObject): string {
  return String(from ?? service ?? source ?? 'nobody');
}
