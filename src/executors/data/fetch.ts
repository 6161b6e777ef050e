// Brings sources into the workspace as plain files, streaming where they come from a stream: artifacts, URLs, earlier tasks' outputs
// and rows given inline. What is packed is unpacked on the way, and all of it counts against the task's disk.

import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { ArtifactId } from '../../domain/ids.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import { download } from './download.ts';
import { JobError } from './job-error.ts';
import type { Source } from './payload.ts';

/** What fetching needs of its attempt. */
export interface Fetching {
  readonly context: Pick<AttemptContext, 'signal' | 'openArtifact' | 'outputOf'>;
  readonly outbound: Outbound;
  /** Told the bytes written to this file so far; throws to stop. */
  readonly written: (bytes: number) => void;
  /** Told how much is done, from 0 to 1, where the whole is known. */
  readonly progress: (fraction: number) => void;
}

/** Writes the source to the path; throws `not_found` for what is not there, and what `Outbound.send` throws. */
export async function fetchSource(source: Source, path: string, fetching: Fetching): Promise<void> {
  const { context } = fetching;
  if (source.inline !== undefined) {
    await writeText(
      path,
      typeof source.inline === 'string' ? source.inline : JSON.stringify(source.inline),
      fetching,
    );
  } else if (source.task_id !== undefined) {
    const rows = rowsAt(await context.outputOf(source.task_id), source.path, source.task_id);
    await writeText(path, JSON.stringify(rows), fetching);
  } else if (source.artifact_id !== undefined) {
    const { artifact, stream } = await context.openArtifact(source.artifact_id as ArtifactId);
    await store(stream, artifact.sizeBytes, source, path, fetching);
  } else if (source.url !== undefined) {
    const { total, chunks } = await download(source.url, fetching.outbound, context.signal);
    await store(Readable.from(chunks), total, source, path, fetching);
  }
}

async function writeText(path: string, text: string, { written, context }: Fetching): Promise<void> {
  // Packed text cannot stand in JSON: inline sources have no compression.
  const bytes = Buffer.from(text);
  written(bytes.length);
  await writeFile(path, bytes, { signal: context.signal });
}

async function store(
  stream: Readable,
  total: number,
  source: Source,
  path: string,
  { context, written, progress }: Fetching,
): Promise<void> {
  const read = (bytes: number): void => {
    if (total > 0) progress(Math.min(1, bytes / total));
  };
  const unpack = unpacker(source);
  const file = createWriteStream(path, { mode: 0o600 });
  const { signal } = context;
  try {
    if (unpack !== null) await pipeline(stream, counted(read), unpack, counted(written), file, { signal });
    else {
      // One count for both: each is a turn of the event loop for every chunk.
      const both = counted(bytes => {
        read(bytes);
        written(bytes);
      });
      await pipeline(stream, both, file, { signal });
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (unpack === null || !/^(Z_|ZSTD_|ERR_ZSTD)/.test(code)) throw error;
    throw new JobError(
      'task_failed',
      `the bytes are not ${source.options?.compression} data: ${code}`,
      {},
      error,
    );
  }
}

/** Passes chunks on, telling the bytes that went through so far. */
function counted(tell: (bytes: number) => void) {
  return async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      tell(bytes);
      yield chunk;
    }
  };
}

function unpacker({ options }: Source): Transform | null {
  switch (options?.compression) {
    case 'gzip':
      return createGunzip();
    case 'zstd':
      return createZstdDecompress();
    case undefined:
      return null;
  }
}

/** The array of rows in an earlier task's output. */
function rowsAt(output: Json, path: string | undefined, taskId: string): readonly Json[] {
  let at: Json | undefined = output;
  for (const part of path === undefined || path === '' ? [] : path.split('.')) {
    at = Array.isArray(at) ? at[Number(part)] : isJsonObject(at) ? at[part] : undefined;
  }
  const rows: Json | undefined = path === undefined && isJsonObject(at) ? at.rows : at;
  if (Array.isArray(rows)) return rows;
  throw new JobError('task_failed', `the output of task ${taskId} has no array at ${path ?? 'rows'}`, {
    task_id: taskId,
    path: path ?? 'rows',
  });
}
