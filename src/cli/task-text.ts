// Tasks in words: how one stands, why it waits, how far it is, and how it ended.

import type { JsonObject } from '../domain/json.ts';
import type { Outcome } from '../domain/transitions.ts';
import { outcomeOf } from '../sdk/outcome.ts';
import type { TaskStatus } from '../sdk/wire.ts';
import { EXIT } from './failure.ts';
import { bar, bytesText, facts, type Output, type Paint } from './output.ts';

/** All there is to tell of a task. */
export function taskText(status: TaskStatus, output: Pick<Output, 'paint'>, now: number): string {
  const { paint } = output;
  const current = status.current_status;
  const { timestamps = {}, progress = {} } = current;
  const details = status.execution_details ?? {};
  const failure = details.error_details;
  const lines = facts(
    [
      ['execution', status.execution_id],
      ['type', text(status.task_type)],
      ['agent', status.agent_id],
      ['attempt', current.attempt === undefined ? null : String(current.attempt)],
      ['waiting', current.waiting === undefined ? null : waitingText(current.waiting)],
      ['step', progress.current_step],
      [
        'created',
        timestamps.created === undefined
          ? null
          : `${timestamps.created} (${agoText(timestamps.created, now)})`,
      ],
      ['started', timestamps.started],
      ['ended', timestamps.completed],
      ['expected', outcomeOf(status) === null ? timestamps.estimated_completion : null],
      [
        'error',
        failure === undefined
          ? null
          : `${paint.red(text(failure.code) ?? 'failed')} ${text(failure.message) ?? ''}`,
      ],
      ['output', details.output === undefined ? null : JSON.stringify(details.output, null, 2)],
      [
        'artifacts',
        (details.artifacts ?? [])
          .map(one => `${one.artifact_id}  ${one.name}  ${bytesText(one.size_bytes)}`)
          .join('\n'),
      ],
    ],
    paint,
  );
  return `${paint.bold(status.task_id)}  ${stateText(status, paint)}  ${progressText(status)}\n${lines}`;
}

/** The state in its colour, with what qualifies it. */
export function stateText(status: TaskStatus, paint: Paint): string {
  const { state, paused, requires_human_intervention: person } = status.current_status;
  const outcome = outcomeOf(status);
  const word = paused === true ? 'paused' : outcome === null ? state : outcome;
  const styled = styleOf(outcome, state, paint)(word);
  return person === true ? `${styled} ${paint.yellow('needs a person')}` : styled;
}

/** A bar and a percentage; an estimate is marked as one. */
export function progressText(status: TaskStatus): string {
  const { percentage, estimated } = status.current_status.progress ?? {};
  if (percentage === undefined) return '';
  return `${bar(percentage)} ${estimated === true ? '~' : ''}${Math.round(percentage)} %`;
}

/** Why a task waits, in words. */
export function waitingText(waiting: JsonObject): string {
  switch (waiting.because) {
    case 'paused':
      return 'it is paused: batuta resume lets it go on';
    case 'not_before':
      return `it is not to start before ${text(waiting.until) ?? 'its time'}`;
    case 'retry_delay':
      return `attempt ${String(waiting.attempt)} failed, and the next is not due yet`;
    case 'dependencies':
      return `other tasks must complete first: ${listText(waiting.waiting_for)}`;
    case 'no_agent_online':
      return `no agent for ${text(waiting.work_type) ?? 'it'} is online${needText(waiting.capabilities)}`;
    case 'quota':
      return `the tenant has used up its quota of ${text(waiting.quota) ?? 'something'}: ${String(waiting.used)} of ${String(waiting.limit)}`;
    case 'concurrency':
      return `${String(waiting.limit)} of its key "${text(waiting.key) ?? ''}" may run at once, and do: ${listText(waiting.held_by)}`;
    case 'no_free_slot':
      return `all ${String(waiting.slots)} slots are taken, by ${listText(waiting.held_by)}; its place is ${String(waiting.position)}`;
    case 'waiting_downstream':
      return `its output ${text(waiting.output) ?? ''} is full: ${String(waiting.pending_chunks)} chunks (${bytesText(Number(waiting.pending_bytes))}) wait for their slowest reader`;
    case 'about_to_start':
      return 'it is about to start';
    default:
      return JSON.stringify(waiting);
  }
}

/** The exit code an outcome calls for. */
export function exitCodeOf(outcome: Outcome): number {
  return outcome === 'completed' ? EXIT.ok : EXIT.failed;
}

/** How long ago an instant was, roughly. */
export function agoText(instant: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(instant)) / 1_000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

function styleOf(outcome: Outcome | null, state: string, paint: Paint): (text: string) => string {
  if (outcome === 'completed') return paint.green;
  if (outcome === 'cancelled') return paint.yellow;
  if (outcome !== null) return paint.red;
  return state === 'running' ? paint.blue : paint.dim;
}

function needText(capabilities: JsonObject[string]): string {
  return Array.isArray(capabilities) && capabilities.length > 0 ? ` (with ${listText(capabilities)})` : '';
}

function listText(value: JsonObject[string]): string {
  const items = Array.isArray(value) ? value.map(String) : [];
  const shown = items.slice(0, 5).join(', ');
  return items.length > 5 ? `${shown} and ${items.length - 5} more` : shown === '' ? 'others' : shown;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
