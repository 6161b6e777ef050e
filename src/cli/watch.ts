// `batuta watch`: follows a task to its end, with a live bar on a terminal and a line an event elsewhere.

import type { Json, JsonObject } from '../domain/json.ts';
import { outcomeOf } from '../sdk/outcome.ts';
import type { StreamEvent } from '../sdk/wire.ts';
import type { CommandCall, CommandSpec } from './command.ts';
import { bar, type Paint } from './output.ts';
import { exitCodeOf, taskText } from './task-text.ts';

/** Follows a task. */
export const watchCommand: CommandSpec = {
  name: 'watch',
  summary: 'follow a task to its end',
  positionals: [{ name: '<id>', description: 'the task' }],
  options: [{ flags: '--logs', description: 'show its log lines as well' }],
  examples: ['batuta watch nightly-1', 'batuta watch nightly-1 --json | jq .event'],
  connects: true,
  async run(call) {
    const [taskId = ''] = call.args;
    const { client, output, host } = call;
    await followToEnd(call, taskId);
    const status = await client.status(taskId, { signal: host.signal });
    if (!output.json) output.answer(status, () => taskText(status, output, host.clock.now()));
    return exitCodeOf(outcomeOf(status) ?? 'failed');
  },
};

/** Shows a task's events until its end; of log lines only if `--logs` was given. */
export async function followToEnd(
  { client, output, host, flags }: CommandCall,
  taskId: string,
): Promise<void> {
  const view: LiveView = { percentage: 0, step: '', state: 'queued', attempt: 1 };
  const startedAt = host.clock.monotonic();
  for await (const event of client.events(taskId, { signal: host.signal })) {
    take(view, event.data);
    if (event.event === 'log' && !flags.on('logs')) continue;
    if (output.isTerminal && event.event !== 'log') {
      output.draw(liveText(taskId, view, host.clock.monotonic() - startedAt, output.paint));
      continue;
    }
    output.item(event, () => lineText(event, output.paint));
  }
}

interface LiveView {
  percentage: number;
  step: string;
  state: string;
  attempt: number;
}

function take(view: LiveView, data: JsonObject): void {
  const progress = objectOf(data.progress);
  view.percentage = numberOf(progress.percentage) ?? view.percentage;
  view.step = textOf(progress.current_step) ?? view.step;
  view.state = textOf(data.state) ?? view.state;
  const attempt = numberOf(data.attempt) ?? view.attempt;
  if (attempt > view.attempt) view.percentage = 0;
  view.attempt = attempt;
  if (view.state === 'completed') view.percentage = 100;
}

function liveText(taskId: string, view: LiveView, elapsedMs: number, paint: Paint): string {
  const seconds = Math.floor(elapsedMs / 1_000);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  const attempt = view.attempt > 1 ? `  attempt ${view.attempt}` : '';
  const percentage = `${String(Math.round(view.percentage)).padStart(3)} %`;
  return `${paint.bold(taskId)}  ${paint.cyan(bar(view.percentage))} ${percentage}  ${view.state}${attempt}  ${clock}  ${paint.dim(view.step)}`;
}

function lineText({ event, data }: StreamEvent, paint: Paint): string {
  const at = paint.dim(textOf(data.timestamp) ?? '');
  return [at, paint.bold(event), detailText(event, data)].filter(part => part !== '').join('  ');
}

function detailText(event: StreamEvent['event'], data: JsonObject): string {
  if (event === 'log') return `${textOf(data.level) ?? ''} ${textOf(data.message) ?? ''}`.trim();
  if (event === 'state_changed') return `${textOf(data.from) ?? 'nothing'} → ${textOf(data.to) ?? ''}`;
  if (event === 'end') return textOf(data.outcome) ?? '';
  const progress = objectOf(data.progress);
  const error = objectOf(data.error);
  const told = [
    textOf(data.name) ?? '',
    numberOf(progress.percentage) === undefined ? '' : `${String(progress.percentage)} %`,
    textOf(progress.current_step) ?? '',
    textOf(error.code) ?? '',
    textOf(error.message) ?? '',
    textOf(data.resource) === undefined
      ? ''
      : `${String(data.resource)} ${String(data.value)} of ${String(data.limit)}`,
  ];
  return told.filter(part => part !== '').join('  ');
}

function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function numberOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
