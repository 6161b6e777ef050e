// `batuta validate`: whether a server would take messages, without asking one.

import type { Json } from '../domain/json.ts';
import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import type { AppActions } from './host.ts';
import { fileIn, protocolIn, protocolOption } from './protocols.ts';

/** The command, made from the action that judges. */
export function validateCommand(validate: NonNullable<AppActions['validateMessage']>): CommandSpec {
  return {
    name: 'validate',
    summary: 'check messages without a server: which field breaks which requirement',
    positionals: [{ name: '<file>', description: 'a message or an array of them; - for standard input' }],
    options: [protocolOption],
    examples: [
      'batuta validate order.json --protocol army',
      'cat messages.json | batuta validate - --protocol nooble --json',
    ],
    connects: false,
    async run({ args, flags, host, output }) {
      const protocol = protocolIn(flags);
      const value = await fileIn(args[0], host);
      const all = Array.isArray(value) ? (value as readonly Json[]) : [value];
      let invalid = 0;
      for (const [index, message] of all.entries()) {
        const verdict = await validate(message, protocol);
        const name = all.length === 1 ? '' : ` message ${index}`;
        if (!verdict.valid) invalid += 1;
        output.item({ index, ...verdict }, () => {
          const { paint } = output;
          if (verdict.valid)
            return [
              `${paint.green('valid')}${name}${verdict.type === null ? '' : ` ${verdict.type}`}`,
              ...verdict.assumed.map(one => paint.dim(`  taken for granted: ${one}`)),
            ].join('\n');
          const faults = verdict.faults.map(({ field, message: what, requirement }) => {
            const said = field === '' ? what : `${paint.bold(field)} ${what}`;
            return `  ${said}${requirement === null ? '' : paint.dim(` (${requirement})`)}`;
          });
          return [`${paint.red('invalid')}${name}`, ...faults].join('\n');
        });
      }
      return invalid > 0 ? EXIT.failed : EXIT.ok;
    },
  };
}
