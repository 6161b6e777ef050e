// `batuta schedules`: orders handed in again and again, made, shown and steered.

import type { BatutaClient } from '../sdk/client.ts';
import type { ScheduleCatchUp, ScheduleOverlap, ScheduleView } from '../sdk/schedules.ts';
import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { facts, type Paint, table } from './output.ts';
import { requestFrom, taskOptions } from './submit.ts';

const OVERLAPS: readonly ScheduleOverlap[] = ['skip', 'queue', 'cancel_previous'];
const CATCH_UPS: readonly ScheduleCatchUp[] = ['skip', 'once', 'all'];
const named = [{ name: '<schedule>', description: 'the schedule' }] as const;

const list: CommandSpec = {
  name: 'list',
  isDefault: true,
  summary: 'list schedules, oldest first',
  examples: ['batuta schedules', 'batuta schedules --json'],
  connects: true,
  async run({ client, output }) {
    const schedules = await client.schedules.list({ limit: 1_000 });
    output.answer(schedules, () =>
      schedules.length === 0
        ? 'no schedules'
        : table(
            ['ID', 'STATE', 'WHEN', 'NEXT', 'LAST RUN', 'RUNS', 'SKIPPED'],
            schedules.map(schedule => [
              schedule.schedule_id,
              stateText(schedule, output.paint),
              whenText(schedule),
              schedule.next_runs[0] ?? '',
              schedule.last_run?.task_id ?? '',
              String(schedule.runs),
              String(schedule.skipped),
            ]),
            output,
          ),
    );
    return EXIT.ok;
  },
};

const show: CommandSpec = {
  name: 'show',
  summary: 'show a schedule and when its next runs are due',
  positionals: named,
  examples: ['batuta schedules show nightly'],
  connects: true,
  async run({ args: [id = ''], client, output }) {
    const schedule = await client.schedules.get(id);
    output.answer(schedule, () => scheduleText(schedule, output.paint));
    return EXIT.ok;
  },
};

const create: CommandSpec = {
  name: 'create',
  summary: 'make a schedule: when, and the task as `batuta submit` takes it',
  positionals: named,
  options: [
    { flags: '--cron <fields>', description: 'five fields, or @daily and the like' },
    { flags: '--timezone <name>', description: 'of --cron, such as Europe/Berlin (UTC)' },
    {
      flags: '--every <seconds>',
      description: 'in place of --cron',
      integer: { min: 1, max: 31_536_000 },
    },
    { flags: '--overlap <policy>', description: 'while the run before goes on (skip)', choices: OVERLAPS },
    { flags: '--catch-up <policy>', description: 'of runs missed by a downtime (once)', choices: CATCH_UPS },
    {
      flags: '--catch-up-max <n>',
      description: 'runs made up for under `all` (10)',
      integer: { min: 1, max: 100 },
    },
    {
      flags: '--jitter <seconds>',
      description: 'each run starts up to so much later',
      integer: { min: 0, max: 86_400 },
    },
    { flags: '--start <when>', description: 'not before this instant (ISO 8601)' },
    { flags: '--end <when>', description: 'not after this instant (ISO 8601)' },
    ...taskOptions.filter(({ flags }) => !/^--(?:id|correlation-id) /.test(flags)),
  ],
  examples: [
    "batuta schedules create nightly --cron '30 2 * * *' --timezone Europe/Berlin --file import.json",
    'batuta schedules create poll --every 300 --overlap queue --type custom:poll --data \'{"since":"$' +
      '{previous_at}"}\'',
  ],
  connects: true,
  async run({ args: [id = ''], flags, client, host, output }) {
    const schedule = await client.schedules.create({
      schedule_id: id,
      cron: flags.text('cron'),
      timezone: flags.text('timezone'),
      interval: flags.number('every'),
      overlap: flags.text('overlap') as ScheduleOverlap | undefined,
      catch_up: flags.text('catchUp') as ScheduleCatchUp | undefined,
      catch_up_max: flags.number('catchUpMax'),
      jitter: flags.number('jitter'),
      start_at: flags.text('start'),
      end_at: flags.text('end'),
      task: await requestFrom(flags, host),
    });
    output.answer(schedule, () => scheduleText(schedule, output.paint));
    return EXIT.ok;
  },
};

const pause = steering('pause', 'make no more runs', (client, id) => client.schedules.pause(id));
const resume = steering('resume', 'make runs again; none of those that were due meanwhile', (client, id) =>
  client.schedules.resume(id),
);

const run: CommandSpec = {
  name: 'run',
  summary: 'make a run at once',
  positionals: named,
  examples: ['batuta schedules run nightly'],
  connects: true,
  async run({ args: [id = ''], client, output }) {
    const acceptance = await client.schedules.run(id);
    output.answer(acceptance, () => `${output.paint.green(acceptance.status)}  ${acceptance.task_id}`);
    return EXIT.ok;
  },
};

const remove: CommandSpec = {
  name: 'delete',
  summary: 'forget a schedule; its runs go on',
  positionals: named,
  examples: ['batuta schedules delete nightly'],
  connects: true,
  async run({ args: [id = ''], client, output }) {
    await client.schedules.remove(id);
    output.answer({ schedule_id: id, deleted: true }, () => `${output.paint.green('deleted')} ${id}`);
    return EXIT.ok;
  },
};

/** Makes, shows and steers schedules. */
export const schedulesCommand: CommandSpec = {
  name: 'schedules',
  summary: 'hand tasks in again and again, by cron or interval',
  examples: ['batuta schedules', "batuta schedules create nightly --cron '30 2 * * *' --file import.json"],
  connects: true,
  subcommands: [list, show, create, pause, resume, run, remove],
};

function steering(
  name: string,
  summary: string,
  steer: (client: BatutaClient, id: string) => Promise<ScheduleView>,
): CommandSpec {
  return {
    name,
    summary,
    positionals: named,
    examples: [`batuta schedules ${name} nightly`],
    connects: true,
    async run({ args: [id = ''], client, output }) {
      const schedule = await steer(client, id);
      output.answer(schedule, () => `${stateText(schedule, output.paint)}  ${schedule.schedule_id}`);
      return EXIT.ok;
    },
  };
}

function scheduleText(schedule: ScheduleView, paint: Paint): string {
  const { last_run: last, last_error: error } = schedule;
  const head = `${paint.bold(schedule.schedule_id)}  ${stateText(schedule, paint)}  ${whenText(schedule)}`;
  const about = facts(
    [
      ['task', `${schedule.task.task_type}: ${schedule.task.description}`],
      ['overlap', schedule.overlap ?? ''],
      ['catch-up', schedule.catch_up ?? ''],
      ['runs', `${schedule.runs}, ${schedule.skipped} skipped`],
      ['last run', last === null ? 'none yet' : `${last.task_id} of ${last.scheduled_at}`],
      ...(error === null ? [] : [['last error', error] as const]),
      ['its tasks', `batuta tasks --correlation-id ${schedule.correlation_id}`],
    ],
    paint,
  );
  return [head, about, ...schedule.next_runs.map(instant => `  next  ${instant}`)].join('\n');
}

function whenText({ cron, timezone, interval }: ScheduleView): string {
  return cron === undefined ? `every ${interval} s` : `${cron} (${timezone ?? 'UTC'})`;
}

function stateText({ state }: ScheduleView, paint: Paint): string {
  if (state === 'active') return paint.green(state);
  return state === 'paused' ? paint.yellow(state) : paint.dim(state);
}
