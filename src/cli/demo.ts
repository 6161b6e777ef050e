// `batuta demo`: the main job on real input, from beginning to end.

import type { CommandSpec } from './command.ts';
import type { AppActions } from './host.ts';

/** The command, made from what plays the demo. */
export function demoCommand(demo: NonNullable<AppActions['demo']>): CommandSpec {
  return {
    name: 'demo',
    summary: 'play the main job on real input and end',
    examples: ['batuta demo'],
    connects: false,
    run: ({ output }) => demo({ json: output.json }),
  };
}
