// `batuta tasks`: a table of tasks, newest first.

import type { TaskStatus, WireState } from '../sdk/wire.ts';
import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { type Output, table } from './output.ts';
import { agoText, stateText } from './task-text.ts';

const STATES: readonly WireState[] = ['queued', 'running', 'completed', 'failed', 'cancelled'];

/** Lists tasks. */
export const tasksCommand: CommandSpec = {
  name: 'tasks',
  summary: 'list tasks, newest first',
  options: [
    { flags: '-s, --status <state>', description: 'only in this state', choices: STATES },
    { flags: '--agent <id>', description: 'only asked for or run by this agent' },
    { flags: '--session <id>', description: 'only of this session' },
    { flags: '--user <id>', description: 'only of this user' },
    { flags: '--correlation-id <id>', description: 'only with this correlation id' },
    { flags: '-n, --limit <n>', description: 'at most so many (50)', integer: { min: 1, max: 1_000 } },
    { flags: '--offset <n>', description: 'skip so many', integer: { min: 0, max: 1_000_000_000 } },
  ],
  examples: [
    'batuta tasks',
    'batuta tasks --status failed --limit 20',
    "batuta tasks --json | jq -r '.tasks[].task_id'",
  ],
  connects: true,
  async run({ flags, client, output, host }) {
    const list = await client.statuses({
      status: flags.text('status') as WireState | undefined,
      agent_id: flags.text('agent'),
      session_id: flags.text('session'),
      user_id: flags.text('user'),
      correlation_id: flags.text('correlationId'),
      limit: flags.number('limit'),
      offset: flags.number('offset'),
    });
    output.answer(list, () =>
      list.tasks.length === 0 ? 'no tasks' : taskRows(list.tasks, output, host.clock.now()),
    );
    const shown = (flags.number('offset') ?? 0) + list.tasks.length;
    if (shown < list.total) output.note(`${list.total} in all; --offset ${shown} shows the next`);
    return EXIT.ok;
  },
};

/** Tasks as a table. */
export function taskRows(tasks: readonly TaskStatus[], output: Output, now: number): string {
  return table(
    ['ID', 'STATE', '%', 'TYPE', 'AGENT', 'TRY', 'UPDATED', 'STEP'],
    tasks.map(task => {
      const { progress = {}, timestamps = {}, attempt = 0 } = task.current_status;
      return [
        task.task_id,
        stateText(task, output.paint),
        progress.percentage === undefined ? '' : String(Math.round(progress.percentage)),
        typeof task.task_type === 'string' ? task.task_type : '',
        task.agent_id ?? '',
        String(attempt),
        timestamps.last_update === undefined ? '' : agoText(timestamps.last_update, now),
        progress.current_step ?? '',
      ];
    }),
    output,
  );
}
