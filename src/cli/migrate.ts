// `batuta migrate`: brings a database to this program's schema without serving from it.

import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import type { AppActions } from './host.ts';
import { settingFlags, settingsOf } from './settings.ts';

/** The command, made from what migrates. */
export function migrateCommand(migrate: NonNullable<AppActions['migrate']>): CommandSpec {
  return {
    name: 'migrate',
    summary: 'bring the database to the schema of this program',
    options: [
      { flags: '--check', description: 'only look; exit code 1 where something would change' },
      ...settingFlags,
    ],
    examples: [
      'batuta migrate',
      'batuta migrate --check --database-url postgres://batuta@db.internal/batuta',
    ],
    connects: false,
    async run({ flags, output }) {
      const check = flags.on('check');
      const report = await migrate({ ...settingsOf(flags), check });
      const { paint } = output;
      output.answer(report, () => {
        const { database, schema_from: from, schema_to: to, changes } = report;
        if (!changes) return `${paint.green('up to date')}  schema ${to} in ${database}`;
        const done = check ? paint.yellow('would change') : paint.green('migrated');
        return `${done}  schema ${from === 0 ? 'none' : from} → ${to} in ${database}`;
      });
      return check && report.changes ? EXIT.failed : EXIT.ok;
    },
  };
}
