// Where an answer's body goes as it comes: into memory while it is small, into the attempt's workspace from there on.

import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';
import type { Usage } from './usage.ts';

/** What is held in memory, and given inline in an output (`SAM-160`). */
export const INLINE_BYTES_MAX = 4 * 1_048_576;

const READ_BYTES = 262_144;

/** One body. */
export class Spool {
  readonly #path: () => string;
  readonly #usage: Pick<Usage, 'disk'>;
  #chunks: Uint8Array[] = [];
  #file: string | null = null;
  #handle: FileHandle | null = null;
  #size = 0;

  /** `path` names a file of its own; it is asked for only when one is needed. */
  constructor(path: () => string, usage: Pick<Usage, 'disk'>) {
    this.#path = path;
    this.#usage = usage;
  }

  /** In bytes, decompressed. */
  get size(): number {
    return this.#size;
  }

  /** Whether all of it is in memory. */
  get isHeld(): boolean {
    return this.#file === null;
  }

  /** Takes a body to its end; throws what reading throws, and `resource_exhausted` for a full disk. */
  async take(body: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of body) await this.add(chunk);
    } finally {
      await this.close();
    }
  }

  /** Takes the beginning of a body nobody wants all of, so that a short one leaves its connection usable. */
  async sip(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<void> {
    for await (const chunk of body) {
      const room = bytesMax - this.#size;
      this.#chunks.push(chunk.subarray(0, room));
      this.#size += Math.min(room, chunk.length);
      if (this.#size >= bytesMax) return;
    }
  }

  /** Adds to what is there; `close` follows. */
  async add(chunk: Uint8Array): Promise<void> {
    this.#size += chunk.length;
    if (this.#file === null && this.#size <= INLINE_BYTES_MAX) {
      this.#chunks.push(chunk);
      return;
    }
    const held = this.#chunks;
    this.#chunks = [];
    for (const bytes of [...held, chunk]) await this.#write(bytes);
  }

  /** Nothing more comes. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }

  /** All of it, while it is small; null for what lies on disk. */
  bytes(): Uint8Array | null {
    return this.#file === null ? Buffer.concat(this.#chunks) : null;
  }

  /** All of it, to be stored. */
  source(signal: AbortSignal): Readable | Uint8Array {
    if (this.#file === null) return Buffer.concat(this.#chunks);
    return createReadStream(this.#file, { signal, highWaterMark: READ_BYTES });
  }

  /** Forgets it and removes its file. */
  async discard(): Promise<void> {
    await this.close();
    this.#chunks = [];
    if (this.#file !== null) {
      await rm(this.#file, { force: true });
      this.#usage.disk(-this.#size);
    }
    this.#file = null;
    this.#size = 0;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#usage.disk(bytes.length);
    try {
      this.#file ??= this.#path();
      this.#handle ??= await open(this.#file, 'a', 0o600);
      await this.#handle.appendFile(bytes);
    } catch (error) {
      const isFull = error instanceof Error && 'code' in error && error.code === 'ENOSPC';
      throw new DomainError(
        isFull ? 'resource_exhausted' : 'internal',
        isFull ? 'the disk is full' : 'an answer cannot be kept on disk',
        { cause: error, ...(isFull ? { details: { resource: 'disk' } } : {}) },
      );
    }
  }
}
