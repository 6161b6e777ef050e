// Writes docs/state-machine.md from domain/transitions.ts: `node test/state-machine.ts`, after changing the machine.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  isEnd,
  isHeld,
  phaseOf,
  TASK_STATES,
  type TaskState,
  TRANSITIONS,
} from '../src/domain/transitions.ts';
import { ROOT } from './tree.ts';

const PAGE = join(ROOT, 'docs/state-machine.md');
const PHASES = ['init', 'run', 'notify', 'archive'] as const;

/** The page as it stands on disk. */
export function readStateMachine(): string {
  return readFileSync(PAGE, 'utf8');
}

/** The page as the machine makes it: a diagram, then each state with where it may go. */
export function renderStateMachine(): string {
  const edges = TASK_STATES.flatMap(from => TRANSITIONS[from].map(to => `  ${from} --> ${to}`));
  const finals = TASK_STATES.filter(state => TRANSITIONS[state].length === 0).map(
    state => `  ${state} --> [*]`,
  );
  const rows = PHASES.flatMap(phase =>
    TASK_STATES.filter(state => phaseOf(state) === phase).map(state => {
      const targets = TRANSITIONS[state].map(to => `\`${to}\``).join(', ');
      return `| \`${state}\` | ${phase} | ${remarkOn(state)} | ${targets || '—'} |`;
    }),
  );
  return `${[
    '# The state machine of a task\n',
    'Generated from `src/domain/transitions.ts` by `node test/state-machine.ts`; do not edit. What each transition means is told',
    'in [architecture.md](architecture.md).\n',
    '```mermaid',
    'stateDiagram-v2',
    '  [*] --> submitted',
    ...edges,
    ...finals,
    '```\n',
    '| state | phase | | may go to |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n')}\n`;
}

function remarkOn(state: TaskState): string {
  if (isEnd(state)) return 'an end: the outcome is decided for ever';
  return isHeld(state) ? 'held by a worker, under a lease' : '';
}

if (import.meta.main) writeFileSync(PAGE, renderStateMachine());
