// `batuta serve`: runs a server until it is told to stop.

import type { CommandSpec } from './command.ts';
import type { AppActions } from './host.ts';
import { settingFlags, settingsOf } from './settings.ts';

/** The command, made from what starts a server. */
export function serveCommand(serve: NonNullable<AppActions['serve']>): CommandSpec {
  return {
    name: 'serve',
    summary: 'run a server',
    options: [
      { flags: '--port <n>', description: 'port (BATUTA_PORT, else 8400)', integer: { min: 0, max: 65_535 } },
      { flags: '--host <address>', description: 'address to listen on (BATUTA_HOST, else 127.0.0.1)' },
      ...settingFlags,
    ],
    examples: ['batuta serve', 'batuta serve --port 9000 --data /var/lib/batuta'],
    connects: false,
    async run({ flags, output }) {
      const { url, dataDir, ended } = await serve(settingsOf(flags));
      output.item({ url, data_dir: dataDir }, () => `Batuta serves on ${output.paint.bold(url)}`);
      output.note(`credentials, unless configured, are in ${dataDir}/credentials.json; Ctrl-C stops`);
      return ended;
    },
  };
}
