// The part of `batuta workflow` about runs: begun, looked at, sent a message, taken up again.

import type { JsonObject } from '../domain/json.ts';
import type { WorkflowRunView } from '../sdk/workflows.ts';
import type { CommandCall, CommandSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { jsonFrom, valueFrom } from './json-source.ts';
import { table } from './output.ts';
import { acceptanceText, awaitEnd } from './submit.ts';
import { exitCodeOf } from './task-text.ts';
import { changesText, runText } from './workflow-text.ts';

const runNamed = { name: '<run>', description: 'the run, by the id of its task' } as const;
const wait = { flags: '-w, --wait', description: 'wait for its end, and print its output' } as const;
const input = {
  flags: '-i, --input <json>',
  description: 'what its steps see as `input`: JSON, @file or -',
} as const;

const run: CommandSpec = {
  name: 'run',
  summary: 'run a stored workflow, or one from a file',
  positionals: [
    { name: '[workflow]', description: 'a stored workflow, or workflow@version; --file in its place' },
  ],
  options: [
    input,
    {
      flags: '-f, --file <file>',
      description: 'a definition as JSON that is not stored (- for standard input)',
    },
    { flags: '--id <id>', description: 'the id of the run; made where absent' },
    wait,
  ],
  examples: [
    'batuta workflow run nightly --input \'{"day":"2026-01-31"}\' --wait',
    'batuta workflow run --file draft.json',
  ],
  connects: true,
  async run(call) {
    const { client, flags, host, output } = call;
    const taskId = flags.text('id');
    const acceptance = await client.execute({
      ...(taskId === undefined ? {} : { task_id: taskId }),
      task_type: 'workflow_orchestration',
      description: `${call.args[0] ?? flags.text('file')} by batuta workflow run`,
      task_data: { ...(await definitionOf(call)), ...(await inputOf(flags.text('input'), host)) },
    });
    if (flags.on('wait')) return awaitEnd(call, acceptance);
    output.answer(acceptance, () => acceptanceText(acceptance, output.paint.green));
    output.note(`batuta workflow status ${acceptance.task_id} --follow shows its steps`);
    return EXIT.ok;
  },
};

const status: CommandSpec = {
  name: 'status',
  summary: 'show a run: its graph, and how each step stands',
  positionals: [runNamed],
  options: [
    { flags: '--follow', description: 'go on to tell of each step that changes, until the end' },
    { flags: '--mermaid', description: 'print the graph as a Mermaid flowchart instead' },
  ],
  examples: [
    'batuta workflow status nightly-1 --follow',
    'batuta workflow status nightly-1 --mermaid > run.mmd',
  ],
  connects: true,
  async run({ args: [taskId = ''], client, flags, host, output }) {
    let shown = await client.workflows.run(taskId);
    if (!flags.on('follow')) {
      output.answer(shown, () => (flags.on('mermaid') ? (shown.mermaid ?? '') : runText(shown, output)));
      return EXIT.ok;
    }
    output.item(shown, () => runText(shown, output));
    for await (const _ of client.events(taskId, { signal: host.signal })) {
      const now = await client.workflows.run(taskId);
      const changes = changesText(shown, now, output.paint);
      if (changes !== null) output.item(now, () => changes);
      shown = now;
    }
    output.note(`${taskId} is ${shown.outcome ?? shown.state}`);
    return exitCodeOf(shown.outcome === 'completed' ? 'completed' : 'failed');
  },
};

const runs: CommandSpec = {
  name: 'runs',
  summary: 'list the runs of a workflow, newest first',
  positionals: [{ name: '<workflow>', description: 'the workflow' }],
  options: [
    { flags: '--limit <n>', description: 'at most so many (20)', integer: { min: 1, max: 1_000 } },
    { flags: '--offset <n>', description: 'after so many', integer: { min: 0, max: 1_000_000_000 } },
  ],
  examples: ['batuta workflow runs nightly --limit 5'],
  connects: true,
  async run({ args: [workflow = ''], client, flags, output }) {
    const limit = flags.number('limit') ?? 20;
    const page = await client.workflows.runs(workflow, { limit, offset: flags.number('offset') });
    output.answer(page, () =>
      page.runs.length === 0
        ? `${workflow} has no runs there`
        : table(['ID', 'STATE', 'VERSION', 'STEPS DONE'], page.runs.map(rowOf), output),
    );
    return EXIT.ok;
  },
};

const rerun: CommandSpec = {
  name: 'rerun',
  summary: 'take a run that has ended up at a step, as a new run that keeps what completed before it',
  positionals: [runNamed],
  options: [{ flags: '--from <step>', description: 'the step to begin at' }, input, wait],
  examples: ['batuta workflow rerun nightly-1 --from load --input \'{"day":"2026-01-30"}\''],
  connects: true,
  async run(call) {
    const { client, flags, host, output } = call;
    const [taskId = ''] = call.args;
    const from = flags.text('from');
    if (from === undefined)
      throw new UsageError(
        '--from <step> says where to take it up',
        `batuta workflow status ${taskId} lists its steps`,
      );
    const { input: edited } = await inputOf(flags.text('input'), host);
    const acceptance = await client.workflows.rerun(taskId, from, edited);
    if (flags.on('wait')) return awaitEnd(call, acceptance);
    output.answer(acceptance, () => `${output.paint.green('taken up as')} ${acceptance.task_id}`);
    return EXIT.ok;
  },
};

const signal: CommandSpec = {
  name: 'signal',
  summary: 'send a run the message that a step waits for, or will; each name once',
  positionals: [runNamed, { name: '<message>', description: 'the name of the message' }],
  options: [
    { flags: '-d, --data <json>', description: 'what it says: any JSON, @file, or - for standard input' },
  ],
  examples: ['batuta workflow signal nightly-1 arrived --data \'{"rows":12}\''],
  connects: true,
  async run({ args: [taskId = '', name = ''], client, flags, host, output }) {
    const source = flags.text('data');
    const payload = source === undefined ? undefined : await valueFrom(source, '--data', host);
    await client.workflows.send(taskId, name, payload);
    output.answer({ task_id: taskId, name }, () => `${output.paint.green('sent')} ${name} to ${taskId}`);
    return EXIT.ok;
  },
};

/** Begins, shows and steers runs. */
export const runCommands: readonly CommandSpec[] = [run, status, runs, rerun, signal];

/** What `workflow` or `workflow@version` names; throws `UsageError` for a version that is no number. */
export function versionedFrom(text: string): { readonly id: string; readonly version?: number } {
  const [id = '', version] = text.split('@');
  if (version === undefined) return { id };
  if (/^[1-9]\d{0,8}$/.test(version)) return { id, version: Number(version) };
  throw new UsageError(`"${version}" is no version of ${id}`, `write ${id}@2 for its second version`);
}

async function definitionOf({ args, flags, host }: CommandCall): Promise<JsonObject> {
  const [workflow] = args;
  const file = flags.text('file');
  if ((workflow === undefined) === (file === undefined))
    throw new UsageError('name a stored workflow or give --file, and not both');
  if (file !== undefined) return await jsonFrom(file === '-' ? '-' : `@${file}`, '--file', host);
  const { id, version } = versionedFrom(workflow ?? '');
  return { workflow_id: id, ...(version === undefined ? {} : { version }) };
}

async function inputOf(
  source: string | undefined,
  host: CommandCall['host'],
): Promise<{ readonly input?: JsonObject }> {
  return source === undefined ? {} : { input: await jsonFrom(source, '--input', host) };
}

function rowOf({ task_id: id, state, outcome, version, steps }: WorkflowRunView): readonly string[] {
  const states = Object.values(steps).map(step => step.state);
  const done = states.filter(one => one === 'completed' || one === 'skipped').length;
  return [id, outcome ?? state, String(version ?? ''), `${done} of ${states.length}`];
}
