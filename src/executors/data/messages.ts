// What parent and child say to each other over the IPC channel, as JSON.

import type { ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { DataFormat, Step } from './payload.ts';
import type { SourceFile } from './readers.ts';

/** What the child is to do: everything it may touch lies in `workspace`. */
export interface JobOrder {
  readonly workspace: string;
  readonly sources: readonly SourceFile[];
  readonly work: { readonly sql: string } | { readonly steps: readonly Step[]; readonly from: string };
  readonly outputs: readonly { readonly name: string; readonly format: DataFormat; readonly path: string }[];
  readonly rejectsPath: string;
  readonly memoryMb: number;
  readonly threads: number;
  readonly spillMb: number;
}

/** What came of it. */
export interface JobResult {
  /** Of all sources together. */
  readonly rowsIn: number;
  readonly rowsOut: number;
  readonly rowsRejected: number;
  readonly schema: readonly { readonly name: string; readonly type: string }[];
  /** The first rows, as many as are given inline. */
  readonly rows: readonly JsonObject[];
}

/** What the child tells. */
export type ChildMessage =
  | { readonly kind: 'ready'; readonly engine: string; readonly residentBytes: number }
  | { readonly kind: 'missing'; readonly message: string }
  /** A stage of the job begins; stages count from 0. */
  | { readonly kind: 'stage'; readonly index: number; readonly label: string }
  | {
      readonly kind: 'usage';
      readonly residentBytes: number;
      /** Since the job began, of all threads. */
      readonly cpuMicros: number;
      readonly diskBytes: number;
      /** Read and write calls since the job began. */
      readonly diskOperations: number;
      /** How much of the stage is done, from 0 to 1. */
      readonly fraction: number;
    }
  | { readonly kind: 'done'; readonly result: JobResult }
  | {
      readonly kind: 'failed';
      readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: JsonObject };
      /** For the server's own log: it may name paths. */
      readonly cause: string;
    };
