// `batuta completion`: prints a script that teaches a shell the commands, options and choices there are.

import type { CommandSpec } from './command.ts';
import { bashScript, fishScript, zshScript } from './completion-scripts.ts';
import { EXIT, UsageError } from './failure.ts';

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
const SHELLS = Object.keys(SCRIPTS);

/** The command, made from the commands it speaks of. */
export function completionCommand(commands: () => readonly CommandSpec[]): CommandSpec {
  return {
    name: 'completion',
    summary: 'print a completion script for bash, zsh or fish',
    positionals: [{ name: '<shell>', description: SHELLS.join(', '), choices: SHELLS }],
    examples: [
      'source <(batuta completion bash)',
      `batuta completion zsh > "\${fpath[1]}/_batuta"`,
      'batuta completion fish > ~/.config/fish/completions/batuta.fish',
    ],
    connects: false,
    async run({ args: [shell = ''], output }) {
      if (!isShell(shell))
        throw new UsageError(`there is no completion for "${shell}"`, `one of ${SHELLS.join(', ')}`);
      const script = SCRIPTS[shell](commands());
      output.answer({ shell, script }, () => script);
      return EXIT.ok;
    },
  };
}

function isShell(text: string): text is keyof typeof SCRIPTS {
  return Object.hasOwn(SCRIPTS, text);
}
