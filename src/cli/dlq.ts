// `batuta dlq`: messages nobody got, why, and what to do about them.

import { DEAD_REASONS, type DeadReason } from '../domain/message.ts';
import type { DeadLetterFilter, DeadLetterView } from '../sdk/mail.ts';
import { type CommandCall, type CommandSpec, instantFrom, type OptionSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { facts, table } from './output.ts';
import { protocolIn, protocolOption } from './protocols.ts';

const filterOptions: readonly OptionSpec[] = [
  { flags: '--inbox <name>', description: 'only of this inbox' },
  { flags: '--reason <reason>', description: 'only for this reason', choices: DEAD_REASONS },
  { flags: '--since <when>', description: 'only newer: an instant, or an age such as 1h' },
];

const list: CommandSpec = {
  name: 'list',
  isDefault: true,
  summary: 'list dead letters, oldest first',
  options: [
    protocolOption,
    ...filterOptions,
    { flags: '-n, --limit <n>', description: 'at most so many (100)', integer: { min: 1, max: 100 } },
    { flags: '--cursor <n>', description: 'go on after this one', integer: { min: 0, max: 2 ** 50 } },
  ],
  examples: ['batuta dlq --protocol army', 'batuta dlq --protocol army --reason expired --since 1h --json'],
  connects: true,
  async run(call) {
    const { flags, client, output } = call;
    const page = await client.mail(protocolIn(flags)).deadLetters({
      ...filterIn(call),
      limit: flags.number('limit'),
      cursor: flags.number('cursor'),
    });
    output.answer(page, () =>
      page.dead_letters.length === 0
        ? 'no dead letters'
        : table(
            ['ID', 'REASON', 'INBOX', 'FROM', 'TRIES', 'DIED', 'LAST ERROR'],
            page.dead_letters.map(one => [
              ...[String(one.id), output.paint.red(one.reason), one.inbox ?? '', one.sender],
              ...[String(one.attempts), one.died_at, one.last_error],
            ]),
            output,
          ),
    );
    if (page.next_cursor !== null) output.note(`there are more: --cursor ${page.next_cursor}`);
    return EXIT.ok;
  },
};

const show: CommandSpec = {
  name: 'show',
  summary: 'show a dead letter and the message it was',
  positionals: [{ name: '<id>', description: 'the dead letter' }],
  options: [protocolOption],
  examples: ['batuta dlq show 17 --protocol army'],
  connects: true,
  async run({ args: [text = ''], flags, client, output }) {
    const id = idOf(text);
    const [found] = await client
      .mail(protocolIn(flags))
      .deadLetters({ cursor: Math.max(0, id - 1), limit: 1 })
      .then(({ dead_letters: letters }) => letters.filter(one => one.id === id));
    if (found === undefined) {
      output.note(`there is no dead letter ${id}`);
      return EXIT.notFound;
    }
    output.answer(found, () => letterText(found, output.paint));
    return EXIT.ok;
  },
};

const replay: CommandSpec = {
  name: 'replay',
  summary: 'put dead letters back into their inboxes, by id or by filter',
  positionals: [{ name: '[id...]', description: 'the dead letters; none where a filter says which' }],
  options: [protocolOption, ...filterOptions, { flags: '--all', description: 'all of them' }],
  examples: [
    'batuta dlq replay 17 18 --protocol army',
    'batuta dlq replay --protocol army --reason max_deliveries --since 1d',
  ],
  connects: true,
  async run(call) {
    const { args, flags, client, output } = call;
    const filter = filterIn(call);
    const isFiltered = flags.on('all') || Object.values(filter).some(one => one !== undefined);
    if (args.length > 0 === isFiltered)
      throw new UsageError('either ids or a filter says which', '--all means all of them');
    const which = args.length > 0 ? { ids: args.map(idOf) } : { filter };
    const replayed = await client.mail(protocolIn(flags)).replay(which);
    output.answer({ replayed }, () =>
      replayed.length === 0
        ? 'nothing to put back'
        : `${output.paint.green('put back')} ${replayed.join(', ')}`,
    );
    return args.length > replayed.length ? EXIT.notFound : EXIT.ok;
  },
};

const drop: CommandSpec = {
  name: 'drop',
  summary: 'let dead letters go for good',
  positionals: [{ name: '<id...>', description: 'the dead letters' }],
  options: [protocolOption],
  examples: ['batuta dlq drop 17 --protocol army'],
  connects: true,
  async run({ args, flags, client, output }) {
    const mail = client.mail(protocolIn(flags));
    for (const id of args.map(idOf)) {
      await mail.drop(id);
      output.item({ id, dropped: true }, () => `${output.paint.green('dropped')} ${id}`);
    }
    return EXIT.ok;
  },
};

/** Shows dead letters, puts them back, lets them go. */
export const dlqCommand: CommandSpec = {
  name: 'dlq',
  summary: 'list messages nobody got, and put them back',
  examples: ['batuta dlq --protocol army', 'batuta dlq replay --all --protocol army'],
  connects: true,
  subcommands: [list, show, replay, drop],
};

function filterIn({ flags, host }: CommandCall): DeadLetterFilter {
  const since = flags.text('since');
  return {
    inbox: flags.text('inbox'),
    reason: flags.text('reason') as DeadReason | undefined,
    since: since === undefined ? undefined : instantFrom(since, host.clock.now(), '--since'),
  };
}

function idOf(text: string): number {
  const id = Number(text);
  if (/^\d{1,15}$/.test(text)) return id;
  throw new UsageError(`"${text}" is no id of a dead letter`, 'batuta dlq lists them');
}

function letterText(letter: DeadLetterView, paint: CommandCall['output']['paint']): string {
  const {
    id,
    reason,
    last_error: error,
    inbox,
    sender,
    attempts,
    died_at: died,
    accepted_at: accepted,
  } = letter;
  const about = facts(
    [
      ['why', error],
      ['inbox', inbox],
      ['from', sender],
      ['tries', String(attempts)],
      ['accepted', accepted],
      ['died', died],
    ],
    paint,
  );
  const content = letter.message === undefined ? (letter.raw ?? '') : JSON.stringify(letter.message, null, 2);
  return `${paint.bold(String(id))}  ${paint.red(reason)}\n${about}\n${content}`;
}
