// Where a stage stands: how many batches are done, and up to which record of which chunk they went. Kept with every chunk it writes and
// every acknowledgement, so that each batch is taken once and every chunk written once, whenever the process dies.

import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { childId } from './child-order.ts';

/** A stage at one instant. */
export interface StageState {
  /** The next batch, from 0. */
  readonly batch: number;
  /** Chunks of its records that were written already. */
  readonly part: number;
  /** The last chunk of the input that all batches before have used up, and how many records of the next one. */
  readonly chunk: number;
  readonly record: number;
  /** Records that went in and came out so far. */
  readonly taken: number;
  readonly made: number;
}

/** A stage that has done nothing. */
export const STAGE_START: StageState = { batch: 0, part: 0, chunk: 0, record: 0, taken: 0, made: 0 };

/** The state that was kept; nothing done where none was. */
export function stateFrom(kept: Json): StageState {
  if (!isJsonObject(kept)) return STAGE_START;
  const number = (name: keyof StageState): number => {
    const value = kept[name];
    return typeof value === 'number' ? value : 0;
  };
  return {
    batch: number('batch'),
    part: number('part'),
    chunk: number('chunk'),
    record: number('record'),
    taken: number('taken'),
    made: number('made'),
  };
}

/** The one that got further. */
export function further(one: StageState, other: StageState): StageState {
  if (one.batch !== other.batch) return one.batch > other.batch ? one : other;
  return one.part >= other.part ? one : other;
}

/** The state as JSON. */
export function kept(state: StageState): JsonObject {
  return { ...state };
}

/** The id of the task of a batch. */
export function batchId(stage: string, batch: number): TaskId {
  return childId(stage, 'batch', batch);
}

/** The tasks that a stage with this checkpoint may have under way. */
export function batchIds(stage: string, checkpoint: JsonObject | null): readonly TaskId[] {
  const { batch } = stateFrom(checkpoint);
  return [batchId(stage, batch), batchId(stage, batch + 1)];
}
