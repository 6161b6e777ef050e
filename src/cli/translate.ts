// `batuta translate`: a message of one wire in the words of another, without a server.

import type { CommandSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import type { AppActions } from './host.ts';
import { fileIn, messagesIn, PROTOCOLS } from './protocols.ts';

/** The command, made from the action that translates. */
export function translateCommand(translate: NonNullable<AppActions['translateMessage']>): CommandSpec {
  return {
    name: 'translate',
    summary: 'put a message of one wire into the words of another, without a server',
    positionals: [{ name: '<file>', description: 'a message or an array of them; - for standard input' }],
    options: [
      { flags: '--from <name>', description: 'the wire it is written in', choices: PROTOCOLS },
      { flags: '--to <name>', description: 'the wire to put it into', choices: PROTOCOLS },
    ],
    examples: ['batuta translate order.json --from army --to nooble'],
    connects: false,
    async run({ args, flags, host, output }) {
      const [from, to] = [flags.text('from'), flags.text('to')];
      if (from === undefined || to === undefined)
        throw new UsageError('--from and --to say which wires', `each one of ${PROTOCOLS.join(', ')}`);
      for (const message of messagesIn(await fileIn(args[0], host))) {
        const translated = await translate(message, { from, to });
        output.item(translated, () => JSON.stringify(translated, null, 2));
      }
      return EXIT.ok;
    },
  };
}
