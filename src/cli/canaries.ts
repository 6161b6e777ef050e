// `batuta canaries`: what the nodes and agents of that label get, and why they get no more.

import type { CanaryView, RunFigures } from '../sdk/wire-admin.ts';
import type { CommandSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { facts, type Paint } from './output.ts';

const show: CommandSpec = {
  name: 'show',
  isDefault: true,
  summary: 'what canaries get, and why they get no more',
  examples: ['batuta canaries', 'batuta canaries --json'],
  connects: true,
  async run({ client, output }) {
    const view = await client.canaries();
    output.answer(view, () => facts(factsOf(view, output.paint), output.paint));
    return EXIT.ok;
  },
};

const set: CommandSpec = {
  name: 'set',
  summary: 'give canaries a share of the new tasks, or all of some tenants’',
  options: [
    { flags: '--share <0..1>', description: 'of all new tasks; 0 where absent' },
    { flags: '--tenant <id>', description: 'whose tasks go to them first (repeatable)', repeatable: true },
  ],
  examples: ['batuta canaries set --share 0.05', 'batuta canaries set --tenant acme'],
  connects: true,
  async run({ flags, client, output }) {
    const share = flags.number('share') ?? 0;
    if (!(share >= 0 && share <= 1))
      throw new UsageError('--share is from 0 to 1', 'give 0.05 for one in 20');
    const view = await client.setCanaries({ share, tenants: flags.list('tenant') ?? [] });
    output.answer(view, () => facts(factsOf(view, output.paint), output.paint));
    return EXIT.ok;
  },
};

/** Shows and sets what canaries get. */
export const canariesCommand: CommandSpec = {
  name: 'canaries',
  summary: 'what nodes and agents labelled canary get',
  examples: ['batuta canaries', 'batuta canaries set --share 0.05'],
  connects: true,
  subcommands: [show, set],
};

function factsOf(
  { share, tenants, stopped }: CanaryView,
  paint: Paint,
): readonly (readonly [string, string])[] {
  const given = [
    ['share', percentText(share)],
    ['tenants', tenants.join(', ')],
  ] as const;
  if (stopped === null) return given;
  const why = stopped.because === 'latency' ? 'they take longer' : 'they fail more often';
  return [
    ...given,
    ['stopped', paint.red(`${stopped.at}: ${why} than the rest`)],
    ['had', [percentText(stopped.share), ...stopped.tenants].join(', ')],
    ['canaries', figuresText(stopped.canary)],
    ['the rest', figuresText(stopped.rest)],
  ];
}

function figuresText({ runs, error_rate: errors, p95_ms: p95 }: RunFigures): string {
  return `${runs} runs, ${percentText(errors ?? 0)} failed, 95 % within ${p95 ?? '?'} ms`;
}

function percentText(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`;
}
