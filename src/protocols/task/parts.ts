// What the rooms of the task wire work with.

import type { DialectHands } from '../dialect/hands.ts';
import type { Commands } from './commands.ts';
import type { Reports } from './reports.ts';
import type { SharedStates } from './shared-state.ts';

/** The hands of a dialect, and what this one keeps in documents. */
export interface TaskParts extends DialectHands {
  readonly commands: Commands;
  readonly states: SharedStates;
  readonly reports: Reports;
}
