// `batuta cancel`, `pause`, `resume` and `retry`: steering tasks, several in one call.

import type { BatutaClient } from '../sdk/client.ts';
import type { CommandSpec, Flags, OptionSpec } from './command.ts';
import { EXIT, type Failure, failureOf } from './failure.ts';
import type { Paint } from './output.ts';

const reason: OptionSpec = { flags: '--reason <text>', description: 'why, for the record' };

/** The four commands. */
export const controlCommands: readonly CommandSpec[] = [
  control({
    name: 'cancel',
    done: 'cancelled',
    summary: 'end tasks that have not ended',
    options: [
      reason,
      {
        flags: '--grace <seconds>',
        description: 'time to stop by itself (10)',
        integer: { min: 0, max: 600 },
      },
    ],
    examples: ['batuta cancel nightly-1 --reason "no longer needed"', 'batuta cancel a b c'],
    steer: (client, taskId, flags) => {
      const graceSeconds = flags.number('grace');
      return client.cancel(taskId, {
        ...why(flags),
        ...(graceSeconds === undefined ? {} : { graceSeconds }),
      });
    },
  }),
  control({
    name: 'pause',
    done: 'paused',
    summary: 'hold tasks: queued ones at once, running ones at their next checkpoint',
    options: [reason, { flags: '--force', description: 'even without a checkpoint: what ran starts anew' }],
    examples: ['batuta pause nightly-1', 'batuta pause nightly-1 --force'],
    steer: (client, taskId, flags) => client.pause(taskId, { ...why(flags), force: flags.on('force') }),
  }),
  control({
    name: 'resume',
    done: 'resumed',
    summary: 'let paused tasks go on',
    options: [],
    examples: ['batuta resume nightly-1'],
    steer: (client, taskId) => client.resume(taskId),
  }),
  control({
    name: 'retry',
    done: 'retried as',
    summary: 'start failed, timed out or cancelled tasks anew, as new tasks',
    options: [
      { flags: '--new-id <id>', description: 'the new id (one task); <id>.r1 and so on where absent' },
    ],
    examples: ['batuta retry nightly-1', 'batuta retry nightly-1 --new-id nightly-1-again'],
    steer: (client, taskId, flags) => {
      const newTaskId = flags.text('newId');
      return client.retry(taskId, newTaskId === undefined ? {} : { newTaskId });
    },
  }),
];

interface Control extends Pick<CommandSpec, 'name' | 'summary' | 'options' | 'examples'> {
  readonly done: string;
  readonly steer: (
    client: BatutaClient,
    taskId: string,
    flags: Flags,
  ) => Promise<{ readonly task_id: string }>;
}

function control({ done, steer, ...words }: Control): CommandSpec {
  return {
    ...words,
    connects: true,
    positionals: [{ name: '<id...>', description: 'the tasks' }],
    async run({ args, flags, client, output }) {
      const [only, ...others] = args;
      if (only !== undefined && others.length === 0) {
        const answer = await steer(client, only, flags);
        output.answer(answer, () => `${output.paint.green(done)} ${answer.task_id}`);
        return EXIT.ok;
      }
      let exitCode: number = EXIT.ok;
      for (const taskId of args) {
        try {
          const answer = await steer(client, taskId, flags);
          output.item(answer, () => `${output.paint.green(done)} ${answer.task_id}`);
        } catch (error) {
          const failure = failureOf(error);
          exitCode = failure.exitCode;
          output.item(faultOf(taskId, failure), () => refusalText(taskId, failure, output.paint));
        }
      }
      return exitCode;
    },
  };
}

function why(flags: Flags): { readonly reason?: string } {
  const text = flags.text('reason');
  return text === undefined ? {} : { reason: text };
}

function faultOf(taskId: string, { code, message }: Failure): object {
  return { task_id: taskId, error: { code, message } };
}

function refusalText(taskId: string, { message }: Failure, paint: Paint): string {
  return `${paint.red('refused')} ${taskId}: ${message}`;
}
