// `batuta status`: how tasks stand, why they wait, and how they ended.

import type { CommandSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { taskText } from './task-text.ts';
import { taskRows } from './tasks.ts';

/** Shows one task, or compares several. */
export const statusCommand: CommandSpec = {
  name: 'status',
  summary: 'show how tasks stand, and why they wait',
  positionals: [{ name: '<id...>', description: 'one task, or several' }],
  options: [
    { flags: '--logs', description: 'with log lines (one task)' },
    { flags: '--context', description: 'with its context (one task)' },
  ],
  examples: [
    'batuta status nightly-1',
    'batuta status nightly-1 --json | jq .execution_details.output',
    'batuta status a b c',
  ],
  connects: true,
  async run({ args, flags, client, output, host }) {
    const [taskId = '', ...more] = args;
    if (more.length === 0) {
      const options = { include_logs: flags.on('logs'), include_context: flags.on('context') };
      const status = await client.status(taskId, { ...options, signal: host.signal });
      output.answer(status, () => {
        const lines = (status.logs ?? []).map(
          ({ timestamp, level, message }) => `${timestamp} ${level} ${message}`,
        );
        return [taskText(status, output, host.clock.now()), ...lines].join('\n');
      });
      return EXIT.ok;
    }
    if (flags.on('logs') || flags.on('context'))
      throw new UsageError('--logs and --context are for one task');
    const list = await client.statuses({ task_ids: args, limit: args.length });
    output.answer(list, () => taskRows(list.tasks, output, host.clock.now()));
    if (list.not_found.length > 0) output.note(`not found: ${list.not_found.join(', ')}`);
    return list.not_found.length > 0 ? EXIT.notFound : EXIT.ok;
  },
};
