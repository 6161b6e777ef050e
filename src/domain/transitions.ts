// How a task moves: the whole state machine as one table and one pure function. Nothing else decides a state.
// docs/state-machine.md is generated from TRANSITIONS.

/** Where a task stands (`SAM-101`, `SAM-102`). */
export const TASK_STATES = [
  'submitted',
  'validated',
  'queued',
  'allocated',
  'running',
  'completing',
  'paused',
  'completed',
  'failed',
  'timeout',
  'cancelled',
  'rejected',
  'notifying',
  'notified',
  'notification_failed',
  'archiving',
  'archived',
] as const;

/** A state of the machine. */
export type TaskState = (typeof TASK_STATES)[number];

/** How a task ended; never changes once reached. */
export type Outcome = 'completed' | 'failed' | 'timeout' | 'cancelled' | 'rejected';

/** The four phases of a life, derived from the state and whether the end was reached. */
export type Phase = 'init' | 'run' | 'notify' | 'archive';

/** From each state, every state it may go to (`SAM-101`, `SAM-102`). */
export const TRANSITIONS = {
  submitted: ['validated', 'rejected', 'cancelled'],
  validated: ['queued', 'rejected', 'cancelled'],
  queued: ['allocated', 'paused', 'failed', 'timeout', 'cancelled'],
  allocated: ['running', 'queued', 'failed', 'cancelled'],
  running: ['completing', 'queued', 'paused', 'failed', 'timeout', 'cancelled'],
  completing: ['completed', 'failed', 'timeout', 'cancelled'],
  paused: ['queued', 'cancelled'],
  completed: ['notifying', 'archiving'],
  failed: ['notifying', 'archiving'],
  timeout: ['notifying', 'archiving'],
  cancelled: ['archiving'],
  rejected: [],
  notifying: ['notified', 'notification_failed'],
  notified: ['archiving'],
  notification_failed: ['archiving'],
  archiving: ['archived'],
  archived: [],
} as const satisfies Record<TaskState, readonly TaskState[]>;

const ENDS: ReadonlySet<TaskState> = new Set(['completed', 'failed', 'timeout', 'cancelled', 'rejected']);
const AFTER_END: ReadonlySet<TaskState> = new Set([
  'notifying',
  'notified',
  'notification_failed',
  'archiving',
  'archived',
]);

/** True where the machine allows the step. */
export function canMove(from: TaskState, to: TaskState): boolean {
  const targets: readonly TaskState[] = TRANSITIONS[from];
  return targets.includes(to);
}

/** True for the five ends. */
export function isEnd(state: TaskState): state is TaskState & Outcome {
  return ENDS.has(state);
}

/** True once the outcome is decided: an end, or a state after one. */
export function hasEnded(state: TaskState): boolean {
  return ENDS.has(state) || AFTER_END.has(state);
}

/** True while a worker holds the task. */
export function isHeld(state: TaskState): boolean {
  return state === 'allocated' || state === 'running' || state === 'completing';
}

/** The phase a state belongs to; ends belong to `run`, or to `init` where nothing ever ran. */
export function phaseOf(state: TaskState): Phase {
  switch (state) {
    case 'submitted':
    case 'validated':
    case 'queued':
    case 'allocated':
    case 'rejected':
      return 'init';
    case 'running':
    case 'completing':
    case 'paused':
    case 'completed':
    case 'failed':
    case 'timeout':
    case 'cancelled':
      return 'run';
    case 'notifying':
    case 'notified':
    case 'notification_failed':
      return 'notify';
    case 'archiving':
    case 'archived':
      return 'archive';
  }
}

/**
 * The states walked through from one to the other along a list of steps, the last being where it ends.
 * Throws on the first step the machine forbids: a forbidden step is a bug of the caller, not bad input.
 */
export function walk(from: TaskState, steps: readonly TaskState[]): readonly TaskState[] {
  let current = from;
  for (const step of steps) {
    if (!canMove(current, step)) throw new Error(`the machine forbids ${current} -> ${step}`);
    current = step;
  }
  return steps;
}
