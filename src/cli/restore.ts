// `batuta restore`: puts a copy back in place.

import { reportText } from './backup.ts';
import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import type { AppActions } from './host.ts';
import { settingFlags, settingsOf } from './settings.ts';

/** The command, made from what restores. */
export function restoreCommand(restore: NonNullable<AppActions['restore']>): CommandSpec {
  return {
    name: 'restore',
    summary: 'put a copy back in place of the data directory',
    positionals: [{ name: '<from>', description: 'the copy' }],
    options: [{ flags: '--force', description: 'even where there is data already' }, ...settingFlags],
    examples: ['batuta restore /mnt/backups/2026-01-31 --data /var/lib/batuta'],
    connects: false,
    async run({ args: [from = ''], flags, output }) {
      const report = await restore({ ...settingsOf(flags), from, force: flags.on('force') });
      output.answer(report, () => reportText('restored', report, output.paint));
      return EXIT.ok;
    },
  };
}
