// `batuta backup`: copies everything while the server serves, and checks copies.

import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import type { AppActions } from './host.ts';
import { facts } from './output.ts';
import { settingFlags, settingsOf } from './settings.ts';

/** The command, made from what writes and what checks a copy. */
export function backupCommand(
  backup: NonNullable<AppActions['backup']>,
  verify: AppActions['verifyBackup'],
): CommandSpec {
  const make: CommandSpec = {
    name: 'create',
    isDefault: true,
    summary: 'copy everything, as of one instant, while serving',
    options: [{ flags: '--to <dir>', description: 'directory for the copy (backups)' }, ...settingFlags],
    examples: ['batuta backup --to /mnt/backups'],
    connects: false,
    async run({ flags, output }) {
      const report = await backup({ ...settingsOf(flags), to: flags.text('to') ?? 'backups' });
      output.answer(report, () => reportText('backed up', report, output.paint));
      return EXIT.ok;
    },
  };
  const check = (verifyBackup: NonNullable<AppActions['verifyBackup']>): CommandSpec => ({
    name: 'verify',
    summary: 'check every sum of a copy, and that it opens',
    positionals: [{ name: '<dir>', description: 'the copy' }],
    examples: ['batuta backup verify /mnt/backups/2026-01-31'],
    connects: false,
    async run({ args: [from = ''], output }) {
      const report = await verifyBackup(from);
      output.answer(report, () => reportText('whole', report, output.paint));
      return EXIT.ok;
    },
  });
  return {
    name: 'backup',
    summary: 'copy everything, and check copies',
    examples: make.examples,
    connects: false,
    subcommands: verify === undefined ? [make] : [make, check(verify)],
  };
}

/** What a backup or restore reports, under a word of success. */
export function reportText(
  done: string,
  report: object,
  paint: Parameters<typeof facts>[1] & { readonly green: (text: string) => string },
): string {
  const entries = Object.entries(report).map(
    ([name, value]) =>
      [name.replaceAll('_', ' '), typeof value === 'string' ? value : JSON.stringify(value)] as const,
  );
  return `${paint.green(done)}\n${facts(entries, paint)}`;
}
