// The wire between the server and a QuickJS host process: frames of a JSON head and a tail of plain bytes, length first.
// Both ends use it, so it imports nothing that a sandboxed process could not load.

import type { Json } from '../../../domain/json.ts';

/** A program for a host process to run once. */
export interface WasmJob {
  readonly kind: 'job';
  /** Programs of different owners never meet in one WebAssembly memory. */
  readonly owner: string;
  readonly memoryMb: number;
  readonly runMs: number;
  /** Source texts by file name. */
  readonly files: Readonly<Record<string, string>>;
  readonly entrypoint: string;
  /** Only ES modules can import their siblings: the form of programs of several files. */
  readonly isModule: boolean;
  readonly args: readonly string[];
  readonly stdin: string;
  readonly inputs: Json;
  readonly env: Readonly<Record<string, string>>;
  readonly restored: Json;
}

/** The answer to an `ask`; its bytes are the frame's tail. */
export interface WasmReply {
  readonly kind: 'reply';
  readonly id: number;
  readonly error?: string;
  readonly value?: Json;
}

/** What the program wants from the server; the answer is a `WasmReply` of the same id. */
export type WasmAsk =
  | { readonly kind: 'ask'; readonly id: number; readonly what: 'read'; readonly name: string }
  | { readonly kind: 'ask'; readonly id: number; readonly what: 'sleep'; readonly ms: number }
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly what: 'fetch';
      readonly url: string;
      readonly method: string;
      readonly headers: Readonly<Record<string, string>>;
    };

/** Why a program ended badly. */
export interface WasmFailure {
  readonly reason: 'syntax' | 'thrown' | 'memory' | 'deadline' | 'stuck' | 'unserializable' | 'overflow';
  readonly message: string;
  readonly stack?: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** The program's own word (`error.recoverable = true`) that trying again may help. */
  readonly recoverable?: boolean;
}

/** The end of a program; its value is JSON. */
export interface WasmDone {
  readonly kind: 'done';
  readonly failure?: WasmFailure;
  readonly value?: Json;
  /** What the whole process holds, and the processor time the program took. */
  readonly memoryMb: number;
  readonly cpuMs: number;
}

/** What a host process sends. */
export type FromHost =
  | { readonly kind: 'ready' }
  | { readonly kind: 'print'; readonly stream: 'stdout' | 'stderr' }
  | {
      readonly kind: 'progress';
      readonly percentage?: number;
      readonly currentStep?: string;
      readonly totalSteps?: number;
    }
  | { readonly kind: 'checkpoint'; readonly value: Json }
  | { readonly kind: 'output'; readonly name: string }
  | { readonly kind: 'memory'; readonly usedMb: number }
  | WasmAsk
  | WasmDone;

/** A frame as it came in. */
export interface Frame<Head> {
  readonly head: Head;
  readonly tail: Buffer;
}

/** The host process's end of the wire, blocking both ways. */
export interface Pipe {
  send(head: FromHost, tail?: Uint8Array): void;
  /** The next frame; ends the process when the server has closed the wire. */
  receive(): Frame<WasmJob | WasmReply>;
}

/** Bytes before the head: the lengths of head and tail, 32 bits each, little endian. */
export const PREFIX_BYTES = 8;

const EMPTY = Buffer.alloc(0);

/** Prefix and head of a frame; the tail follows as it is. */
export function frameStart(head: WasmJob | WasmReply | FromHost, tailBytes = 0): Buffer {
  const text = JSON.stringify(head);
  const textBytes = Buffer.byteLength(text);
  const start = Buffer.allocUnsafe(PREFIX_BYTES + textBytes);
  start.writeUInt32LE(textBytes, 0);
  start.writeUInt32LE(tailBytes, 4);
  start.write(text, PREFIX_BYTES);
  return start;
}

/** Cuts a stream of bytes into frames; throws on a frame over the limit, which a well-behaved peer never sends. */
export class FrameReader<Head> {
  readonly #frameBytesMax: number;
  #chunks: Buffer[] = [];
  #held = 0;
  #wanted = PREFIX_BYTES;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  *push(chunk: Buffer): Generator<Frame<Head>> {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    while (this.#held >= this.#wanted) {
      const all = this.#chunks.length === 1 ? (this.#chunks[0] ?? EMPTY) : Buffer.concat(this.#chunks);
      this.#chunks = [all];
      const headEnd = PREFIX_BYTES + all.readUInt32LE(0);
      const frameEnd = headEnd + all.readUInt32LE(4);
      if (frameEnd > this.#frameBytesMax) throw new Error(`a frame of ${frameEnd} bytes is over the limit`);
      if (all.length < frameEnd) {
        this.#wanted = frameEnd;
        return;
      }
      const rest = all.subarray(frameEnd);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#held = rest.length;
      this.#wanted = PREFIX_BYTES;
      yield {
        head: JSON.parse(all.toString('utf8', PREFIX_BYTES, headEnd)) as Head,
        tail: all.subarray(headEnd, frameEnd),
      };
    }
  }
}
