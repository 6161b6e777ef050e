// `batuta copy`: moves all that a stopped single node holds into an empty PostgreSQL.

import type { CommandSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import type { AppActions, CopiedStore } from './host.ts';
import { bar, facts, type Paint, table } from './output.ts';

/** The command, made from what copies. */
export function copyCommand(copy: NonNullable<AppActions['copy']>): CommandSpec {
  return {
    name: 'copy',
    summary: 'move a stopped single node, live tasks and history, into PostgreSQL',
    options: [
      { flags: '--from <store>', description: 'sqlite: and the data directory of the node' },
      { flags: '--to <store>', description: 'postgres:// and the rest of the URL of an empty database' },
    ],
    examples: ['batuta copy --from sqlite:/var/lib/batuta --to postgres://batuta@db.internal/batuta'],
    connects: false,
    async run({ flags, output, host }) {
      const from = flags.text('from');
      const to = flags.text('to');
      if (from === undefined || to === undefined)
        throw new UsageError('copy needs --from and --to', 'batuta copy --help has an example');
      const report = await copy({ from, to }, ({ table, rows, of }) => {
        // Whoever wants no more gets nothing moved.
        host.signal.throwIfAborted();
        const share = of === 0 ? 100 : Math.floor((100 * rows) / of);
        output.draw(`${bar(share)} ${table} ${rows} of ${of}`);
      });
      output.answer(report, () => reportText(report, output));
      return EXIT.ok;
    },
  };
}

function reportText(
  report: CopiedStore,
  output: { readonly paint: Paint; readonly isTerminal: boolean; readonly columns: number },
): string {
  const { paint } = output;
  const moved = report.tables
    .filter(({ rows }) => rows > 0)
    .map(({ table: name, rows, checksum }) => [name, String(rows), checksum.slice(0, 16)]);
  const altered = Object.entries(report.altered).map(([name, values]) => `${values} in ${name}`);
  const place = report.blobs_stay_in;
  const blobs = `${report.blobs} ${place === null ? 'went along' : `stay in ${place}`}`;
  const missing = report.blobs_missing === 0 ? '' : `, ${report.blobs_missing} of them are not there`;
  return [
    `${paint.green('copied')}  every sum is equal on both sides`,
    table(['TABLE', 'ROWS', 'CHECKSUM'], moved, output),
    facts(
      [
        ['from', report.from],
        ['to', report.to],
        ['rows', String(report.rows)],
        ['altered', altered.join(', ')],
        ['blobs', report.blobs === 0 ? null : `${blobs}${missing}`],
        [
          'keys',
          report.keys_in.length === 0 ? null : `give every node those of ${report.keys_in.join(' and ')}`,
        ],
      ],
      paint,
    ),
  ].join('\n');
}
