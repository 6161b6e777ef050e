// The breakers of tools: one that failed five times in a row is left alone for half a minute, and whoever calls it is told so at once; then one
// call tries it (`ARMY-83`). A tool is what agents in the role `tool` do under the name of a task type.

import { DomainError } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import type { Draft } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import { Breakers, FIVE_IN_A_ROW } from '../../engine/breakers.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { addressOf } from './address.ts';
import { ARMY } from './words.ts';

const TERMS = { kind: 'army_tool', ...FIVE_IN_A_ROW };

type ToolCall = Pick<Draft, 'tenant' | 'to' | 'meaning'>;

/** The tools of all tenants, as their last calls went; nodes share what they find. */
export class Tools {
  readonly #breakers: Breakers;

  constructor({ log, clock, store }: Pick<DialectHands, 'log' | 'clock' | 'store'>) {
    this.#breakers = new Breakers(log, clock, store, TERMS);
  }

  start(): Promise<void> {
    return this.#breakers.start();
  }

  stop(): Promise<void> {
    return this.#breakers.stop();
  }

  /** Lets a request for a tool through, or throws `circuit_open` with the wait; other requests always pass. */
  async requireWell(draft: ToolCall): Promise<void> {
    const { tenant, meaning } = draft;
    if (meaning.act !== 'request_task' || !isToolCall(draft)) return;
    const { taskId, taskType } = meaning.task;
    const passage = await this.#breakers.pass(tenant, taskType);
    if (passage.go) return;
    throw new DomainError(
      'circuit_open',
      `the tool ${taskType} failed ${TERMS.failuresMax} times in a row and is left alone for now`,
      { retryAfterMs: passage.waitMs, details: { tool: taskType, task_id: taskId } },
    );
  }

  /** Takes note of how an attempt at a tool's task went; what its agent gave back or nobody took says nothing of it. */
  hear(task: Pick<Task, 'tenant' | 'spec'>, event: TaskEvent): void {
    const tool = toolOf(task);
    if (tool === null) return;
    const went = outcomeOf(event);
    if (went === 'well' || went === 'badly') this.#breakers.note(task.tenant, tool, went === 'well');
    if (went === 'neither') this.#breakers.noteNothing(task.tenant, tool);
  }
}

/** Whether it asks a tool for something. */
export function isToolCall({ to, meaning }: Pick<ToolCall, 'to' | 'meaning'>): boolean {
  return meaning.act === 'request_task' && addressOf(to[0] ?? '')?.role === 'tool';
}

function toolOf({ spec }: Pick<Task, 'spec'>): string | null {
  const isTool = spec.requiredCapabilities?.includes(`${ARMY}:tool`) === true;
  return isTool && spec.type === 'custom' ? (spec.typeName ?? null) : null;
}

/** Null where the attempt goes on, or was judged by another event. */
function outcomeOf(event: TaskEvent): 'well' | 'badly' | 'neither' | null {
  if (event.kind === 'agent_error') return 'badly';
  if (event.kind !== 'state') return null;
  const { from, to, attempt = 0, error } = event;
  if (to === 'completed') return 'well';
  if (to === 'cancelled') return 'neither';
  if (to === 'failed' || to === 'timeout') return attempt > 0 && from === 'running' ? 'badly' : 'neither';
  if (to !== 'queued' || from !== 'running' || error === undefined) return null;
  // Whose lease was lost was heard of as an agent's error.
  return error.code === 'unavailable' ? null : 'badly';
}
