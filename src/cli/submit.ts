// `batuta submit`: hands a task in, from flags or from a file.

import { nearest } from '../app/config.ts';
import type { JsonObject } from '../domain/json.ts';
import { TASK_TYPES, type TaskType } from '../domain/task.ts';
import { outcomeOf, outputOf } from '../sdk/outcome.ts';
import { EndWatch } from '../sdk/waiting.ts';
import type { Acceptance, ExecutionConfig, TaskRequest, WirePriority } from '../sdk/wire.ts';
import type { CommandCall, CommandSpec, Flags, OptionSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import type { CliHost } from './host.ts';
import { jsonFrom } from './json-source.ts';
import { exitCodeOf } from './task-text.ts';
import { followToEnd } from './watch.ts';

const PRIORITIES: readonly WirePriority[] = ['critical', 'urgent', 'high', 'normal', 'low'];

/** Options that say what a task is, for whatever hands one in. */
export const taskOptions: readonly OptionSpec[] = [
  { flags: '-t, --type <type>', description: 'task type, or custom:<name> for a worker of your own' },
  { flags: '-d, --data <json>', description: "the type's input: JSON, @file, or - for standard input" },
  {
    flags: '-f, --file <file>',
    description: 'a whole request as JSON (- for standard input); flags win over it',
  },
  { flags: '--description <text>', description: 'what it is for' },
  { flags: '--id <id>', description: 'its id; made where absent' },
  { flags: '--priority <level>', description: 'how urgent it is', choices: PRIORITIES },
  {
    flags: '--timeout <seconds>',
    description: 'running time over all attempts',
    integer: { min: 1, max: 604_800 },
  },
  { flags: '--retries <n>', description: 'retries after the first attempt', integer: { min: 0, max: 100 } },
  {
    flags: '--depends-on <id>',
    description: 'tasks that must complete first (repeatable)',
    repeatable: true,
  },
  {
    flags: '--cache <seconds>',
    description: 'the result of an identical task will do, if it is no older',
    integer: { min: 1, max: 31_536_000 },
  },
  { flags: '--concurrency-key <key>', description: 'what only so many running tasks may bear' },
  {
    flags: '--concurrency-limit <n>',
    description: 'how many of its key run at once (1)',
    integer: { min: 1, max: 1_000_000 },
  },
  { flags: '--label <name=value>', description: 'a label (repeatable)', repeatable: true },
  { flags: '--webhook <url>', description: 'where to send notifications' },
  { flags: '--webhook-secret <secret>', description: 'what to sign them with' },
  { flags: '--correlation-id <id>', description: 'what it belongs to' },
];

/** Hands a task in. */
export const submitCommand: CommandSpec = {
  name: 'submit',
  summary: 'hand a task in',
  options: [...taskOptions, { flags: '-w, --wait', description: 'wait for its end, and print its output' }],
  examples: [
    `batuta submit --type code_execution --data '{"language":"javascript","code":"6 * 7"}' --wait`,
    'batuta submit --type custom:resize --data @picture.json --priority high --label team=art',
    'batuta submit --file task.json --id nightly-2026-01-31 --depends-on import-1,import-2',
    'jq -n \'{language:"python",code:"print(1)"}\' | batuta submit --type code_execution --data -',
  ],
  connects: true,
  async run(call) {
    const request = await requestFrom(call.flags, call.host);
    const { client, output } = call;
    const acceptance = await client.execute(request);
    if (call.flags.on('wait')) return awaitEnd(call, acceptance);
    output.answer(acceptance, () => acceptanceText(acceptance, output.paint.green));
    output.note(`batuta watch ${acceptance.task_id} follows it`);
    return EXIT.ok;
  },
};

/** Waits for the end of a task just handed in and prints its output; answers the exit code. */
export async function awaitEnd(
  call: CommandCall,
  { task_id: taskId }: Pick<Acceptance, 'task_id'>,
): Promise<number> {
  const { client, output, host } = call;
  output.note(`${taskId} is accepted`);
  if (output.isTerminal) await followToEnd(call, taskId);
  const status = await new EndWatch(client).ended(taskId, host.signal);
  output.answer(status, () => {
    const { output: result } = outputOf(status);
    return typeof result === 'string' ? result : JSON.stringify(result, null, 2);
  });
  return exitCodeOf(outcomeOf(status) ?? 'failed');
}

/** What is told of a task that was taken. */
export function acceptanceText(acceptance: Acceptance, styled: (text: string) => string): string {
  const { status, task_id: taskId, queue_position: position, timestamps } = acceptance;
  const place = position > 0 ? `  place ${position}, expected to start ${timestamps.estimated_start}` : '';
  return `${styled(status)}  ${taskId}${place}`;
}

/** The request a call of `submit` means; throws `UsageError` for one that cannot be meant. */
export async function requestFrom(flags: Flags, host: Pick<CliHost, 'readStdin'>): Promise<TaskRequest> {
  const file = flags.text('file');
  const data = flags.text('data');
  if (file === '-' && data === '-')
    throw new UsageError('--file - and --data - cannot both be standard input');
  const body = file === undefined ? {} : await jsonFrom(file === '-' ? '-' : `@${file}`, '--file', host);
  const given = data === undefined ? undefined : await jsonFrom(data, '--data', host);
  const type = typeOf(flags.text('type'), body);
  const typeName = type.startsWith('custom:') ? type.slice('custom:'.length) : undefined;
  const taskData: JsonObject = { ...(body.task_data as JsonObject | undefined), ...given };
  const webhook = webhookOf(flags, body);
  return {
    ...(body as unknown as TaskRequest),
    task_type: (typeName === undefined ? type : 'custom') as TaskType,
    task_data: typeName === undefined ? taskData : { ...taskData, type_name: typeName },
    description: flags.text('description') ?? textOf(body.description) ?? `${type} by batuta submit`,
    ...defined({
      task_id: flags.text('id'),
      priority: flags.text('priority') as WirePriority | undefined,
      timeout: flags.number('timeout'),
    }),
    ...(webhook === undefined ? {} : { notification_config: webhook }),
    execution_config: {
      ...(body.execution_config as object | undefined),
      ...defined({
        max_retries: flags.number('retries'),
        depends_on: flags.list('dependsOn'),
        labels: labelsOf(flags),
        cache: cacheOf(flags),
        concurrency: concurrencyOf(flags),
      }),
    },
    orchestrator_info: {
      ...(body.orchestrator_info as object | undefined),
      ...defined({ correlation_id: flags.text('correlationId') }),
    },
  };
}

function typeOf(given: string | undefined, body: JsonObject): string {
  const type = given ?? textOf(body.task_type);
  if (type === undefined)
    throw new UsageError(
      'a task needs a type: --type, or task_type in --file',
      `one of ${TASK_TYPES.join(', ')}`,
    );
  if (/^custom:[A-Za-z0-9._:-]{1,200}$/.test(type) || TASK_TYPES.some(known => known === type)) return type;
  const meant = nearest(type, TASK_TYPES);
  throw new UsageError(
    `there is no task type "${type}"`,
    meant === null ? `write custom:${type} if a worker of yours offers it` : `did you mean ${meant}?`,
  );
}

function webhookOf(flags: Flags, body: JsonObject): TaskRequest['notification_config'] {
  const kept = body.notification_config as TaskRequest['notification_config'];
  const url = flags.text('webhook') ?? kept?.webhook_url;
  const secret = flags.text('webhookSecret');
  if (url === undefined) {
    if (secret !== undefined) throw new UsageError('--webhook-secret needs a --webhook to sign for');
    return undefined;
  }
  return { ...kept, webhook_url: url, ...defined({ webhook_secret: secret }) };
}

function labelsOf(flags: Flags): Readonly<Record<string, string>> | undefined {
  const labels = flags.all('label').map(label => {
    const equals = label.indexOf('=');
    if (equals < 1) throw new UsageError(`--label "${label}" is not name=value`);
    return [label.slice(0, equals), label.slice(equals + 1)] as const;
  });
  return labels.length === 0 ? undefined : Object.fromEntries(labels);
}

function cacheOf(flags: Flags): ExecutionConfig['cache'] {
  const ttl = flags.number('cache');
  return ttl === undefined ? undefined : { ttl };
}

function concurrencyOf(flags: Flags): ExecutionConfig['concurrency'] {
  const key = flags.text('concurrencyKey');
  const limit = flags.number('concurrencyLimit');
  if (key !== undefined) return { key, ...defined({ limit }) };
  if (limit !== undefined) throw new UsageError('--concurrency-limit needs a --concurrency-key');
  return undefined;
}

function defined<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<Fields>;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
