// `batuta trace`: everything that was said under a correlation id, as a diagram.

import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { PROTOCOLS, protocolOption } from './protocols.ts';

/** Draws an exchange. */
export const traceCommand: CommandSpec = {
  name: 'trace',
  summary: 'draw every message of a correlation id as a Mermaid sequence diagram',
  positionals: [{ name: '<correlation>', description: 'the correlation id' }],
  options: [{ ...protocolOption, description: 'the wire whose words --json shows messages in (army)' }],
  examples: ['batuta trace order-7 > order-7.mmd', 'batuta trace order-7 --protocol blog --json'],
  connects: true,
  async run({ args: [correlation = ''], flags, client, output }) {
    const mail = client.mail(flags.text('protocol') ?? PROTOCOLS[0]);
    if (output.json) output.answer(await mail.exchange(correlation), () => '');
    else {
      const diagram = await mail.diagram(correlation);
      output.answer(diagram, () => diagram);
    }
    return EXIT.ok;
  },
};
