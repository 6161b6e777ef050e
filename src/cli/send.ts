// `batuta send`: hands messages in as they stand in a file.

import { isJsonObject } from '../domain/json.ts';
import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { fileIn, messagesIn, protocolIn, protocolOption } from './protocols.ts';

/** Sends a message, or several. */
export const sendCommand: CommandSpec = {
  name: 'send',
  summary: 'send a message, or an array of them',
  positionals: [{ name: '<file>', description: 'JSON of the message; - for standard input' }],
  options: [
    protocolOption,
    {
      flags: '-w, --wait <seconds>',
      description: 'wait for the reply to one message, and print it',
      integer: { min: 1, max: 60 },
    },
  ],
  examples: [
    'batuta send order.json --protocol army',
    'batuta send question.json --protocol blog --wait 30',
    'jq \'.id = "m-2"\' note.json | batuta send - --protocol army',
  ],
  connects: true,
  async run({ args, flags, client, host, output }) {
    const protocol = protocolIn(flags);
    const value = await fileIn(args[0], host);
    const mail = client.mail(protocol);
    const wait = flags.number('wait');
    if (isJsonObject(value)) {
      const sent = await mail.send(value, { wait, signal: host.signal });
      output.answer(sent, () => {
        const head = `${output.paint.green(sent.status)} ${sent.message_id}`;
        if (wait === undefined) return head;
        return `${head}\n${sent.reply === undefined ? `no reply within ${wait} s` : JSON.stringify(sent.reply, null, 2)}`;
      });
      return wait !== undefined && sent.reply === undefined ? EXIT.later : EXIT.ok;
    }
    const outcomes = await mail.sendMany(messagesIn(value));
    for (const one of outcomes)
      output.item('error' in one ? { message_id: one.message_id, error: toldOf(one.error) } : one, () =>
        'error' in one
          ? `${output.paint.red('rejected')} ${one.message_id ?? ''} ${one.error.code}: ${one.error.message}`
          : `${output.paint.green(one.status)} ${one.message_id}`,
      );
    return outcomes.some(one => 'error' in one) ? EXIT.refused : EXIT.ok;
  },
};

function toldOf({ code, message, details }: { code: string; message: string; details: object }): object {
  return { code, message, details };
}
