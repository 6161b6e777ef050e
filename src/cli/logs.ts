// `batuta logs`: a task's log, as far as it is written or as it is written.

import type { LogFilter, LogRecord } from '../sdk/wire.ts';
import { type CommandSpec, instantFrom } from './command.ts';
import { EXIT } from './failure.ts';
import type { Paint } from './output.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Prints a task's log. */
export const logsCommand: CommandSpec = {
  name: 'logs',
  summary: "print a task's log",
  positionals: [{ name: '<id>', description: 'the task' }],
  options: [
    { flags: '-F, --follow', description: 'go on until the task ends' },
    { flags: '--level <level>', description: 'this severe at least', choices: LEVELS },
    { flags: '--since <when>', description: 'only newer: an instant, or an age such as 10m' },
    { flags: '--until <when>', description: 'only older' },
    { flags: '--attempt <n>', description: 'only of this attempt', integer: { min: 0, max: 1_000_000 } },
    { flags: '--grep <text>', description: 'only lines that contain it' },
  ],
  examples: ['batuta logs nightly-1 --follow', 'batuta logs nightly-1 --level warn --since 1h'],
  connects: true,
  async run({ args: [taskId = ''], flags, client, output, host }) {
    const instant = (name: string): string | undefined => {
      const text = flags.text(name);
      return text === undefined ? undefined : instantFrom(text, host.clock.now(), `--${name}`);
    };
    const filter: LogFilter = {
      level: flags.text('level') as LogFilter['level'],
      since: instant('since'),
      until: instant('until'),
      attempt: flags.number('attempt'),
      q: flags.text('grep'),
    };
    const lines = client.logs(taskId, { ...filter, follow: flags.on('follow'), signal: host.signal });
    for await (const line of lines) output.item(line, () => lineText(line, output.paint));
    return EXIT.ok;
  },
};

function lineText({ timestamp, level, component, message }: LogRecord, paint: Paint): string {
  return `${paint.dim(timestamp)} ${styleOf(level, paint)(level.padEnd(5))} ${paint.dim(component)}  ${message}`;
}

function styleOf(level: LogRecord['level'], paint: Paint): (text: string) => string {
  switch (level) {
    case 'DEBUG':
      return paint.dim;
    case 'INFO':
      return paint.cyan;
    case 'WARN':
      return paint.yellow;
    case 'ERROR':
    case 'CRITICAL':
      return paint.red;
  }
}
