// The flags that say which installation is meant, shared by the commands that are more than a client.

import type { Flags, OptionSpec } from './command.ts';
import type { ServeFlags } from './host.ts';

/** Flags that name an installation. */
export const settingFlags: readonly OptionSpec[] = [
  { flags: '--data <dir>', description: 'data directory (BATUTA_DATA, else .batuta)' },
  {
    flags: '--database-url <url>',
    description: 'PostgreSQL in place of the embedded file (BATUTA_DATABASE_URL)',
  },
  { flags: '--config <file>', description: 'JSON file of settings' },
];

/** The settings the flags give; absent ones stay with environment, file and defaults. */
export function settingsOf(flags: Flags): ServeFlags {
  const given = {
    port: flags.text('port'),
    host: flags.text('host'),
    dataDir: flags.text('data'),
    databaseUrl: flags.text('databaseUrl'),
    configFile: flags.text('config'),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
