// Pipes: how the steps of a pipeline hand records to each other while they run. A pipe goes from one output of a task to everybody who reads
// it; what is in it are chunks, numbered from 1. Both ends are small records of one writer each, guarded by the fencing token of its attempt;
// the bytes lie elsewhere. (The specification says channel; here that word means a way out for notifications.)

import { isJsonObject, type Json, type JsonObject } from './json.ts';
import type { TaskSpec } from './task.ts';

/** Chunks that wait in a pipe at most until its writer must (`SAM-230`). */
export const PIPE_CHUNKS_MAX = 1_000;
/** Bytes that wait in a pipe at most until its writer must (`SAM-230`). */
export const PIPE_BYTES_MAX = 64 * 1_024 ** 2;
/** Bytes of one chunk at most. */
export const CHUNK_BYTES_MAX = 4 * 1_024 ** 2;
/** Bytes of a whole output at most: nobody reads it before it is there, so nothing else bounds it. */
export const BATCH_BYTES_MAX = 1_024 ** 3;
/** Characters of JSON of the state that goes with a chunk or an acknowledgement: it travels in a header. */
export const PIPE_STATE_LENGTH_MAX = 2_048;

/** What the writer's end is kept as. */
export const PIPE_OUT_KIND = 'pipe_out';
/** What a reader's end is kept as. */
export const PIPE_IN_KIND = 'pipe_in';
/** The type of the artifacts that chunks are while they wait. */
export const CHUNK_TYPE = 'pipe_chunk';

/** `stream`: read while it is written. `batch`: read once it is whole. */
export const PIPE_MODES = ['stream', 'batch'] as const;

/** How a pipe is read. */
export type PipeMode = (typeof PIPE_MODES)[number];

/**
 * How a reader says what it is through with. `acknowledgement`: chunk by chunk, for good. `checkpoint`: by checkpoints of its task, each of
 * which says how far its state goes in the input; whatever is behind the last one is kept, and read again by the next attempt.
 */
export const READ_BY = ['acknowledgement', 'checkpoint'] as const;

/** By what a reader moves on. */
export type ReadBy = (typeof READ_BY)[number];

/** How far the state of a checkpoint goes in the inputs that are read by checkpoint: the last chunk of each that is in it, 0 for none. */
export type PipePositions = Readonly<Record<string, number>>;

/** Who reads a pipe: an input of a task. */
export interface PipeReader {
  readonly task: string;
  readonly input: string;
}

/** The pipes of one task, by the names it knows them by. */
export interface TaskPipes {
  readonly inputs: Readonly<Record<string, { readonly task: string; readonly output: string }>>;
  readonly outputs: Readonly<
    Record<string, { readonly mode: PipeMode; readonly readers: readonly PipeReader[] }>
  >;
}

/** The writer's end. */
export interface PipeOut {
  /** Whose attempt may write; only ever grows. */
  readonly token: number;
  readonly mode: PipeMode;
  readonly readers: readonly PipeReader[];
  /** The number of the last chunk, and the bytes of all there were. */
  readonly written: number;
  readonly bytes: number;
  /** What the writer left with its last chunk: where to go on from. */
  readonly state: Json;
  /** From which chunk on whose attempt wrote, oldest first. */
  readonly runs: readonly { readonly from: number; readonly token: number }[];
  /** `failed`: its writer ended without being done. */
  readonly end: 'open' | 'ended' | 'failed';
}

/** A reader's end. */
export interface PipeIn {
  readonly token: number;
  /** `acknowledgement` where absent. */
  readonly by?: ReadBy;
  /** The last chunk it will never ask for again, and the bytes of all up to it. */
  readonly read: number;
  readonly bytes: number;
  /** What the reader left with that acknowledgement. */
  readonly state: Json;
  /** Its step is over: nothing is kept for it any more. */
  readonly isGone: boolean;
}

/** What waits in a pipe. */
export interface PipeFill {
  readonly chunks: number;
  readonly bytes: number;
}

/** A reader that has acknowledged nothing. */
export const UNREAD: PipeIn = { token: 0, read: 0, bytes: 0, state: null, isGone: false };

/** What the slowest of these readers has not acknowledged; nothing where all are gone. */
export function fillOf({ written, bytes }: PipeOut, readers: readonly PipeIn[]): PipeFill {
  const slowest = slowestOf(readers);
  return slowest === null
    ? { chunks: 0, bytes: 0 }
    : { chunks: written - slowest.read, bytes: bytes - slowest.bytes };
}

/** Of the readers that are not gone the one behind the others; null where all are. */
export function slowestOf(readers: readonly PipeIn[]): PipeIn | null {
  const reading = readers.filter(({ isGone }) => !isGone);
  return reading.reduce<PipeIn | null>(
    (slowest, one) => (slowest === null || one.read < slowest.read ? one : slowest),
    null,
  );
}

/** Whether a chunk of so many bytes may be added; into an empty pipe it always may. */
export function fits(mode: PipeMode, { chunks, bytes }: PipeFill, size: number): boolean {
  if (mode === 'batch' || chunks === 0) return true;
  return chunks < PIPE_CHUNKS_MAX && bytes + size <= PIPE_BYTES_MAX;
}

/** Whose attempt wrote the chunk. */
export function writerOf({ runs }: PipeOut, chunk: number): number {
  return runs.findLast(({ from }) => from <= chunk)?.token ?? 0;
}

/** The end of a pipe whose writer begins, or begins anew, under this token. */
export function takenOver(
  out: PipeOut | null,
  token: number,
  { mode, readers }: TaskPipes['outputs'][string],
): PipeOut {
  if (out === null) return { ...NOTHING_WRITTEN, token, mode, readers, runs: [{ from: 1, token }] };
  const from = out.written + 1;
  return { ...out, token, runs: [...out.runs.filter(run => run.from < from), { from, token }] };
}

/** The end of a pipe nobody will write to any more, whatever attempt may still think it may. */
export function sealed(out: PipeOut | null, how: 'ended' | 'failed'): PipeOut {
  return { ...(out ?? NOTHING_WRITTEN), token: Number.MAX_SAFE_INTEGER, end: how };
}

const NOTHING_WRITTEN: PipeOut = {
  token: 0,
  mode: 'stream',
  readers: [],
  written: 0,
  bytes: 0,
  state: null,
  runs: [],
  end: 'open',
};

/** The pipes of a task, as whoever made it a step has marked it; none for any other. */
export function pipesOf({ extra }: Pick<TaskSpec, 'extra'>): TaskPipes {
  const mark = extra?.workflow;
  const pipes = isJsonObject(mark) ? mark.pipes : undefined;
  return isTaskPipes(pipes) ? pipes : NO_PIPES;
}

/** Whether the task is a step that others stream to. */
export function readsPipes(spec: Pick<TaskSpec, 'extra'>): boolean {
  return Object.keys(pipesOf(spec).inputs).length > 0;
}

const NO_PIPES: TaskPipes = { inputs: {}, outputs: {} };

/** Anybody may hand in a task with a mark, so its shape is looked at. */
function isTaskPipes(value: Json | undefined): value is JsonObject & TaskPipes {
  if (!isJsonObject(value) || !isJsonObject(value.inputs) || !isJsonObject(value.outputs)) return false;
  const inputs = Object.values(value.inputs);
  const outputs = Object.values(value.outputs);
  return (
    inputs.every(one => isJsonObject(one) && isText(one.task) && isText(one.output)) &&
    outputs.every(one => isJsonObject(one) && isMode(one.mode) && isReaders(one.readers))
  );
}

function isReaders(value: Json | undefined): boolean {
  return (
    Array.isArray(value) &&
    value.every((one: Json) => isJsonObject(one) && isText(one.task) && isText(one.input))
  );
}

function isMode(value: Json | undefined): boolean {
  return PIPE_MODES.some(mode => mode === value);
}

function isText(value: Json | undefined): boolean {
  return typeof value === 'string';
}

/** A checkpoint of a task that has inputs as it is kept: the state, and beside it how far that goes, so that neither is there without the other. */
export function withPositions(state: Json, positions: PipePositions | undefined): Json {
  const isPlain = positions === undefined && !isPositioned(state);
  return isPlain ? state : { [STATE]: state, [POSITIONS]: positions ?? {} };
}

/** What was kept by `withPositions`. */
export function positionsIn(kept: Json): { readonly state: Json; readonly positions: PipePositions } {
  return isPositioned(kept)
    ? { state: kept[STATE], positions: kept[POSITIONS] }
    : { state: kept, positions: {} };
}

const STATE = 'state';
const POSITIONS = 'pipe_positions';

function isPositioned(
  value: Json,
): value is JsonObject & { readonly [STATE]: Json; readonly [POSITIONS]: PipePositions } {
  if (!isJsonObject(value) || Object.keys(value).length !== 2 || value[STATE] === undefined) return false;
  const positions = value[POSITIONS];
  return isJsonObject(positions) && Object.values(positions).every(one => typeof one === 'number');
}

/** The name of the writer's end. */
export function pipeOutId(task: string, output: string): string {
  return `${task}/${output}`;
}

/** The name of a reader's end. */
export function pipeInId(out: string, { task, input }: PipeReader): string {
  return `${out}>${task}/${input}`;
}
