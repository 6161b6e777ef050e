// What an attempt sees of the pipes of its task: chunks come in by number, chunks go out by number, and both ends say where an earlier
// attempt got to (`SAM-229`).

import type { Json } from '../../domain/json.ts';

/** Where a reader stands. */
export interface InputPosition {
  /** The last chunk that was acknowledged; 0 for none. */
  readonly acknowledged: number;
  /** What was left with that acknowledgement. */
  readonly state: Json;
}

/** Where a writer stands. */
export interface OutputPosition {
  /** The number of the last chunk; 0 for none. */
  readonly written: number;
  /** What was left with that chunk. */
  readonly state: Json;
}

/** A chunk as its reader gets it; a chunk keeps its number for ever. */
export interface PipeChunk {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** An input of a step. All verbs reject with `lease_lost` once another attempt has taken over. */
export interface PipeInput {
  /** Where it stands; from now on no earlier attempt may acknowledge anything. */
  open(): Promise<InputPosition>;
  /**
   * The chunk behind the given one, waited for as long as is said (for ever where nothing is); `later` where none came in time. Rejects
   * with `dependency_failed` where the writer gave up.
   */
  next(after: number, waitMs?: number): Promise<PipeChunk | 'end' | 'later'>;
  /** Chunks up to this one will never be asked for again; the state is kept in the same write. */
  acknowledge(upTo: number, state?: Json): Promise<void>;
}

/** An output of a step. All verbs reject with `lease_lost` once another attempt has taken over. */
export interface PipeOutput {
  /** Where it stands; from now on no earlier attempt may write. */
  open(): Promise<OutputPosition>;
  /** Adds the next chunk with the state, both or neither, waiting while the pipe is full; false once nobody reads any more. */
  write(bytes: Uint8Array, state?: Json): Promise<boolean>;
  /** Says that nothing more will come; a task that completes says so of all its outputs. */
  end(): Promise<void>;
}
