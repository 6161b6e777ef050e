// What is asked of pipes, and what they answer.

import type { Readable } from 'node:stream';
import type { FencingToken, TaskId, TenantId } from '../domain/ids.ts';
import type { Json } from '../domain/json.ts';
import type { PipeFill, PipeMode, PipeReader, ReadBy } from '../domain/pipe.ts';

/** Whose end it is: a task, the token that shows who leads it, and the name by which the task knows the pipe. */
export interface PipeEnd {
  readonly tenant: TenantId;
  readonly taskId: TaskId;
  readonly token: FencingToken;
  readonly name: string;
  /** The agent that the caller may speak for; any where absent. */
  readonly boundTo?: string;
}

/** How long a call may wait, and what ends the wait. */
export interface Patience {
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** A chunk on its way in; `size` is what it will not exceed. */
export interface NewChunk {
  readonly number: number;
  readonly size: number;
  readonly source: Readable | Uint8Array;
  readonly state?: Json;
  /** What the sender says its digest is, in lower-case hex. */
  readonly sha256?: string;
}

/** What became of a chunk: kept, of no use to anybody any more, or not taken since the pipe stayed full. */
export type WriteOutcome = 'kept' | 'unwanted' | 'full';

/** What a reader finds: a chunk, or the end behind the last one. */
export type ReadOutcome =
  | {
      readonly kind: 'chunk';
      readonly number: number;
      readonly sizeBytes: number;
      readonly stream: Readable;
    }
  | { readonly kind: 'end' };

/** A reader as people look at it. */
export interface PipeReaderView extends PipeReader {
  readonly by: ReadBy;
  /** The last chunk it is through with. */
  readonly acknowledged: number;
  /** What was written and it is not through with; nothing once it is gone. */
  readonly behind: PipeFill;
  readonly isGone: boolean;
}

/** A pipe as people look at it. */
export interface PipeView {
  readonly from: { readonly task: string; readonly output: string };
  readonly to: readonly PipeReaderView[];
  readonly mode: PipeMode;
  /** Chunks, and their bytes. */
  readonly written: number;
  readonly bytes: number;
  readonly acknowledged: number;
  readonly pending: PipeFill;
  readonly state: 'open' | 'waiting_downstream' | 'ended' | 'failed';
}
